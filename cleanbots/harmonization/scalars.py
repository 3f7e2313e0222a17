"""Converters of plain values: text, numbers, booleans, digests."""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import lru_cache
from math import isfinite
from typing import Any

import msgspec

Converter = Callable[[Any], Any]
"""Takes a value as it came and gives its canonical JSON value; raises ValueError with the reason."""

TEXT_LENGTH = 8192
"""Characters that a text may have unless its field says otherwise."""

LIST_LENGTH = 1000
"""Elements that a list may have."""

_MOST_NAMED = 12
"""Up to so many allowed words are all named in a sentence."""

_WORD_LENGTH = 50
"""A longer text is no misspelt word."""

CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
"""Control characters but tab, newline and carriage return, as a part of a character class."""

_controls = re.compile(f"[{CONTROLS}\ud800-\udfff]")
_surrogates = re.compile("[\ud800-\udfff]")
_integer = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_number = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_boolean = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_separators = re.compile(r"[,;\s]+")


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a field asks for beyond its type.

    Args:
        length: the most characters of a text.
        pattern: a regular expression that the whole text must match (no anchors needed).
        enum: the values that are allowed.
        minimum: the least number.
        maximum: the greatest number.
    """

    length: int | None = None
    pattern: str | None = None
    enum: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None


def clean(text: str) -> str:
    """Replace control characters (but tab, newline, carriage return) and lone surrogates by U+FFFD."""
    return text if text.isprintable() else _controls.sub("�", text)


def unfit(value: Any, expected: str) -> ValueError:
    """Give the error for a value whose Python type can't be converted; converters raise ValueError only."""
    if isinstance(value, bytes):
        return ValueError("bytes; decode them with the character set of their source first")
    return ValueError(f"{type(value).__name__} where {expected} is expected")


def as_text(value: Any) -> str:
    """Give a number as text; anything else that is no text is refused."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value)
    raise unfit(value, "a text")


def stripped(value: Any) -> str:
    """Give *value* as text without white space around it; an empty one is refused."""
    text = (value if type(value) is str else as_text(value)).strip()
    if not text:
        raise ValueError("empty")
    return text


def text(limits: Limits, case: Callable[[str], str] | None = None) -> Converter:
    """Make a converter for text: stripped, control characters replaced, within its limits."""
    longest = limits.length or TEXT_LENGTH
    matches = re.compile(limits.pattern).fullmatch if limits.pattern else None
    allowed = frozenset(limits.enum) if limits.enum else None

    def convert(value: Any) -> str:
        if type(value) is not str:
            value = as_text(value)
        found: str = value.strip()
        if not found.isprintable():
            found = _controls.sub("�", found)
        if case is not None:
            found = case(found)
        if not found:
            raise ValueError("empty")
        if len(found) > longest:
            raise ValueError(f"{len(found)} characters, and {longest} are allowed")
        if allowed is not None and found not in allowed:
            raise ValueError(_not_in(found, allowed))
        if matches is not None and matches(found) is None:
            raise ValueError(f"must look like {limits.pattern}")
        return found

    return convert


def raw(limits: Limits) -> Converter:
    """Make a converter for original rows: kept as they are; only lone surrogates become U+FFFD."""
    longest = limits.length or 2**20

    def convert(value: Any) -> str:
        if not isinstance(value, str):
            raise unfit(value, "a text")
        if not value:
            raise ValueError("empty")
        if len(value) > longest:
            raise ValueError(f"{len(value)} characters, and {longest} are allowed")
        return value if value.isascii() else _surrogates.sub("�", value)

    return convert


def texts(limits: Limits) -> Converter:
    """Make a converter for lists of text; a lone text is a list of one. Order is kept, repetitions are dropped."""
    one = text(limits)

    def convert(value: Any) -> list[str]:
        items: Iterable[Any] = (value,) if isinstance(value, str) else value
        if not isinstance(items, (list, tuple, set, frozenset)):
            raise unfit(value, "a list of texts")
        found = list(dict.fromkeys(map(one, items)))
        return _listed(found)

    return convert


def _listed(found: list[str]) -> list[str]:
    if not found:
        raise ValueError("empty")
    if len(found) > LIST_LENGTH:
        raise ValueError(f"{len(found)} elements, and {LIST_LENGTH} are allowed")
    return found


def integer(limits: Limits) -> Converter:
    """Make a converter for whole numbers within 64 bits (signed)."""
    least = -(2**63) if limits.minimum is None else int(limits.minimum)
    most = 2**63 - 1 if limits.maximum is None else int(limits.maximum)

    def convert(value: Any) -> int:
        number = whole(value)
        if not least <= number <= most:
            raise ValueError(f"must be from {least} to {most}")
        return number

    return convert


def whole(value: Any) -> int:
    """Give a whole number from a number or its decimal text."""
    if type(value) is int:
        return value
    if isinstance(value, str):
        if _integer.fullmatch(value.strip()) is None:
            raise ValueError("not a whole number")
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise unfit(value, "a whole number")
    raise ValueError("not a whole number")


def number(limits: Limits) -> Converter:
    """Make a converter for finite numbers; NaN and infinities are refused."""
    least = float("-inf") if limits.minimum is None else limits.minimum
    most = float("inf") if limits.maximum is None else limits.maximum

    def convert(value: Any) -> float:
        if isinstance(value, bool):
            raise unfit(value, "a number")
        if isinstance(value, str):
            if _number.fullmatch(value.strip()) is None:
                raise ValueError("not a number")
        elif not isinstance(value, (int, float)):
            raise unfit(value, "a number")
        try:
            found = float(value)
        except OverflowError:
            raise ValueError("not a finite number") from None
        if not isfinite(found):
            raise ValueError("not a finite number")
        if not least <= found <= most:
            raise ValueError(f"must be from {least:g} to {most:g}")
        return found

    return convert


def boolean(value: Any) -> bool:
    """Convert true, false, yes, no, 1 and 0 (any case, text or number) to a boolean."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return value == 1
    found = _boolean.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be true or false")
    return found


