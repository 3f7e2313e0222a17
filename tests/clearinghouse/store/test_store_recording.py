"""Recording: each observation once for ever, whatever dies and whenever."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy
from store_world import START, Desk, infection, mail, recorded, service, weight

from cleanbots.clearinghouse.store import open_store
from cleanbots.clearinghouse.store.protocol import Closing
from cleanbots.clock import FixedClock

_WRITER = """
import sys
sys.path[:0] = {paths!r}
from store_world import START, recorded, service
from cleanbots.clearinghouse.store import open_store
from cleanbots.clock import FixedClock
store = open_store({where!r}, FixedClock(START))
for batch in range(1000):
    store.record([recorded(service(batch * 20 + n), d) for n in range(20) for d in ("daily", "hook")], START)
    print(batch, flush=True)
"""


def test_an_event_counts_once_for_each_delivery(desk):
    """A repeat is a no-op, in the same batch and in a later one."""
    events = [service(1), service(2)]
    assert desk.record(events * 2, deliveries=["daily", "hook"])["recorded"] == 4
    assert desk.record(events, deliveries=["daily", "hook"]) == {"recorded": 0, "known": 4, "new": 0, "nobody": 0}

    [one, _] = desk.close().findings
    assert one.times_seen == 1
    assert desk.book()["matched"] == 2


def test_a_delivery_that_came_later_gets_a_known_event(desk):
    """A replay for one delivery counts no sighting twice."""
    desk.record([service(1)])
    assert desk.record([service(1)], deliveries=["daily", "hook"])["recorded"] == 1
    assert [finding.times_seen for finding in desk.close("hook").findings] == [1]


def test_findings_are_counted_over_all_reports(desk):
    """First seen, last seen and how often are facts of the finding, not of a delivery."""
    assert desk.record([infection(1), infection(2)])["new"] == 2
    later = desk.pass_time(days=2)
    assert desk.record([infection(1, later)], member="n")["new"] == 0
    [finding] = desk.close(member="n").findings

    assert (finding.first_seen, finding.last_seen, finding.times_seen) == (
        "2026-11-01T06:30:00+00:00",
        "2026-11-03T06:30:00+00:00",
        2,
    )


def test_an_event_without_a_time_was_seen_when_it_came(desk):
    """First its observation time, then the time of recording."""
    event = service(1)
    del event["time.source"]
    desk.record([event])
    assert next(iter(desk.close().findings)).last_seen == "2026-11-01T06:30:00+00:00"


def test_a_time_in_the_future_was_now(desk):
    """A wrong clock must not make everything after it old."""
    desk.record([service(1, START.replace(year=2099))])
    assert next(iter(desk.close().findings)).last_seen == "2026-11-01T06:30:00+00:00"


def test_the_original_comes_back_byte_for_byte(desk):
    """The header is kept once for all rows."""
    header = "timestamp,ip\r\n"
    rows = [f'"2026-11-01 06:30:00",192.0.2.{host}\r\n' for host in range(3)]
    for host, row in enumerate(rows):
        desk.record([service(host, raw=row)], original=header + row, report="scan_dns.csv")
    desk.record([service(9, raw="secret")])
    findings = list(desk.close().findings)

    assert [finding.original for finding in findings] == [*(header + row for row in rows), ""]
    assert [finding.report for finding in findings] == ["scan_dns.csv"] * 3 + [""]
    assert all("raw" not in finding.event for finding in findings)


def test_events_that_concern_nobody_are_counted_once(desk):
    """By id, so that a repeated batch changes nothing."""
    nobody = {"u-1": "unmatched", "u-2": "unmatched", "x-1": "excluded"}
    for _ in range(2):
        desk.store.record([recorded(service(1))], START, nobody)
    desk.store.count_events({"guarded": 3})

    assert desk.store.balance()["events"] == {"matched": 1, "unmatched": 2, "excluded": 1, "guarded": 3}


def test_the_books_of_a_period_hold_what_was_recorded_in_it(desk):
    """From a time, until before another."""
    desk.record([service(1)])
    later = desk.pass_time(days=1)
    desk.record([service(2), service(3)])

    assert desk.store.balance(since=later)["events"]["matched"] == 2
    assert desk.store.balance(until=later)["events"]["matched"] == 1


@pytest.mark.parametrize("step", ["record", "close", "freeze"])
def test_a_failure_at_any_statement_changes_nothing(tmp_path, step):
    """A step is done or not; done again it gives what it would have given."""
    expected, _ = _fail_at(tmp_path / "whole", step, None)
    for number in range(200):
        outcome, happened = _fail_at(tmp_path / str(number), step, number)
        assert outcome == expected
        if not happened:
            assert number > 3
            return
    pytest.fail("the step never ended")


class _CrashError(Exception):
    pass


def _fail_at(folder: Path, step: str, number: int | None) -> tuple[object, bool]:
    """Take the steps; *step* fails at its statement *number* first and is taken again by a new process's store."""
    where, clock = folder / "c.db", FixedClock(START)
    happened = False

    def take(name: str) -> object:
        nonlocal happened
        desk = Desk(open_store(where, clock), clock)
        if name == step and number is not None:
            left = iter(range(number, -2, -1))

            def crash(*_: object) -> None:
                nonlocal happened
                if next(left, -1) == 0:
                    happened = True
                    raise _CrashError

            engine = desk.store._database.engine
            sqlalchemy.event.listen(engine, "after_cursor_execute", crash)
            try:
                result = actions[name](desk)
            except _CrashError:
                sqlalchemy.event.remove(engine, "after_cursor_execute", crash)
                result = actions[name](desk)
        else:
            result = actions[name](desk)
        desk.store.close_connections()
        return result

    actions = {
        "record": lambda desk: desk.record(
            [service(1), infection(2), service(1, id="x")], deliveries=["daily", "hook"]
        ),
        "close": lambda desk: desk.close().reference,
        "freeze": lambda desk: desk.freeze(desk.store.closed("CB-20261101-0001"), mail(1), mail(2), hold="first"),
    }
    results = [take(name) for name in actions]
    store = open_store(where, clock)
    row = store.row("CB-20261101-0001")
    outcome = results[1], row, list(store.closed("CB-20261101-0001").findings), store.balance()
    store.close_connections()
    return outcome, happened


