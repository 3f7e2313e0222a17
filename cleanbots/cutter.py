"""Cuts a report of any size into pieces of whole records, in constant memory and always at the same places."""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

from .charset import is_wide, marked
from .errors import InvalidRow
from .records import RECORD_LIMIT, Dialect, Record, records, runs
from .report import Cut

PIECE = 2**20
"""How large a piece becomes, in bytes."""

WHOLE_LIMIT = 64 * 2**20
"""The largest report that is handled in one piece, in bytes."""

SAMPLE = 2**16
"""How much is kept of a line that is too long, in bytes."""


class Position(NamedTuple):
    """A place between two records of a report.

    Args:
        offset: bytes before it (of the UTF-8 text, if the report has another Unicode form).
        line: the 1-based physical line that begins there.
    """

    offset: int = 0
    line: int = 1


class Broken(NamedTuple):
    """A line that is set aside because it is too long: its number, its beginning, and why."""

    line: int
    payload: bytes
    reason: str


class Piece(NamedTuple):
    """A piece of a report.

    Args:
        payload: whole records, perhaps none.
        line: the 1-based physical line at which they begin.
        header: the header rows of the report, repeated in each piece.
        end: where the next piece begins.
        final: whether this is the last one; each report has exactly one.
        encoding: the character set of payload and header; "" if nothing tells.
        broken: lines between this payload and the next that were too long to keep.
    """

    payload: bytes
    line: int
    header: bytes
    end: Position
    final: bool
    encoding: str = ""
    broken: tuple[Broken, ...] = ()


def cut(
    stream: BinaryIO, how: Cut, *, size: int = PIECE, start: Position | None = None, encoding: str = ""
) -> Iterator[Piece]:
    """Cut a report into pieces.

    Where it is cut depends on the report, *how* and *size* only; so a walk that goes on at the end of an earlier piece
    gives the same pieces as one that was never interrupted. A line longer than `RECORD_LIMIT` bytes is set aside.

    Args:
        stream: the report from its beginning (decompressed).
        how: what its parser says.
        size: bytes of a piece; a longer record makes a longer piece.
        start: the end of the last piece that is not needed again.
        encoding: the character set that the source declared, or "".

    Raises:
        InvalidRow: if the report as a whole can't be read: it begins with `RECORD_LIMIT` bytes that hold no header, or
            it can't be cut and is larger than `WHOLE_LIMIT`.
    """
    source, encoding = _open(stream, how.encoding or encoding)
    if how.unit == "whole":
        yield _whole(source, encoding)
        return
    dialect = Dialect(how.delimiter, how.quote if how.unit == "rows" else "", how.skip, how.columns)
    for _ in range(how.skip_lines):
        source.drop_line()
    header, here = b"", Position(source.offset, 1 + how.skip_lines)
    if how.header:
        header, columns, here = _header(source, dialect, how.header, size, here.line)
        dialect = dialect._replace(columns=how.columns or columns)
    if start and start.offset > here.offset:
        source.drop(start.offset - here.offset)
        here = start
    final = False
    while not final:
        payload, broken, final = _next(source, dialect, size, here.line)
        end = Position(source.offset, here.line + payload.count(b"\n") + len(broken))
        yield Piece(payload, here.line, header, end, final, encoding, broken)
        here = end


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Source:
    """A stream that can be looked ahead in; *offset* counts the bytes that were taken from it."""

    def __init__(self, stream: _Readable) -> None:
        self._stream = stream
        self._ahead = b""
        self.offset = 0

    def look(self, size: int) -> bytes:
        """Give the next *size* bytes, fewer only at the end, and stay."""
        while len(self._ahead) < size:
            block = self._stream.read(size - len(self._ahead))
            if not block:
                break
            self._ahead += block
        return self._ahead[:size]

    def read(self, size: int, /) -> bytes:
        """Take the next *size* bytes, fewer only at the end."""
        data = self.look(size)
        self._ahead = self._ahead[len(data) :]
        self.offset += len(data)
        return data

    def drop(self, size: int) -> None:
        """Go on by *size* bytes."""
        while size > 0 and (gone := len(self.read(min(size, PIECE)))):
            size -= gone

    def drop_line(self) -> None:
        """Go on behind the next line end."""
        while block := self.look(PIECE):
            end = block.find(b"\n") + 1
            self.drop(end or len(block))
            if end:
                return


