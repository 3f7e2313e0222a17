import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cleanbots.bot import KINDS
from cleanbots.cli import cli
from cleanbots.cli.bots_command import pages
from cleanbots.plugins import discover

DOCS = Path(__file__).parents[2] / "docs" / "bots"


@pytest.fixture
def cleanbots(tmp_path, monkeypatch):
    """Run commands in an empty folder; give exit code and what was printed."""
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)

    def run(*args):
        done = CliRunner().invoke(cli, args)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_new_bot_works_at_once(cleanbots, pytester_run, kind):
    """What `bots new` makes is listed, described, and its own test passes."""
    code, printed = cleanbots("bots", "new", kind, "first_try")

    assert code == 0
    assert f"made site/{kind}s/first_try.py" in printed
    _, listed = cleanbots("bots", "list", "--site", "site", "--kind", kind, "--json")
    assert (f"{kind}/first_try", "site") in [(row["name"], row["plugin"]) for row in json.loads(listed)]
    _, described = cleanbots("bots", "describe", f"{kind}/first_try", "--site", "site", "--json")
    assert json.loads(described)["kind"] == kind
    assert pytester_run(f"site/tests/test_{kind}_first_try.py") == 0


@pytest.fixture
def pytester_run(tmp_path):
    """Run pytest on a file in a process of its own; give its exit code."""

    def run(file):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", file]
        return subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode

    return run


def test_new_bot_of_a_reserved_word(cleanbots):
    """A name that Python reserves gets a file with an underscore, and keeps its name."""
    cleanbots("bots", "new", "expert", "while")

    _, printed = cleanbots("bots", "list", "--site", "site", "--json")

    assert Path("site/experts/while_.py").is_file()
    assert "expert/while" in [row["name"] for row in json.loads(printed)]


def test_new_bot_overwrites_nothing(cleanbots):
    """A file that is there already stays as it is."""
    cleanbots("bots", "new", "expert", "mine")
    Path("site/experts/mine.py").write_text("precious")

    with pytest.raises(Exception, match="there already"):
        cleanbots("bots", "new", "expert", "mine")

    assert Path("site/experts/mine.py").read_text() == "precious"


@pytest.mark.parametrize("name", ["Mine", "my-bot", "_mine", "../mine", "1st"])
def test_new_bot_needs_a_module_name(cleanbots, name):
    """A name that can't be a module's is a mistake in usage."""
    code, printed = cleanbots("bots", "new", "expert", name)

    assert code == 2
    assert "small letters" in printed


def test_list_shows_a_broken_bot(cleanbots):
    """A bot that can't be loaded is listed with the reason, among the others."""
    cleanbots("bots", "new", "expert", "mine")
    Path("site/experts/mine.py").write_text("1 / 0\n")

    code, printed = cleanbots("bots", "list", "--site", "site")

    assert code == 0
    assert "ZeroDivisionError" in printed
    assert "parser/csv" in printed


def test_plugins_lists_what_each_brings(cleanbots):
    """The first-party plugin is one among the others."""
    cleanbots("bots", "new", "expert", "mine")

    code, printed = cleanbots("plugins", "--site", "site", "--json")

    rows = {row["plugin"]: row for row in json.loads(printed)}
    assert "parser/csv" in rows["cleanbots"]["bots"]
    assert rows["site"]["bots"] == ["expert/mine"]
    assert code == 0


def test_plugins_exits_with_1_on_a_problem(cleanbots):
    """A refused or broken plugin is a finding."""
    Path("site").mkdir()
    Path("site").chmod(0o777)

    code, printed = cleanbots("plugins", "--site", "site")

    assert code == 1
    assert "others can write to it" in printed


SAMPLE = "time,ip,port\n2026-01-31T12:00:00Z,192.0.2.7,22\n,nonsense,22\n,192.0.2.8,22\n"


@pytest.fixture
def parser(cleanbots):
    """Make a parser and a sample with a broken row."""
    cleanbots("bots", "new", "parser", "mine")
    Path("sample.csv").write_text(SAMPLE)
    return ("try", "parser/mine", "--site", "site", "--file", "sample.csv")


def test_try_shows_events_and_failures(cleanbots, parser):
    """Each event, each failure with line, reason and row, and the numbers; exit code 1 because a row failed."""
    code, printed = cleanbots(*parser)

    assert code == 1
    assert "source.ip            192.0.2.7" in printed
    assert "failed: line 3: source.ip: 'nonsense'" in printed
    assert printed.endswith("2 to default, 1 failed\n")


def test_try_for_programs(cleanbots, parser):
    """With --json each event and each failure is one line."""
    _, printed = cleanbots(*parser, "--json")

    rows = [json.loads(line) for line in printed.splitlines()]
    assert sorted(row.get("event", {}).get("source.ip", "failed") for row in rows) == [
        "192.0.2.7",
        "192.0.2.8",
        "failed",
    ]


def test_try_stops_at_its_limit(cleanbots, parser):
    """Only so many rows are read."""
    code, printed = cleanbots(*parser, "--limit", "1")

    assert code == 0
    assert printed.endswith("1 to default, 0 failed\n")


def test_try_gives_parameters_as_in_yaml(cleanbots):
    """Parameters are read as in the configuration; events come as JSON lines."""
    cleanbots("bots", "new", "expert", "mine")
    Path("events.jsonl").write_text('{"source.ip": "192.0.2.7"}\n\n{"source.ip": "192.0.2.8"}\n')

    code, printed = cleanbots(
        "try", "expert/mine", "--site", "site", "--file", "events.jsonl", "-p", "name='5'", "--json"
    )

    events = [json.loads(line)["event"] for line in printed.splitlines()]
    assert [event["malware.name"] for event in events] == ["5", "5"]
    assert code == 0


@pytest.mark.parametrize(
    ("kind", "content", "options", "sentence"),
    [
        ("expert", "{}\nno json\n", (), "events.jsonl:2: no JSON"),
        ("expert", "[]\n", (), "is no event"),
        ("expert", '{"source.ip": "x"}\n', (), "events.jsonl:1: source.ip"),
        ("expert", '{"source.pi": "x"}\n', (), "did you mean 'source.ip'"),
        ("expert", "{}\n", ("-p", "nam=x"), "bots describe expert/mine"),
        ("expert", "{}\n", ("-p", "name"), "write NAME=VALUE"),
        ("collector", "", ("-p", "path=x"), "a collector takes no file"),
    ],
)
def test_try_says_what_is_wrong(cleanbots, kind, content, options, sentence):
    """Each mistake of the user is one sentence."""
    cleanbots("bots", "new", kind, "mine")
    Path("events.jsonl").write_text(content)

    done = CliRunner().invoke(cli, ["try", f"{kind}/mine", "--site", "site", "--file", "events.jsonl", *options])

    assert sentence in f"{done.output} {done.exception}"


def test_generated_pages_are_current():
    """docs/bots/ is what the bots say now; 'cleanbots bots pages docs/bots' brings it up to date."""
    made = pages(discover())

    stored = {str(path.relative_to(DOCS)): path.read_text() for path in DOCS.rglob("*.md")}
    assert stored == made
