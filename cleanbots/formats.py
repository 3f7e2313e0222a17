"""Rows made easy: parsers of CSV, JSON and JSON lines that ask their author for one row at a time."""

import codecs
import io
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import count, repeat
from typing import Any, NamedTuple, TypeVar

import msgspec
import orjson

from .bot import Outlet, Parser
from .charset import is_known, is_wide, marked
from .errors import CleanbotsError, InvalidRow, Retry, shorten
from .event import Event, Origin
from .params import Params
from .records import Dialect, Record, Run, records, runs
from .report import Chunk, Cut

P = TypeVar("P", bound=Params)

_DELIMITERS = {";": "semicolon (;)", "\t": "tab", "|": "bar (|)", ",": "comma (,)"}

WORLD = (Retry, OSError)
"""Errors that a row is hardly to blame for: parsing needs neither files nor networks. The worker judges them."""


class Row(NamedTuple):
    """One row of a report.

    Args:
        report: the chunk that it lies in.
        line: its first physical line (JSON: the element's number, from 1) in the whole report.
        raw: the row as text, without its line end; bytes that can't be decoded are surrogates (PEP 383).
        value: what the format made of it (a list or dict), or the exception that says why it can't be read.
    """

    report: Chunk
    line: int
    raw: str
    value: Any


class RowParser(Parser[P]):
    """A parser of rows, each of which fails alone.

    Class attributes:
        encoding: the character set if the source doesn't declare one; strict UTF-8 by default.
        place: what a row's position is called in a sentence.
    """

    encoding: str = ""
    place: str = "line"

    @abstractmethod
    def rows(self, report: Chunk) -> Iterator[Row]:
        """Take a chunk apart; a row that can't be read has the exception as its value."""

    @abstractmethod
    def parse_row(self, row: Any, event: Event) -> Event | Iterable[Event] | None:
        """Fill *event* from *row*.

        Args:
            row: what the format made of the row.
            event: already has its id, ``raw`` and what is known of the report.

        Returns:
            the event, or several (``event.derive(n)``), or None to skip the row.
        """

    def parse(self, report: Chunk) -> Iterator[Event]:
        """Yield the events of a chunk; raises the first error of a row."""
        for row in self.rows(report):
            if isinstance(row.value, Exception):
                raise self._placed(row, row.value)
            yield from self.events(row)

    def units(self, item: Chunk) -> Iterator[tuple[int, Row]]:  # type: ignore[override]  # a worker's unit is a row
        """Take a chunk apart into rows, each with its line."""
        for row in self.rows(item):
            yield row.line, row

    def events(self, row: Row) -> list[Event]:
        """Make the events of one row; whatever is raised is the row's error."""
        event = self.event(row.report, row.line, row.raw)
        made = self.parse_row(row.value, event)
        if made is None:
            return []
        return [made] if isinstance(made, Event) else _numbered(made, event.id)

    def process_batch(self, items: list[Row], out: Outlet) -> None:  # type: ignore[override]  # likewise
        """Parse rows; one that can't be read or used fails alone."""
        sent: list[Event] = []
        for row in items:
            if isinstance(row.value, Exception):
                self.fail(row, row.value, out)
                continue
            try:
                events = self.events(row)
            except WORLD:
                raise
            except Exception as error:  # noqa: BLE001  # whatever a row provokes is its own fault
                self.fail(row, error, out)
            else:
                sent += events
                if not events:
                    out.drop("skipped")
        out.send_all(sent)

    def fail(self, row: Row, error: Exception, out: Outlet) -> None:
        """Set a row aside; the error says where it is."""
        out.fail(self.restore(row), self._placed(row, error))

    def restore(self, unit: Row) -> Chunk:  # type: ignore[override]  # likewise
        """Give a chunk that holds this row alone; read again, it gives the same ids."""
        report = unit.report
        payload = unit.raw.encode(_codec(report, self.encoding), "surrogateescape")
        return msgspec.structs.replace(report, payload=payload, line=unit.line, final=False)

    def lack(self, row: Row, key: Any) -> str:
        """Say in a sentence that a row has no *key*."""
        return f"the row has no {key!r}"

    def _placed(self, row: Row, error: Exception) -> Exception:
        where = f"{self.place} {row.line}"
        if isinstance(error, CleanbotsError):
            error.args = (f"{where}: {error}", *error.args[1:])
            return error
        what = self.lack(row, error.args[0]) if type(error) is KeyError and error.args else _described(error)
        placed = InvalidRow(f"{where}: {what}")
        placed.__cause__ = error
        return placed


