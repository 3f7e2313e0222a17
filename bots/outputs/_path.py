"""Paths with fields of the event in them, from which no value of an event can lead anywhere else."""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from cleanbots.harmonization import catalogue

_PIECE = re.compile(r"\{(?P<field>[^{}|:]+)(?::(?P<form>[^{}|]*))?(?:\|(?P<other>[^{}]*))?\}")
_FORM = re.compile(r"%(.)")
_SLICES = {"Y": (0, 4), "m": (5, 7), "d": (8, 10), "H": (11, 13), "M": (14, 16), "S": (17, 19)}
"""Where the parts lie in the canonical text of a time, ``2026-11-20T07:30:00+00:00``."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_VALUE, _MAX_NAME = 100, 200
_MAX_KNOWN = 4096
_UNKNOWN = "unknown"

Part = Callable[[Mapping[str, Any]], str]


class PathTemplate:
    """A path such as ``events/{time.observation:%Y-%m-%d}/{source.asn|none}.jsonl``.

    ``{field}`` stands for a field's value, ``{field:%Y-%m-%d}`` for a part of a time, ``{field|other}`` for *other*
    where the field is missing (``unknown`` if nothing is said). Of a value the letters A to Z, digits, ``.``, ``_`` and
    ``-`` are kept, anything else becomes ``_``; no file or folder made of values begins with a dot.

    Args:
        template: the path as configured.

    Attributes:
        fixed: whether all events have the same path.

    Raises:
        ValueError: if it names an unknown field, or can't be read.
    """

    def __init__(self, template: str) -> None:
        if "\0" in template or template.endswith("/"):
            raise ValueError(f"path: {template!r} names no file")
        head = _PIECE.split(template, maxsplit=1)[0]
        root, slash, _ = head.rpartition("/")
        self.root = PurePosixPath(root or slash or ".")
        self._parts = _parts(template[len(root) + len(slash) :])
        self.fixed = _PIECE.search(template) is None
        self._known: dict[tuple[str, ...], str] = {}

    def __call__(self, fields: Mapping[str, Any]) -> str:
        """Give the path of an event's file, relative to `root`."""
        key = tuple([part(fields) for part in self._parts])
        path = self._known.get(key)
        if path is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            path = self._known[key] = "/".join(map(_name, "".join(key).split("/")))
        return path


def _parts(template: str) -> list[Part]:
    parts: list[Part] = []
    position = 0
    for match in _PIECE.finditer(template):
        parts += _literal(template[position : match.start()])
        parts.append(_value(match["field"].strip(), match["form"], match["other"]))
        position = match.end()
    return parts + _literal(template[position:])


def _literal(text: str) -> list[Part]:
    if "{" in text or "}" in text:
        raise ValueError(f"path: a lone brace in {text!r}; write {{field}}, {{field:%Y-%m-%d}} or {{field|other}}")
    if ".." in text.split("/"):
        raise ValueError("path: '..' may stand only before the first field")
    return [lambda _: text] if text else []


def _value(field: str, form: str | None, other: str | None) -> Part:
    catalogue().converter(field)
    missing = _safe(other) if other else _UNKNOWN
    if form is None:
        return lambda fields: missing if (value := fields.get(field)) is None else _safe(str(value))
    known = catalogue().fields.get(field)
    if known is None or known.type != "time":
        raise ValueError(f"path: {field} is no time and can't be written as {form!r}")
    pieces = _slices(form)

    def part(fields: Mapping[str, Any]) -> str:
        time = fields.get(field)
        if time is None:
            return missing
        return "".join([piece if isinstance(piece, str) else time[piece] for piece in pieces])

    return part


def _slices(form: str) -> list[str | slice]:
    pieces: list[str | slice] = []
    position = 0
    for match in _FORM.finditer(form):
        pieces.append(_literal_form(form[position : match.start()]))
        if match[1] not in _SLICES:
            known = ", ".join(f"%{letter}" for letter in _SLICES)
            raise ValueError(f"path: {match[0]} is not known; there are {known}")
        pieces.append(slice(*_SLICES[match[1]]))
        position = match.end()
    pieces.append(_literal_form(form[position:]))
    return [piece for piece in pieces if piece != ""]


def _literal_form(text: str) -> str:
    if ".." in text or "%" in text:
        raise ValueError(f"path: {text!r} can't stand in the form of a time")
    return text


def _safe(value: str) -> str:
    return _UNSAFE.sub("_", value[:_MAX_VALUE]) or "_"


def _name(component: str) -> str:
    """Give a component that is a plain name: never empty, ``.`` or ``..``, and not hidden."""
    return (f"_{component}" if component.startswith(".") or not component else component)[:_MAX_NAME]
