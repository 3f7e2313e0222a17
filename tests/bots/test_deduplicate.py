"""Deduplication: the same row collected twice, whatever the way; never a finding that is reported again."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bots.experts.deduplicate import Deduplicate, DeduplicateParams
from cleanbots import Context, Event, Outlet
from cleanbots.clock import FixedClock
from cleanbots.testing import run
from cleanbots.testing.services import MemoryServices

START = datetime(2026, 11, 20, tzinfo=UTC)
ROW = {
    "raw": '"2026-11-20 01:00:00","192.0.2.1",80',
    "feed.provider": "Shadowserver",
    "feed.code": "scan_http",
    "feed.name": "by API",
    "time.source": "2026-11-20T01:00:00+00:00",
    "time.observation": "2026-11-20T07:30:00+00:00",
}


def taken(*events: dict, **params: object) -> tuple[list[str], list[str]]:
    """Give the ids of new events and of duplicates."""
    result = run(Deduplicate, events, params=params)
    return [event.id for event in result.sent], [event.id for event in result.paths.get("duplicate", [])]


def test_same_row_by_another_way_is_a_duplicate():
    """A row collected by API and again by mail is new once, whatever the feed's name, URL and time of observation."""
    again = {**ROW, "id": "b-9", "feed.name": "by mail", "feed.url": "https://example.org/x"}
    again["time.observation"] = "2026-11-21T07:30:00+00:00"

    assert taken({**ROW, "id": "a-2"}, again) == (["a-2"], ["b-9"])


@pytest.mark.parametrize(
    "difference",
    [
        {"raw": '"2026-11-21 01:00:00","192.0.2.1",80', "time.source": "2026-11-21T01:00:00+00:00"},
        {"feed.provider": "Another"},
        {"feed.code": "scan_ssl"},
        {"id": "b-9.1"},
    ],
)
def test_another_row_is_none(difference):
    """Another text, notifier or report, or another event of the same row, is new."""
    new, duplicates = taken({**ROW, "id": "a-2"}, {**ROW, "id": "b-9", **difference})

    assert len(new) == 2
    assert duplicates == []


def test_second_event_of_a_row_is_recognised_too():
    """A row that gives several events gives the same ones when it is collected again."""
    events = [{**ROW, "id": name} for name in ("a-2.1", "a-2.2", "b-9.1", "b-9.2")]

    assert taken(*events) == (["a-2.1", "a-2.2"], ["b-9.1", "b-9.2"])


@pytest.mark.parametrize(("day", "expected"), [("2026-11-20", []), ("2026-11-21", ["b-1"])])
def test_row_without_a_time_counts_once_a_day(day, expected):
    """A list names the same address today and tomorrow: only the same day's is a duplicate."""
    today = {"raw": "192.0.2.1", "feed.name": "list", "time.observation": "2026-11-20T01:00:00Z", "id": "a-1"}
    later = {**today, "time.observation": f"{day}T09:00:00Z", "id": "b-1"}

    new, _ = taken(today, later)

    assert new == ["a-1", *expected]


def test_event_met_again_under_its_own_id_passes():
    """After a crash a worker meets its own events again: they are no duplicates."""
    services = MemoryServices(FixedClock(START))
    bot = Deduplicate(DeduplicateParams(), Context(services=services))
    bot.open()
    for _ in range(2):
        out = Outlet()
        bot.process_batch([Event({**ROW, "id": "a-2"})], out)
        assert [event.id for event in out.sent["default"]] == ["a-2"]


def test_row_is_forgotten_after_the_window():
    """Behind the window the same row is new again."""
    clock = FixedClock(START)
    bot = Deduplicate(DeduplicateParams(window="1d"), Context(services=MemoryServices(clock)))
    bot.open()

    paths = []
    for number, after in enumerate((0, 23, 25)):
        clock.move(START + timedelta(hours=after))
        out = Outlet()
        bot.process_batch([Event({**ROW, "id": f"r{number}-1"})], out)
        paths.append(next(path for path, events in out.sent.items() if events))

    assert paths == ["default", "duplicate", "default"]


def test_event_without_raw_is_compared_by_its_fields():
    """What has no row is the same if all of its fields are."""
    event = {"source.ip": "192.0.2.1", "time.source": "2026-11-20T01:00:00Z"}

    assert taken({**event, "id": "a-1"}, {**event, "id": "b-1"}, {**event, "id": "c-1", "source.port": 80}) == (
        ["a-1", "c-1"],
        ["b-1"],
    )


def test_chosen_fields():
    """With 'fields' these alone decide."""
    one = {**ROW, "source.ip": "192.0.2.1", "source.port": 80}
    events = [{**one, "id": "a-1"}, {**one, "id": "b-1", "raw": "other"}, {**one, "id": "c-1", "source.port": 81}]

    assert taken(*events, fields=["source.ip", "source.port"]) == (["a-1", "c-1"], ["b-1"])


@pytest.mark.parametrize(
    ("missing", "sent", "duplicates", "failed"),
    [
        ("skip", ["a-1", "b-1", "c-1"], [], []),
        ("value", ["a-1", "c-1"], ["b-1"], []),
        ("fail", ["c-1"], [], ["a-1", "b-1"]),
    ],
)
def test_missing_field(missing, sent, duplicates, failed):
    """What an event means that lacks a chosen field is the operator's to say."""
    events = [{"id": "a-1"}, {"id": "b-1"}, {"id": "c-1", "source.ip": "192.0.2.1"}]

    result = run(Deduplicate, events, params={"fields": ["source.ip"], "missing": missing})

    assert sorted(event.id for event in result.sent) == sent
    assert [event.id for event in result.paths.get("duplicate", [])] == duplicates
    assert [failure.item.id for failure in result.failed] == failed
    assert all("source.ip" in str(failure.error) for failure in result.failed)


@pytest.mark.parametrize(
    "params", [{"fields": ["sorce.ip"]}, {"window": "0s"}, {"window": "soon"}, {"missing": "drop"}]
)
def test_mistakes_in_parameters_are_refused(params):
    """Unknown fields and windows that remember nothing are found by the check."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(params, DeduplicateParams)