class CsvParser(RowParser[P]):
    """A parser of delimiter-separated text.

    Class attributes:
        delimiter: one ASCII character between two columns.
        quote: one ASCII character around values, or "".
        header: whether the first row names the columns.
        columns: the columns' names; needed if there is no header, else they replace the header's.
        comment: lines starting with one of these are skipped.
        skip_lines: how many lines at the start of a report are neither header nor rows.
    """

    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    columns: tuple[str, ...] = ()
    comment: tuple[str, ...] = ()
    skip_lines: int = 0
    _names: tuple[bytes, tuple[str, ...]] = (b"", ())

    @classmethod
    def cut(cls, params: P) -> Cut:
        """Tell that the payload may be cut between rows, each chunk with the header."""
        return Cut(
            "rows",
            int(cls.header),
            cls.delimiter,
            cls.quote,
            cls.comment,
            len(cls.columns),
            cls.encoding,
            cls.skip_lines,
        )

    @abstractmethod
    def parse_row(self, row: dict[str, str], event: Event) -> Event | Iterable[Event] | None:
        """Fill *event* from the columns of a row, by their names."""

    def names(self, report: Chunk) -> tuple[str, ...]:
        """Give the names of the columns of a chunk; () if nothing names them."""
        if self.columns or not report.header:
            return self.columns
        header, names = self._names
        if header != report.header:
            names = tuple(self._header(report))
            self._names = report.header, names
        return names

    def lack(self, row: Row, key: Any) -> str:
        """Say that a row has no column *key*; where the header was not taken apart, that is what must be mended."""
        names = self.names(row.report)
        if len(names) == 1 and (hint := other_delimiter(names[0], self.delimiter)):
            return f"the header is one column {shorten(names[0])}: {hint}"
        return super().lack(row, key)

    def events(self, row: Row) -> list[Event]:
        """Make the events of one row."""
        named = dict(zip(self.names(row.report), row.value, strict=True))
        return super().events(row._replace(value=named))

    def rows(self, report: Chunk) -> Iterator[Row]:
        """Take a chunk apart into rows; a row's value is the list of its columns."""
        try:
            report, text, tidy = _text(self._split(report), self.encoding)
            columns = len(self.names(report))
        except InvalidRow as error:
            yield Row(report, report.line, _text(report, self.encoding)[1], error)
            return
        lines = list(io.StringIO(text, newline="\n"))
        for found in runs(lines, self.dialect(columns)):
            if not isinstance(found, Run):
                yield from self._rows(report, lines, [found], columns, tidy=tidy)
            elif tidy and (not columns or set(map(len, found.values)) == {columns}):
                start = found.start
                raws = [line.rstrip("\r\n") for line in lines[start : start + len(found.values)]]
                yield from map(Row._make, zip(repeat(report), count(report.line + start), raws, found.values))
            else:
                yield from self._rows(report, lines, found.records(), columns, tidy=tidy)

    def _rows(
        self, report: Chunk, lines: list[str], found: Iterable[Record], columns: int, *, tidy: bool
    ) -> Iterator[Row]:
        """Give the rows of records that need a look each."""
        for start, end, values in found:
            raw = (lines[start] if end - start == 1 else "".join(lines[start:end])).rstrip("\r\n")
            if tidy and type(values) is list and values and (not columns or len(values) == columns):
                yield Row(report, report.line + start, raw, values)
            elif values and not raw.isspace():
                yield Row(report, report.line + start, raw, _checked(raw, values, columns, self.delimiter))

    def dialect(self, columns: int) -> Dialect:
        """Give how the text is written, *columns* wide (0: not known)."""
        return Dialect(self.delimiter, self.quote, self.comment, columns)

    def origin(self, report: Chunk) -> Origin:
        """Give the header and the dialect of a report."""
        return {**super().origin(report), "delimiter": self.delimiter, "quote": self.quote}

    def _split(self, report: Chunk) -> Chunk:
        """Move the header out of the payload, unless the cutter did so."""
        report = _narrow(report, self.encoding)
        if report.line <= self.skip_lines:
            skipped = self.skip_lines - report.line + 1
            _, *rest = report.payload.split(b"\n", skipped)
            payload = rest[-1] if len(rest) == skipped else b""
            report = msgspec.structs.replace(report, payload=payload, line=report.line + skipped)
        if not self.header or report.header:
            return report
        lines = list(io.StringIO(report.payload.decode("latin-1"), newline="\n"))  # a character for each byte
        found = next((each for each in records(lines, self.dialect(0)) if each.values), None)
        if found is None:
            return msgspec.structs.replace(report, payload=b"")
        start, end = (sum(map(len, lines[:index])) for index in (found.start, found.end))
        payload = report.payload
        return msgspec.structs.replace(
            report, header=payload[start:end], payload=payload[end:], line=report.line + found.end
        )

    def _header(self, report: Chunk) -> list[str]:
        text = report.header.decode(_codec(report, self.encoding), "replace")
        first = next(records(list(io.StringIO(text, newline="\n")), self.dialect(0))).values
        if isinstance(first, InvalidRow):
            raise InvalidRow(f"the header can't be read: {first}: {shorten(text)}")
        return [name.strip() for name in first]


