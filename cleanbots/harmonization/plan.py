"""Plans: a function compiled from a table's mapping and the catalogue, that makes an event of a row."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ..errors import InvalidRow, InvalidValue
from .catalogue import catalogue
from .convert import harmonise, rejected_name
from .types import TYPES
from .values import rejection

CACHED = 4096
"""How many conversions a column remembers; then it starts anew."""

_SKIP: Any = object()
_REJECTED: Any = object()
_IMMUTABLE = (str, int, float, bool)


class Column(msgspec.Struct, frozen=True):
    """How one column of a table becomes a field.

    Args:
        field: the field it fills.
        index: 0-based place in the row.
        convert: makes another value of the text before the field's own conversion; None is no value; raises ValueError
            with the reason if the text is bad.
        required: whether a bad value makes the whole row bad; otherwise it is kept under ``extra.rejected.``.
        row_convert: as *convert*, but is given the whole row too.
    """

    field: str
    index: int
    convert: Callable[[str], Any] | None = None
    required: bool = False
    row_convert: Callable[[str, Sequence[str]], Any] | None = None


_Build = Callable[[Sequence[str], dict[str, Any]], None]


class Plan:
    """A compiled mapping; `compile_plan` makes it.

    Args:
        columns: in the order in which they are set; of two columns with one field the later wins.
        constants: canonical fields that every event gets.
    """

    def __init__(self, columns: Sequence[Column], constants: Mapping[str, Any]) -> None:
        self.columns = tuple(columns)
        self.constants = dict(constants)
        self.width = max((column.index for column in columns), default=-1) + 1
        self._fill = _compile(self.columns)

    def build(self, row: Sequence[str], base: Mapping[str, Any]) -> dict[str, Any]:
        """Make the fields of an event: *base*, the constants, then each column that is not empty.

        Raises:
            InvalidRow: if the row is too short for the plan.
            InvalidValue: if a required column does not fit.
        """
        if len(row) < self.width:
            raise InvalidRow(f"{len(row)} columns where at least {self.width} are expected")
        fields = {**base, **self.constants}
        self._fill(row, fields)
        return fields


def compile_plan(columns: Sequence[Column], constants: Mapping[str, Any] | None = None) -> Plan:
    """Compile a mapping.

    Args:
        columns: which column fills which field.
        constants: fields with one value for all rows; harmonised here.

    Raises:
        UnknownField: if a column or constant names a field that the catalogue does not have.
        InvalidValue: if a constant does not fit its field.
    """
    return Plan(columns, {field: harmonise(field, value) for field, value in (constants or {}).items()})


def _compile(columns: Sequence[Column]) -> _Build:
    """Write the function for *columns* and compile it.

    Its text is made of numbers only; names of fields, caches and converters reach it as variables.
    """
    lines = ["def fill(row, fields):", " pass"]
    scope: dict[str, Any] = {"SKIP": _SKIP, "REJECTED": _REJECTED}
    for n, column in enumerate(columns):
        cell = _Cell(column)
        scope |= {f"field{n}": column.field, f"miss{n}": cell.convert}
        lines += [f" text = row[{int(column.index)}]", " if text:"]
        if cell.remembers:
            scope |= {f"get{n}": cell.cache.get, f"miss{n}": cell.convert_and_remember}
            lines += [f"  value = get{n}(text)", f"  if value is None: value = miss{n}(text, row, fields)"]
        else:
            lines += [f"  value = miss{n}(text, row, fields)"]
        lines += [f"  if value is not SKIP and value is not REJECTED: fields[field{n}] = value"]
    exec(compile("\n".join(lines), "<plan>", "exec"), scope)  # noqa: S102  # see above
    build: _Build = scope["fill"]
    return build


class _Cell:
    """Converts the cells of one column, and remembers conversions where values repeat."""

    __slots__ = ("_column", "_harmonise", "cache", "remembers")

    def __init__(self, column: Column) -> None:
        self._column = column
        self._harmonise = catalogue().converter(column.field)
        self.cache: dict[str, Any] = {}
        field = catalogue().fields.get(column.field)
        repeats = field is None or not TYPES[field.type].distinct or column.convert is not None
        self.remembers = repeats and column.row_convert is None

    def convert(self, text: str, row: Sequence[str], fields: dict[str, Any]) -> Any:
        """Give the cell's canonical value, `_SKIP` if it has none, `_REJECTED` if it was rejected."""
        column = self._column
        if text.isspace():
            return _SKIP
        try:
            value: Any = text
            if column.row_convert is not None:
                value = column.row_convert(text, row)
            elif column.convert is not None:
                value = column.convert(text)
            return _SKIP if value is None else self._harmonise(value)
        except ValueError as error:
            reason = error.reason if isinstance(error, InvalidValue) else str(error)
            if column.required:
                raise InvalidValue(column.field, text, reason) from None
            fields[rejected_name(column.field)] = rejection(text, reason)
            return _REJECTED

    def convert_and_remember(self, text: str, row: Sequence[str], fields: dict[str, Any]) -> Any:
        """Convert, and remember what can be shared between events; a rejection is made anew each time."""
        value = self.convert(text, row, fields)
        if value is _SKIP or isinstance(value, _IMMUTABLE):
            if len(self.cache) >= CACHED:
                self.cache.clear()
            self.cache[text] = value
        return value
