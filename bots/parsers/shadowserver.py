"""Parse Shadowserver's reports, of whatever type its schema describes."""

import re
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

from cleanbots import Chunk, Context, CsvParser, Event, InvalidRow, Meta, Outlet, Params, Row
from cleanbots.data import data_path
from cleanbots.errors import CleanbotsError
from cleanbots.formats import WORLD
from cleanbots.harmonization import catalogue

from ._shadowserver_layout import Layout
from ._shadowserver_schema import ReportType, SchemaError, load_schema, read_schema

SCHEMA_FILE = "shadowserver-schema.json"

_MOST_COLUMNS = 1000
_MOST_LAYOUTS = 500
_MOST_NAMED = 20

_FILE_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})-([^-]+)(?:-.*)?\.csv", re.DOTALL)
_UPDATE = "run 'cleanbots update shadowserver-schema'"


class ShadowserverParams(Params):
    """Parameters of ``parser/shadowserver``."""

    schema: Annotated[
        str,
        Meta(
            description="File with the schema; by default the one that `cleanbots update` fetched, else a small own one."
        ),
    ] = ""
    report_type: Annotated[
        str, Meta(description="Type of all reports, e.g. scan_redis; by default their file names tell it.")
    ] = ""
    raw: Annotated[bool, Meta(description="Keep each row as text in `raw`.")] = True


