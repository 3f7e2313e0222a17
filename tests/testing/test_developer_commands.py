import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cleanbots.bot import KINDS
from cleanbots.cli import cli
from cleanbots.cli.bots_command import pages
from cleanbots.errors import CleanbotsError, PluginError
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
    assert f"made site/tests/test_{kind}_first_try.py" in printed
    assert "made site/tests/test_contract.py" in printed
    assert pytester_run("site/tests") == 0


def test_second_bot_says_what_the_contract_needs(cleanbots):
    """The test of the contract is made once; what a further bot needs there is told."""
    cleanbots("bots", "new", "expert", "mine")
    contract = Path("site/tests/test_contract.py").read_text()

    _, printed = cleanbots("bots", "new", "output", "mine")

    assert 'add "output/mine": {"path": "out.txt"} to EXAMPLES in site/tests/test_contract.py' in printed
    assert Path("site/tests/test_contract.py").read_text() == contract


FEEDS = {
    "semicolons, comments, odd names": (
        '# made by hand\nwhen;attacker;src_port;attacker;;"say ""$when"""\n2026-01-31T12:00:00Z;192.0.2.7;22;x;1;"a;b"\n',
        (
            'delimiter = ";"',
            'comment = ("#",)',
            'event.offer("time.source", row["when"])',
            'event["source.ip"] = row["attacker"]',
            'event.offer("source.port", row["src_port"])',
            'event.offer("extra.attacker_4", row["attacker_4"])',
            'event.offer("extra.column_5", row["column_5"])',
        ),
    ),
    "tabs": (
        "ip\tdst_ip\n192.0.2.1\t2001:db8::1\n",
        ('delimiter = "\\t"', 'event.offer("destination.ip", row["dst_ip"])'),
    ),
    "no header": ("192.0.2.1\n192.0.2.2\n", ("header = False", 'columns = ("column_1",)')),
    "no address": ("host,seen\nwww.example.net,yesterday\n", ('event.offer("extra.seen", row["seen"])',)),
}


@pytest.mark.parametrize("feed", FEEDS)
def test_new_parser_from_a_sample(cleanbots, pytester_run, feed):
    """Delimiter, header and columns come from the sample; what is made works on it."""
    content, lines = FEEDS[feed]
    Path("sample.csv").write_text(content)

    code, _ = cleanbots("bots", "new", "parser", "mine", "--from", "sample.csv")

    assert code == 0
    made = Path("site/parsers/mine.py").read_text()
    assert [line for line in lines if line not in made] == []
    assert pytester_run("site/tests") == 0


@pytest.mark.parametrize("content", ["", "\n", "ip,port\n"])
def test_new_parser_needs_a_row(cleanbots, content):
    """A sample without a row is refused, and nothing is made."""
    Path("sample.csv").write_text(content)

    with pytest.raises(CleanbotsError, match=r"sample\.csv: no row of a CSV file"):
        cleanbots("bots", "new", "parser", "mine", "--from", "sample.csv")

    assert not Path("site").exists()


def test_only_parsers_come_from_samples(cleanbots):
    """--from with another kind is a mistake in usage."""
    Path("sample.csv").write_text("ip\n192.0.2.1\n")

    code, _ = cleanbots("bots", "new", "expert", "mine", "--from", "sample.csv")

    assert code == 2


def test_site_folders_of_the_configuration_are_known(cleanbots):
    """`plugins:` of cleanbots.yaml, or of -c FILE, counts as --site does; a folder named by both comes once."""
    cleanbots("bots", "new", "expert", "mine")
    Path("cleanbots.yaml").write_text("plugins: [site]\n")
    Path("conf").mkdir()
    Path("conf/other.yaml").write_text("plugins: [../site]\n")
    Path("events.jsonl").write_text("{}\n")

    assert cleanbots("bots", "describe", "expert/mine")[0] == 0
    assert cleanbots("bots", "describe", "expert/mine", "--site", "site")[0] == 0
    assert "expert/mine" in cleanbots("bots", "list")[1]
    assert cleanbots("try", "expert/mine", "--file", "events.jsonl", "-c", "conf/other.yaml")[0] == 0
    rows = {row["plugin"]: row for row in json.loads(cleanbots("plugins", "--json")[1])}
    assert rows["site"]["bots"] == ["expert/mine"]


def test_a_configuration_that_is_named_must_be_there(cleanbots):
    """A default file that is missing is none; one that was asked for is a mistake."""
    assert cleanbots("bots", "list")[0] == 0
    with pytest.raises(CleanbotsError, match=r"nope\.yaml: no such file"):
        cleanbots("bots", "list", "-c", "nope.yaml")


def test_a_broken_configuration_is_only_warned_of(cleanbots):
    """Bots can be listed whatever the configuration looks like."""
    Path("cleanbots.yaml").write_text("bots: [\n")

    code, printed = cleanbots("bots", "list")

    assert code == 0
    assert "warning: cleanbots.yaml:" in printed
    assert "parser/csv" in printed


def test_unknown_bot_without_a_site_says_where_own_ones_come_from(cleanbots):
    """Who forgot --site is reminded; who gave it is not."""
    cleanbots("bots", "new", "expert", "mine")

    with pytest.raises(PluginError, match=r"'expert/mine'.*--site FOLDER, or 'plugins:'"):
        cleanbots("bots", "describe", "expert/mine")
    with pytest.raises(PluginError, match=r"did you mean 'expert/mine'\?$"):
        cleanbots("bots", "describe", "expert/mien", "--site", "site")


def test_no_guess_at_bots_of_a_refused_folder(cleanbots):
    """A bot that is not there because its folder was refused is not taken for a misspelt one."""
    cleanbots("bots", "new", "parser", "mine")
    Path("site").chmod(0o777)

    with pytest.raises(PluginError, match=r"no bot 'parser/mine'; it may be in 'site', which can't be used as it is$"):
        cleanbots("bots", "describe", "parser/mine", "--site", "site")


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


def test_couriers_take_no_file(cleanbots):
    """What hands over deliveries has nothing to try on events."""
    Path("events.jsonl").write_text("{}\n")

    with pytest.raises(CleanbotsError, match="output/mail: it hands over due deliveries"):
        cleanbots("try", "output/mail", "--file", "events.jsonl")


def test_try_shows_mappings_as_json(cleanbots):
    """Values that are no text are shown as JSON, and nothing steers the terminal."""
    cleanbots("bots", "new", "expert", "mine")
    Path("events.jsonl").write_text(json.dumps({"extra.a": {"b": [1, None, True]}, "raw": "x\x1b[31m"}) + "\n")

    _, printed = cleanbots("try", "expert/mine", "--site", "site", "--file", "events.jsonl")

    assert '  extra.a       {"b":[1,null,true]}\n' in printed
    assert "x\\u001b[31m" in printed


def test_try_with_wrong_parameters_is_wrong_usage(cleanbots):
    """A name that the bot doesn't have, or a value that doesn't fit, exits with 2; a text that YAML reads otherwise is to be quoted."""
    cleanbots("bots", "new", "expert", "mine")
    Path("events.jsonl").write_text("{}\n")
    command = ("try", "expert/mine", "--site", "site", "--file", "events.jsonl", "-p")

    assert cleanbots(*command, "nam=x")[0] == 2
    code, printed = cleanbots(*command, "name=5")
    assert code == 2
    assert "-p name='\"5\"'" in " ".join(printed.split())
    assert cleanbots(*command, 'name="5"')[0] == 0
    assert "-p name='\"no\"'" in " ".join(cleanbots(*command, "name=no")[1].split())


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
