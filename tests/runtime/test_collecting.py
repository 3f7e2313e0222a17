"""The worker of a collector: every report once, whatever happens in between."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cleanbots import cutter
from cleanbots.broker import EmbeddedServer, RedisBroker
from cleanbots.broker.protocol import DONE, FEEDS
from cleanbots.clock import FixedClock
from cleanbots.config.model import BotSettings, FeedSettings, LimitSettings, Settings, WorkerSettings
from cleanbots.frame import FailedItem, decode
from cleanbots.report import Chunk, report_id
from cleanbots.runtime.assembly import Assembly
from cleanbots.runtime.collecting import CollectorWorker
from cleanbots.runtime.stop import InterruptedWork, Stop
from cleanbots.services.archive import Archive

SITE = Path(__file__).parent / "site"


class Shelf:
    """A folder, a collector of it, and a look at what became of it."""

    def __init__(self, server: EmbeddedServer, graph: str, broker: RedisBroker, folder: Path) -> None:
        self.broker = broker
        self.folder = folder
        self.stop = Stop()
        (folder / "shelf").mkdir()
        bots = {
            "shelf": BotSettings(
                id="shelf",
                use="collector/shelf",
                kind="collector",
                params={"folder": str(folder / "shelf")},
                feed=FeedSettings(provider="Example", tlp="amber", contact="abuse@feed.example", disclose=True),
                to={"default": ["words"]},
            ),
            "words": BotSettings(id="words", use="parser/words", kind="parser", limit=LimitSettings(events=3)),
        }
        self.settings = Settings(
            name=graph,
            base=str(folder),
            state=str(folder / "state"),
            broker=server.address,
            bots=bots,
            workers={"shelf": WorkerSettings("shelf", ["shelf"], {"main": 1}, scheduled=True)},
            plugins=[str(SITE)],
        )

    def put(self, name: str, text: str) -> None:
        """Put a file into the folder."""
        (self.folder / "shelf" / name).write_text(text)

    def collect(self, slot: str = "") -> None:
        """Collect what is there."""
        CollectorWorker(Assembly(self.settings), "shelf", self.stop).run(slot)

    def chunks(self) -> list[Chunk]:
        """Give what lies in the parser's queue."""
        return [chunk for stored in self.broker.peek("words", 100) for chunk in decode(stored.data).items]

    def failed(self, bot: str) -> list[FailedItem]:
        """Give what lies in a bot's failed queue."""
        return [item for stored in self.broker.failed(bot, 100) for item in decode(stored.data).items]

    def told(self) -> list[str]:
        """Give the names that the source was told of."""
        done = self.folder / "done"
        return done.read_text().split() if done.exists() else []