def hexadecimal(digits: int) -> Converter:
    """Make a converter for digests of *digits* hexadecimal digits; canonical in lower case."""
    matches = re.compile(f"[0-9a-f]{{{digits}}}").fullmatch

    def convert(value: Any) -> str:
        found = stripped(value).lower()
        if matches(found) is None:
            raise ValueError(f"must be {digits} hexadecimal digits")
        return found

    return convert


def one_of(values: Iterable[str], aliases: dict[str, str], case: Callable[[str], str]) -> Converter:
    """Make a converter for a closed list of words with further spellings that are accepted."""
    known = {value: value for value in values} | aliases
    allowed = frozenset(known.values())

    def convert(value: Any) -> str:
        found = known.get(value) if type(value) is str else None
        if found is None:
            word = case(stripped(value))
            found = known.get(word)
            if found is None:
                raise ValueError(_not_in(word, allowed))
        return found

    return convert


_cve = re.compile(r"CVE-[0-9]{4}-[0-9]{4,12}")
_other_id = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,99}")


def vulnerabilities(value: Any) -> list[str]:
    """Convert ids of vulnerabilities, a list or a text separated by ``;``, ``,`` or blanks, to a list.

    CVE ids are written in upper case, ids of other catalogues in lower case; repetitions are dropped.
    """
    items = _separators.split(value) if isinstance(value, str) else value
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise unfit(value, "a list of ids")
    return _listed(list(dict.fromkeys(_vulnerability(stripped(item)) for item in items if item != "")))


def _vulnerability(text: str) -> str:
    if text[:4].upper() == "CVE-":
        if _cve.fullmatch(text.upper()) is None:
            raise ValueError(f"{text!r} is no CVE id; one looks like CVE-2026-12345")
        return text.upper()
    if _other_id.fullmatch(text.lower()) is None:
        raise ValueError(f"{text[:80]!r} is no id of a vulnerability")
    return text.lower()


def _not_in(word: str, allowed: frozenset[str]) -> str:
    """Say that *word* is none of the words allowed, and which of them may be meant."""
    close = _closest(word, allowed) if len(word) <= _WORD_LENGTH else ""
    if len(allowed) <= _MOST_NAMED:
        which = ", ".join(sorted(allowed))
    else:
        which = f"{len(allowed)} words" + ("" if close else "; 'cleanbots fields' with the field's name lists them")
    return f"must be one of {which}" + (f"; did you mean {close!r}?" if close else "")


@lru_cache(maxsize=4096)
def _closest(word: str, allowed: frozenset[str]) -> str:
    """Give the closest of the words allowed, or ""; remembered, since a bad value seldom comes alone.

    Misspelt words begin alike or have their letters in another order; to compare with those only keeps bad feeds fast.
    """
    letters = sorted(word)
    alike = [each for each in sorted(allowed) if each[:1] == word[:1] or sorted(each) == letters]
    close = get_close_matches(word, alike, n=5)
    return max(close, key=lambda each: sorted(each) == letters, default="")
