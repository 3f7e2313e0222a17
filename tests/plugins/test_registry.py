import os
import subprocess
import sys
from types import ModuleType

import pytest

from cleanbots.errors import PluginError
from cleanbots.expression import compile_expression
from cleanbots.plugins import Ref, Registry, bots_in, discover, hookimpl

EXPERT = """
from cleanbots import Event, Expert, Params


class Pass(Expert[Params]):
    "Pass."

    def process(self, event: Event) -> Event:
        return event
"""


@pytest.fixture
def site(tmp_path):
    """Write files into a site folder that only this user can write to; give the folder."""
    folder = tmp_path / "site"
    (folder / "experts").mkdir(parents=True)
    for path in (folder, folder / "experts"):
        path.chmod(0o755)

    def write(name, text):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o755)
        path.write_text(text)
        path.chmod(0o644)
        return folder

    return write


def plugin(**hooks):
    """Make a plugin module whose hooks answer with constants, or raise them."""
    module = ModuleType("acme.plugin")
    for name, answer in hooks.items():
        setattr(module, name, _answering(answer))
    return module


def _answering(answer):
    @hookimpl
    def hook():
        if isinstance(answer, Exception):
            raise answer
        return answer

    return hook


def test_first_party_bots_come_in_by_the_entry_point():
    """The bots that ship with cleanbots are found by the same door as all others."""
    registry = discover()

    assert "cleanbots" in [found.name for found in registry.plugins]
    assert all(ref.source == "cleanbots" for ref in registry.refs.values())


