"""Time slots: each one once, a missed one once and late."""

from datetime import UTC, datetime

from cleanbots.broker.protocol import TickGuard
from cleanbots.config.model import BotSettings
from cleanbots.runtime.schedule import Schedule, tick_guard


def _schedule(**when: float | str) -> Schedule:
    schedule = Schedule.of(BotSettings(id="b", use="collector/file", kind="collector", **when))
    assert schedule is not None
    return schedule


def _at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 11, 20, hour, minute, second, tzinfo=UTC)


def _never(bot: str) -> str:
    return ""


def test_a_bot_without_every_and_cron_has_no_slots() -> None:
    """Slots are asked for in the configuration."""
    assert Schedule.of(BotSettings(id="b", use="collector/file", kind="collector")) is None


def test_a_slot_is_due_until_it_is_done() -> None:
    """The slot that the time lies in is due, once."""
    schedule = _schedule(every=900.0)
    slot = schedule.due(_at(7, 31), _never)
    assert slot == "2026-11-20T07:30:00+00:00"
    schedule.done(slot)
    assert schedule.due(_at(7, 44), _never) is None


def test_a_slot_done_elsewhere_is_not_due() -> None:
    """What the server knows as done is not done again by another host."""
    schedule = _schedule(every=900.0)
    assert schedule.due(_at(7, 31), lambda _: "2026-11-20T07:30:00+00:00") is None


def test_missed_slots_run_once() -> None:
    """After a pause of hours there is one slot to work off, not one for each that was missed."""
    schedule = _schedule(every=900.0)
    schedule.done("2026-11-20T01:00:00+00:00")
    slot = schedule.due(_at(9), _never)
    assert slot == "2026-11-20T09:00:00+00:00"
    schedule.done(slot)
    assert schedule.due(_at(9, 1), _never) is None


def test_cron_gives_the_slot_that_began_last() -> None:
    """A cron line's slot lasts from the moment it names to the next one."""
    schedule = _schedule(cron="30 7 * * *")
    assert schedule.due(_at(12), _never) == "2026-11-20T07:30:00+00:00"
    assert schedule.due(_at(7, 30), _never) == "2026-11-20T07:30:00+00:00"


def test_the_wait_ends_with_the_slot() -> None:
    """Whoever waits for the next slot knows how long."""
    assert _schedule(every=900.0).seconds_left(_at(7, 44, 30)) == 30.0
    assert _schedule(cron="30 7 * * *").seconds_left(_at(7, 29)) == 60.0


def test_a_clock_that_was_ahead_stops_nothing() -> None:
    """A slot that lies years in the future, committed by a clock that was wrong, is no reason to wait for years."""
    schedule = _schedule(every=900.0)
    last = "2038-01-19T03:00:00+00:00"
    schedule.done(last)
    slot = schedule.due(_at(7, 31), lambda _: last)
    assert slot == "2026-11-20T07:30:00+00:00"
    assert tick_guard("b", slot, _at(7, 31), lambda _: last) == TickGuard("b", slot, last)
    schedule.done(slot)
    assert schedule.due(_at(7, 40), lambda _: slot) is None


def test_clocks_of_hosts_may_differ() -> None:
    """A slot that is somewhat in the future was begun by a host whose clock is ahead: it stays done."""
    schedule = _schedule(every=900.0)
    last = "2026-11-20T07:45:00+00:00"
    assert schedule.due(_at(7, 44), lambda _: last) is None
    assert tick_guard("b", "2026-11-20T07:30:00+00:00", _at(7, 44), lambda _: last).instead == ""