class _Transcoded:
    """Another form of Unicode, read as UTF-8; what can't be decoded becomes U+FFFD."""

    def __init__(self, stream: _Readable, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def read(self, size: int, /) -> bytes:
        """Give about *size* bytes, none only at the end."""
        text, block = "", b"-"
        while block and not text:
            block = self._stream.read(max(size, 4))
            text = self._decoder.decode(block, not block)
        return text.encode("utf-8", "replace")


def _open(stream: BinaryIO, encoding: str) -> tuple[_Source, str]:
    """Give the report without its byte order mark, and its character set."""
    source = _Source(stream)
    start = source.look(4)
    encoding = marked(start) or encoding
    if is_wide(encoding):
        return _Source(_Transcoded(source, encoding)), "utf-8"
    if start.startswith(codecs.BOM_UTF8):
        source.drop(len(codecs.BOM_UTF8))
    return source, encoding


def _whole(source: _Source, encoding: str) -> Piece:
    payload = source.look(WHOLE_LIMIT + 1)
    if len(payload) > WHOLE_LIMIT:
        raise InvalidRow(f"larger than {WHOLE_LIMIT >> 20} MiB, and its parser must see it as a whole; have it split")
    source.drop(len(payload))
    return Piece(payload, 1, b"", Position(source.offset, 1 + payload.count(b"\n")), True, encoding)


def _header(source: _Source, dialect: Dialect, rows: int, size: int, line: int) -> tuple[bytes, int, Position]:
    """Take the header rows and what stands before them; give them, the number of their columns, and what follows."""
    window, final = 0, False
    found: list[Record] = []
    lines: list[str] = []
    while len(found) < rows and not final and window <= RECORD_LIMIT:
        window += size
        data = source.look(window)
        final = len(data) < window
        lines = _lines(data if final else data[: data.rfind(b"\n") + 1])
        found = [each for each in records(lines, dialect, final=final) if each.values][:rows]
    if len(found) < rows and not final:
        raise InvalidRow(f"no header in the first {RECORD_LIMIT} bytes")
    first = found[0].values if found else []
    columns = len(first) if isinstance(first, list) else 0  # the parser says what is wrong with it
    header = "".join("".join(lines[each.start : each.end]) for each in found).encode("latin-1")
    taken = found[-1].end if found else len(lines)
    source.drop(sum(map(len, lines[:taken])))
    return header, columns, Position(source.offset, line + taken)


def _next(source: _Source, dialect: Dialect, size: int, line: int) -> tuple[bytes, tuple[Broken, ...], bool]:
    """Take a payload and the line to set aside behind it; tell whether nothing follows."""
    window = 0
    while True:
        window += size
        data = source.look(window + 1)
        final = len(data) <= window
        long = _long_line(data[:window])
        if long >= 0:
            payload = source.read(long)
            reason = f"a line longer than {RECORD_LIMIT} bytes"
            broken = Broken(line + payload.count(b"\n"), source.look(SAMPLE), reason)
            source.drop_line()
            return payload, (broken,), not source.look(1)
        end = len(data) if final else _boundary(data[:window], dialect)
        if end or final:
            return source.read(end), (), final


def _long_line(data: bytes) -> int:
    """Give where the first line that is too long begins, or -1."""
    start = 0
    while len(data) - start > RECORD_LIMIT:
        end = data.rfind(b"\n", start, start + RECORD_LIMIT + 1) + 1
        if not end:
            return start
        start = end
    return -1


def _boundary(data: bytes, dialect: Dialect) -> int:
    """Give where the last whole record ends; 0 if there is none."""
    end = data.rfind(b"\n") + 1
    if not dialect.quote or data.find(dialect.quote.encode(), 0, end) < 0:
        return end
    lines = _lines(data[:end])
    last = 0
    for found in runs(lines, dialect, final=False):
        last = found.end
    return sum(map(len, lines[:last]))


def _lines(data: bytes) -> list[str]:
    """Give physical lines, a character for each byte: delimiter and quote are ASCII."""
    return list(io.StringIO(data.decode("latin-1"), newline="\n"))
