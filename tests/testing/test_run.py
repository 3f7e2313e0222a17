from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
import pytest

from cleanbots import (
    BatchExpert,
    Chunk,
    Collector,
    CsvParser,
    Event,
    Expert,
    InvalidValue,
    Meta,
    Outlet,
    Output,
    Params,
    Parser,
    Report,
    Retry,
    Router,
)
from cleanbots.testing import load, run

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EVENT = {"source.ip": "192.0.2.1"}


class LimitParams(Params):
    limit: Annotated[int, Meta(ge=1)] = 1


class Csv(CsvParser[Params]):
    def parse_row(self, row: dict[str, str], event: Event) -> Event:
        event["source.ip"] = row["ip"]
        return event


class Named(Parser[Params]):
    def parse(self, report: Chunk) -> Iterator[Event]:
        event = self.event(report, 1)
        event["malware.name"] = report.name
        yield event


class Upper(Expert[Params]):
    def process(self, event: Event) -> Event | None:
        if "malware.name" not in event:
            return None
        if event["malware.name"] == "bad":
            raise ValueError("bad name")
        event["malware.name"] = event["malware.name"] + "!"
        return event


class Forgetful(BatchExpert[Params]):
    """Changes its items, then raises: the batch must be run again on fresh copies."""

    def process_batch(self, items: list[Event], out: Outlet) -> None:
        for event in items:
            event["malware.name"] = event.get("malware.name", "") + "x"
            out.send(event)
        if len(items) > 1 or items[0].get("source.port") == 666:
            raise ValueError("no")


class Split(Router[Params]):
    @classmethod
    def paths(cls, params: Params) -> tuple[str, ...]:
        return ("low", "high")

    def route(self, event: Event) -> list[str]:
        return ["high" if event["source.port"] > 1023 else "low"]


class Lender(Expert[LimitParams]):
    """Uses each service once."""

    def process(self, event: Event) -> Event | None:
        context = self.context
        (owner,) = context.cache.claim([event["source.ip"].encode()], [event.id], 60)
        if owner != event.id:
            return None
        seen = int(context.state.get("seen") or b"0") + 1
        context.state.put("seen", str(seen).encode())
        event["malware.name"] = context.http.get("https://example.net/name").decode()
        event["source.as_name"] = context.tables.open("as.mmdb").get(event["source.ip"])["name"]
        return event

    def tick(self, now: datetime, out: Outlet) -> None:
        event = Event()
        event["id"] = f"summary:{now:%H%M}"
        out.send(event)


class Writer(Output[Params]):
    closed = 0

    def write(self, event: Event) -> None:
        raise ConnectionError("refused")

    def close(self) -> None:
        Writer.closed += 1


class Letters(Collector[Params]):
    def __init__(self, params: Params, context: object) -> None:
        super().__init__(params, context)
        self.told: list[str] = []

    def collect(self) -> Iterator[Report | None]:
        for key in "ab":
            yield Report(key=f"{self.context.cursor}{key}", payload=key.encode(), cursor=key)
            assert self.told[-1].endswith(key)
        yield None
        raise AssertionError

    def done(self, report: Report) -> None:
        self.told.append(report.key)


def test_payload_is_parsed_row_by_row():
    """A parser gets its payload as a report; a row that fails is set aside alone."""
    result = run(Csv, ["ip\n192.0.2.1\nnope\n192.0.2.2\n"], fields={"feed.provider": "Example"})

    assert [event["source.ip"] for event in result.sent] == ["192.0.2.1", "192.0.2.2"]
    assert {event["feed.provider"] for event in result.sent} == {"Example"}
    ((item, error),) = result.failed
    assert item.payload == b"nope"
    assert "line 3" in str(error)


@pytest.mark.parametrize("payload", ["ip\n192.0.2.1\n", b"ip\n192.0.2.1\n", {"raw": "ip\n192.0.2.1\n"}])
def test_payload_may_be_written_in_three_ways(payload):
    """Text, bytes and ``raw`` are the same report."""
    assert [event["source.ip"] for event in run(Csv, [payload]).sent] == ["192.0.2.1"]


def test_report_has_a_name():
    """The report's file name reaches the parser."""
    assert run(Named, ["x"], name="2026-01-31-scan.csv").sent[0]["malware.name"] == "2026-01-31-scan.csv"


