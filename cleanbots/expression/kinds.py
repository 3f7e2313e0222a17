"""What kind of value a field holds, and how a constant is brought into the field's canonical form."""

from typing import Any

from ..errors import InvalidValue, UnknownField
from ..harmonization import catalogue, harmonise

TEXT, NUMBER, BOOLEAN, TIME, SPAN = "text", "number", "boolean", "time", "span"
ADDRESS, NETWORK, TEXTS, ANY = "address", "network", "list of texts", "any"

_KIND_OF_TYPE = {
    "ip": ADDRESS,
    "network": NETWORK,
    "time": TIME,
    "boolean": BOOLEAN,
    "texts": TEXTS,
    "vulnerabilities": TEXTS,
    "extra": ANY,
    **dict.fromkeys(("integer", "number", "accuracy", "latitude", "longitude", "port", "asn"), NUMBER),
}

_ORDERS: dict[str, tuple[str, ...]] = {
    "severity": ("info", "low", "medium", "high", "critical"),
    "priority": ("low", "normal", "high", "urgent"),
    "tlp": ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"),
}
_LENGTH_OF_A_DATE = 10


def kind_of(field: str) -> str:
    """Give the kind of a field's values.

    Raises:
        UnknownField: if the catalogue has no such field.
    """
    fields = catalogue()
    if field not in fields:
        raise UnknownField(field, fields.closest(field))
    known = fields.fields.get(field)
    return ANY if known is None else _KIND_OF_TYPE.get(known.type, TEXT)


def order_of(field: str | None) -> dict[str, int] | None:
    """Give the rank of each value of a field whose texts have an order, or None."""
    order = _ORDERS.get(field or "")
    return None if order is None else {value: rank for rank, value in enumerate(order)}


def canonical(field: str, value: Any) -> Any:
    """Give a constant as the field would hold it; a list's element likewise. A date alone is its midnight in UTC.

    Raises:
        ValueError: with the reason, if the field can't hold it.
    """
    kind = kind_of(field)
    if kind == TIME and len(value) == _LENGTH_OF_A_DATE:
        value = f"{value}T00:00:00+00:00"
    try:
        found = harmonise(field, [value] if kind == TEXTS else value)
    except InvalidValue as error:
        raise ValueError(str(error)) from None
    if kind == TEXTS:
        (found,) = found
    return found