def test_names_are_known_without_importing():
    """Listing bots imports none of them, and none of the heavy libraries of the command line."""
    code = (
        "import sys; from cleanbots.plugins import discover; discover().names();"
        "heavy = {'click', 'jsonschema', 'requests', 'redis', 'maxminddb'} & set(sys.modules);"
        "bots = [m for m in sys.modules if m.startswith('bots.') and m.count('.') == 2];"
        "print(sorted(heavy), bots)"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[] []"


def test_site_folder_brings_its_bots(site):
    """A file in a site folder is a bot, named after the file."""
    registry = discover([site("experts/mine.py", EXPERT)])

    assert registry.problems == []
    assert registry.load("expert/mine").__name__ == "Pass"


def test_relative_import_works_in_a_site_folder(site):
    """Bots of a site folder share helpers by relative imports."""
    site("helpers.py", "NAME = 'helped'\n")
    folder = site("experts/mine.py", EXPERT + "\nfrom ..helpers import NAME\nPass.name = NAME\n")

    assert discover([folder]).load("expert/mine").name == "helped"


def test_two_site_folders_do_not_mix(tmp_path, site):
    """Each site folder is a namespace of its own."""
    one = site("helpers.py", "NAME = 'one'\n")
    site("experts/first.py", EXPERT + "\nfrom ..helpers import NAME\nPass.name = NAME\n")
    two = tmp_path / "two"
    (two / "experts").mkdir(parents=True)
    (two / "helpers.py").write_text("NAME = 'two'\n")
    (two / "experts/second.py").write_text(EXPERT + "\nfrom ..helpers import NAME\nPass.name = NAME\n")
    for path in (two, *two.rglob("*")):
        path.chmod(0o755)

    registry = discover([one, two])

    assert registry.load("expert/first").name == "one"
    assert registry.load("expert/second").name == "two"


def test_underscores_mark_helpers_and_reserved_words(site):
    """A leading underscore hides a file; a trailing one is left out of the name."""
    site("experts/_helper.py", "")

    registry = discover([site("experts/while_.py", EXPERT)])

    own = [ref.name for ref in registry.refs.values() if ref.source != "cleanbots"]
    assert own == ["expert/while"]


@pytest.mark.parametrize("where", ["", "experts", "experts/mine.py"])
def test_site_folder_that_others_can_write_to_is_refused(site, where):
    """Code that somebody else could have put there is not run."""
    folder = site("experts/mine.py", EXPERT)
    (folder / where).chmod(0o757)

    registry = discover([folder])

    (problem,) = registry.problems
    assert "others can write to it" in problem.text
    assert "chmod -R go-w" in problem.text
    assert "expert/mine" not in registry.refs


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(("user", "group"), [(-1, 65533), (65533, -1)])
def test_site_folder_of_somebody_else_is_refused(site, user, group):
    """A group that isn't this user's own alone, or another owner, is somebody else."""
    folder = site("experts/mine.py", EXPERT)
    os.chown(folder, user, group)
    folder.chmod(0o775)

    registry = discover([folder])

    assert len(registry.problems) == 1
    assert "is not run" in registry.problems[0].text


def test_missing_site_folder_is_a_problem(tmp_path):
    """A site folder that isn't there is reported, and the rest loads."""
    registry = discover([tmp_path / "nowhere"])

    (problem,) = registry.problems
    assert "no such folder" in problem.text


def test_broken_plugin_file_in_a_site_folder_is_a_problem(site):
    """A plugin.py that raises is reported; the folder's bots are there all the same."""
    site("experts/mine.py", EXPERT)

    registry = discover([site("plugin.py", "1 / 0\n")])

    (problem,) = registry.problems
    assert "ZeroDivisionError" in problem.text
    assert "expert/mine" in registry.refs


def test_plugin_that_exits_at_import_is_a_problem(site):
    """Not even a plugin that calls sys.exit ends the host."""
    registry = discover([site("plugin.py", "raise SystemExit(3)\n")])

    (problem,) = registry.problems
    assert "SystemExit" in problem.text


def test_unknown_bot_names_the_closest():
    """A misspelt name is answered with the one that was probably meant."""
    registry = Registry()
    registry.add(plugin(cleanbots_bots=[Ref("parser/csv", "x")]), "acme")

    with pytest.raises(PluginError, match="did you mean 'parser/csv'"):
        registry.load("parser/cvs")


def test_right_name_of_the_wrong_kind_is_a_hint():
    """A name that exists for another kind is suggested."""
    registry = Registry()
    registry.add(plugin(cleanbots_bots=[Ref("expert/deduplicate", "x")]), "acme")

    with pytest.raises(PluginError, match="did you mean 'expert/deduplicate'"):
        registry.load("o/deduplicate")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import nothing_of_that_name\n", "can't be imported: ModuleNotFoundError"),
        ("def broken(:\n", "can't be imported: SyntaxError"),
        ("raise SystemExit\n", "can't be imported: SystemExit"),
        ("", "no bot class in it"),
        (EXPERT + "\n\nclass Second(Pass):\n    pass\n", "holds Pass, Second"),
        (EXPERT.replace("Expert", "Output").replace("process", "write"), "makes outputs, and its place says expert"),
    ],
)
def test_bot_that_cannot_be_loaded_says_why_and_where(site, text, sentence):
    """Each way to get a bot file wrong has its own sentence, with the plugin and the file."""
    folder = site("experts/mine.py", text)

    with pytest.raises(PluginError) as caught:
        discover([folder]).load("expert/mine")

    assert sentence in str(caught.value)
    assert str(caught.value).startswith(f"{folder}/experts/mine.py:")


def test_import_error_names_the_line(site):
    """A bot that raises at import names the line of its own file, however deep the error came from."""
    folder = site("experts/mine.py", "import json\n\njson.loads('{')\n")

    with pytest.raises(PluginError, match=r"experts/mine\.py:3: expert/mine of plugin .*JSONDecodeError"):
        discover([folder]).load("expert/mine")


def test_imported_bot_classes_do_not_count(site):
    """Only classes defined in the file are meant; an imported base is no second bot."""
    site("experts/base.py", EXPERT)
    text = "from .base import Pass\n\n\nclass Mine(Pass):\n    'Mine.'\n"

    assert discover([site("experts/mine.py", text)]).load("expert/mine").__name__ == "Mine"


def test_named_class_is_loaded(site):
    """A reference may name its class, for modules that hold several."""
    folder = site("experts/mine.py", EXPERT + "\n\nclass Second(Pass):\n    pass\n")
    package = discover([folder]).ref("expert/mine").target
    registry = Registry()

    registry.add(plugin(cleanbots_bots=[Ref("expert/second", f"{package}:Second")]), "acme")

    assert registry.load("expert/second").__name__ == "Second"


