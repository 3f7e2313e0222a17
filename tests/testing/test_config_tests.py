import json

import pytest
from click.testing import CliRunner

from cleanbots.cli.test_command import command
from cleanbots.config.check import check
from cleanbots.plugins import discover
from cleanbots.testing.graph import run_graph

SITE = {
    "parsers/rows.py": '''
from cleanbots import CsvParser, Event, Params


class Rows(CsvParser[Params]):
    """Parse rows."""

    def parse_row(self, row: dict[str, str], event: Event) -> Event:
        event["source.ip"] = row["ip"]
        event.offer("source.port", row["port"])
        return event
''',
    "experts/split.py": '''
from cleanbots import Event, Params, Router


class Split(Router[Params]):
    """Send low ports one way and high ports another; none is dropped silently."""

    @classmethod
    def paths(cls, params: Params) -> tuple[str, ...]:
        return ("low", "high")

    def route(self, event: Event) -> list[str]:
        if event["source.port"] == 666:
            raise ValueError("no luck")
        return ["low", "high"] if event["source.port"] < 1024 else []
''',
    "experts/mark.py": '''
from cleanbots import Event, Expert, Params


class Mark(Expert[Params]):
    """Mark events."""

    def process(self, event: Event) -> Event:
        event["malware.name"] = "marked"
        return event
''',
    "outputs/bomb.py": '''
from cleanbots import Event, Output, Params


class Bomb(Output[Params]):
    """Must not be called by a test."""

    def open(self) -> None:
        raise AssertionError("an output was opened")

    def write(self, event: Event) -> None:
        raise AssertionError("an output was called")
''',
    "collectors/none.py": '''
from collections.abc import Iterator

from cleanbots import Collector, Params, Report


class Nothing(Collector[Params]):
    """Must not be called by a test."""

    def collect(self) -> Iterator[Report | None]:
        raise AssertionError("a collector was called")
''',
}

GRAPH = """
plugins: [site]
bots:
  come:  {use: collector/none, every: 1h, feed: {provider: Example}, to: rows}
  rows:  {use: parser/rows, to: split}
  split: {use: expert/split, to: {low: [mark, plain], high: plain}}
  mark:  {use: expert/mark, to: end}
  plain: {use: output/bomb}
  end:   {use: output/bomb}
"""


@pytest.fixture
def configuration(tmp_path):
    """Write a configuration with some tests; give its file."""
    for name, text in SITE.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in (tmp_path / "site", *(tmp_path / "site").rglob("*")):
        path.chmod(0o755)

    def write(tests):
        file = tmp_path / "cleanbots.yaml"
        file.write_text(GRAPH + tests)
        return file

    return write


def outcome(file, *options):
    """Run ``cleanbots test``; give its exit code and what it printed."""
    done = CliRunner().invoke(command, ["-c", str(file), *options])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def followed(file, feed, **options):
    """Feed a graph; give what came of it."""
    settings = check(file).require()
    return run_graph(settings, discover(settings.plugins), feed, **options)


def test_events_are_followed_by_their_paths(configuration):
    """What arrives at each bot is what the paths say; outputs and collectors are not called."""
    result = followed(configuration(""), {"come": ["ip,port\n192.0.2.1,80\n192.0.2.2,8080\n"]})

    assert {bot: len(items) for bot, items in result.arrived.items()} == {
        "come": 0,
        "rows": 1,
        "split": 2,
        "mark": 1,
        "plain": 2,
        "end": 1,
    }
    assert result.arrived["end"][0]["feed.provider"] == "Example"
    assert result.dropped == {"split": {"unrouted": 1}}


def test_receivers_do_not_share_events(configuration):
    """What one receiver changes, another doesn't see."""
    result = followed(configuration(""), {"split": [{"source.port": 80}]})

    assert all("malware.name" not in event for event in result.arrived["plain"])
    assert result.arrived["end"][0]["malware.name"] == "marked"


def test_trace_shows_what_each_bot_changed(configuration):
    """With a trace, each passage has the fields before and after, and why an item went no further."""
    events = [{"source.port": 80}, {"source.port": 8080}, {"source.port": 666}]

    result = followed(configuration(""), {"split": events}, trace=True)

    marked = next(passage for passage in result.passages if passage.bot == "mark")
    assert marked.changes == [{"malware.name": (None, "marked")}]
    sent, dropped, failed = (passage for passage in result.passages if passage.bot == "split")
    assert [path for path, _ in sent.sent] == ["low", "high"]
    assert dropped.dropped == "unrouted"
    assert str(failed.failed) == "no luck"


def test_passing_tests_exit_with_0(configuration):
    """Counts and partial events are expectations; values are compared in canonical form."""
    file = configuration("""
tests:
  - name: rows become events
    feed: {rows: "ip,port\\n192.0.2.1,80\\n"}
    expect: {end: [{source.port: "80", malware.name: marked, source.asn: null}], plain: 2}
""")

    code, printed = outcome(file)

    assert "ok      rows become events" in printed
    assert "1 passed, 0 failed" in printed
    assert code == 0


def test_failing_test_tells_difference_and_line(configuration):
    """A failure says where the test stands, what was expected, what came, and where items went instead."""
    file = configuration("""
tests:
  - name: everything arrives
    feed: {split: [{source.port: 8080}, {source.port: 666}, {source.port: 22}]}
    expect: {end: 3, mark: [{source.port: 80}]}
""")

    code, printed = outcome(file)

    assert code == 1
    assert f"{file}:12" in printed
    assert (
        "end: expected 3 items, 1 arrived; split dropped 1 (unrouted); split failed 1, the first with: no luck"
        in printed
    )
    assert "mark: item 1: source.port: expected 80, got 22" in printed


def test_payload_may_be_a_file(configuration, tmp_path):
    """A test can feed a file beside the configuration."""
    (tmp_path / "sample.csv").write_text("ip,port\n192.0.2.1,80\n")
    file = configuration("""
tests:
  - name: sample
    feed: {come: {file: sample.csv}}
    expect: {split: 1}
""")

    assert outcome(file)[0] == 0


@pytest.mark.parametrize(
    ("feed", "sentence"),
    [
        ("{split: [{source.ip: nope}]}", "source.ip: 'nope'"),
        ("{rows: {file: none.csv}}", "can't be read"),
        ("{rows: 3}", "3 is no item"),
    ],
)
def test_impossible_feed_fails_its_test_alone(configuration, feed, sentence):
    """A test that feeds what can't be fed fails with a sentence; the others run."""
    file = configuration(f"""
tests:
  - {{name: wrong, feed: {feed}, expect: {{}}}}
  - {{name: right, feed: {{}}, expect: {{end: 0}}}}
""")

    code, printed = outcome(file, "--json")

    wrong, right = json.loads(printed)
    assert sentence in wrong["differences"][0]
    assert right["passed"]
    assert code == 1
