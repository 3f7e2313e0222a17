"""The catalogue: every field of events with its type and limits, read once, extendable by operators and plugins."""

import hashlib
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal

import msgspec

from ..data import data_path
from ..errors import ConfigError, UnknownField
from .scalars import Converter, Limits
from .taxonomy import rsit
from .types import TYPES

RULES = 1
"""Number of the converters' rules; raised when one changes what it accepts, as events on the way must be checked again."""

EXTRA = "extra."

_name = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*")
_extra_name = re.compile(r"extra(?:\.[a-z0-9_-]+)+")
_LONGEST_NAME = 255
_KNOWN_EXTRA = 4096


class Field(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One field of events.

    Args:
        type: name of its type; `cleanbots.harmonization.types.TYPES` has them.
        description: one sentence.
        name: dotted, lower case; given by its place in the catalogue.
        length: the most characters of a text.
        pattern: a regular expression that the whole text must match.
        enum: the values that are allowed.
        minimum: the least number.
        maximum: the greatest number.
        report: whether reports know it, too.
        since: the version of IntelMQ that brought it, if it is young.
        export: how it leaves for IntelMQ peers: under the ``same`` name or below ``extra``.
    """

    type: str
    description: str
    name: str = ""
    length: int | None = None
    pattern: str | None = None
    enum: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    report: bool = False
    since: str = ""
    export: Literal["same", "extra"] = "same"

    @property
    def own(self) -> bool:
        """Whether it is a field of cleanbots, unknown to IntelMQ."""
        return self.export == "extra"

    @property
    def group(self) -> str:
        """The first part of its name: ``source``, ``feed``, …; or the whole name."""
        return self.name.partition(".")[0]

    @property
    def limits(self) -> Limits:
        """Its limits, as converters take them."""
        return Limits(self.length, self.pattern, self.enum, self.minimum, self.maximum)


def _is_extra(name: str) -> bool:
    return name.startswith(EXTRA) and len(name) <= _LONGEST_NAME and _extra_name.fullmatch(name) is not None


class _File(msgspec.Struct):
    fields: dict[str, Field]


class Catalogue:
    """Fields by name, and the converters made of them.

    Args:
        fields: by name.
    """

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self.fields: dict[str, Field] = {}
        self.converters: dict[str, Converter] = {}
        self.hash = b""
        self._extra: dict[str, Converter] = {}
        self._take(fields)

    def __contains__(self, name: str) -> bool:
        """Tell whether a field may be set: it is in the catalogue, or a good name below ``extra.``."""
        return name in self.converters or name in self._extra or _is_extra(name)

    def converter(self, name: str) -> Converter:
        """Give the converter of a field.

        Raises:
            UnknownField: if the catalogue has no such field and it is no good name below ``extra.``.
        """
        found = self.converters.get(name) or self._extra.get(name)
        if found is None:
            if not _is_extra(name):
                raise UnknownField(name, self.closest(name))
            if len(self._extra) >= _KNOWN_EXTRA:
                self._extra.clear()
            found = self._extra[name] = TYPES["extra"].make(Limits())
        return found

    def closest(self, name: str) -> str:
        """Give the known name that is closest to *name*, or "" if none is close."""
        if name == "extra":
            return "extra.<name>"
        if name.lower().startswith(EXTRA):
            good = re.sub(r"[^a-z0-9_.-]+", "_", name.lower()).strip("._")[:_LONGEST_NAME]
            return good if _extra_name.fullmatch(good) else ""
        close = get_close_matches(name.lower(), self.fields, n=1)
        return close[0] if close else ""

    def add(self, fields: Mapping[str, Any]) -> None:
        """Add fields, given in the catalogue's own form: name to ``{type, description, …}``.

        A field that is there already with the very same definition is left alone.

        Raises:
            ConfigError: a line for each field that can't be added, and why; none is added then.
        """
        added: dict[str, Field] = {}
        mistakes: list[str] = []
        for name, definition in fields.items():
            try:
                field = _field(name, definition)
            except ValueError as error:
                mistakes.append(f"field {name!r}: {error}")
                continue
            there = self.fields.get(name)
            if there is not None and there != field:
                mistakes.append(
                    f"field {name!r}: the catalogue has it already, with another definition; choose another name"
                )
            elif there is None:
                added[name] = field
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        if added:
            self._take(added)

    def _take(self, fields: Mapping[str, Field]) -> None:
        for name, field in fields.items():
            self.fields[name] = field
            if field.type != "extra":
                self.converters[name] = TYPES[field.type].make(field.limits)
        self.hash = self._digest()

    def _digest(self) -> bytes:
        facts = {name: [field.type, field.limits] for name, field in sorted(self.fields.items())}
        text = msgspec.json.encode([RULES, rsit(), facts])
        return hashlib.blake2b(text, digest_size=8).digest()


def _field(name: str, definition: Any) -> Field:
    """Make a further field of its definition; raises ValueError with what is wrong."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or _name.fullmatch(name) is None:
        raise ValueError("a name is made of lower-case letters, digits and underscores, in parts joined by dots")
    if name == "extra" or name.startswith(EXTRA):
        raise ValueError("names below 'extra.' are free already and need no definition")
    if isinstance(definition, Field):
        definition = msgspec.to_builtins(definition)
    if not isinstance(definition, Mapping):
        raise ValueError("a definition is a mapping with at least 'type' and 'description'")  # noqa: TRY004  # one kind
    field = msgspec.convert({"export": "extra", **definition, "name": name}, Field)
    kind = TYPES.get(field.type)
    if kind is None or field.type == "extra":
        close = get_close_matches(field.type, TYPES, n=1)
        raise ValueError(f"no such type {field.type!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    given = set(msgspec.to_builtins(field)) & {"length", "pattern", "enum", "minimum", "maximum"}
    if given - kind.limits:
        raise ValueError(f"the type {field.type!r} takes no {', '.join(sorted(given - kind.limits))}")
    try:
        kind.make(field.limits)
    except re.error as error:
        raise ValueError(f"the pattern {field.pattern!r} is no regular expression: {error}") from None
    return field


def load() -> Catalogue:
    """Read the shipped catalogue, as a catalogue of its own."""
    content = msgspec.json.decode(data_path("harmonization", "events.json").read_bytes(), type=_File)
    return Catalogue({name: msgspec.structs.replace(field, name=name) for name, field in content.fields.items()})


@cache
def catalogue() -> Catalogue:
    """Give the catalogue of this process."""
    return load()


def extend(fields: Mapping[str, Any]) -> None:
    """Add fields of an operator or a plugin to the catalogue of this process; `Catalogue.add` says how."""
    catalogue().add(fields)


def catalogue_hash() -> bytes:
    """Give the 8 bytes that tell catalogues apart: fields, types, limits, taxonomy and the converters' rules."""
    return catalogue().hash
