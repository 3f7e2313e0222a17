"""Real packages, built and installed into an environment of their own, offline."""

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OFFLINE = ("-q", "--disable-pip-version-check", "--no-index", "--no-build-isolation", "--no-deps", "--ignore-installed")

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.2.3"

[project.entry-points.cleanbots]
bots = "{package}.plugin"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""

PLUGIN = """
from cleanbots.plugins import bots_in, hookimpl


@hookimpl
def cleanbots_bots():
    return bots_in(__package__)
"""

BOT = '''
from cleanbots import Event, Expert, Params


class Stamp(Expert[Params]):
    """Stamp events."""

    def process(self, event: Event) -> Event:
        event["malware.name"] = "stamped"
        return event
'''


class Environment:
    """A virtual environment with this cleanbots, installed from its wheel."""

    def __init__(self, folder):
        self.folder = folder
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        libraries = sysconfig.get_path("purelib")
        (Path(self.printed("import sysconfig; print(sysconfig.get_path('purelib'))")) / "libraries.pth").write_text(
            libraries + "\n"
        )
        self.install(ROOT)

    def install(self, source):
        """Build and install a package from its source folder."""
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", self.python, "install", *OFFLINE, source],
            check=True,
            capture_output=True,
            cwd=self.folder,
        )

    def printed(self, code):
        """Run code in the environment; give what it prints."""
        done = subprocess.run([self.python, "-c", code], check=True, capture_output=True, text=True, cwd=self.folder)
        return done.stdout.strip()

    def registry(self):
        """Give what `discover` finds there: names by source, and problems."""
        return json.loads(
            self.printed(
                "import json; from cleanbots.plugins import discover; r = discover();"
                "print(json.dumps([{n: r.ref(n).source for n in r.names()}, [str(p) for p in r.problems],"
                " [[p.name, p.version] for p in r.plugins]]))"
            )
        )


def package(folder, name, files):
    """Write the source of a package."""
    module = name.replace("-", "_")
    source = folder / name
    for path, text in {"__init__.py": "", **files}.items():
        (source / module / path).parent.mkdir(parents=True, exist_ok=True)
        (source / module / path).write_text(text)
    (source / "pyproject.toml").write_text(PYPROJECT.format(name=name, package=module))
    return source


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Install cleanbots, a good package, a broken one, and two that claim the same name."""
    folder = tmp_path_factory.mktemp("third-party")
    made = Environment(folder / "venv")
    made.install(package(folder, "acme-bots", {"plugin.py": PLUGIN, "experts/stamp.py": BOT}))
    made.install(package(folder, "broken-bots", {"plugin.py": "import a_library_that_is_missing\n"}))
    for name in ("clash-one", "clash-two"):
        made.install(package(folder, name, {"plugin.py": PLUGIN, "experts/same.py": BOT}))
    return made


def test_wheel_brings_the_same_bots_as_the_checkout(environment):
    """A wheel holds every first-party bot; none is found only in a checkout."""
    names, _, _ = environment.registry()

    files = (p for kind in ("collector", "parser", "expert", "output") for p in ROOT.glob(f"bots/{kind}s/[!_]*.py"))
    expected = {f"{path.parent.name.removesuffix('s')}/{path.stem}" for path in files}
    assert {name for name, source in names.items() if source == "cleanbots"} == expected
    assert "site-packages" in environment.printed("import bots; print(bots.__file__)")


def test_third_party_bot_is_found_and_runs(environment):
    """An installed package brings its bots by its entry point, with its name as their source."""
    names, _, plugins = environment.registry()
    sent = environment.printed(
        "from cleanbots.testing import load, run; (e,) = run(load('expert/stamp'), [{'source.ip': '192.0.2.1'}]).sent;"
        "print(e['malware.name'])"
    )

    assert names["expert/stamp"] == "acme-bots"
    assert ["acme-bots", "1.2.3"] in plugins
    assert sent == "stamped"


def test_broken_package_is_reported_and_the_rest_loads(environment):
    """A package that raises at import is one line; it takes nothing else with it."""
    names, problems, _ = environment.registry()

    (problem,) = [p for p in problems if "broken-bots" in p]
    assert "ModuleNotFoundError" in problem
    assert "a_library_that_is_missing" in problem
    assert "expert/stamp" in names


def test_same_name_from_two_packages_belongs_to_neither(environment):
    """The names of entry points may be equal; the names of bots may not."""
    names, problems, plugins = environment.registry()

    assert "expert/same" not in names
    (problem,) = [p for p in problems if "expert/same" in p]
    assert "'clash-one' and 'clash-two'" in problem
    assert {"clash-one", "clash-two"} <= {name for name, _ in plugins}


def test_wheel_holds_its_data(environment):
    """The catalogue is found in an installation without a checkout."""
    assert "_data" in environment.printed(
        "from cleanbots.data import data_path; print(data_path('harmonization', 'events.json'))"
    )