def test_a_killed_writer_leaves_whole_batches(tmp_path):
    """Killed at any moment: what it said it recorded is there, and the batch it was at can be repeated."""
    where = str(tmp_path / "c.db")
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[3])]
    said = []
    for pause in (0.0, 0.02, 0.05):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER.format(paths=paths, where=where)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        said.append(int(writer.stdout.readline()))
        time.sleep(pause)
        os.kill(writer.pid, signal.SIGKILL)
        said += [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()

    store = open_store(where, FixedClock(START))
    book = store.balance()["deliveries"]
    assert {each["delivery"]: each["matched"] % 20 for each in book} == {"daily": 0, "hook": 0}
    assert book[0]["matched"] == book[1]["matched"] >= 20 * (max(said) + 1)
    closed = store.close(Closing(member="m", delivery="daily", channel="mail", until=START, now=START))
    assert closed is not None
    assert {finding.times_seen for finding in closed.findings} == {1}
    store.close_connections()


def test_many_writers_at_once_double_nothing(where):
    """Two stores record the same events at the same time."""
    stores = [open_store(where, FixedClock(START)) for _ in range(3)]
    batches = [
        [recorded(service(batch * 10 + n), d) for n in range(10) for d in ("daily", "hook")] for batch in range(20)
    ]
    with ThreadPoolExecutor(3) as pool:
        counts = list(pool.map(lambda job: job[0].record(job[1], START), [(s, b) for b in batches for s in stores]))

    assert sum(count["recorded"] for count in counts) == 400
    assert sum(count["new"] for count in counts) == 200
    books = stores[0].balance()["deliveries"]
    assert [(book["matched"], weight(book)) for book in books] == [(200, 200)] * 2
    for store in stores:
        store.close_connections()
