"""What the tests of the harmonisation share: a format checker for the published schema, and a strict comparison."""

from typing import Any

from jsonschema import FormatChecker

from cleanbots.harmonization.scalars import Converter, Limits
from cleanbots.harmonization.schema import FORMATS
from cleanbots.harmonization.types import TYPES


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal; unlike Python, true is not 1."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return bool(one == other)


def is_canonical(convert: Converter, value: Any) -> bool:
    """Tell whether *value* is a fixpoint of its converter."""
    try:
        return same(convert(value), value)
    except ValueError:
        return False


def format_checker() -> FormatChecker:
    """Give a checker of the schema's own formats: each means the canonical form of a type."""
    checker = FormatChecker(formats=())
    for name, type_name in FORMATS.items():
        _add(checker, name, TYPES[type_name].make(Limits(length=2**20) if type_name == "json" else Limits()))
    return checker


def _add(checker: FormatChecker, name: str, convert: Converter) -> None:
    @checker.checks(name)
    def check(value: Any) -> bool:
        return (name != "free-json" and not isinstance(value, str)) or is_canonical(convert, value)
