"""Say in a person's words what a JSON Schema finds wrong: every mistake, where it is, and what would mend it."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from ..errors import shorten
from ..params import DURATION_PATTERN, SIZE_PATTERN
from .finding import Path, closest
from .shape import MAIL_PATTERN, NAME_PATTERN, PER_MINUTE_PATTERN, TIMES_PATTERN, USE_PATTERN
from .source import Source
from .values import schema_of

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_PATTERNS = {
    DURATION_PATTERN: ("is no time span", "write a number and its unit, such as 30s, 15m, 24h or 7d"),
    SIZE_PATTERN: ("is no size", "write a number and its unit, such as 64KiB, 1MiB or 20GiB"),
    NAME_PATTERN: ("is no name", "use letters, digits, '_', '-' and '.', at most 63, the first a letter or digit"),
    MAIL_PATTERN: ("is no mail address", "write one address, such as csirt@hub.example.net"),
    TIMES_PATTERN: ("is no factor", "write a number and x, such as 5x"),
    PER_MINUTE_PATTERN: ("is no rate", "write a number a minute, such as 20/min"),
    USE_PATTERN: ("names no bot class", "write kind/name, the kind being collector, parser, expert or output"),
}
_YES_NO = frozenset({"yes", "no", "on", "off", "y", "n"})
_LIMITS = {
    "minimum": "is less than {}",
    "maximum": "is more than {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "is no multiple of {}",
    "minLength": "is shorter than {} characters",
    "maxLength": "is longer than {} characters",
    "minItems": "has fewer than {} elements",
    "maxItems": "has more than {} elements",
    "minProperties": "has fewer than {} entries",
    "maxProperties": "has more than {} entries",
}


class Complaint(NamedTuple):
    """What is wrong with the value at *path*, or with its *key*."""

    path: Path
    text: str
    hint: str
    key: bool


@cache
def validator(struct: type[msgspec.Struct]) -> Draft202012Validator:
    """Give the (kept) validator of a struct."""
    return Draft202012Validator(schema_of(struct))


def complain(source: Source, struct: type[msgspec.Struct], value: Any, path: Path) -> bool:
    """Note every way in which *value* does not fit *struct*.

    Args:
        source: takes the findings and tells where things stand.
        struct: what is wanted.
        value: what was written.
        path: where it stands in the configuration.

    Returns:
        whether it fits.
    """
    found = dict.fromkeys(_explain(validator(struct).iter_errors(value)))
    for inner, text, hint, key in found:
        source.find((*path, *inner), text, hint, key=key)
    return not found


def _explain(errors: Iterable[ValidationError]) -> Iterator[Complaint]:
    for error in errors:
        path: Path = tuple(error.absolute_path)
        kind = str(error.validator)
        if "propertyNames" in error.absolute_schema_path:
            yield Complaint((*path, str(error.instance)), *_bad_value(error), key=True)
        elif kind == "additionalProperties":
            yield from _unknown_keys(error, path)
        elif kind == "required":
            yield from _missing_keys(error, path)
        elif kind in {"anyOf", "oneOf"}:
            yield from _no_branch(error, path)
        else:
            yield Complaint(path, *_bad_value(error), key=False)


def _unknown_keys(error: ValidationError, path: Path) -> Iterator[Complaint]:
    known = _schema(error).get("properties", {})
    instance: Any = error.instance
    for key in instance:
        if key not in known:
            hint = closest(key, set(known) - set(instance), "remove it") if known else "nothing can be set here"
            yield Complaint((*path, key), "no such key", hint, key=True)


def _missing_keys(error: ValidationError, path: Path) -> Iterator[Complaint]:
    schema = _schema(error)
    instance: Any = error.instance
    for key in schema.get("required", ()):
        if key not in instance:
            about = schema.get("properties", {}).get(key, {}).get("description", "")
            hint = f"add '{key}:'" + (f" ({about.rstrip('.')})" if about else "")
            yield Complaint(path, f"{key!r} is missing", hint, key=True)


def _no_branch(error: ValidationError, path: Path) -> Iterator[Complaint]:
    """Follow the branches that want this type of value; if none does, say which types fit."""
    branches: dict[int, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(int(inner.schema_path[0]), []).append(inner)
    meant = [inner for inner in branches.values() if not any(_is_type_error(one, path) for one in inner)]
    if meant:
        meant.sort(key=len)
        yield from _explain(meant[0])
        return
    types = [one for inner in branches.values() for one in inner if _is_type_error(one, path)]
    for one in types:
        if _schema(one).get("pattern") in (DURATION_PATTERN, SIZE_PATTERN):
            yield Complaint(path, *_bad_value(one), key=False)
            return
    names = [_TYPES.get(str(one.validator_value), str(one.validator_value)) for one in types]
    wanted = " or ".join(dict.fromkeys(name for name in names if name != "nothing" or len(names) == 1))
    yield Complaint(path, f"expected {wanted}, got {_shown(error)}", _type_hint(error.instance, wanted), key=False)


def _is_type_error(error: ValidationError, path: Path) -> bool:
    return error.validator == "type" and tuple(error.absolute_path) == path


def _bad_value(error: ValidationError) -> tuple[str, str]:
    schema = _schema(error)
    kind, got = str(error.validator), _shown(error)
    wanted: Any = error.validator_value
    if kind == "type":
        if isinstance(error.instance, (int, float)) and schema.get("pattern") in (DURATION_PATTERN, SIZE_PATTERN):
            units = ("s", "m", "h") if schema["pattern"] == DURATION_PATTERN else ("KiB", "MiB", "GiB")
            return f"{got} has no unit", "write " + " or ".join(f"{error.instance}{unit}" for unit in units)
        types: list[str] = wanted if isinstance(wanted, list) else [wanted]
        name = " or ".join(_TYPES.get(each, each) for each in types)
        return f"expected {name}, got {got}", _type_hint(error.instance, name)
    if kind == "enum":
        names = [str(each) for each in wanted]
        hint = closest(str(error.instance), names)
        return f"{got} is not allowed", hint if hint.startswith("did") else f"allowed: {', '.join(names)}"
    if kind == "pattern":
        text, hint = _PATTERNS.get(wanted, (f"does not match {wanted}", _described(schema)))
        return f"{got} {text}", hint
    if kind in _LIMITS:
        return f"{got} {_LIMITS[kind].format(wanted)}", _described(schema) or "write one that fits"
    return f"{got}: {'does not fit' if _holds_secret(schema) else error.message}", _described(schema)


def _schema(error: ValidationError) -> dict[str, Any]:
    return error.schema if isinstance(error.schema, dict) else {}


def _holds_secret(schema: dict[str, Any]) -> bool:
    return b'"writeOnly"' in msgspec.json.encode(schema)


def _described(schema: dict[str, Any]) -> str:
    text: str = schema.get("description", "")
    return text[:1].lower() + text[1:].rstrip(".")


def _shown(error: ValidationError) -> str:
    value = error.instance
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    # What stands where a secret belongs must not be shown, whatever it is.
    return "a value that is not shown" if _holds_secret(_schema(error)) else shorten(value)


def _type_hint(value: Any, wanted: str) -> str:
    if "true or false" in wanted and isinstance(value, str) and value.lower() in _YES_NO:
        return "write true or false"
    if wanted == "text" and isinstance(value, (int, float)):
        return f'quote it: "{str(value).lower() if isinstance(value, bool) else value}"'
    if value is None:
        return f"remove the key, or give it {wanted}"
    return f"write {wanted}"
