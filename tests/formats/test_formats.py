"""Rows made easy: each row fails alone, with its line, and can be tried again."""

from collections.abc import Iterable
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanbots import Chunk, CsvParser, Event, InvalidRow, JsonLinesParser, JsonParser, Outlet, Params, Retry, RowParser
from cleanbots.records import RECORD_LIMIT, Dialect, records


class Hosts(CsvParser[Params]):
    """Columns ``ip`` and ``name``."""

    def parse_row(self, row: dict[str, str], event: Event) -> Event | Iterable[Event] | None:
        match row["name"]:
            case "skip":
                return None
            case "twice":
                return (event, event.copy())
            case "world":
                raise Retry("the look-up service is away")
            case "bug":
                raise ZeroDivisionError("division by zero")
        event["source.ip"] = row["ip"]
        return event


class Objects(JsonParser[Params]):
    def parse_row(self, row, event: Event) -> Event:
        event["source.ip"] = row["ip"]
        return event


class Deep(Objects):
    records = ("data", "items")


class Lines(JsonLinesParser[Params]):
    def parse_row(self, row, event: Event) -> Event:
        event["source.ip"] = row["ip"]
        return event


def run(parser: type[RowParser[Params]], chunk: Chunk | bytes) -> Outlet:
    """Take a chunk through a parser."""
    out = Outlet()
    bot = parser(Params())
    chunk = Chunk("r", chunk) if isinstance(chunk, bytes) else chunk
    bot.process_batch([row for _, row in bot.units(chunk)], out)
    return out


def sent(out: Outlet) -> list[tuple[str, str]]:
    """Give id and address of each event that was sent."""
    return [(event.id, event["source.ip"]) for event in out.sent.get("default", [])]


def reasons(out: Outlet) -> list[str]:
    """Give the errors' texts."""
    return [str(failure.error) for failure in out.failed]


GOOD = b"ip,name\n192.0.2.1,a\n"


def test_rows_become_events():
    """A row's event has the line as its id, the report's facts and the row as text."""
    out = run(Hosts, Chunk("r", b'ip,name\r\n\r\n192.0.2.1,"a"\r\n192.0.2.2,b', fields={"feed.name": "f"}))

    assert sent(out) == [("r-3", "192.0.2.1"), ("r-4", "192.0.2.2")]
    assert out.sent["default"][0]["raw"] == '192.0.2.1,"a"'
    assert out.sent["default"][0]["feed.name"] == "f"


def test_a_bad_value_fails_alone():
    """The error says line, field, value and reason; the rows around it pass."""
    out = run(Hosts, b"ip,name\n192.0.2.1,a\nnope,b\n192.0.2.3,c\n")

    assert sent(out) == [("r-2", "192.0.2.1"), ("r-4", "192.0.2.3")]
    assert reasons(out)[0].startswith("line 3: source.ip: 'nope': ")


def test_a_failed_row_can_be_tried_again():
    """What is kept of a failed row is a chunk that gives the same row with the same line."""
    ((failed, _),) = run(Hosts, b"ip,name\n192.0.2.1,a\n192.0.2.2,bug\n").failed
    assert failed == Chunk("r", b"192.0.2.2,bug", line=3, header=b"ip,name\n")

    again = run(Hosts, Chunk("r", failed.payload.replace(b"bug", b"a"), line=failed.line, header=failed.header))
    assert sent(again) == [("r-3", "192.0.2.2")]


def test_a_bug_in_a_parser_fails_the_row():
    """An error that nobody foresaw is the row's, and named."""
    assert reasons(run(Hosts, GOOD + b"192.0.2.1,bug\n")) == ["line 3: ZeroDivisionError: division by zero"]


def test_the_world_is_no_rows_fault():
    """Retry goes to the worker."""
    with pytest.raises(Retry):
        run(Hosts, GOOD + b"192.0.2.1,world\n")


def test_a_missing_column_is_named():
    """A column that the report doesn't have is named in the error."""
    assert reasons(run(Hosts, b"ip,host\n192.0.2.1,a\n")) == ["line 2: the row has no 'name'"]


def test_skipped_rows_are_counted():
    """A row that gives None is counted."""
    assert run(Hosts, GOOD + b"192.0.2.1,skip\n").dropped == {"skipped": 1}


def test_several_events_of_a_row_have_ids_of_their_own():
    """Events of one row differ in their ids."""
    events = run(Hosts, b"ip,name\n192.0.2.1,twice\n").sent["default"]

    assert [event.id for event in events] == ["r-2", "r-2.1"]