def test_name_clash_is_loud_and_nobody_wins():
    """A name that two plugins claim is a problem naming both, and belongs to neither."""
    registry = Registry()
    for source in ("acme", "beta", "gamma"):
        registry.add(plugin(cleanbots_bots=[Ref("parser/csv", f"{source}.csv")]), source)

    assert "parser/csv" not in registry.refs
    assert "'acme' and 'beta'" in registry.problems[0].text
    with pytest.raises(PluginError, match="claimed by 'acme' and 'beta' and 'gamma'"):
        registry.load("parser/csv")


def test_raising_hook_is_a_problem_of_its_plugin():
    """A plugin whose hook raises is reported; another's bots are there."""
    registry = Registry()
    registry.add(plugin(cleanbots_bots=ValueError("no luck")), "acme")
    registry.add(plugin(cleanbots_bots=[Ref("parser/csv", "x")]), "beta")

    (problem,) = registry.problems
    assert str(problem) == "plugin 'acme': cleanbots_bots failed: ValueError: no luck"
    assert registry.names() == ["parser/csv"]


def test_misspelt_hook_is_a_problem():
    """A hook that doesn't exist is not silently ignored."""
    registry = Registry()

    registry.add(plugin(cleanbots_bot=[]), "acme")

    (problem,) = registry.problems
    assert "did you mean 'cleanbots_bots'" in problem.text


def test_hook_with_a_wrong_argument_is_refused_wholly():
    """A plugin whose signature doesn't fit is left out, not half registered."""
    module = plugin(cleanbots_fields={"extra.x": {}})

    @hookimpl
    def cleanbots_batch_done(bot, nonsense):
        raise AssertionError

    module.cleanbots_batch_done = cleanbots_batch_done
    registry = Registry()

    registry.add(module, "acme")
    registry.batch_done("b", {})

    (problem,) = registry.problems
    assert "nonsense" in problem.text
    assert registry.fields() == {}


@pytest.mark.parametrize("name", ["csv", "parsers/csv", "parser/"])
def test_bot_with_an_impossible_name_is_a_problem(name):
    """A reference must say kind and name."""
    registry = Registry()

    registry.add(plugin(cleanbots_bots=[Ref(name, "x")]), "acme")

    assert registry.names() == []
    assert "needs a name such as 'parser/csv'" in registry.problems[0].text


def test_fields_and_functions_are_brought():
    """Plugins add catalogue entries and functions of expressions."""
    registry = Registry()

    registry.add(
        plugin(
            cleanbots_fields={"acme.score": {"type": "integer"}},
            cleanbots_functions={"basename": os.path.basename},
        ),
        "acme",
    )

    assert registry.fields() == {"acme.score": {"type": "integer"}}
    assert registry.functions()["basename"]("a/b") == "b"
    assert registry.brought("acme") == {
        "bots": [],
        "formats": [],
        "fields": ["acme.score"],
        "functions": ["basename"],
        "hooks": ["cleanbots_fields", "cleanbots_functions"],
    }


def test_installed_functions_are_called_by_expressions():
    """Once installed, a plugin's function is part of the language."""
    registry = Registry()
    registry.add(plugin(cleanbots_functions={"last_octet": lambda ip: int(ip.rpartition(".")[2])}), "acme")

    registry.install()

    assert compile_expression("last_octet(source.ip) == 7")({"source.ip": "192.0.2.7"})


def test_watchers_are_told_and_cannot_stop_the_work(caplog):
    """Each watcher hears of a batch; one that raises is logged, and nothing else happens."""
    told = []
    module = ModuleType("watcher")

    @hookimpl
    def cleanbots_batch_done(bot, counts):
        told.append((bot, counts))
        raise ValueError("watcher's own fault")

    module.cleanbots_batch_done = cleanbots_batch_done
    registry = Registry()
    registry.add(module, "acme")

    registry.batch_done("dedup", {"in": 3})
    registry.worker_changed("dedup", "stopped")

    assert told == [("dedup", {"in": 3})]
    assert "watcher's own fault" in caplog.text


def test_bots_in_names_files_only():
    """Packages are scanned by file names alone."""
    assert bots_in("cleanbots") == []
