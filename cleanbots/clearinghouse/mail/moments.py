"""Times as members read them: in their own zone and in UTC, in their language; daylight saving is the zone's business."""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .words import Words


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """Give an IANA time zone; UTC if the machine doesn't know it (every time says its zone)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def moment(text: str) -> datetime:
    """Read a canonical time."""
    return datetime.fromisoformat(text)


class Moments:
    """Writes times for one language and zone.

    Args:
        words: of the language.
        timezone: IANA name.
        year: of the mail; other years are written out in short times.
    """

    def __init__(self, words: Words, timezone: str, year: int) -> None:
        self._words = words
        self._zone = zone(timezone)
        self._year = year

    def _local(self, text: str) -> datetime:
        return moment(text).astimezone(self._zone)

    def day(self, text: str) -> str:
        """Give the local day: ``20-11-2026``, ``2026-11-20``."""
        return self._local(text).strftime(self._words("day"))

    def date(self, text: str) -> str:
        """Give a calendar date that was written ``2026-11-20``, in whatever zone; anything else as it is."""
        try:
            return datetime.fromisoformat(text).strftime(self._words("day"))
        except ValueError:
            return text

    def minute(self, text: str) -> str:
        """Give day and minute: ``vr 20-11-2026 07:30 CET``."""
        local = self._local(text)
        return f"{self._words.weekday(local)} {local.strftime(self._words('day'))} {local:%H:%M} {_name(local)}"

    def short_minute(self, text: str) -> str:
        """Give day and minute without the weekday, and without the year if it is the mail's: ``20-11 06:41 CET``."""
        local = self._local(text)
        return f"{self._short_day(local)} {local:%H:%M} {_name(local)}"

    def second(self, text: str) -> str:
        """Give local time and UTC to the second: ``vr 20-11-2026 05:40:00 CET (04:40:00 UTC)``."""
        local, utc = self._local(text), moment(text).astimezone(UTC)
        day = f"{self._words.weekday(local)} {local.strftime(self._words('day'))}"
        if local.utcoffset() == utc.utcoffset():
            return f"{day} {local:%H:%M:%S} UTC"
        other = "" if local.date() == utc.date() else f"{utc.strftime(self._words('day'))} "
        return f"{day} {local:%H:%M:%S} {_name(local)} ({other}{utc:%H:%M:%S} UTC)"

    def seen(self, text: str, precision: str) -> tuple[str, str]:
        """Give when a finding was seen, as exactly as its notifier says.

        Returns:
            the local time, and the same in UTC in brackets ("" if that says nothing more).
        """
        local, utc = self._local(text), moment(text).astimezone(UTC)
        if precision == "day":
            return f"{self._short_day(utc)} UTC", self._words("day_only")
        clock = "%H:%M" if precision in {"minute", "hour"} else "%H:%M:%S"
        about = self._words("about") if precision == "hour" else ""
        first = f"{self._short_day(local)} {about}{local.strftime(clock)} {_name(local)}"
        if local.utcoffset() == utc.utcoffset():
            return first, ""
        other = "" if local.date() == utc.date() else f"{self._short_day(utc)} "
        return first, f"({other}{utc.strftime(clock)} UTC)"

    def _short_day(self, local: datetime) -> str:
        return self._words.short_day(local) if local.year == self._year else local.strftime(self._words("day"))


def _name(local: datetime) -> str:
    """Name the zone: ``CET``; zones without a name of their own are offsets: ``UTC+03``."""
    name = local.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name