def test_parse_yields_the_events():
    """`parse` gives the events of a chunk and raises the first error of a row."""
    assert [event.id for event in Hosts(Params()).parse(Chunk("r", GOOD))] == ["r-2"]
    with pytest.raises(InvalidRow, match="line 2: 3 columns where the header has 2"):
        list(Hosts(Params()).parse(Chunk("r", b"ip,name\n1,2,3\n")))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"192.0.2.9", "1 column where the header has 2: '192.0.2.9'"),
        (b"192.0.2.9,b,c", "3 columns where the header has 2"),
        (b"192.0.2.9,\x00", "a NUL character"),
        (b"192.0.2.9,caf\xe9", "byte 0xe9 does not belong to the character set; set `encoding`"),
        (b"192.0.2.9,a\rb", "a carriage return in the middle of the line"),
        (b'192.0.2.9,"open', "a quote is opened here"),
        (b"192.0.2.9," + b"x" * (RECORD_LIMIT + 1), "longer than 1048576 characters"),
    ],
    ids=["short", "long", "nul", "charset", "return", "quote", "size"],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_broken_row_fails_alone(row, reason, end):
    """A row that can't be read fails with a clear sentence; its bytes are kept and its neighbours pass."""
    out = run(Hosts, end.join([b"ip,name", b"192.0.2.1,a", row, b"192.0.2.2,b", b"192.0.2.3,c", b""]))

    assert sent(out) == [("r-2", "192.0.2.1"), ("r-4", "192.0.2.2"), ("r-5", "192.0.2.3")]
    ((failed, error),) = out.failed
    assert str(error).startswith("line 3: ")
    assert reason in str(error)
    assert (failed.payload, failed.line) == (row, 3)


def test_an_unreadable_header_fails_the_report_once():
    """If the header can't be read there is one failure, not one for each row."""
    (reason,) = reasons(run(Hosts, b'ip,"name\n192.0.2.1,a\n192.0.2.2,b\n'))

    assert "the header can't be read" in reason


def test_comments_are_skipped_wherever_they_stand():
    """A comment is no row, also with a quote in it."""

    class Commented(Hosts):
        comment = ("#",)

    out = run(Commented, b'# a\nip,name\n192.0.2.1,a\n#,"b\n192.0.2.2,b\n')

    assert sent(out) == [("r-3", "192.0.2.1"), ("r-5", "192.0.2.2")]
    assert not out.failed


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marked_text_needs_no_setting(codec):
    """Text with a byte order mark is read whatever its form."""
    assert sent(run(Hosts, "ip,name\n192.0.2.1,é\n".encode(codec))) == [("r-2", "192.0.2.1")]


def test_the_declared_character_set_is_used():
    """The character set that the source or the parser declares is used; an unknown one is none."""

    class Western(Hosts):
        encoding = "cp1252"

    text = b"ip,name\n192.0.2.1,caf\xe9\n"
    for out in (run(Western, text), run(Hosts, Chunk("r", text, encoding="latin-1"))):
        assert out.sent["default"][0]["raw"] == "192.0.2.1,café"
    assert run(Hosts, Chunk("r", GOOD, encoding="unknown-8bit")).sent


def test_an_event_can_give_its_report_back():
    """Header and dialect are kept once for a report."""
    chunk = Chunk("r", b"192.0.2.1,a\r\n", header=b"ip,name\r\n", line=2)

    assert Hosts(Params()).origin(chunk) == {"header": "ip,name\r\n", "delimiter": ",", "quote": '"'}


@given(st.binary(max_size=200))
def test_any_bytes_end_as_rows(data):
    """Whatever the bytes, each line that isn't blank ends in an event or a failure, and failures keep their bytes."""

    class Any(CsvParser[Params]):
        header = False

        def parse_row(self, row, event: Event) -> Event:
            return event

    bot = Any(Params())
    for _, row in bot.units(Chunk("r", data, encoding="utf-8")):
        assert row.raw
        if not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
            assert bot.restore(row).payload in data


@given(
    st.text(alphabet='ab,"#\n', max_size=80),
    st.sampled_from([Dialect(), Dialect(columns=2), Dialect(quote=""), Dialect(comment=("#",))]),
    st.booleans(),
)
def test_records_are_the_same_in_runs_of_any_length(text, dialect, final):
    """How many lines are read at once is a matter of speed alone."""
    lines = text.splitlines(keepends=True)
    whole = [(each.start, each.end, str(each.values)) for each in records(lines, dialect, final=final)]

    with mock.patch("cleanbots.records._RUN", 1):
        assert [(each.start, each.end, str(each.values)) for each in records(lines, dialect, final=final)] == whole


def test_hostile_quotes_cost_no_square():
    """Lines that each seem to open a quote for ever are read a bounded number of times."""
    lines = ['x"y,"z\n'] * 20_000

    found = list(records(lines, Dialect(columns=3)))

    assert found[-1].end == len(lines)
    assert all(isinstance(each.values, InvalidRow) for each in found)


def test_elements_of_a_list():
    """The elements of a JSON list are numbered from 1; raw is the element as it was written."""
    out = run(Objects, b'[{"ip": "192.0.2.1", "n": 1.50}, {"ip":"192.0.2.2"}]')

    assert sent(out) == [("r-1", "192.0.2.1"), ("r-2", "192.0.2.2")]
    assert out.sent["default"][0]["raw"] == '{"ip": "192.0.2.1", "n": 1.50}'


