"""What operators do with failed items, on a real queue server."""

from itertools import count

import pytest

from cleanbots.broker.protocol import Answer, Broker, Commit, Output, TickGuard
from cleanbots.cli.common import counted
from cleanbots.cli.failed_command import readable
from cleanbots.config.model import BotSettings, Settings
from cleanbots.errors import CleanbotsError
from cleanbots.frame import FailedItem, decode, encode_failed
from cleanbots.report import Chunk
from cleanbots.runtime import failed
from cleanbots.runtime.failed import Selection, exported, fold

SLOTS = count()
SETTINGS = Settings(
    "graph",
    "/",
    "/",
    bots={
        "fetch": BotSettings("fetch", "collector/x", "collector"),
        "parse": BotSettings("parse", "parser/x", "parser"),
        "enrich": BotSettings("enrich", "expert/x", "expert"),
    },
)


def letter(number: int, error: str = "source.ip: 'nope': no address", bot: str = "enrich", **more) -> FailedItem:
    """Give a failed event."""
    event = {"id": f"report-{number}", "raw": f"row {number}", "extra.number": number}
    origins = {"report": {"header": "a,b\n"}}
    return FailedItem(
        bot, error, "InvalidValue", f"2026-01-01T00:00:{number % 60:02}+00:00", 1, event, None, origins, **more
    )


def put(broker: Broker, items: list[FailedItem], bot: str = "enrich", size: int = 4) -> None:
    """Put failed items into entries of *size*."""
    for at in range(0, len(items), size):
        part = items[at : at + size]
        frame = Output(bot, encode_failed(part), len(part))
        result = broker.commit(Commit(TickGuard("feeder", f"{next(SLOTS):09}"), failed=[frame]))
        assert result.answer is Answer.COMMITTED


def ids(broker: Broker, bot: str = "enrich") -> list[str]:
    """Give the ids of what has failed."""
    return sorted(item.id for item in failed.items(broker, bot))


def waiting(broker: Broker, bot: str = "enrich") -> list:
    """Give the items in a bot's queue."""
    return [item for stored in broker.peek(bot, 1000) for item in decode(stored.data).items]


def test_retry_gives_everything_back(broker):
    """All failed items of a bot go to its own queue, with their origins, and none stays."""
    put(broker, [letter(n) for n in range(10)])

    assert failed.retry(broker, SETTINGS, "enrich", Selection()) == 10

    assert ids(broker) == []
    assert sorted(event["id"] for event in waiting(broker)) == sorted(f"report-{n}" for n in range(10))
    frame = decode(broker.peek("enrich", 1)[0].data)
    assert frame.origins == {"report": {"header": "a,b\n"}}
    assert broker.statistics()["enrich:retried"] == 10


def test_retry_of_some_leaves_the_others(broker):
    """Only the chosen items of an entry leave; the rest of it stays failed."""
    put(broker, [letter(n) for n in range(6)])

    assert failed.retry(broker, SETTINGS, "enrich", Selection(frozenset({"report-1", "report-5"}))) == 2

    assert ids(broker) == ["report-0", "report-2", "report-3", "report-4"]
    assert broker.failed_depths()["enrich"].events == 4


def test_a_report_id_means_all_of_its_items(broker):
    """The id of a report selects every item that came of it."""
    put(broker, [letter(n) for n in range(3)])

    assert failed.retry(broker, SETTINGS, "enrich", Selection(frozenset({"report"}))) == 3


def test_items_are_chosen_by_their_error(broker):
    """A part of the sentence or the error's class chooses; upper and lower case are the same."""
    put(broker, [letter(1, "the table is OLD"), letter(2, "something else")])

    assert failed.count(broker, "enrich", Selection(error="table is old")) == 1
    assert failed.count(broker, "enrich", Selection(error="invalidvalue")) == 2


def test_pieces_of_reports_go_back_to_their_parser(broker):
    """What a parser could not read comes back to it byte for byte."""
    chunk = Chunk("report", b"a,\xff\n", line=7, header=b"x,y\n", encoding="latin-1")
    put(broker, [FailedItem("parse", "line 7: bad", "InvalidRow", "2026-01-01T00:00:00+00:00", chunk=chunk)], "parse")

    assert failed.retry(broker, SETTINGS, "parse", Selection()) == 1

    assert waiting(broker, "parse") == [chunk]


def test_drop_deletes_what_is_meant(broker):
    """Dropped items are gone; the others stay."""
    put(broker, [letter(n) for n in range(6)])

    assert failed.drop(broker, "enrich", Selection(frozenset({"report-0"}))) == 1
    assert failed.drop(broker, "enrich", Selection()) == 5

    assert ids(broker) == []
    assert waiting(broker) == []


def test_an_entry_that_somebody_else_took_is_not_counted(broker):
    """Two operators at once: every item goes back once, whoever is first."""
    put(broker, [letter(n) for n in range(8)])
    seen = []

    def rival(looked_at: int) -> None:
        if not seen:
            seen.append(failed.retry(broker, SETTINGS, "enrich", Selection()))

    mine = failed.retry(broker, SETTINGS, "enrich", Selection(), rival)

    assert mine + seen[0] == 8
    assert len(waiting(broker)) == 8


def test_items_that_fail_meanwhile_are_left_for_the_next_time(broker):
    """A retry ends, even if every retried item fails again at once."""
    put(broker, [letter(n) for n in range(4)], size=1)

    def fail_again(looked_at: int) -> None:
        put(broker, [letter(100 + looked_at)])

    assert failed.retry(broker, SETTINGS, "enrich", Selection(), fail_again) == 4
    assert len(ids(broker)) == 4


