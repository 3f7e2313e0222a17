"""Time slots: in the member's zone, across changes of the clocks, without closed days; blackouts."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanbots.clearinghouse.model import Delivery, Hub
from cleanbots.clearinghouse.schedule import (
    Owed,
    Slots,
    blacked_out,
    blackouts,
    budget_gap,
    instant,
    is_due,
    parse_when,
)

ZONES = ["Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "Africa/Casablanca"]
WHENS = ["hourly", "daily 07:30", "daily 02:30", "workdays 00:00", "cron */20 * * * *", "cron 15 2 * * 0"]
moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def slots(when: str, zone: str = "Europe/Amsterdam", closed: tuple[str, ...] = ()) -> Slots:
    found = parse_when(when, zone, closed)
    assert found is not None
    return found


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(moments, st.sampled_from(WHENS), st.sampled_from(ZONES))
def test_before_and_after_enclose_every_moment(moment, when, zone):
    """The last slot is not later than the moment, the next one is, and there is none in between."""
    found = slots(when, zone)

    last, following = found.before(moment), found.after(moment)

    assert last <= moment < following
    assert found.after(last) == following
    assert found.before(following) == following
    assert found.before(following - timedelta(seconds=1)) == last


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)), st.sampled_from(ZONES))  # noqa: DTZ001
def test_every_local_time_has_one_moment_and_their_order_is_kept(local, zone):
    """A local time that exists is met exactly; later local times never come earlier."""
    place = ZoneInfo(zone)
    local = local.replace(microsecond=0)

    moment = instant(local, place)

    shown = moment.astimezone(place).replace(tzinfo=None)
    assert shown >= local
    assert instant(local + timedelta(minutes=30), place) >= moment


@given(moments, st.sampled_from(ZONES))
def test_a_daily_slot_comes_once_for_each_day(moment, zone):
    """In any fortnight there are as many slots as days, also where the clocks change."""
    found = slots("daily 02:30", zone)
    days = set()
    slot = moment
    for _ in range(14):
        slot = found.after(slot)
        days.add(slot.astimezone(ZoneInfo(zone)).date())

    assert len(days) == 14


def test_a_skipped_hour_runs_at_its_end():
    """02:30 does not exist on 29 March 2026 in Amsterdam: its slot is at 03:00 summer time."""
    assert slots("daily 02:30").after(utc("2026-03-28T12:00")) == utc("2026-03-29T01:00")


def test_a_doubled_hour_runs_once():
    """02:30 exists twice on 25 October 2026 in Amsterdam: the slot is the first, and the next one is a day later."""
    first = slots("daily 02:30").after(utc("2026-10-24T12:00"))

    assert first == utc("2026-10-25T00:30")
    assert slots("daily 02:30").after(first) == utc("2026-10-26T01:30")


def test_workdays_leave_out_weekends_and_closed_days():
    """From Thursday 24 December, with Christmas closed, the next workday is Monday the 28th."""
    found = slots("workdays 07:30", closed=("2026-12-25",))

    assert found.after(utc("2026-12-24T12:00")) == utc("2026-12-28T06:30")


@pytest.mark.parametrize("when", ["daily", "daily 24:00", "weekly 07:30", "cron 1 2 3", "cron 0 0 31 2 *", ""])
def test_a_when_that_is_none_is_refused(when):
    """What can't be understood, or never comes, is refused with what would fit."""
    with pytest.raises(ValueError, match="write"):
        parse_when(when, "Europe/Amsterdam")


def test_an_unknown_time_zone_is_refused():
    """A zone that doesn't exist is an error, not UTC."""
    with pytest.raises(ValueError, match="IANA"):
        parse_when("hourly", "Europe/Atlantis")


@given(moments, st.integers(0, 5000), st.integers(0, 5000))
def test_what_came_after_the_slot_waits_for_the_next(moment, before, after):
    """A scheduled delivery is due if and only if its oldest finding was there at a slot not yet used."""
    delivery, hub = Delivery(id="d", when="daily 07:30"), Hub(settle=0.0)
    now = moment + timedelta(minutes=after)
    oldest = moment - timedelta(minutes=before)

    due = is_due(delivery, hub, Owed(oldest, oldest), None, now, now)

    assert due == (slots("daily 07:30").before(now) >= oldest)


@given(moments)
def test_a_slot_is_used_once(moment):
    """After a digest was closed at its slot, the same slot makes no second one."""
    delivery, hub = Delivery(id="d", when="daily 07:30"), Hub(settle=0.0)
    slot = slots("daily 07:30").before(moment)
    owed = Owed(slot - timedelta(days=9), slot - timedelta(days=9))

    assert is_due(delivery, hub, owed, slot - timedelta(seconds=1), moment, moment)
    assert not is_due(delivery, hub, owed, slot + timedelta(seconds=1), moment, moment)


def test_a_blackout_without_offset_is_the_member_s_time():
    """16:00 without an offset is 16:00 where the member is; with an offset it is the same for all."""
    windows = [{"from": "2026-12-24T16:00", "until": "2026-12-27T00:00"}]

    (there,) = blackouts(windows, "America/New_York")
    (fixed,) = blackouts([{**windows[0], "from": "2026-12-24T16:00+00:00"}], "America/New_York")

    assert there.start == utc("2026-12-24T21:00")
    assert fixed.start == utc("2026-12-24T16:00")


def test_urgent_things_pass_only_where_they_are_excepted():
    """A window without ``except: urgent`` holds urgent things, too."""
    window = {"from": "2026-12-24T16:00", "until": "2026-12-27T00:00"}
    delivery, now = Delivery(id="d"), utc("2026-12-25T12:00")

    assert blacked_out(delivery, Hub(blackout=(window,)), now, urgent=True)
    assert not blacked_out(delivery, Hub(blackout=({**window, "except": "urgent"},)), now, urgent=True)
    assert blacked_out(delivery, Hub(blackout=({**window, "except": "urgent"},)), now, urgent=False)
    assert not blacked_out(delivery, Hub(blackout=(window,)), utc("2026-12-28T12:00"), urgent=False)


@given(st.integers(1, 40), st.floats(0, 86399))
def test_the_budget_lasts_all_day(most, second):
    """Mails made as soon as the gap allows never exceed the day's number."""
    delivery = Delivery(id="d", timezone="UTC", mails_per_day=most)
    now, last, made = utc("2026-11-20T00:00") + timedelta(seconds=second), None, 0
    while now < utc("2026-11-21T00:00"):
        if last is None or (now - last).total_seconds() >= budget_gap(delivery, made, now):
            made, last = made + 1, now
        now += timedelta(minutes=7)

    assert made <= most


def test_a_webhook_gathers_nothing():
    """An immediate webhook is due at once, where a mail waits for what comes together; a group holds for both."""
    noon = utc("2026-11-20T12:00")
    owed = Owed(noon, noon)
    hook = Delivery(id="hook", when="immediately", url="https://hooks.example.net/")

    assert is_due(hook, Hub(), owed, None, noon, noon)
    assert not is_due(Delivery(id="mail", when="immediately"), Hub(), owed, None, noon, noon)
    grouped = msgspec.structs.replace(hook, group=60.0)
    assert not is_due(grouped, Hub(), owed, noon - timedelta(seconds=30), noon, noon)