def test_a_lone_object_is_one_element():
    """A document that is one object gives one event."""
    assert sent(run(Objects, b' {"ip": "192.0.2.1"}\n')) == [("r-1", "192.0.2.1")]


def test_a_broken_element_fails_alone():
    """An element that can't be used fails alone and, tried again, keeps its number."""
    out = run(Deep, b'{"data": {"items": [{"ip": "192.0.2.1"}, 7, {"no": 1}, {"ip": "192.0.2.4"}]}}')

    assert sent(out) == [("r-1", "192.0.2.1"), ("r-4", "192.0.2.4")]
    assert reasons(out) == ["element 2: a JSON object is expected, not 7", "element 3: the row has no 'ip'"]
    again = [run(Deep, failure.item) for failure in out.failed]
    assert [reason for each in again for reason in reasons(each)] == reasons(out)


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[1", b"[NaN]", b"\xff", b"[" * 100_000, b"7", b"\x00"],
    ids=["empty", "cut", "cut list", "nan", "bytes", "deep", "number", "nul"],
)
@pytest.mark.parametrize("parser", [Objects, Deep])
def test_what_is_no_json_fails_as_it_came(parser, document):
    """A document that can't be read fails as a whole and is kept as it came."""
    out = run(parser, document)

    assert not out.sent
    ((failed, error),) = out.failed
    assert isinstance(error, InvalidRow)
    assert failed.payload == document


def test_a_missing_list_is_named():
    """A path that leads nowhere is named, with what there is."""
    assert "no 'items' in an object with count" in reasons(run(Deep, b'{"data": {"count": 0}}'))[0]


def test_duplicate_keys_and_large_numbers():
    """Of duplicate keys the last wins; a number beyond 64 bits is read, if inexactly, or fails alone."""
    out = run(Objects, b'[{"ip": "192.0.2.1", "ip": "192.0.2.2"}, {"ip": "192.0.2.3", "n": ' + b"9" * 400 + b"}]")

    assert sent(out)[0] == ("r-1", "192.0.2.2")
    assert len(out.sent["default"]) + len(out.failed) == 2


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b"\xff", b'{"ip": NaN}', b'{"ip": "\\ud800"}', b'{"a":' * 5000, b"\x00"],
    ids=["cut", "list", "bytes", "nan", "surrogate", "deep", "nul"],
)
def test_a_broken_line_fails_alone(line):
    """A line of JSON that can't be read fails with its number; the others pass."""
    out = run(Lines, b'{"ip": "192.0.2.1"}\n\n' + line + b'\r\n{"ip": "192.0.2.4"}')

    assert sent(out) == [("r-1", "192.0.2.1"), ("r-4", "192.0.2.4")]
    ((failed, error),) = out.failed
    assert str(error).startswith("line 3: ")
    assert (failed.payload, failed.line) == (line, 3)


def test_a_mark_counts_at_the_beginning_only():
    """Bytes like a byte order mark in the middle of a report are text."""

    class Bare(Hosts):
        header = False
        columns = ("ip", "name")
        encoding = "latin-1"

    (event,) = run(Bare, Chunk("r", b"\xff\xfe,a\n", line=7, header=b"")).failed

    assert event.item.payload == b"\xff\xfe,a"
    assert str(event.error).startswith("line 7: source.ip: 'ÿþ'")


def test_a_network_error_is_left_to_the_worker():
    """What a parser's own look-up raises goes to the worker, which waits."""

    class Asking(Hosts):
        def parse_row(self, row: dict[str, str], event: Event) -> Event:
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        run(Asking, GOOD)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"ip;name\n192.0.2.1;a\n", "line 2: the header is one column 'ip;name': is the delimiter a semicolon (;)?"),
        (b"ip\tname\n192.0.2.1\ta\n", "line 2: the header is one column 'ip\\tname': is the delimiter a tab?"),
        (b"ip|name\n192.0.2.1|a\n", "line 2: the header is one column 'ip|name': is the delimiter a bar (|)?"),
        (b"ip\n192.0.2.1\n", "line 2: the row has no 'name'"),
        (b"ip;x,y\n192.0.2.1;1,2\n", "line 2: the row has no 'name'"),
    ],
)
def test_a_wrong_delimiter_is_told(payload, reason):
    """Where a column is missing and the header was not taken apart, the delimiter is asked about instead."""
    (told,) = reasons(run(Hosts, payload))

    assert told.startswith(reason)


class Named(Hosts):
    """The columns have names of their own."""

    columns = ("ip", "name", "port")


@pytest.mark.parametrize(("row", "told"), [(b"192.0.2.1;a;1", True), (b"192.0.2.1;a", False), (b"192.0.2.1", False)])
def test_a_wrong_delimiter_of_rows_is_told(row, told):
    """A row that is one column is asked about if another delimiter would make it as wide as it should be."""
    (reason,) = reasons(run(Named, b"h\n" + row + b"\n"))

    assert reason.startswith("line 2: 1 column where the header has 3")
    assert ("is the delimiter a semicolon (;)? set `delimiter`" in reason) is told