class JsonParser(RowParser[P]):
    """A parser of one JSON document: a list of objects, or one object.

    Class attributes:
        records: keys that lead to the list, from the outside in; () if the document itself is it.
    """

    place = "element"
    records: tuple[str, ...] = ()

    def rows(self, report: Chunk) -> Iterator[Row]:
        """Take a document apart into its elements."""
        return json_rows(report, self.records, self.encoding)

    def restore(self, unit: Row) -> Chunk:  # type: ignore[override]  # likewise
        """Give a chunk that holds this element alone, as deep in the document as it was."""
        if not unit.raw:
            return unit.report
        payload = f"[{unit.raw}]"
        for key in reversed(self.records):
            payload = f"{{{orjson.dumps(key).decode()}:{payload}}}"
        return msgspec.structs.replace(
            unit.report, payload=payload.encode(), encoding="utf-8", line=unit.line, ordinal=unit.line - 1, final=False
        )


class JsonLinesParser(RowParser[P]):
    """A parser of JSON lines: an object a line."""

    @classmethod
    def cut(cls, params: P) -> Cut:
        """Tell that the payload may be cut between lines."""
        return Cut("lines", encoding=cls.encoding)

    def rows(self, report: Chunk) -> Iterator[Row]:
        """Take a chunk apart into lines."""
        return json_line_rows(report, self.encoding)


def other_delimiter(text: str, delimiter: str, columns: int = 0) -> str:
    """Ask whether a lone column holds several, by a delimiter that is in use elsewhere; "" if it doesn't look so.

    Args:
        text: the column.
        delimiter: the one that it was read with.
        columns: how many it should be; 0 if that is not known.
    """
    for other, name in _DELIMITERS.items():
        found = text.count(other)
        if found and other != delimiter and columns in (0, found + 1):
            return f"is the delimiter a {name}? set `delimiter`"
    return ""


def json_rows(report: Chunk, path: tuple[str, ...] = (), encoding: str = "") -> Iterator[Row]:
    """Take a JSON document apart into the elements of the list at *path*, or the one object there.

    A row without raw text stands for a document that is not what is expected.
    """
    whole, text, _ = _text(_narrow(report, encoding), encoding)
    try:
        elements = _elements(text.encode(), path)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        yield Row(report, report.line, "", InvalidRow(f"not the JSON that is expected: {error}"))
        return
    for number, element in enumerate(elements, whole.ordinal + 1):
        raw = bytes(element).decode()
        yield Row(whole, number, raw, _object(raw))