@pytest.fixture
def shelf(server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path) -> Shelf:
    """An empty shelf."""
    return Shelf(server, graph, broker, tmp_path)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cut reports after some ten bytes, so that small ones have several chunks."""
    original = cutter.cut.__kwdefaults__["size"]
    cutter.cut.__kwdefaults__["size"] = 10
    yield
    cutter.cut.__kwdefaults__["size"] = original


def test_a_report_becomes_a_chunk_with_what_is_known_of_it(shelf: Shelf) -> None:
    """The parser gets payload, header, name, and the fields that every event starts with."""
    shelf.put("a.csv", "word\nfoo\nbar\n")
    shelf.collect()
    (chunk,) = shelf.chunks()
    assert (chunk.id, chunk.payload, chunk.header, chunk.line) == (report_id("a.csv"), b"foo\nbar\n", b"word\n", 2)
    assert (chunk.name, chunk.final) == ("a.csv", True)
    assert (chunk.fields["feed.provider"], chunk.fields["tlp"]) == ("Example", "AMBER")
    assert (chunk.fields["feed.contact"], chunk.fields["feed.disclose"]) == ("abuse@feed.example", True)
    assert "time.observation" in chunk.fields


def test_a_report_is_collected_once(shelf: Shelf) -> None:
    """Collected again, a report is recognised by the ledger; its source is told again."""
    shelf.put("a.csv", "word\nfoo\n")
    shelf.collect()
    shelf.collect()
    assert len(shelf.chunks()) == 1
    assert shelf.told() == ["a.csv", "a.csv"]
    assert shelf.broker.position(report_id("a.csv")) == DONE
    assert shelf.broker.cursor("shelf") == "a.csv"


def test_the_time_of_the_last_complete_report_is_kept(shelf: Shelf) -> None:
    """Who watches a feed asks the server when it came last; looking again at what is known changes nothing."""
    shelf.put("a.csv", "word\nfoo\n")
    shelf.collect()
    first = shelf.broker.state(FEEDS)
    shelf.collect()

    assert list(first) == ["shelf"]
    assert datetime.fromisoformat(first["shelf"].decode()).tzinfo is not None
    assert shelf.broker.state(FEEDS) == first


@pytest.mark.usefixtures("small_pieces")
def test_a_stop_in_the_middle_goes_on_where_it_was(shelf: Shelf) -> None:
    """Stopped by a full queue after three chunks, the collector goes on with the fourth; lines are counted on."""
    shelf.put("a.csv", "word\n" + "".join(f"word{number:04}\n" for number in range(5)))
    shelf.stop.wait = lambda seconds: True  # type: ignore[method-assign]  # the first wait for room is a request to stop
    with pytest.raises(InterruptedWork):
        shelf.collect()
    assert not shelf.told()
    assert [chunk.line for chunk in shelf.chunks()] == [2, 3, 4]
    shelf.broker.clear("words")
    shelf.collect()
    assert [(chunk.line, chunk.payload) for chunk in shelf.chunks()] == [(5, b"word0003\n"), (6, b"word0004\n")]
    assert shelf.told() == ["a.csv"]


def test_a_report_that_can_not_be_opened_is_set_aside_once(shelf: Shelf) -> None:
    """It costs itself alone, stands in failed with its reason, and is not told as done; others go on."""
    shelf.put("broken", "")
    shelf.put("good", "word\nfoo\n")
    shelf.collect()
    shelf.collect()
    (item,) = shelf.failed("shelf")
    assert item.error == "broken: the door is locked; ask for the key"
    assert len(shelf.chunks()) == 1
    assert "broken" not in shelf.told()


def test_a_line_too_long_is_set_aside_for_its_parser(shelf: Shelf) -> None:
    """A line that no parser could hold fails with its number, and the rest of the report goes on."""
    shelf.put("a.csv", "word\nfoo\n" + "x" * 3_000_000 + "\nbar\n")
    shelf.collect()
    assert b"".join(chunk.payload for chunk in shelf.chunks()) == b"foo\nbar\n"
    (item,) = shelf.failed("words")
    assert item.error.startswith("line 3: ")
    assert item.id == f"{report_id('a.csv')}-3"


def test_the_archive_keeps_the_report_as_it_came(shelf: Shelf) -> None:
    """Payload and facts of every report are there for `explain`."""
    shelf.put("a.csv", "word\nfoo\n")
    shelf.collect()
    kept = Archive(shelf.folder / "state" / "archive").find(report_id("a.csv"))
    assert kept is not None
    assert (kept.facts["collector"], kept.facts["name"]) == ("shelf", "a.csv")
    with kept.open() as stream:
        assert stream.read() == b"word\nfoo\n"


def test_reports_that_no_source_shows_are_forgotten_in_the_end(shelf: Shelf) -> None:
    """The ledger is bounded: it lets go of a report weeks after its source showed it last, and not before."""
    shelf.put("gone.csv", "word\nfoo\n")
    shelf.collect()
    (shelf.folder / "shelf" / "gone.csv").unlink()
    later = FixedClock(datetime.now(UTC) + timedelta(days=29))
    CollectorWorker(Assembly(shelf.settings, later), "shelf", shelf.stop).run()
    assert shelf.broker.position(report_id("gone.csv")) == DONE
    later.move(datetime.now(UTC) + timedelta(days=40))
    CollectorWorker(Assembly(shelf.settings, later), "shelf", shelf.stop).run()
    assert shelf.broker.position(report_id("gone.csv")) == ""


def test_the_slot_is_done_at_the_end(shelf: Shelf) -> None:
    """The time slot that a run was for is marked when everything is collected."""
    shelf.collect("2026-11-20T07:30:00+00:00")
    assert shelf.broker.last_slot("shelf") == "2026-11-20T07:30:00+00:00"
