"""The sentences of the mails, in each language; what a finding means stands in the text catalogue."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from .safe import one_line
from .words_en import MONTHS as EN_MONTHS
from .words_en import PHRASES as EN_PHRASES
from .words_en import WEEKDAYS as EN_WEEKDAYS
from .words_nl import PHRASES as NL_PHRASES
from .words_nl import WEEKDAYS as NL_WEEKDAYS


class Words:
    """One language's sentences.

    Args:
        language: ``nl`` or ``en``; the HTML part's ``lang``.
        phrases: key to sentence with named places (`str.format`); the values put in are never read as format.
        weekdays: short names, from Monday.
        months: short names; none if days are written in digits.
    """

    def __init__(
        self, language: str, phrases: Mapping[str, str], weekdays: tuple[str, ...], months: tuple[str, ...] = ()
    ) -> None:
        self.language = language
        self.phrases = phrases
        self._weekdays = weekdays
        self._months = months

    def __call__(self, key: str, /, **values: object) -> str:
        """Give a sentence with its values; texts among them are made harmless here, for all sentences."""
        safe = {name: one_line(value) if isinstance(value, str) else value for name, value in values.items()}
        return self.phrases[key].format(**safe)

    def count(self, key: str, number: int, /, **values: object) -> str:
        """Give a sentence about *number* things; the singular has a phrase of its own, ``<key>_one``."""
        return self(f"{key}_one" if number == 1 else key, number=number, **values)

    def weekday(self, day: datetime) -> str:
        """Give the short name of the weekday."""
        return self._weekdays[day.weekday()]

    def short_day(self, day: datetime) -> str:
        """Give day and month: ``20-11``, ``20 Nov``."""
        return f"{day.day:02} {self._months[day.month - 1]}" if self._months else f"{day:%d-%m}"

    def span(self, seconds: float) -> str:
        """Give a time span in days or hours: ``7 dagen``, ``72 uur``."""
        hours = round(seconds / 3600)
        if hours == 24 or (hours > 72 and not hours % 24):
            return self.count("days", hours // 24)
        return self.count("hours", hours)

    def every(self, seconds: float) -> str:
        """Give an interval: ``elke 7 dagen``, ``every day``."""
        return self("every_day") if round(seconds / 3600) == 24 else self("every", span=self.span(seconds))


WORDS: Final[Mapping[str, Words]] = {
    "nl": Words("nl", NL_PHRASES, NL_WEEKDAYS),
    "en": Words("en", EN_PHRASES, EN_WEEKDAYS, EN_MONTHS),
}


def languages(language: str) -> tuple[Words, ...]:
    """Give the words of a delivery's ``language``: one, or both for ``nl+en``."""
    return tuple(WORDS[each] for each in language.split("+"))
