"""Parse tables of any kind, CSV and its relatives, by a mapping in the configuration."""

import re
from typing import Annotated

from cleanbots import Chunk, Context, CsvParser, Cut, Event, InvalidRow, Meta, Row
from cleanbots.charset import is_known
from cleanbots.formats import other_delimiter
from cleanbots.harmonization import Column, Plan, compile_plan

from ._fields import Conversion, FieldParams, check_fields, compiled, pick, places

Target = str | list[str] | None
_SingleCharacter = Annotated[str, Meta(min_length=1, max_length=1, pattern=r"^[\x09\x20-\x7e]$")]


class CsvParams(FieldParams):
    """Parameters of ``parser/csv``."""

    columns: Annotated[
        list[Target] | dict[str, Target],
        Meta(
            description=(
                "Which column fills which field. A list goes by position; a mapping goes by the column's name, its number "
                "(from 1) or a regular expression for its name between slashes, whose groups may stand in the field: "
                r"`/geo_(.*)/: extra.\1`. null leaves a column out; a list of fields is tried until the value fits one."
            )
        ),
    ]
    delimiter: Annotated[_SingleCharacter, Meta(description="The character between two columns.")] = ","
    quote: Annotated[str, Meta(pattern=r"^[\x20-\x7e]?$", description='The character around values; "" for none.')] = (
        '"'
    )
    header: Annotated[bool, Meta(description="Whether the first row names the columns.")] = True
    skip_lines: Annotated[int, Meta(ge=0, description="How many lines at the start are no part of the table.")] = 0
    comments: Annotated[list[str], Meta(description="Lines that begin with one of these are skipped, e.g. `#`.")] = []
    encoding: Annotated[str, Meta(description="The character set; by default what the source declares, or UTF-8.")] = ""

    def __post_init__(self) -> None:
        """Check what a schema can't say."""
        super().__post_init__()
        if self.encoding and not is_known(self.encoding):
            raise ValueError(f"encoding: no such character set: {self.encoding!r}; write e.g. utf-8 or cp1252")
        if not self.columns:
            raise ValueError("columns: no column fills a field; name at least one")
        if isinstance(self.columns, dict):
            for key, target in self.columns.items():
                _check(_fields_of(target), _pattern(key))
        else:
            check_fields(field for target in self.columns for field in _fields_of(target))
        if not self.header:
            self._check_numbers()

    def _check_numbers(self) -> None:
        composed = (place for template in self.compose.values() for place in places(template))
        mapped = self.columns if isinstance(self.columns, dict) else ()
        unknown = [name for name in (*mapped, *self.keep, *self.skip, *composed) if not _is_number(name)]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: without a header columns have numbers only, from 1")


class Csv(CsvParser[CsvParams]):
    """Parse tables by a mapping from columns to fields.

    A value that doesn't fit its field is kept under ``extra.rejected.``, unless the field is required: then the row fails.
    """

    def __init__(self, params: CsvParams, context: Context | None = None) -> None:
        super().__init__(params, context)
        self.delimiter, self.quote = params.delimiter, params.quote
        self.header, self.skip_lines = params.header, params.skip_lines
        self.comment, self.encoding = tuple(params.comments), params.encoding
        self._conversion = Conversion(params)
        self._table: _Table
        self._mapped: tuple[str, ...] | None = None

    @classmethod
    def cut(cls, params: CsvParams) -> Cut:
        """Tell that the payload may be cut between rows."""
        return Cut(
            "rows",
            int(params.header),
            params.delimiter,
            params.quote,
            tuple(params.comments),
            encoding=params.encoding,
            skip_lines=params.skip_lines,
        )

    def events(self, row: Row) -> list[Event]:
        """Make the event of one row."""
        table = self._table_of(row.report)
        conversion = self._conversion
        if conversion.filters and not conversion.wanted(pick(table.names, row.value)):
            return []
        event = self.event(row.report, row.line, row.raw)
        event.fields = table.plan.build(row.value, event.fields)
        return [self.parse_row(row.value, event)]

    def parse_row(self, row: list[str], event: Event) -> Event:  # type: ignore[override]  # by place, not by name
        """Fill what needs more than one column or one field."""
        table, conversion = self._table, self._conversion
        for index, fields in table.alternatives:
            if index < len(row):
                conversion.offer_first(event, fields, row[index])
        return conversion.finish(event, pick(table.names, row))

    def _table_of(self, report: Chunk) -> "_Table":
        names = self.names(report)
        if self._mapped != names:
            self._table = _Table(names, self.params, self._conversion)
            self._mapped = names
        return self._table


