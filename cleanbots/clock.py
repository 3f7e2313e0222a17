"""The one place that asks what time it is, so that tests and replays can answer."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time: wall clock for people and records, monotonic for durations."""

    def now(self) -> datetime:
        """Give the current time in UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Give the current time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds from an arbitrary start; never goes back."""
        return time.monotonic()


class ShiftedClock(SystemClock):
    """The machine's clock, set to another time: for rehearsals of days to come.

    Args:
        start: what time it is now (UTC).
    """

    def __init__(self, start: datetime) -> None:
        self._by = start - datetime.now(UTC)

    def now(self) -> datetime:
        """Give the current time in UTC, shifted."""
        return datetime.now(UTC) + self._by


def clock_at(start: str) -> Clock:
    """Give a clock that shows the ISO time *start* now, or the machine's own for "".

    Raises:
        ValueError: if *start* is no time with an offset.
    """
    if not start:
        return SystemClock()
    moment = datetime.fromisoformat(start)
    if moment.tzinfo is None:
        raise ValueError(f"{start!r} has no offset from UTC; add one, such as +01:00 or Z")
    return ShiftedClock(moment)


class FixedClock:
    """A clock that stands still until it is told to move.

    Args:
        start: the time it shows first (UTC).
    """

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._passed = 0.0

    def now(self) -> datetime:
        """Give the time it was set to."""
        return self._now

    def monotonic(self) -> float:
        """Give the seconds that it was moved forward since its start."""
        return self._passed

    def move(self, to: datetime) -> None:
        """Set the time to *to*; if that is earlier, the clock is put back, and no time has passed."""
        self._passed += max(0.0, (to - self._now).total_seconds())
        self._now = to


def iso(moment: datetime) -> str:
    """Give *moment* as the canonical text of a time field: ``2026-11-20T07:30:00+00:00``."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds" if moment.microsecond else "seconds")