def json_line_rows(report: Chunk, encoding: str = "") -> Iterator[Row]:
    """Take JSON lines apart into objects."""
    report, text, tidy = _text(_narrow(report, encoding), encoding)
    for line, whole in enumerate(io.StringIO(text, newline="\n"), report.line):
        raw = whole.rstrip("\r\n")
        if raw.strip():
            reason = None if tidy else _untidy(raw)
            yield Row(report, line, raw, InvalidRow(reason) if reason else _object(raw))


def _object(raw: bytes | str) -> dict[str, Any] | InvalidRow:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return InvalidRow(f"no JSON that can be read: {error}: {shorten(raw)}")
    return value if isinstance(value, dict) else InvalidRow(f"a JSON object is expected, not {shorten(value)}")


def _elements(document: bytes, path: tuple[str, ...]) -> list[msgspec.Raw]:
    """Give the elements of the list at *path* as they are written; a lone object is a list of itself."""
    here = msgspec.Raw(document)
    for key in path:
        inside = msgspec.json.decode(here, type=dict[str, msgspec.Raw])
        if key not in inside:
            raise msgspec.DecodeError(f"no {key!r} in an object with {', '.join(sorted(inside)[:10])}")
        here = inside[key]
    if bytes(here).lstrip()[:1] == b"{":
        return [msgspec.json.decode(here, type=msgspec.Raw)]
    return msgspec.json.decode(here, type=list[msgspec.Raw])


def _numbered(events: Iterable[Event], first: str) -> list[Event]:
    """Give each event but the first an id of its own, unless the parser did."""
    made = list(events)
    seen: set[str] = set()
    for number, event in enumerate(made):
        if event.id in seen:
            event.fields["id"] = f"{first}.{number}"
        seen.add(event.id)
    return made


def _described(error: Exception) -> str:
    """Give an error's sentence; one that says no more than "wrong value" by its class goes without it."""
    return str(error) if type(error) is ValueError and error.args else f"{type(error).__name__}: {error}"


def _codec(report: Chunk, configured: str) -> str:
    """Give the character set to read a chunk in: the chunk's own word goes first, since it was cut by it."""
    return next(filter(is_known, (report.encoding, configured)), "utf-8")


def _narrow(report: Chunk, configured: str) -> Chunk:
    """Give a chunk without byte order mark; one of more than one byte a character becomes UTF-8."""
    start = report.header or report.payload
    mark = marked(start) if report.header or report.line == 1 else ""
    codec = mark or _codec(report, configured)
    if is_wide(codec):
        return msgspec.structs.replace(
            report,
            header=report.header.decode(codec, "replace").encode(),
            payload=report.payload.decode(codec, "replace").encode(),
            encoding="utf-8",
        )
    if not mark:
        return report
    part = "header" if report.header else "payload"
    return msgspec.structs.replace(report, encoding="utf-8", **{part: start[len(codecs.BOM_UTF8) :]})


def _text(report: Chunk, configured: str) -> tuple[Chunk, str, bool]:
    """Decode a chunk; the last answer tells that no row needs a look for bytes that don't belong."""
    codec = _codec(report, configured)
    try:
        text = report.payload.decode(codec)
    except UnicodeDecodeError:
        return report, report.payload.decode(codec, "surrogateescape"), False
    return report, text, "\0" not in text


def _checked(raw: str, values: list[str] | InvalidRow, columns: int, delimiter: str) -> list[str] | InvalidRow:
    """Give the values of a record, or the reason why they can't be used."""
    if reason := _untidy(raw):
        return InvalidRow(reason)
    if isinstance(values, list) and columns and len(values) != columns:
        hint = other_delimiter(raw, delimiter, columns) if len(values) == 1 else ""
        return InvalidRow(
            f"{len(values)} column{'s' * (len(values) > 1)} where the header has {columns}: {shorten(raw)}"
            + (f"; {hint}" if hint else "")
        )
    return values


def _untidy(raw: str) -> str | None:
    """Say what is wrong with the characters of a row."""
    if "\0" in raw:
        return f"a NUL character: {shorten(raw)}"
    for character in raw:
        if "\udc80" <= character <= "\udcff":
            return f"byte 0x{ord(character) - 0xDC00:02x} does not belong to the character set; set `encoding`"
    return None
