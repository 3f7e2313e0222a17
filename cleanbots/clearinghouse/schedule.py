"""When deliveries are made: time slots in the member's zone, closed days, blackouts, and what waits to be gathered.

Everything here is a pure function of its arguments: the time, the delivery, and what the store says of it.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from ..config.shape import BlackoutEntry
from .model import Delivery, Hub

IMMEDIATELY = "immediately"
GATHER = 5.0
"""Seconds without a new finding after which an immediate delivery is made: what comes together, leaves together."""
GATHER_MOST = 20.0
"""Seconds after which it is made in any case."""

_CLOCK = re.compile(r"(daily|workdays)\s+([01]?\d|2[0-3]):([0-5]\d)")
# A slot that a change of the clocks moved lies at most this far from where the calendar has it.
_MOVED = timedelta(hours=3)
_WEEK = timedelta(days=7)

Empty = Literal["never", "weekly", "always"]


class Slots(msgspec.Struct, frozen=True):
    """The time slots of a schedule: a cron line in local time, without the closed days.

    Where a change of the clocks leaves an hour out, its slots are at its end; where it doubles an hour, they are in the
    first of the two. A closed day counts by its local date.

    Args:
        cron: minute hour day month weekday.
        zone: name of an IANA time zone.
        closed: days without slots, ``YYYY-MM-DD``.
    """

    cron: str
    zone: str
    closed: tuple[str, ...] = ()

    def after(self, moment: datetime) -> datetime:
        """Give the first slot later than *moment*, in UTC."""
        return next(slot for slot in self.walk(moment) if slot > moment)

    def before(self, moment: datetime) -> datetime:
        """Give the last slot not later than *moment*, in UTC."""
        # Slots begin with a minute, and many are asked for again and again within one.
        return _before(self, moment.replace(second=0, microsecond=0))

    def walk(self, moment: datetime, *, reverse: bool = False) -> Iterator[datetime]:
        """Give slots from a little before *moment* on (in *reverse*: from a little after it back)."""
        zone = zone_of(self.zone)
        local = moment.astimezone(zone).replace(tzinfo=None)
        closed = frozenset(self.closed)
        for slot in CronSim(self.cron, local + _MOVED if reverse else local - _MOVED, reverse=reverse):
            if slot.date().isoformat() not in closed:
                yield instant(slot, zone)


@lru_cache(maxsize=65536)
def _before(slots: Slots, minute: datetime) -> datetime:
    return next(slot for slot in slots.walk(minute, reverse=True) if slot <= minute)


@lru_cache(maxsize=4096)
def _parsed(when: str, zone: str, closed: tuple[str, ...]) -> Slots | None:
    return parse_when(when, zone, closed)


def slots_of(delivery: Delivery) -> Slots | None:
    """Give the slots of a delivery, or None if it is immediate.

    Raises:
        ValueError: if its ``when`` or time zone is none.
    """
    return _parsed(delivery.when, delivery.timezone, delivery.closed)


def parse_when(when: str, zone: str, closed: Sequence[str] = ()) -> Slots | None:
    """Read a ``when``: ``immediately`` (None), ``hourly``, ``daily 07:30``, ``workdays 07:30``, ``cron 30 7 * * 1-5``.

    Raises:
        ValueError: if it is none of them, or if there is no such time zone.
    """
    zone_of(zone)
    text = when.strip()
    if text == IMMEDIATELY:
        return None
    return Slots(_cron(text), zone, tuple(closed))


def _cron(text: str) -> str:
    if text == "hourly":
        return "0 * * * *"
    if match := _CLOCK.fullmatch(text):
        return f"{int(match[3])} {int(match[2])} * * {'1-5' if match[1] == 'workdays' else '*'}"
    if not text.startswith("cron "):
        raise ValueError(f"{text!r} is no time; write immediately, hourly, daily 07:30, workdays 07:30 or cron LINE")
    line = text.removeprefix("cron ").strip()
    try:
        next(CronSim(line, datetime(2026, 1, 1)))  # noqa: DTZ001  # local time, as everywhere in cron lines
    except (CronSimError, StopIteration) as error:
        raise ValueError(
            f"{line!r} is no cron line, or its day never comes; write minute hour day month weekday"
        ) from error
    return line


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """Give a time zone by its IANA name.

    Raises:
        ValueError: if there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone; write an IANA name such as Europe/Amsterdam") from error


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Give the moment (UTC) of a local time: in a skipped hour its end, in a doubled hour the first time."""
    moment = local.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return moment
    # PEP 495: in a gap, fold=1 counts with the later offset and so lies before the change, fold=0 after it.
    early, late = local.replace(tzinfo=zone, fold=1).astimezone(UTC), moment
    offset = late.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) // 2
        early, late = (early, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, late)
    return late.replace(microsecond=0)


# -- blackouts


class Blackout(msgspec.Struct, frozen=True):
    """A window in which nothing is delivered, urgent things excepted if it says so."""

    start: datetime
    end: datetime
    except_urgent: bool = False


def window_of(entry: BlackoutEntry) -> dict[str, str]:
    """Give a window as it is kept."""
    window = {"from": entry.from_, "until": entry.until}
    return {**window, "except": entry.except_} if entry.except_ else window


def blackouts(windows: Sequence[dict[str, str]], zone: str) -> list[Blackout]:
    """Read windows ``{from, until, except: urgent}``; times without an offset are in *zone*.

    Raises:
        ValueError: if a time is none, a window ends before it begins, or ``except`` is not ``urgent``.
    """
    return [_blackout(window, zone_of(zone)) for window in windows]


def _blackout(window: dict[str, str], zone: ZoneInfo) -> Blackout:
    start, end = _moment(window.get("from", ""), zone), _moment(window.get("until", ""), zone)
    excepted = window.get("except", "")
    if excepted not in ("", "urgent"):
        raise ValueError(f"except: {excepted!r} is not allowed; write urgent, or leave it out")
    if end <= start:
        raise ValueError(f"the window ends ({window['until']}) before it begins ({window['from']})")
    return Blackout(start, end, excepted == "urgent")


def _moment(text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write for example 2026-12-24T16:00") from None
    return instant(moment, zone) if moment.tzinfo is None else moment.astimezone(UTC)


def blacked_out(delivery: Delivery, hub: Hub, now: datetime, *, urgent: bool) -> datetime | None:
    """Give when the blackout that *now* lies in ends, or None; *urgent* deliveries pass windows that except them."""
    windows = blackouts((*hub.blackout, *delivery.blackout), delivery.timezone)
    return max((w.end for w in windows if w.start <= now < w.end and not (urgent and w.except_urgent)), default=None)


# -- what is due


class Owed(msgspec.Struct, frozen=True):
    """What a delivery owes: since when, and when the last of it was recorded."""

    oldest: datetime
    newest: datetime


def is_due(delivery: Delivery, hub: Hub, owed: Owed, last: datetime | None, now: datetime, awake: datetime) -> bool:
    """Tell whether a delivery that owes something is to be closed now.

    A scheduled one is due at the first slot after its oldest finding, once, however late; it then waits until the feeds
    have settled. An immediate one is due as soon as what comes together is there (a webhook: at once), at most once in
    its ``group``.

    Args:
        delivery: which.
        hub: says how long feeds may take to settle.
        owed: what it owes.
        last: when it was closed last.
        now: the time.
        awake: since when this process works; feeds that were away with it get their time to settle, too.
    """
    slots = slots_of(delivery)
    if slots is None:
        # A webhook tells each finding by itself, so there is nothing to gather.
        together = bool(delivery.url) or _since(owed.newest, now) >= GATHER or _since(owed.oldest, now) >= GATHER_MOST
        return together and (last is None or _since(last, now) >= delivery.group)
    slot = slots.before(now)
    if slot < owed.oldest or (last is not None and slot <= last):
        return False
    return _since(owed.newest, now) >= hub.settle or _since(max(slot, awake), now) >= hub.settle_max


def is_sign_of_life_due(delivery: Delivery, last: datetime | None, now: datetime, awake: datetime) -> bool:
    """Tell whether a delivery that owes nothing is to say so now: at its slots, or a week after the last digest."""
    slots = slots_of(delivery)
    if delivery.empty == "never" or slots is None:
        return False
    slot = slots.before(now)
    if slot <= (last or awake):
        return False
    # A digest is closed a little after its slot, so a week is counted in days.
    return delivery.empty == "always" or last is None or slot.date() - last.date() >= _WEEK


def no_news_before(delivery: Delivery, now: datetime) -> datetime:
    """Give from when on what was owed could have been told in time: the slot before the last one.

    An observation that was older than ``max_age`` even then waited for a pause, a stop or an outage to end, and is no
    news.
    """
    slots = slots_of(delivery)
    if slots is None:
        return now - timedelta(seconds=delivery.group)
    return slots.before(slots.before(now) - timedelta(seconds=1))


def midnight_after(zone: str, now: datetime) -> datetime:
    """Give when the day at *now* ends in *zone*."""
    place = zone_of(zone)
    tomorrow: date = now.astimezone(place).date() + timedelta(days=1)
    return instant(datetime.combine(tomorrow, time()), place)


def budget_gap(delivery: Delivery, made_today: int, now: datetime) -> float:
    """Give the seconds that lie between two mails of a delivery that made *made_today* of its ``mails_per_day``.

    The first half of the day's mails may follow each other at once; the others are spread over what is left of the day,
    so that a long burst grows the mails and not their number, and never silences the rest of the day.
    """
    left = delivery.mails_per_day - made_today
    rest = (midnight_after(delivery.timezone, now) - now).total_seconds()
    if left <= 0:
        return float("inf")
    return 0.0 if made_today < delivery.mails_per_day // 2 else rest / left


def _since(moment: datetime, now: datetime) -> float:
    return (now - moment).total_seconds()
