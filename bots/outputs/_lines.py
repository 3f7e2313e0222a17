"""Events as lines of text: JSON, IntelMQ's JSON, CSV."""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from typing import Any

import orjson

from cleanbots import Event
from cleanbots.harmonization import catalogue
from cleanbots.harmonization.exchange import to_intelmq

Encode = Callable[[Iterable[Event]], bytes]

EXTRA = "extra"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LINE_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def json_lines(fields: Sequence[str]) -> Encode:
    """Make the encoder of one JSON object per line, the id first; with *fields* only these."""
    if fields:
        return lambda events: b"".join(
            [_json({name: event.fields[name] for name in fields if name in event.fields}) for event in events]
        )
    return lambda events: b"".join([_json(_id_first(event.fields)) for event in events])


def intelmq_lines(events: Iterable[Event]) -> bytes:
    """Encode events as IntelMQ 3.5 reads them, one JSON object per line."""
    return b"".join([_json(to_intelmq(event)) for event in events])


def _id_first(fields: dict[str, Any]) -> dict[str, Any]:
    return fields if next(iter(fields), "") == "id" else {"id": fields.get("id", ""), **fields}


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def csv_columns(fields: Sequence[str]) -> tuple[str, ...]:
    """Give the columns: *fields*, or all fields of the catalogue, the id first and the free ones as JSON last."""
    if fields:
        return tuple(fields)
    return ("id", *(name for name in sorted(catalogue().fields) if name not in {"id", EXTRA}), EXTRA)


def csv_header(columns: Sequence[str]) -> bytes:
    """Give the line that names the columns."""
    return _rows([columns])


def csv_lines(columns: Sequence[str], *, formula_safe: bool) -> Encode:
    """Make the encoder of CSV (RFC 4180, but with LF), one line per event.

    A line break within a value is written as a backslash and ``n``; lists and objects as JSON; ``true`` and ``false``.
    With *formula_safe* a text that a spreadsheet would take for a formula gets an apostrophe before it.
    """

    def cell(value: Any) -> Any:
        if isinstance(value, str):
            text = _LINE_BREAK.sub(r"\\n", value)
            return f"'{text}" if formula_safe and value.startswith(_FORMULA) else text
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        return orjson.dumps(value).decode()

    def row(event: Event) -> list[Any]:
        fields = event.fields
        return [cell(fields.get(name) if name != EXTRA else _free(fields)) for name in columns]

    return lambda events: _rows(map(row, events))


def _free(fields: dict[str, Any]) -> dict[str, Any] | None:
    prefix = f"{EXTRA}."
    return {name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix)} or None


def _rows(rows: Iterable[Sequence[Any]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
