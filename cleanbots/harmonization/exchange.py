"""Exchange of events: nested form and back, and the data format of IntelMQ 3.5 and back."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

import orjson

from ..errors import InvalidValue, UnknownField
from .catalogue import EXTRA, catalogue
from .convert import harmonise, rejected_name
from .taxonomy import rsit
from .values import rejection

OWN = "extra.cleanbots."
"""Where fields of ours travel among IntelMQ peers; a name space of its own, so that no peer's ``extra`` is mistaken."""

_TLP_1 = {"CLEAR": "WHITE", "AMBER+STRICT": "AMBER"}


class _Event(Protocol):
    fields: dict[str, Any]

    def original(self) -> str | None: ...


def hierarchical(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Nest flat fields by the dots in their names; below ``extra`` names stay as they are, so that nothing can clash."""
    nested: dict[str, Any] = {}
    for name, value in fields.items():
        if name.startswith(EXTRA):
            nested.setdefault("extra", {})[name.removeprefix(EXTRA)] = value
            continue
        *parents, last = name.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return nested


def flat(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `hierarchical`; fields that are flat already may stand beside nested ones."""
    return dict(_flat(nested, ""))


def _flat(nested: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and not name.startswith(EXTRA):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def to_intelmq(event: _Event) -> dict[str, Any]:
    """Give an event as IntelMQ 3.5 takes it: flat, ``__type`` included.

    ``raw`` is the original row below its report's header, in Base64; our own fields go below ``extra.cleanbots.``; the
    taxonomy is in IntelMQ's spelling, TLP in the words of version 1, vulnerabilities as one text joined by semicolons.
    """
    known = catalogue().fields
    found: dict[str, Any] = {"__type": "Event"}
    for name, value in event.fields.items():
        field = known.get(name)
        found[f"{OWN}{name}" if field is not None and field.own else name] = value
    original = event.original()
    if original is not None:
        found["raw"] = base64.b64encode(original.encode()).decode()
    if (kind := found.get("classification.type")) in rsit().intelmq_spelling:
        found["classification.type"] = rsit().intelmq_spelling[kind]
    if (tlp := found.get("tlp")) in _TLP_1:
        found["tlp"] = _TLP_1[tlp]
        if tlp == "AMBER+STRICT":
            found[f"{OWN}tlp"] = tlp
    if "product.vulnerabilities" in found:
        found["product.vulnerabilities"] = ";".join(found["product.vulnerabilities"]).lower()
    return found


def from_intelmq(message: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of an event or report of IntelMQ 3.x, flat or nested.

    Returns:
        harmonised fields; a value that does not fit is kept as ``extra.rejected.<field>`` with the reason.
    """
    found: dict[str, Any] = {}
    strict_tlp = None
    for name, value in _intelmq_fields(message):
        if name == f"{OWN}tlp":
            strict_tlp = value
            continue
        own = catalogue().fields.get(name.removeprefix(OWN)) if name.startswith(OWN) else None
        _take(found, own.name if own is not None and own.own else name, value)
    if strict_tlp is not None and found.get("tlp", "AMBER") == "AMBER":
        _take(found, "tlp", strict_tlp)
    return found


def _intelmq_fields(message: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in flat(
        {key: _extra(value) if key == "extra" else value for key, value in message.items()}
    ).items():
        if name != "__type" and value is not None and value != "":
            yield name, value


def _extra(value: Any) -> Any:
    """Give IntelMQ's ``extra``, which may be JSON text, as an object; what is neither is kept as it is."""
    if isinstance(value, str):
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
    return value if isinstance(value, Mapping) else {"value": value}


def _take(found: dict[str, Any], name: str, value: Any) -> None:
    try:
        found[_free_name(found, name)] = harmonise(name, _raw(value) if name == "raw" else value)
    except InvalidValue as error:
        found[_free_name(found, rejected_name(name))] = rejection(value, error.reason)
    except UnknownField:
        target = catalogue().closest(name) if name.lower().startswith(EXTRA) else ""
        if target:
            _take(found, _free_name(found, target), value)
        else:
            found[_free_name(found, rejected_name(name))] = rejection(value, "no such field in this catalogue")


def _free_name(found: Mapping[str, Any], name: str) -> str:
    """Give *name*, or with a number if it is below ``extra.`` and taken: two names may become one in lower case."""
    if name not in found or not name.startswith(EXTRA):
        return name
    return next(free for n in range(2, len(found) + 3) if (free := f"{name}_{n}") not in found)


def _raw(value: Any) -> str:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InvalidValue("raw", value, "not Base64") from None
    return data.decode("utf-8", "backslashreplace")