def test_a_damaged_entry_is_shown_and_can_be_dropped(broker):
    """Bytes that are no frame neither crash the listing nor block the rest, and are never retried."""
    put(broker, [letter(1)])
    broker.commit(Commit(TickGuard("feeder", f"{next(SLOTS):09}"), failed=[Output("enrich", b"garbage", 3)]))

    assert {group.kind for group in failed.groups(broker, ["enrich"])} == {"InvalidValue", "FrameError"}
    assert failed.retry(broker, SETTINGS, "enrich", Selection()) == 1
    assert failed.drop(broker, "enrich", Selection(error="FrameError")) == 1
    assert ids(broker) == []


def test_errors_that_differ_in_values_only_are_one_group(broker):
    """Groups fold places and values, count, and keep the first and last time and an example."""
    put(
        broker,
        [letter(n, f"line {n}: source.ip: '198.51.100.{n}x': no address") for n in range(1, 4)] + [letter(9, "other")],
    )

    first, second = failed.groups(broker, ["enrich"])

    assert (first.count, second.count) == (3, 1)
    assert first.error == "line N: source.ip: '…': no address"
    assert (first.first, first.last) == ("2026-01-01T00:00:01+00:00", "2026-01-01T00:00:03+00:00")
    assert first.example == "report-1"


@pytest.mark.parametrize(
    ("error", "folded"),
    [
        ("line 3: source.port: 70000: must be from 1 to 65535", "line N: source.port: N: must be from 1 to 65535"),
        ("line 12: source.ip: '1.2.3.400': parts are from 0 to 255", "line N: source.ip: '…': parts are from 0 to 255"),
        (
            "element 4: comment: 'x…': 9000 characters, and 8192 are allowed",
            "element N: comment: '…': N characters, and 8192 are allowed",
        ),
        ("line 2: 3 columns where the header has 5: 'a,b,c'", "line N: N columns where the header has 5: '…'"),
        (
            "line 1: no JSON that can be read: unexpected character: line 1 column 5 (char 4): 'oops'",
            "line N: no JSON that can be read: unexpected character: line N column N (char N): '…'",
        ),
        ("entry 1700000000-3 of 12 items: not failed items", "entry N of 12 items: not failed items"),
        ("x: 'it\\'s 5': bad", "x: '…': bad"),
        ("HTTP 503 of https://192.0.2.7/", "HTTP 503 of https://192.0.2.7/"),
        ("sha256 differs", "sha256 differs"),
    ],
)
def test_folding(error, folded):
    """Places and values are folded; the numbers of a reason are not, so that it can still be read."""
    assert fold(error) == folded


def test_one_item_is_no_items():
    """A number of things is written as people write it."""
    assert [counted(number, "item") for number in (0, 1, 2)] == ["0 items", "1 item", "2 items"]


def test_retry_for_an_unknown_bot_is_refused(broker):
    """Items of a bot that is configured no more can't be given to anybody."""
    with pytest.raises(CleanbotsError, match="gone: not in the running configuration"):
        failed.retry(broker, SETTINGS, "gone", Selection())


def test_a_collector_has_nothing_to_retry(broker):
    """A collector asks its source again by itself."""
    with pytest.raises(CleanbotsError, match="fetch: a collector"):
        failed.retry(broker, SETTINGS, "fetch", Selection())


def test_an_exported_event_can_be_read_without_us():
    """The export names bot, report, line and error, and holds the original row."""
    row = exported(letter(5))

    assert (row["bot"], row["report"], row["line"], row["raw"]) == ("enrich", "report", 5, "row 5")
    assert row["event"]["extra.number"] == 5


def test_a_shown_piece_of_a_report_has_its_header_and_row_apart():
    """Header and row stand on lines of their own; bytes that are no text are written out, and nothing steers a terminal."""
    chunk = Chunk("report", b"1,\xff\x1b[31m\n", line=7, header=b"a,b\n", name="list.csv")

    shown = readable(FailedItem("parse", "line 7: bad", "InvalidRow", "2026-01-01T00:00:00+00:00", chunk=chunk))

    assert shown.splitlines() == [
        "parse  report-7",
        "    error: line 7: bad",
        "    kind: InvalidRow",
        "    at: 2026-01-01T00:00:00+00:00",
        "    times: 1",
        "    line: 7",
        "    name: list.csv",
        "    header: a,b",
        "    row: 1,\\xff\\u001b[31m",
    ]


def test_a_shown_event_has_a_line_for_each_field():
    """An event is shown with the header of its report, its row, and each field on a line of its own."""
    shown = readable(letter(5)).splitlines()

    assert shown[-4:] == ["    header: a,b", "    row: row 5", "    event:", "        extra.number  5"]


def test_a_row_of_several_lines_is_shown_as_such():
    """Each physical line of a row stands on a line of its own."""
    chunk = Chunk("report", b'1,"x\r\ny"\r\n', line=2)

    assert readable(FailedItem("parse", "bad", "InvalidRow", "", chunk=chunk)).splitlines()[-3:] == [
        "    row:",
        '        1,"x',
        '        y"',
    ]


def test_a_damaged_entry_can_be_shown():
    """An item without content has its error."""
    assert "error: entry 1-0" in readable(
        FailedItem("parse", "entry 1-0 of 3 items: not failed items", "FrameError", "")
    )


def test_exported_bytes_that_are_no_text_are_base64():
    """A piece of a report that is not text in its encoding is exported byte for byte."""
    item = FailedItem("parse", "bad", "InvalidRow", "", chunk=Chunk("report", b"\xff\n", line=3, header=b"h\n"))

    row = exported(item)

    assert row["line"] == 3
    assert row["raw_base64"] == "aAr/Cg=="
