"""The cutter: whole records, constant memory, always the same places."""

import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cleanbots import Chunk, CsvParser, Cut, Event, InvalidRow, Params
from cleanbots.cutter import WHOLE_LIMIT, Piece, cut
from cleanbots.records import RECORD_LIMIT

HEADER = Cut("rows", header=1)


class Table(CsvParser[Params]):
    """A plain CSV parser."""

    def parse_row(self, row, event: Event) -> Event:
        return event


class Bare(Table):
    header = False


class Commented(Table):
    comment = ("#",)


def pieces(data: bytes, how: Cut = HEADER, **options) -> list[Piece]:
    """Cut *data*."""
    return list(cut(io.BytesIO(data), how, **options))


def read(parser: type[Table], chunks: list[Chunk]) -> list[tuple[int, str, object]]:
    """Give line, text and columns (or None) of each row."""
    rows = [row for chunk in chunks for _, row in parser(Params()).units(chunk)]
    return [(row.line, row.raw, row.value if isinstance(row.value, list) else None) for row in rows]


def chunked(data: bytes, how: Cut, size: int) -> list[Chunk]:
    """Cut *data* and make chunks of the pieces, as the collector's worker does."""
    return [
        Chunk("r", piece.payload, line=piece.line, header=piece.header, encoding=piece.encoding)
        for piece in pieces(data, how, size=size)
    ]


@pytest.mark.parametrize("size", range(1, 60))
def test_quoted_newlines_at_every_border(size):
    """Wherever a border would fall, a quoted newline stays inside its row."""
    data = b'a,b\n1,"x\ny"\n2,"\r\n"\n"3\n\n",z\n4,"q""\n"\n5,6\n'

    rows = read(Table, chunked(data, HEADER, size))

    assert [row[2] for row in rows] == [["1", "x\ny"], ["2", "\r\n"], ["3\n\n", "z"], ["4", 'q"\n'], ["5", "6"]]
    assert [row[0] for row in rows] == [2, 4, 6, 9, 11]


CSV_TEXT = st.text(st.sampled_from(list('ab,"\n\r;#')), max_size=120)


@given(CSV_TEXT, st.integers(1, 40))
@example('h,h\nx"y,"z\nx"y,"z\na,b\n', 3)
@example('h,h\na,"b\nc,d\n"e\n', 4)
def test_cutting_then_parsing_is_parsing_whole(text, size):
    """Pieces of any size give the rows, lines and failures that the uncut report gives."""
    data = b"h,h\n" + text.encode()

    assert read(Table, chunked(data, HEADER, size)) == read(Table, [Chunk("r", data)])


@given(CSV_TEXT, st.integers(1, 40))
def test_cutting_without_header_is_parsing_whole(text, size):
    """Without a header the same holds."""
    data = text.encode()

    assert read(Bare, chunked(data, Cut("rows"), size)) == read(Bare, [Chunk("r", data)])


@given(CSV_TEXT, st.integers(1, 40))
@example('#"\na,"b\n#c\n"\n', 2)
def test_cutting_with_comments_is_parsing_whole(text, size):
    """Comments, also with quotes in them, change nothing of that."""
    data = b'#,"\nh,h\n' + text.encode()

    found = read(Commented, chunked(data, Cut("rows", header=1, skip=("#",)), size))
    assert found == read(Commented, [Chunk("r", data)])


@given(CSV_TEXT, st.integers(1, 40))
def test_every_byte_is_in_a_piece(text, size):
    """Payloads in their order are the report."""
    data = text.encode()

    assert b"".join(piece.payload for piece in pieces(data, Cut("rows"), size=size)) == data


@given(CSV_TEXT, st.integers(1, 40))
def test_a_walk_can_be_continued(text, size):
    """A walk that begins at the end of any piece gives exactly the pieces that follow."""
    data = b"h,h\n" + text.encode()
    walk = pieces(data, size=size)

    for number, piece in enumerate(walk, 1):
        rest = walk[number:] or [piece._replace(payload=b"", line=piece.end.line, final=True)]
        assert pieces(data, size=size, start=piece.end) == rest


@given(CSV_TEXT, st.integers(1, 40))
def test_one_piece_is_final(text, size):
    """Exactly the last piece is final."""
    flags = [piece.final for piece in pieces(text.encode(), Cut("rows"), size=size)]

    assert flags == [False] * (len(flags) - 1) + [True]


def test_an_empty_report_is_one_empty_piece():
    """Also an empty report has its final piece."""
    (piece,) = pieces(b"")

    assert (piece.payload, piece.header, piece.final) == (b"", b"", True)


def test_a_report_of_a_header_only():
    """A report without rows still tells its header."""
    (piece,) = pieces(b"a,b")

    assert (piece.payload, piece.header, piece.final) == (b"", b"a,b", True)


def test_comments_before_the_header_are_left_out():
    """Comments and blank lines before the header don't become it, and lines are counted with them."""
    (piece,) = pieces(b'# made "today\n\n#x\na,b\r\n1,2\r\n', Cut("rows", header=1, skip=("#",)))

    assert (piece.header, piece.payload, piece.line) == (b"a,b\r\n", b"1,2\r\n", 5)


def test_a_header_may_hold_a_newline():
    """A header with a quoted newline is one header."""
    walk = pieces(b'"a\nb",c\n1,2\n3,4\n', size=4)

    assert {piece.header for piece in walk} == {b'"a\nb",c\n'}
    assert [(piece.line, piece.payload) for piece in walk if piece.payload] == [(3, b"1,2\n"), (4, b"3,4\n")]


