"""Time slots: ``every`` and ``cron`` give a bot slots; each slot is worked off once, a missed one once and late."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cronsim import CronSim

from ..broker.protocol import TickGuard
from ..clock import iso
from ..config.model import BotSettings

_AHEAD = timedelta(hours=1)
"""How far the clocks of hosts may differ."""


class _Slots(Protocol):
    def start(self, now: datetime) -> datetime:
        """Give the start of the slot that *now* lies in."""
        ...

    def next(self, now: datetime) -> datetime:
        """Give the start of the slot after *now*."""
        ...


class _Every:
    """Slots of equal length, counted from 1970-01-01 UTC.

    Args:
        length: in seconds.
    """

    def __init__(self, length: float) -> None:
        self._length = length

    def start(self, now: datetime) -> datetime:
        return datetime.fromtimestamp(now.timestamp() // self._length * self._length, UTC)

    def next(self, now: datetime) -> datetime:
        return datetime.fromtimestamp((now.timestamp() // self._length + 1) * self._length, UTC)


class _Cron:
    """Slots that begin when a cron line says so, in UTC."""

    def __init__(self, line: str) -> None:
        self._line = line

    def start(self, now: datetime) -> datetime:
        return min(now, next(CronSim(self._line, self.next(now), reverse=True)))

    def next(self, now: datetime) -> datetime:
        return next(CronSim(self._line, now))


class Schedule:
    """The time slots of one bot.

    Args:
        bot: its id.
        slots: when they begin.
    """

    def __init__(self, bot: str, slots: _Slots) -> None:
        self._bot = bot
        self._slots = slots
        self._last: str | None = None

    @classmethod
    def of(cls, settings: BotSettings) -> "Schedule | None":
        """Give the schedule of a bot, or None if it has none."""
        if settings.every is not None:
            return cls(settings.id, _Every(settings.every))
        if settings.cron is not None:
            return cls(settings.id, _Cron(settings.cron))
        return None

    def due(self, now: datetime, last_slot: Callable[[str], str]) -> str | None:
        """Give the slot that is to be worked off now, or None.

        A last slot far in the future is none: a clock that was wrong left it.

        Args:
            now: the time.
            last_slot: gives the last slot of a bot that was committed; asked once per slot.
        """
        slot = iso(self._slots.start(now))
        if self._last is not None and slot <= self._last and not _is_ahead(self._last, now):
            return None
        last = last_slot(self._bot)
        self._last = "" if _is_ahead(last, now) else last
        return slot if slot > self._last else None

    def done(self, slot: str) -> None:
        """Remember that *slot* is worked off."""
        self._last = slot

    def seconds_left(self, now: datetime) -> float:
        """Give the seconds until the next slot begins."""
        return max(0.0, (self._slots.next(now) - now).total_seconds())


def tick_guard(bot: str, slot: str, now: datetime, last_slot: Callable[[str], str]) -> TickGuard:
    """Make the guard of a time slot, which takes the place of a last one that a clock that was wrong left.

    Args:
        bot: whose slot it is.
        slot: the slot.
        now: the time.
        last_slot: gives the last slot of a bot that was committed.
    """
    last = last_slot(bot)
    return TickGuard(bot, slot, last if _is_ahead(last, now) else "")


def _is_ahead(slot: str, now: datetime) -> bool:
    return slot > iso(now + _AHEAD)
