"""What ``cleanbots bots new`` writes: for each kind a bot that works, and its test."""

from typing import NamedTuple


class Template(NamedTuple):
    """A bot, its test, and parameters that it can't do without; ``$class``, ``$name`` and ``$use`` are replaced."""

    bot: str
    test: str
    example: str = ""


_COLLECTOR = '''"""Collect ... (one sentence: what this bot does)."""

from collections.abc import Iterator
from typing import Annotated

from cleanbots import Collector, Meta, Params, Report


class ${class}Params(Params):
    """Parameters of ``$use``."""

    path: Annotated[str, Meta(min_length=1, description="The file to collect.")]


class $class(Collector[${class}Params]):
    """Collect one file whenever it has changed."""

    def collect(self) -> Iterator[Report | None]:
        """Yield the file; its key changes when it does."""
        path = self.context.path(self.params.path)
        about = path.stat()
        yield Report(key=f"{path}:{about.st_size}:{about.st_mtime_ns}", payload=lambda: path.open("rb"), name=path.name)
'''

_COLLECTOR_TEST = '''"""Tests of ``$use``."""

from pathlib import Path

from cleanbots.testing import load, run

$class = load("$use", Path(__file__).parents[1])


def test_file_becomes_a_report(tmp_path):
    """The file's content is collected as one report."""
    (tmp_path / "report.csv").write_bytes(b"ip\\n192.0.2.7\\n")

    result = run($class, params={"path": "report.csv"}, base=tmp_path)

    (report,) = result.reports
    assert report.payload == b"ip\\n192.0.2.7\\n"


def test_unchanged_file_is_the_same_report(tmp_path):
    """A file that has not changed is recognised by its key."""
    (tmp_path / "report.csv").write_bytes(b"ip\\n")

    first = run($class, params={"path": "report.csv"}, base=tmp_path)
    second = run($class, params={"path": "report.csv"}, base=tmp_path)

    assert first.reports[0].key == second.reports[0].key
'''

_PARSER = '''"""Parse the ... feed (CSV)."""

from cleanbots import CsvParser, Event, Params


class $class(CsvParser[Params]):
    """... (who publishes the feed, where it is described): one row per address."""

    def parse_row(self, row: dict[str, str], event: Event) -> Event:
        """Fill the event from one row."""
        event["classification.type"] = "scanner"  # must fit: the row fails otherwise
        event["source.ip"] = row["ip"]
        event.offer("source.port", row["port"])  # may fit: kept under extra.rejected otherwise
        event.offer("time.source", row["time"])
        return event
'''

_PARSER_TEST = '''"""Tests of ``$use``."""

from pathlib import Path

from cleanbots.testing import load, run

$class = load("$use", Path(__file__).parents[1])

HEADER = "time,ip,port\\n"


def test_row_becomes_an_event():
    """A row gives one event with the fields of its columns."""
    result = run($class, [HEADER + "2026-01-31T12:00:00Z,192.0.2.7,22\\n"])

    (event,) = result.sent
    assert event["source.ip"] == "192.0.2.7"
    assert event["source.port"] == 22
    assert event["time.source"] == "2026-01-31T12:00:00+00:00"


def test_bad_row_fails_alone():
    """A broken row is set aside with its reason; the good one passes."""
    result = run($class, [HEADER + ",nonsense,22\\n,192.0.2.7,22\\n"])

    assert [event["source.ip"] for event in result.sent] == ["192.0.2.7"]
    ((item, error),) = result.failed
    assert "source.ip" in str(error)
    assert b"nonsense" in item.payload
'''

SAMPLE_PARSER = '''"""Parse the ... feed (CSV)."""

from cleanbots import CsvParser, Event, Params


class $class(CsvParser[Params]):
    """... (who publishes the feed, where it is described): one ... per row."""

$attributes    def parse_row(self, row: dict[str, str], event: Event) -> Event:
        """Fill the event from one row."""
        event["classification.type"] = "other"  # say what it is: 'cleanbots fields classification.type'
        $fill
        return event
'''
"""A parser for the columns of a sample; ``$attributes`` and ``$fill`` are made of it."""

