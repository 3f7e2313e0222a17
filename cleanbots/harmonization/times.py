"""Times: the canonical form, and explicit converters from the notations that feeds use. Nothing is guessed."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from .scalars import Limits, number, unfit, whole

_UTC_NAMES = ("UTC", "GMT", "UT")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_mail_date = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?(?P<day>[0-9]{1,2}) "
    r"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?P<year>[0-9]{4}) "
    r"(?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?) (?P<zone>GMT|UTC|UT|[+-][0-9]{4})"
)
_whole_seconds = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(Z|\+00:00)?"
).fullmatch
_seconds = number(Limits())
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WINDOWS_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def canonical(moment: datetime) -> str:
    """Give an aware time as canonical text: UTC, ``2026-11-20T07:30:00+00:00``, microseconds only if there are some."""
    if moment.tzinfo is not UTC:
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise ValueError("outside of the years 1 to 9999") from None
    return moment.isoformat()


def iso(value: Any) -> str:
    """Convert ISO 8601 or RFC 5322 text with an offset, ``Z``, `` UTC`` or `` GMT``, or an aware datetime.

    A time without a zone is refused: the parser knows its source and must say which zone it writes.
    """
    if isinstance(value, str):
        text = value.strip()
        found = _whole_seconds(text)
        moment = _parsed(text)
        if found is not None and found[1]:
            return f"{text[:10]}T{text[11:19]}+00:00"  # half the time of isoformat()
    elif isinstance(value, datetime):
        moment = value
    else:
        raise unfit(value, "a time as text (for numbers, convert with epoch_seconds or the like)")
    if moment.tzinfo is None:
        raise ValueError("a time without a zone; declare in the parser which zone the source writes")
    return canonical(moment)


def _parsed(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    mail = _mail_date.fullmatch(text)
    if mail is not None:
        month = _MONTHS.index(mail["month"]) + 1
        text = f"{mail['year']}-{month:02}-{int(mail['day']):02}T{mail['clock']} {mail['zone']}"
    head, _, zone = text.rpartition(" ")
    if zone in _UTC_NAMES:
        text = f"{head.rstrip()}Z"
    elif mail is not None:
        text = f"{head}{zone}"
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        reason = "not a time in ISO 8601 (2026-11-20T07:30:00Z) or RFC 5322 (Fri, 20 Nov 2026 07:30:00 +0000)"
        raise ValueError(reason if text else "empty") from None


def zoned(text: str, zone: tzinfo = UTC) -> str:
    """Convert ISO 8601 text that lacks its zone; a zone in the text goes first.

    Of a time that the clocks of *zone* show twice (they go back), the first is meant, as PEP 495 has it.

    Args:
        text: such as ``2026-11-20 07:30:00``.
        zone: what the source's documentation says.

    Raises:
        ValueError: if it is no such text, or a time that the clocks of *zone* skip (they go forward).
    """
    text = text.strip()
    moment = _parsed(text)
    if zone is UTC and moment.tzinfo is None:
        return f"{moment.isoformat()}+00:00"
    return canonical(_in_zone(moment, zone))


def by_format(text: str, form: str, zone: tzinfo = UTC) -> str:
    """Convert text by a `datetime.strptime` format; a zone in the text goes before *zone*.

    Local times that come twice or never are treated as by `zoned`.

    Raises:
        ValueError: if the text does not fit the format, or is a time that the clocks of *zone* skip.
    """
    try:
        moment = datetime.strptime(text.strip(), form)  # noqa: DTZ007  # the zone is set next
    except ValueError:
        raise ValueError(f"does not fit the time format {form!r}") from None
    return canonical(_in_zone(moment, zone))


def _in_zone(moment: datetime, zone: tzinfo) -> datetime:
    """Give a local time its zone, unless it has one."""
    if moment.tzinfo is not None:
        return moment
    aware = moment.replace(tzinfo=zone)
    if zone is not UTC and _skipped(aware):
        raise ValueError(f"no time in {zone}: its clocks go forward over it")
    return aware


def _skipped(moment: datetime) -> bool:
    """Tell whether no clock of its zone ever shows *moment*: it does not survive the way to UTC and back (PEP 495)."""
    try:
        back = moment.astimezone(UTC).astimezone(moment.tzinfo)
    except OverflowError:
        return False  # at the ends of the calendar; `canonical` says so
    return back.replace(tzinfo=None) != moment.replace(tzinfo=None)


def day(text: str, form: str = "%Y-%m-%d") -> str:
    """Convert a date by a format to its midnight in UTC; goes with ``time_precision`` ``day``."""
    try:
        found: date = datetime.strptime(text.strip(), form)  # noqa: DTZ007  # only the date is used
    except ValueError:
        raise ValueError(f"does not fit the date format {form!r}") from None
    return canonical(datetime.combine(found, time(), UTC))


def midnight(text: str) -> str:
    """Give the midnight in UTC of an ISO 8601 time's day; for sources whose clock time means nothing."""
    moment = datetime.fromisoformat(zoned(text))
    return canonical(datetime.combine(moment, time(), UTC))


def epoch_seconds(value: float | str) -> str:
    """Convert seconds since 1970-01-01T00:00:00Z, as a number or its text, fractions included."""
    if (isinstance(value, str) and "." in value) or (isinstance(value, float) and not value.is_integer()):
        return _since(_EPOCH, round(_seconds(value) * 1_000_000))
    return _since(_EPOCH, whole(value) * 1_000_000)


def epoch_millis(value: int | str) -> str:
    """Convert milliseconds since 1970-01-01T00:00:00Z."""
    return _since(_EPOCH, whole(value) * 1000)


def windows_nt(value: int | str) -> str:
    """Convert a Windows FILETIME: units of 100 ns since 1601-01-01T00:00:00Z; cut to microseconds."""
    return _since(_WINDOWS_EPOCH, whole(value) // 10)


def _since(start: datetime, microseconds: int) -> str:
    try:
        return (start + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        raise ValueError("outside of the years 1 to 9999") from None