class Shadowserver(CsvParser[ShadowserverParams]):
    """Parse Shadowserver's CSV reports by Shadowserver's schema, which names columns, conversions and fields.

    Columns may come in any order; unknown ones go to ``extra.``. A row fails alone if its time or address is bad; any
    other bad value is kept under ``extra.rejected.``.
    """

    def __init__(self, params: ShadowserverParams, context: Context | None = None) -> None:
        super().__init__(params, context)
        self._types: dict[str, ReportType] = {}
        self._read: tuple[Path, int] | None = None
        self._layouts: dict[tuple[str, tuple[str, ...]], Layout] = {}
        self._told: set[tuple[str, str]] = set()
        self._report: Chunk | None = None
        self._layout: Layout
        self._base: dict[str, Any] = {}

    def open(self) -> None:
        """Read the schema."""
        self._refresh()

    def rows(self, report: Chunk) -> Iterator[Row]:
        """Take a chunk apart into rows; one of an unknown type is a single row that can't be read."""
        self._refresh()
        try:
            self._type(report)
        except InvalidRow as error:
            return iter((Row(report, report.line, "", error),))
        return super().rows(report)

    def restore(self, unit: Row) -> Chunk:  # type: ignore[override]  # a worker's unit is a row
        """Give a chunk that holds this row alone, or the whole one if it could not be taken apart."""
        return super().restore(unit) if unit.raw else unit.report

    def process_batch(self, items: list[Row], out: Outlet) -> None:  # type: ignore[override]  # as in `RowParser`
        """Make the events of rows, those of a report together; one that can't be read or used fails alone."""
        for report, group in groupby(items, attrgetter("report")):
            rows = list(group)
            try:
                self._turn_to(report)
            except InvalidRow:
                super().process_batch(rows, out)  # each says why
            else:
                self._make(rows, out)

    def events(self, row: Row) -> list[Event]:
        """Make the event of one row."""
        self._turn_to(row.report)
        (fields,) = self._begun([row])
        return [self.parse_row(row.value, Event(fields))]

    def parse_row(self, row: list[str], event: Event) -> Event:  # type: ignore[override]  # by place, not by name
        """Fill *event* from the columns of a row of the report at hand."""
        for _, error in self._layout.fill([row], [event.fields]):
            raise error
        return event

    def _make(self, rows: list[Row], out: Outlet) -> None:
        readable = [row for row in rows if not isinstance(row.value, Exception)]
        if len(readable) < len(rows):
            super().process_batch([row for row in rows if isinstance(row.value, Exception)], out)
        events = self._begun(readable)
        failed = dict(self._layout.fill([row.value for row in readable], events))
        for index, error in failed.items():
            if isinstance(error, WORLD):
                raise error
            self.fail(readable[index], error, out)
        out.send_all([Event(fields) for index, fields in enumerate(events) if index not in failed])

    def _begun(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Give what the events of rows of the report at hand start with."""
        found = []
        with_raw = self.params.raw
        base = self._base
        for report, line, raw, _ in rows:
            fields = base.copy()
            fields["id"] = f"{report.id}-{line}"
            if with_raw:
                fields["raw"] = raw
            found.append(fields)
        return found

    @staticmethod
    def check_schema(data: bytes) -> tuple[list[str], list[str]]:
        """Check a schema before it is used.

        Returns:
            the report types that it describes, and a sentence for each field or conversion that is not known here.

        Raises:
            CleanbotsError: if it is no schema in Shadowserver's format.
        """
        types = read_schema(data)
        known = catalogue().__contains__
        return sorted(types), [problem for kind in types.values() for problem in kind.problems(known)]

    def _turn_to(self, report: Chunk) -> None:
        if report is self._report:
            return
        kind, names = self._type(report), self.names(report)
        layout = self._layouts.get((kind.name, names)) or self._new_layout(kind, names)
        if layout.missing:
            columns = ", ".join(map(repr, layout.missing))
            raise InvalidRow(f"a {kind.name} report needs the column {columns}; if Shadowserver changed it, {_UPDATE}")
        self._report, self._layout = report, layout
        self._base = {"id": "", **layout.base(report.fields)}

    def _new_layout(self, kind: ReportType, names: tuple[str, ...]) -> Layout:
        if len(names) > _MOST_COLUMNS:
            raise InvalidRow(f"a header of {len(names)} columns is none of Shadowserver's; {_MOST_COLUMNS} are allowed")
        if len(self._layouts) >= _MOST_LAYOUTS:
            self._layouts.clear()
            self._told.clear()
        layout = self._layouts[kind.name, names] = Layout(kind, names)
        self._tell_drift(layout)
        return layout

    def _type(self, report: Chunk) -> ReportType:
        name = self.params.report_type
        if not name:
            match = _FILE_NAME.fullmatch(report.name.rpartition("/")[2])
            if match is None:
                raise InvalidRow(
                    f"the file name {report.name!r} doesn't tell the report's type as 2026-11-20-scan_redis-x.csv does; "
                    "set `report_type`"
                )
            name = match[2]
        if name not in self._types:
            raise InvalidRow(f"the schema has no report type {name!r}; {_UPDATE}, or set `report_type`")
        return self._types[name]

    def _tell_drift(self, layout: Layout) -> None:
        kind = layout.kind.name
        new = {column: word for column, word in layout.drift.items() if (kind, column) not in self._told}
        if not new:
            return
        self._told |= {(kind, column) for column in new}
        words: dict[str, list[str]] = {}
        for column, word in new.items():
            words.setdefault(word, []).append(column)
        said = "; ".join(f"{word}: {_listed(columns)}" for word, columns in words.items())
        self.context.log.warning("%s: columns differ from the schema (unknown ones go to extra.): %s", kind, said)

    def _refresh(self) -> None:
        """Read the schema if there is another one than before, so that an update takes effect at once."""
        path = self._path()
        try:
            stamp = path, path.stat().st_mtime_ns
            if stamp == self._read:
                return
            types = load_schema(path)
        except (OSError, SchemaError) as error:
            if self._types:
                self.context.log.error("%s: keeping the schema read before: %s", path, error)  # noqa: TRY400  # expected
                return
            raise CleanbotsError(f"{path}: no schema that can be used: {error}; {_UPDATE}") from error
        self._types, self._read = types, stamp
        self._layouts.clear()
        self._report = None
        self.context.log.info("using the schema %s with %d report types", path, len(types))

    def _path(self) -> Path:
        if self.params.schema:
            return self.context.path(self.params.schema)
        if self.context.data is not None and (fetched := self.context.data / SCHEMA_FILE).exists():
            return fetched
        return data_path("config", SCHEMA_FILE)


def _listed(columns: list[str]) -> str:
    more = len(columns) - _MOST_NAMED
    return ", ".join(columns[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