def test_a_header_that_is_never_closed():
    """A header that can't be read is its first line; the parser says once for each piece what is wrong."""
    chunks = chunked(b'a,"b\n1,2\n3,4\n', HEADER, 1000)

    ((_, row),) = [unit for chunk in chunks for unit in Table(Params()).units(chunk)]
    assert row.report.header == b'a,"b\n'
    assert "the header can't be read: a quote is opened here and never closed" in str(row.value)
    assert Table(Params()).restore(row).payload == b"1,2\n3,4\n"


def test_a_report_without_any_header():
    """A report that begins with 1 MiB without a header is refused as a whole."""
    with pytest.raises(InvalidRow, match="no header in the first 1048576 bytes"):
        pieces(b"x" * (3 * RECORD_LIMIT))


def test_the_byte_order_mark_goes():
    """A UTF-8 mark is no part of the header, and tells the character set."""
    (piece,) = pieces(b"\xef\xbb\xbfa,b\n1,2\n", encoding="latin-1")

    assert (piece.header, piece.encoding) == (b"a,b\n", "utf-8")


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_utf_16_becomes_utf_8(codec, size):
    """Wide characters are cut as UTF-8, with the mark as well as by declaration."""
    text = "a,b\nĂ,\N{GRINNING FACE}\n1,2\n"
    for data, declared in ((("\ufeff" + text).encode(codec), ""), (text.encode(codec), codec)):
        walk = pieces(data, size=size, encoding=declared)

        assert b"".join(piece.payload for piece in walk).decode() == "Ă,\N{GRINNING FACE}\n1,2\n"
        assert {(piece.header, piece.encoding) for piece in walk} == {(b"a,b\n", "utf-8")}
        assert pieces(data, size=size, encoding=declared, start=walk[0].end) == (walk[1:] or walk_end(walk))


def walk_end(walk: list[Piece]) -> list[Piece]:
    """Give what a walk gives that begins at the end of *walk*."""
    return [walk[-1]._replace(payload=b"", line=walk[-1].end.line)]


def test_the_cut_names_the_character_set():
    """What the parser says of the encoding goes before what the source declares."""
    (piece,) = pieces(b"a\n", Cut("lines", encoding="cp1252"), encoding="utf-8")

    assert piece.encoding == "cp1252"


def test_lines_are_not_csv():
    """Cut by lines, a quote has no meaning."""
    walk = pieces(b'{"a": "\nb"\n', Cut("lines"), size=1)

    assert [piece.payload for piece in walk] == [b'{"a": "\n', b'b"\n']


class Endless(io.RawIOBase):
    """A stream that is made while it is read."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def read(self, size: int = -1, /) -> bytes:
        return next(self._parts, b"")


@pytest.mark.parametrize("opening", [b"x", b'"', b'x,"\n'], ids=["bare", "quoted", "below an open quote"])
def test_a_field_of_100_mb_takes_little_memory(opening):
    """A value of 100 MB is set aside with its line; the rows around it pass, in a few MB of memory."""

    def parts() -> Iterator[bytes]:
        yield b"a,b\n1,2\n" + opening
        for _ in range(100):
            yield b"z" * 2**20
        yield b"\n3,4\n"

    tracemalloc.start()
    try:
        walk = list(cut(Endless(parts()), HEADER))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    ((broken,),) = [piece.broken for piece in walk if piece.broken]
    assert broken.line == 3 + opening.count(b"\n")
    assert len(broken.payload) == 2**16
    assert "longer than 1048576 bytes" in broken.reason
    assert walk[0].payload.startswith(b"1,2\n")
    assert walk[-1].payload == b"3,4\n"
    assert walk[-1].line == broken.line + 1
    assert peak < 16 * 2**20


def test_a_stray_quote_costs_one_row():
    """A quote that is never closed in a large report costs its own row only."""
    rows = [b"%d,%d" % (n, n) for n in range(300_000)]
    rows[1000] = b'1000,"1000'
    data = b"a,b\n" + b"\n".join(rows)
    assert len(data) > 2 * RECORD_LIMIT

    found = read(Table, chunked(data, HEADER, 2**18))

    assert [(line, raw) for line, raw, value in found if value is None] == [(1002, '1000,"1000')]
    assert len(found) == len(rows)


def test_a_report_that_must_be_whole_has_a_limit():
    """A report that can't be cut is refused above 64 MiB, with a sentence."""

    def parts() -> Iterator[bytes]:
        while True:
            yield b"[" * 2**20

    assert pieces(b"\xef\xbb\xbf[1]", Cut("whole"))[0].payload == b"[1]"
    with pytest.raises(InvalidRow, match=f"larger than {WHOLE_LIMIT >> 20} MiB"):
        list(cut(Endless(parts()), Cut("whole")))


def test_lines_before_the_table_are_passed_over():
    """Lines that are no part of the table are neither header nor rows, and are counted."""
    data = b'Made "today\nby a,b\na,b\n1,2\n3,4\n'
    how = Cut("rows", header=1, skip_lines=2)
    walk = pieces(data, how, size=4)

    assert [(piece.line, piece.payload) for piece in walk if piece.payload] == [(4, b"1,2\n"), (5, b"3,4\n")]
    assert {piece.header for piece in walk} == {b"a,b\n"}
    assert pieces(data, how, size=4, start=walk[0].end) == walk[1:]
