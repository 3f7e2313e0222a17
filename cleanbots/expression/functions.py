"""The functions that every expression may call."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .kinds import ADDRESS, ANY, BOOLEAN, NETWORK, NUMBER, SPAN, TEXT, TEXTS, TIME
from .patterns import compile_pattern

Read = Callable[[Mapping[str, Any]], Any]

_TEXTUAL = (TEXT, ADDRESS, NETWORK, TIME, ANY)
_EVERY = (TEXT, NUMBER, BOOLEAN, TIME, SPAN, ADDRESS, NETWORK, TEXTS, ANY)
_CONSTANT = (TEXT,)


class Function(NamedTuple):
    """A function of the language.

    Args:
        takes: for each argument the kinds that it may be.
        gives: the kind of its value.
        make: makes the reading function from that of the first argument and the constant second one ("" if none).
    """

    takes: tuple[tuple[str, ...], ...]
    gives: str
    make: Callable[[Read, str], Read]


def _test(test: Callable[[str, str], bool]) -> Function:
    def make(read: Read, constant: str) -> Read:
        return lambda fields: isinstance(text := read(fields), str) and test(text, constant)

    return Function((_TEXTUAL, _CONSTANT), BOOLEAN, make)


def _change(change: Callable[[str], str]) -> Function:
    def make(read: Read, _: str) -> Read:
        return lambda fields: change(text) if isinstance(text := read(fields), str) else None

    return Function((_TEXTUAL,), TEXT, make)


def _matches(read: Read, pattern: str) -> Read:
    found = compile_pattern(pattern)
    return lambda fields: isinstance(text := read(fields), str) and found(text)


def _exists(read: Read, _: str) -> Read:
    return lambda fields: read(fields) is not None


def _length(read: Read, _: str) -> Read:
    return lambda fields: len(value) if isinstance(value := read(fields), str | list) else None


FUNCTIONS: Mapping[str, Function] = {
    "exists": Function((_EVERY,), BOOLEAN, _exists),
    "lower": _change(str.lower),
    "upper": _change(str.upper),
    "length": Function(((*_TEXTUAL, TEXTS),), NUMBER, _length),
    "startswith": _test(str.startswith),
    "endswith": _test(str.endswith),
    "contains": _test(str.__contains__),
    "matches": Function((_TEXTUAL, _CONSTANT), BOOLEAN, _matches),
}
"""Name to function; ``now()`` is the compiler's own, as it needs the clock."""
