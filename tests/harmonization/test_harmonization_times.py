"""Converters of times: each notation is declared, none is guessed."""

from zoneinfo import ZoneInfo

import pytest

from cleanbots.harmonization import times


@pytest.mark.parametrize(
    ("made", "canonical"),
    [
        (times.epoch_seconds(1700000000), "2023-11-14T22:13:20+00:00"),
        (times.epoch_seconds("1700000000"), "2023-11-14T22:13:20+00:00"),
        (times.epoch_seconds(1700000000.25), "2023-11-14T22:13:20.250000+00:00"),
        (times.epoch_seconds("1700000000.000001"), "2023-11-14T22:13:20.000001+00:00"),
        (times.epoch_seconds(-1), "1969-12-31T23:59:59+00:00"),
        (times.epoch_millis("1700000000250"), "2023-11-14T22:13:20.250000+00:00"),
        (times.windows_nt(133444736000000019), "2023-11-14T22:13:20.000001+00:00"),
        (times.zoned("2026-11-20 07:30:00"), "2026-11-20T07:30:00+00:00"),
        (times.zoned("2026-11-20 07:30:00", ZoneInfo("Europe/Amsterdam")), "2026-11-20T06:30:00+00:00"),
        (times.zoned("2026-11-20T07:30:00-05:00", ZoneInfo("Europe/Amsterdam")), "2026-11-20T12:30:00+00:00"),
        (times.by_format("20/11/2026 07.30", "%d/%m/%Y %H.%M"), "2026-11-20T07:30:00+00:00"),
        (
            times.by_format("2026-07-01 07:30", "%Y-%m-%d %H:%M", ZoneInfo("Europe/Amsterdam")),
            "2026-07-01T05:30:00+00:00",
        ),
        (times.zoned("2026-10-25 02:30:00", ZoneInfo("Europe/Amsterdam")), "2026-10-25T00:30:00+00:00"),  # the first
        (times.zoned("2026-03-29 03:00:00", ZoneInfo("Europe/Amsterdam")), "2026-03-29T01:00:00+00:00"),
        (
            times.by_format("25.10.2026 02:30", "%d.%m.%Y %H:%M", ZoneInfo("Europe/Amsterdam")),
            "2026-10-25T00:30:00+00:00",
        ),
        (times.by_format("2026-11-20 07:30 +0100", "%Y-%m-%d %H:%M %z"), "2026-11-20T06:30:00+00:00"),
        (times.day(" 2026-11-20 "), "2026-11-20T00:00:00+00:00"),
        (times.day("20.11.2026", "%d.%m.%Y"), "2026-11-20T00:00:00+00:00"),
        (times.midnight("2026-11-20T23:59:59+00:00"), "2026-11-20T00:00:00+00:00"),
    ],
)
def test_declared_notation_becomes_canonical(made, canonical):
    """A time in the notation that its parser declares becomes canonical text in UTC."""
    assert made == canonical
    assert times.iso(made) == canonical


@pytest.mark.parametrize(
    ("convert", "value", "reason"),
    [
        (times.epoch_seconds, "soon", "not a whole number"),
        (times.epoch_seconds, "1.5x", "not a number"),
        (times.epoch_seconds, float("nan"), "finite"),
        (times.epoch_seconds, 10**15, "years 1 to 9999"),
        (times.epoch_millis, "", "not a whole number"),
        (times.windows_nt, 2**63 - 1, "years 1 to 9999"),
        (times.zoned, "20/11/2026", "not a time"),
        (lambda text: times.zoned(text, ZoneInfo("Europe/Amsterdam")), "2026-03-29 02:30:00", "clocks go forward"),
        (
            lambda text: times.by_format(text, "%d.%m.%Y %H:%M", ZoneInfo("Europe/Amsterdam")),
            "29.3.2026 2:00",
            "no time in",
        ),
        (lambda text: times.zoned(text, ZoneInfo("Europe/Amsterdam")), "0001-01-01 00:00:00", "years 1 to 9999"),
        (times.day, "2026-11-31", "does not fit"),
        (lambda text: times.by_format(text, "%Y"), "x", "does not fit the time format '%Y'"),
    ],
)
def test_other_notation_is_refused_with_its_reason(convert, value, reason):
    """What is not in the declared notation is refused, and the reason says so."""
    with pytest.raises(ValueError, match=reason):
        convert(value)
