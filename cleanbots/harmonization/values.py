"""Free JSON values: what ``extra.`` may hold, and JSON text."""

from math import isfinite
from typing import Any

import orjson

from .scalars import LIST_LENGTH, Converter, Limits, clean, unfit

MOST_BYTES = 64 * 1024
"""The most that one ``extra.`` value may take, as JSON."""

MOST_LEVELS = 4
"""How deep lists and objects may nest."""

MOST_TEXT = 1000
"""Characters of a value that are kept when it is rejected."""


_LEAST, _MOST = -(2**63), 2**63 - 1


def free(value: Any) -> Any:
    """Convert a JSON value of at most 64 KiB and four levels.

    Text is stripped and cleaned as in text fields; inside of lists and objects it is only cleaned, and null may stand.
    """
    if type(value) is str:
        found = value.strip()
        if not found.isprintable():
            found = clean(found)
        if not found:
            raise ValueError("empty")
        if len(found) > MOST_BYTES or (not found.isascii() and len(found.encode()) > MOST_BYTES):
            raise ValueError(f"more than {MOST_BYTES} bytes")
        return found
    if type(value) is int and _LEAST <= value <= _MOST:
        return value
    if value is None:
        raise ValueError("empty")
    found = _tidy(value, MOST_LEVELS)
    if isinstance(found, (list, dict)) and len(orjson.dumps(found)) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes as JSON")
    return free(found) if isinstance(found, str) else found


def objects(value: Any) -> list[dict[str, Any]]:
    """Convert a list of JSON objects, at least one, within the limits of `free`."""
    if not isinstance(value, (list, tuple)):
        raise unfit(value, "a list of objects")
    if not 0 < len(value) <= LIST_LENGTH:
        raise ValueError(f"{len(value)} elements, and 1 to {LIST_LENGTH} are allowed")
    if not all(isinstance(item, dict) for item in value):
        raise ValueError("every element must be an object")
    found: list[dict[str, Any]] = free(value)
    return found


def _tidy(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return clean(str(value))
    if value is None or isinstance(value, (bool, int, float)):
        if not _fits_json(value):
            raise ValueError("not a finite number within 64 bits")
        return value
    if not isinstance(value, (list, tuple, dict)):
        raise unfit(value, "a JSON value")
    if levels == 0:
        raise ValueError(f"nested deeper than {MOST_LEVELS} levels")
    if not isinstance(value, dict):
        return [_tidy(item, levels - 1) for item in value]
    if not all(isinstance(key, str) for key in value):
        raise ValueError("keys of an object must be texts")
    return {clean(key): _tidy(item, levels - 1) for key, item in value.items()}


def _fits_json(value: float | None) -> bool:
    """Tell whether a number survives JSON as it is: finite, and within 64 bits if it is whole."""
    return value is None or (isfinite(value) if isinstance(value, float) else _LEAST <= value <= _MOST)


def json_text(limits: Limits) -> Converter:
    """Make a converter for JSON text; lists, objects and text that is no JSON are written as JSON (RFC 8259)."""
    longest = limits.length or MOST_BYTES

    def convert(value: Any) -> str:
        found = _json_text(value)
        if len(found) > longest:
            raise ValueError(f"{len(found)} characters, and {longest} are allowed")
        return found

    return convert


def _json_text(value: Any) -> str:
    if isinstance(value, str):
        value = clean(value.strip())
        if not value:
            raise ValueError("empty")
        try:
            orjson.loads(value)
        except orjson.JSONDecodeError:
            return orjson.dumps(value).decode()
        return str(value)
    if not isinstance(value, (list, dict)):
        raise unfit(value, "JSON")
    return orjson.dumps(_tidy(value, 64), option=orjson.OPT_SORT_KEYS).decode()


def rejection(value: Any, reason: str) -> dict[str, Any]:
    """Give what is kept under ``extra.rejected.<field>``: the value, cut to what is fit to store, and the reason."""
    kept: Any = value
    if not isinstance(value, (bool, int, float)):
        kept = clean((value if isinstance(value, str) else repr(value))[:MOST_TEXT])
    elif not _fits_json(value):
        kept = (repr(value) if isinstance(value, float) else hex(value))[:MOST_TEXT]
    return {"value": kept, "reason": clean(reason)[:MOST_TEXT]}