class _Table:
    """The mapping for reports with one and the same header.

    Args:
        header: the columns' names, () if there is none.
        params: the parser's.
        conversion: of values.
    """

    def __init__(self, header: tuple[str, ...], params: CsvParams, conversion: Conversion) -> None:
        self._header = header
        self.names = _Places(header, params.delimiter)
        self.alternatives: list[tuple[int, list[str]]] = []
        columns: list[Column] = []
        for index, fields in self._targets(params.columns):
            if len(fields) > 1:
                self.alternatives.append((index, fields))
                continue
            columns += [
                Column(field, index, conversion.converter(field), field in conversion.required) for field in fields
            ]
        self.plan: Plan = compile_plan(columns, conversion.constants)

    def _targets(self, mapping: list[Target] | dict[str, Target]) -> list[tuple[int, list[str]]]:
        """Give index and fields of the columns that are mapped; names and numbers go before patterns."""
        if isinstance(mapping, list):
            return [(index, _fields_of(target)) for index, target in enumerate(mapping)]
        found: dict[int, list[str]] = {}
        for key, target in mapping.items():
            if _pattern(key) is None:
                found[self.names[key]] = _fields_of(target)
        for key, target in mapping.items():
            if (pattern := _pattern(key)) is None:
                continue
            for index, name in enumerate(self._header):
                if index not in found and (match := pattern.fullmatch(name)):
                    found[index] = [_expanded(field, match) for field in _fields_of(target)]
        return sorted(found.items())


class _Places(dict[str, int]):
    """Index of each column by its name or number (from 1)."""

    def __init__(self, header: tuple[str, ...], delimiter: str) -> None:
        super().__init__({name: index for index, name in reversed(list(enumerate(header)))})
        self._header = header
        self._delimiter = delimiter

    def __missing__(self, name: str) -> int:
        if not _is_number(name):
            known = ", ".join(map(repr, self._header))
            hint = other_delimiter(self._header[0], self._delimiter) if len(self._header) == 1 else ""
            raise InvalidRow(f"the report has no column {name!r}; it has {known}" + (f"; {hint}" if hint else ""))
        return int(name) - 1


def _fields_of(target: Target) -> list[str]:
    return [target] if isinstance(target, str) else target or []


def _check(fields: list[str], pattern: re.Pattern[str] | None) -> None:
    """Check the fields of a column; those of a pattern may have places for its groups."""
    check_fields(field for field in fields if pattern is None or "\\" not in field)
    if pattern is None:
        return
    for field in fields:
        try:
            re.sub(f"(?:{pattern.pattern})|", field, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"columns: {field!r} does not go with {pattern.pattern!r}: {error}") from None


def _pattern(key: str) -> re.Pattern[str] | None:
    return compiled(key[1:-1]) if len(key) > 2 and key[0] == key[-1] == "/" else None


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdigit() and int(key) > 0


def _expanded(field: str, match: re.Match[str]) -> str:
    """Put the groups of a match in the places of a field's name; what no name may hold becomes an underscore."""
    return re.sub(r"[^a-z0-9_.-]+|(?<=\.)\.|\.$", "_", match.expand(field).lower()) if "\\" in field else field