def test_ids_are_the_same_in_each_run():
    """Running twice makes the same ids."""
    first, second = (run(Csv, ["ip\n192.0.2.1\n192.0.2.2\n"]) for _ in range(2))

    assert [event.id for event in first.sent] == [event.id for event in second.sent]


def test_sent_dropped_and_failed_are_told_apart():
    """Each event ends in exactly one of three places."""
    result = run(Upper, [{"malware.name": "a"}, {}, {"malware.name": "bad"}])

    assert [event["malware.name"] for event in result.sent] == ["a!"]
    assert result.dropped == {"dropped": 1}
    ((item, error),) = result.failed
    assert item["malware.name"] == "bad"
    assert str(error) == "bad name"


def test_batch_that_raises_is_run_again_on_fresh_copies():
    """Half-changed events are never seen: an item counts as it came."""
    result = run(Forgetful, [{"source.port": 1}, {"source.port": 666}, {"source.port": 2}])

    assert [event["malware.name"] for event in result.sent] == ["x", "x"]
    ((item, _),) = result.failed
    assert item.fields == {"id": "test-2", "source.port": 666}


def test_fields_are_harmonised():
    """A test can't hand in what no worker would."""
    with pytest.raises(InvalidValue, match=r"source\.ip"):
        run(Upper, [{"source.ip": "nope"}])


def test_given_events_are_left_alone():
    """A bot works on copies; the test's own events don't change."""
    event = Event({"malware.name": "a"})

    run(Upper, [event])

    assert event.fields == {"malware.name": "a"}


def test_named_paths_are_kept_apart():
    """A router's exits are separate lists."""
    result = run(Split, [{"source.port": 80}, {"source.port": 8080}])

    assert {path: [e["source.port"] for e in events] for path, events in result.paths.items()} == {
        "low": [80],
        "high": [8080],
    }
    assert result.sent == []


def test_services_are_lent():
    """Cache, state, pages and tables work without a server; what happened to them can be seen."""
    result = run(
        Lender,
        [EVENT, EVENT],
        pages={"https://example.net/name": "example"},
        tables={"as.mmdb": {"192.0.2.0/24": {"name": "wide"}, "192.0.2.0/28": {"name": "narrow"}}},
        state={"seen": b"41"},
        now=NOON,
        tick=NOON + timedelta(minutes=5),
    )

    event, summary = result.sent
    assert (event["malware.name"], event["source.as_name"]) == ("example", "narrow")
    assert summary.id == "summary:1205"
    assert result.state == {"seen": b"42"}
    assert result.asked == ["https://example.net/name"]
    assert result.dropped == {"dropped": 1}


def test_unknown_page_is_no_failure_of_the_item():
    """Nothing is fetched in a test; the sentence says how to give the page."""
    with pytest.raises(Retry, match="pages="):
        run(Lender, [EVENT])


def test_errors_of_the_world_are_raised():
    """A worker would wait, so a test sees the error itself; the bot is closed all the same."""
    Writer.closed = 0

    with pytest.raises(ConnectionError):
        run(Writer, [EVENT])

    assert Writer.closed == 1


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": "3"}, {"limt": 3}])
def test_parameters_are_checked(params):
    """Parameters go through the same check as in a configuration."""
    with pytest.raises(msgspec.ValidationError):
        run(Lender, [], params=params)


def test_collector_yields_until_there_is_nothing_now():
    """Reports come with their payload; each is told to be done before the next; the cursor is lent."""
    result = run(Letters, cursor="c-")

    assert [(report.key, report.payload) for report in result.reports] == [("c-a", b"a"), ("c-b", b"b")]


def test_payload_of_the_wrong_kind_is_refused():
    """A stage that works on events says so when it is given text."""
    with pytest.raises(TypeError, match="works on events"):
        run(Upper, ["ip\n"])


def test_load_names_the_refused_folder(tmp_path):
    """A bot that can't be found because its folder was refused says that, too."""
    with pytest.raises(Exception, match="no such folder"):
        load("expert/none", tmp_path / "nowhere")


def test_report_that_cannot_be_cut_fails():
    """What a collector's worker would set aside, because no reader can make sense of it, fails here, too."""
    result = run(Csv, [b"ip\n192.0.2.1\n" + b"x" * (2**20 + 1) + b"\n192.0.2.2\n"])

    assert [event["source.ip"] for event in result.sent] == ["192.0.2.1", "192.0.2.2"]
    ((_, error),) = result.failed
    assert "line 3" in str(error)
