"""The worker of a group: entries in slices, each committed once, whatever the bots do."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cleanbots.broker import EmbeddedServer, RedisBroker
from cleanbots.broker.protocol import Commit, Output, TickGuard
from cleanbots.config.model import BotSettings, ErrorPolicy, LimitSettings, Settings, WorkerSettings
from cleanbots.frame import FailedItem, decode, encode_events
from cleanbots.runtime.assembly import Assembly
from cleanbots.runtime.stages import StageWorker
from cleanbots.runtime.stop import Stop

SITE = Path(__file__).parent / "site"
Until = Callable[..., None]


def _settings(server: EmbeddedServer, graph: str, folder: Path, **moody: Any) -> Settings:
    bots = {
        "moody": BotSettings(
            id="moody", use="expert/moody", kind="expert", params={"folder": str(folder)},
            to={"default": ["next"]}, slice=10, **moody,
        ),
        "next": BotSettings(id="next", use="expert/moody", kind="expert", limit=LimitSettings(events=25)),
    }  # fmt: skip
    return Settings(
        name=graph,
        base=str(folder),
        state=str(folder / "state"),
        broker=server.address,
        bots=bots,
        workers={"moody": WorkerSettings("moody", ["moody"], {"main": 1})},
        plugins=[str(SITE)],
    )


@contextmanager
def _worker(settings: Settings) -> Iterator[Stop]:
    stop = Stop()
    worker = StageWorker(Assembly(settings), settings.workers["moody"], "main/moody/0", stop, wait=0.05)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield stop
    finally:
        stop.request()
        thread.join()


_slots = iter(range(10**6))


def _feed(broker: RedisBroker, *moods: str) -> None:
    events = [{"id": f"r-{number}", "comment": mood} for number, mood in enumerate(moods)]
    data = encode_events(events, {"r": {"header": "h\n"}})
    slot = f"{next(_slots):09}"
    broker.commit(Commit(TickGuard("feeder", slot), [Output("moody", data, len(events))]))


def _arrived(broker: RedisBroker) -> list[dict[str, Any]]:
    return [event for stored in broker.peek("next", 1000) for event in decode(stored.data).items]


def _failed(broker: RedisBroker) -> list[FailedItem]:
    return [item for stored in broker.failed("moody", 1000) for item in decode(stored.data).items]


def test_events_go_on_in_slices(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, until: Until
) -> None:
    """An entry larger than a slice is committed in several steps, in order, and is gone at the end."""
    _feed(broker, *["pass"] * 24)
    with _worker(_settings(server, graph, tmp_path)):
        until(lambda: broker.drained(["moody"]), "the queue to be worked off")
    assert [event["id"] for event in _arrived(broker)] == [f"r-{number}" for number in range(24)]
    assert [stored.count for stored in broker.peek("next", 10)] == [10, 10, 4]
    assert decode(broker.peek("next", 1)[0].data).origins == {"r": {"header": "h\n"}}
    assert broker.statistics() == {"moody:in": 24, "moody:out:default": 24}


def test_bad_items_fail_alone(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, until: Until
) -> None:
    """Of a slice in which bots raise, the items at fault are set aside as they came; the others go on."""
    _feed(broker, "pass", "raise", "drop", "pass", "raise")
    with _worker(_settings(server, graph, tmp_path)):
        until(lambda: broker.drained(["moody"]), "the queue to be worked off")
    assert [event["id"] for event in _arrived(broker)] == ["r-0", "r-3"]
    failed = _failed(broker)
    assert [(item.id, item.error, item.kind) for item in failed] == [
        ("r-1", "in a bad mood (moody.py:27)", "ValueError"),
        ("r-4", "in a bad mood (moody.py:27)", "ValueError"),
    ]
    assert failed[0].event == {"id": "r-1", "comment": "raise"}
    assert failed[0].origins == {"r": {"header": "h\n"}}
    assert broker.statistics()["moody:dropped:dropped"] == 1


def test_memory_without_end_fails_one_item(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, until: Until
) -> None:
    """An item that takes all the memory there is fails like any other; what it took is free for the next one."""
    _feed(broker, "pass", "hoard", "pass", "hoard", "pass")
    with _worker(_settings(server, graph, tmp_path)):
        until(lambda: broker.drained(["moody"]), "the queue to be worked off")
    assert [(item.id, item.kind) for item in _failed(broker)] == [("r-1", "MemoryError"), ("r-3", "MemoryError")]
    assert [event["id"] for event in _arrived(broker)] == ["r-0", "r-2", "r-4"]


def test_the_world_is_waited_for(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, until: Until
) -> None:
    """Work waits while the world is at fault, and then goes on; nothing fails."""
    _feed(broker, "pass", "wait", "pass")
    settings = _settings(server, graph, tmp_path, on_error=ErrorPolicy(delay=0.01, max_delay=0.02))
    with _worker(settings):
        until(lambda: broker.depths(["moody"])["moody"].pending, "the entry to be taken")
        (tmp_path / "open").touch()
        until(lambda: broker.drained(["moody"]), "the queue to be worked off")
    assert [event["id"] for event in _arrived(broker)] == ["r-0", "r-1", "r-2"]
    assert not _failed(broker)


def test_patience_ends_where_the_policy_says(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, until: Until
) -> None:
    """After the last try the item that waits fails, and no other."""
    _feed(broker, "pass", "wait", "pass")
    policy = ErrorPolicy(retries=2, delay=0.01, then="fail")
    with _worker(_settings(server, graph, tmp_path, on_error=policy)):
        until(lambda: broker.drained(["moody"]), "the queue to be worked off")
    assert [item.error for item in _failed(broker)] == ["the door is closed"]
    assert len(_arrived(broker)) == 2


def test_a_full_queue_holds_the_work_back(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, until: Until
) -> None:
    """Nothing is pushed into a full queue and nothing is dropped: the rest waits until there is room."""
    _feed(broker, *["pass"] * 60)
    with _worker(_settings(server, graph, tmp_path)):
        until(lambda: broker.depths(["next"])["next"].events == 30, "the queue to be full")
        assert not broker.drained(["moody"])
        broker.clear("next")
        until(lambda: broker.drained(["moody"]), "the rest to be worked off")
    assert [event["id"] for event in _arrived(broker)] == [f"r-{number}" for number in range(30, 60)]


def test_a_clean_stop_leaves_no_suspicion(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, until: Until
) -> None:
    """A worker that was asked to stop lets go of its entry; the next goes on from the last slice at full speed."""
    _feed(broker, *["pass"] * 40)
    settings = _settings(server, graph, tmp_path)
    with _worker(settings):
        until(lambda: broker.depths(["next"])["next"].events == 30, "the queue to be full")
    broker.clear("next")
    with _worker(settings):
        until(lambda: broker.drained(["moody"]), "the rest to be worked off")
    assert [stored.count for stored in broker.peek("next", 10)] == [10]
    assert broker.statistics()["moody:in"] == 40


def test_bytes_that_are_no_frame_stop_nothing(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, until: Until
) -> None:
    """What can't be decoded is set aside whole, and the queue goes on."""
    broker.commit(Commit(TickGuard("feeder", f"{next(_slots):09}"), [Output("moody", b"garbage", 1)]))
    _feed(broker, "pass")
    with _worker(_settings(server, graph, tmp_path)):
        until(lambda: broker.drained(["moody"]), "the queue to be worked off")
    assert len(_arrived(broker)) == 1
    (item,) = _failed(broker)
    assert item.chunk is not None
    assert (item.kind, item.chunk.payload) == ("FrameError", b"garbage")


@pytest.fixture(autouse=True)
def _memory_limit() -> Iterator[None]:
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)
