"""The hot path: one value into the canonical form of its field."""

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidValue, UnknownField
from .catalogue import catalogue
from .values import rejection

REJECTED = "extra.rejected."

_catalogue = catalogue()
_converters = _catalogue.converters


def harmonise(field: str, value: Any) -> Any:
    """Convert *value* to the canonical JSON value of *field*.

    Canonical values are fixpoints: they come back as they are.

    Raises:
        InvalidValue: if the value does not fit; its reason says why, and what would.
        UnknownField: if the catalogue has no such field.
    """
    convert = _converters.get(field)
    if convert is None:
        convert = _catalogue.converter(field)
    try:
        return convert(value)
    except ValueError as error:
        raise InvalidValue(field, value, "no value" if value is None else str(error)) from None


def revalidate(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Check fields that were written under another catalogue.

    Returns:
        the fields that fit; what doesn't is kept as ``extra.rejected.<field>`` with its value and the reason.
    """
    found: dict[str, Any] = {}
    for field, value in fields.items():
        try:
            found[field] = harmonise(field, value)
        except InvalidValue as error:
            found[rejected_name(field)] = rejection(value, error.reason)
        except UnknownField:
            found[rejected_name(field)] = rejection(value, "no such field in this catalogue")
    return found


def rejected_name(field: str) -> str:
    """Give the name under which a rejected value of *field* is kept."""
    name = REJECTED + field.removeprefix(REJECTED)
    return name if name in _catalogue else _catalogue.closest(name) or REJECTED + "unnamed"
