"""Plans: a function compiled from a table's mapping and the catalogue, that makes events of rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ..errors import InvalidRow, InvalidValue
from .catalogue import catalogue
from .convert import harmonise, rejected_name
from .types import TYPES
from .values import rejection

CACHED = 4096
"""How many conversions a column remembers; then it starts anew or, if most of them served once, stops remembering."""

_SKIP: Any = object()
_IMMUTABLE = (str, int, float, bool)
_LISTS = frozenset({"texts", "vulnerabilities"})
"""Types whose values are lists of texts."""

Row = Sequence[str]
Fields = dict[str, Any]
Failure = tuple[int, Exception]
_Fill = Callable[[Iterable[Row], Iterable[Fields], list[Failure]], None]


class Column(msgspec.Struct, frozen=True):
    """How one column of a table becomes a field.

    Args:
        field: the field it fills.
        index: 0-based place in the row.
        convert: makes another value of the text before the field's own conversion; None is no value; raises ValueError
            with the reason if the text is bad.
        required: whether a bad value makes the whole row bad; otherwise it is kept under ``extra.rejected.``.
        row_convert: as *convert*, but is given the whole row too.
        canonical: whether *convert* gives canonical values of the field, so that they need no further conversion.
    """

    field: str
    index: int
    convert: Callable[[str], Any] | None = None
    required: bool = False
    row_convert: Callable[[str, Row], Any] | None = None
    canonical: bool = False


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
        self._rejected: Fields = {}
        self._cells = [_Cell(column, self._rejected) for column in columns]
        self._rows = 0
        self._fill = self._compile()

    def build(self, row: Row, base: Mapping[str, Any]) -> Fields:
        """Make the fields of an event: *base*, the constants, then each column that is not empty.

        Raises:
            InvalidRow: if the row is too short for the plan.
            InvalidValue: if a required column does not fit.
        """
        fields = {**base, **self.constants}
        for _, error in self.fill([row], [fields]):
            raise error
        return fields

    def fill(self, rows: Sequence[Row], events: Iterable[Fields]) -> list[Failure]:
        """Set in each of *events* the columns of its row that are not empty. The constants are the caller's to set.

        Returns:
            for each row that failed its index and its error, as of `build`; its event is half done.
        """
        failed: list[Failure] = []
        self._fill(rows, events, failed)
        self._rows += len(rows)
        full = [cell for cell in self._cells if len(cell) >= CACHED]
        for cell in full:
            cell.start_anew(self._rows)
        if any(not cell.remembers for cell in full):
            self._fill = self._compile()
        return failed

    def _compile(self) -> _Fill:
        """Write the function that fills, and compile it.

        Its text is made of numbers only; names of fields, caches and converters reach it as variables.
        """
        scope: dict[str, Any] = {"SKIP": _SKIP, "cut": self._cut, "rejected": self._rejected}
        texts = ", ".join(f"text{index}" for index in range(self.width))
        lines = [
            "def fill(rows, events, failed):",
            " n = -1",
            " for row, fields in zip(rows, events):",
            "  n += 1",
            "  try:",
            f"   [{texts}] = row if len(row) == {self.width} else cut(row)",
        ]
        for n, (column, cell) in enumerate(zip(self.columns, self._cells, strict=True)):
            text, value = f"text{int(column.index)}", "value[:]" if cell.of_lists else "value"
            scope |= {f"field{n}": column.field, f"known{n}": cell, f"convert{n}": cell.convert}
            found = f"known{n}[{text}]" if cell.remembers else f"convert{n}({text}, row) if {text} else SKIP"
            lines += [f"   value = {found}", f"   if value is not SKIP: fields[field{n}] = {value}"]
        lines += [
            "   if rejected: fields.update(rejected)",
            "  except Exception as error:",
            "   failed.append((n, error))",
            "  if rejected: rejected.clear()",
        ]
        exec(compile("\n".join(lines), "<plan>", "exec"), scope)  # noqa: S102  # see above
        fill: _Fill = scope["fill"]
        return fill

    def _cut(self, row: Row) -> Row:
        if len(row) < self.width:
            raise InvalidRow(f"{len(row)} columns where at least {self.width} are expected")
        return row[: self.width]


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


class _Cell(dict[str, Any]):
    """Converts the cells of one column, and remembers conversions by their text as long as texts repeat.

    Args:
        column: which one.
        rejected: where a value that doesn't fit is put, by the name that it is kept under.

    Attributes:
        convert: takes text and row; gives the canonical value, or `_SKIP` if the cell has none or it was rejected.
        remembers: whether the cell itself is to be asked for a text, instead of `convert`.
        of_lists: whether values are lists, of which each event needs its own.
    """

    __slots__ = ("_rejected", "_since", "convert", "of_lists", "remembers")

    def __init__(self, column: Column, rejected: Fields) -> None:
        super().__init__({"": _SKIP})
        field = catalogue().fields.get(column.field)
        kind = "extra" if field is None else field.type
        self.convert = _converter(column, rejected)
        self.of_lists = kind in _LISTS
        repeats = not TYPES[kind].distinct or column.convert is not None
        self.remembers = repeats and not column.canonical and column.row_convert is None
        self._rejected = rejected
        self._since = 0

    def __missing__(self, text: str) -> Any:
        """Convert, and remember what can be shared between events; a rejection is made anew each time."""
        before = len(self._rejected)
        value = self.convert(text, ())
        if len(self._rejected) == before and (self.of_lists or value is _SKIP or isinstance(value, _IMMUTABLE)):
            self[text] = value
        return value

    def start_anew(self, rows: int) -> None:
        """Forget all conversions; remember no more if not even half of the *rows* up to now found theirs."""
        self.remembers = rows - self._since > 2 * len(self)
        self._since = rows
        self.clear()
        self[""] = _SKIP


def _converter(column: Column, rejected: Fields) -> Callable[[str, Row], Any]:
    """Make the function that converts a cell of *column*."""
    canonical = catalogue().converter(column.field)
    by_text, by_row, finished = column.convert, column.row_convert, column.canonical

    def convert(text: str, row: Row) -> Any:
        if text.isspace():
            return _SKIP
        try:
            value: Any = text
            if by_text is not None:
                value = by_text(text)
            elif by_row is not None:
                value = by_row(text, row)
            return _SKIP if value is None else value if finished else canonical(value)
        except ValueError as error:
            reason = error.reason if isinstance(error, InvalidValue) else str(error)
            if column.required:
                raise InvalidValue(column.field, text, reason) from None
            rejected[rejected_name(column.field)] = rejection(text, reason)
            return _SKIP

    return convert