SAMPLE_TEST = '''"""Tests of ``$use``."""

from pathlib import Path

from cleanbots.testing import load, run

$class = load("$use", Path(__file__).parents[1])

HEADER = $header
ROW = $row


def test_row_becomes_an_event():
    """A row gives one event with the fields of its columns."""
    result = run($class, [HEADER + ROW])

    (event,) = result.sent
    assert event["classification.type"] == "other"
$expected'''
"""Its test, on a row of the sample."""

SAMPLE_BAD_ROW = '''

def test_bad_row_fails_alone():
    """A broken row is set aside with its reason; the good one passes."""
    result = run($class, [HEADER + $bad + ROW])

    assert len(result.sent) == 1
    ((item, error),) = result.failed
    assert "source.ip" in str(error)
'''
"""A further test, for samples with an address in each row."""

CONTRACT = '''"""The bots of this folder keep the contract of bots."""

from pathlib import Path

from cleanbots.plugins import discover
from cleanbots.testing import compliance

REGISTRY = discover([Path(__file__).parents[1]])
EXAMPLES = {$example}  # parameters, for the bots that can't do without

test_contract = compliance.tests_for("cleanbots_site_", EXAMPLES, registry=REGISTRY)
'''
"""The test of the contract, one for a site folder."""

_EXPERT = '''"""... (one sentence: what this bot adds to events)."""

from typing import Annotated

from cleanbots import Event, Expert, Meta, Params


class ${class}Params(Params):
    """Parameters of ``$use``."""

    name: Annotated[str, Meta(min_length=1, description="Set as the event's malware name if it has none.")] = "unknown"


class $class(Expert[${class}Params]):
    """Name the malware of events that don't name it."""

    def process(self, event: Event) -> Event | None:
        """Give the event back; None would drop it."""
        if "malware.name" not in event:
            event["malware.name"] = self.params.name
        return event
'''

_EXPERT_TEST = '''"""Tests of ``$use``."""

from pathlib import Path

from cleanbots.testing import load, run

$class = load("$use", Path(__file__).parents[1])


def test_name_is_set():
    """An event without a name gets the one from the parameters."""
    result = run($class, [{"source.ip": "192.0.2.7"}], params={"name": "example"})

    assert result.sent[0]["malware.name"] == "example"


def test_name_is_kept():
    """An event that has a name keeps it."""
    result = run($class, [{"malware.name": "another"}], params={"name": "example"})

    assert result.sent[0]["malware.name"] == "another"
'''

_OUTPUT = '''"""Write ... (one sentence: where events go)."""

from typing import Annotated

from cleanbots import Event, Meta, Output, Params


class ${class}Params(Params):
    """Parameters of ``$use``."""

    path: Annotated[str, Meta(min_length=1, description="The file to append to.")]


class $class(Output[${class}Params]):
    """Append the source address of each event to a file."""

    def open(self) -> None:
        """Open the file."""
        self.file = self.context.path(self.params.path).open("a", encoding="utf-8")

    def write(self, event: Event) -> None:
        """Append one line; an event without an address fails."""
        self.file.write(event["source.ip"] + "\\n")
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()
'''

_OUTPUT_TEST = '''"""Tests of ``$use``."""

from pathlib import Path

from cleanbots.testing import load, run

$class = load("$use", Path(__file__).parents[1])


def test_address_is_written(tmp_path):
    """Each event gives one line."""
    run($class, [{"source.ip": "192.0.2.7"}, {"source.ip": "192.0.2.8"}], params={"path": "out.txt"}, base=tmp_path)

    assert (tmp_path / "out.txt").read_text() == "192.0.2.7\\n192.0.2.8\\n"


def test_event_without_address_fails_alone(tmp_path):
    """An event that can't be written is set aside."""
    result = run($class, [{"malware.name": "example"}], params={"path": "out.txt"}, base=tmp_path)

    assert len(result.failed) == 1
'''

TEMPLATES: dict[str, Template] = {
    "collector": Template(_COLLECTOR, _COLLECTOR_TEST, '"$use": {"path": "report.csv"}'),
    "parser": Template(_PARSER, _PARSER_TEST),
    "expert": Template(_EXPERT, _EXPERT_TEST),
    "output": Template(_OUTPUT, _OUTPUT_TEST, '"$use": {"path": "out.txt"}'),
}
"""Kind of bot to its template."""
