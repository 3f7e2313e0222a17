"""Failed items in great numbers: bounded, told apart, given back once, and never thrown away to make room."""

import json
import logging
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cleanbots.broker import EmbeddedServer, RedisBroker
from cleanbots.broker.protocol import Answer, Commit, Depth, Output, TickGuard
from cleanbots.config.model import BotSettings, LimitSettings, Settings, WorkerSettings
from cleanbots.frame import FailedItem, decode, encode_events, encode_failed
from cleanbots.records import RECORD_LIMIT
from cleanbots.runtime import failed
from cleanbots.runtime.assembly import Assembly
from cleanbots.runtime.collecting import CollectorWorker
from cleanbots.runtime.failed import Selection
from cleanbots.runtime.stages import StageWorker
from cleanbots.runtime.stop import InterruptedWork, Stop
from cleanbots.supervisor import Counts, assess

SITE = Path(__file__).parent / "site"
ENTRY = 500
MOODS = {
    "the table is missing": "pass",
    "source.ip: 'x{n}': not an IP address": "raise",
    "HTTP 503 of a lookup": "drop",
}
Until = Callable[..., None]

_MEASURED = """
import sys
from cleanbots.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
# Not ru_maxrss: that begins with what the process had that started this one.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


def _settings(server: EmbeddedServer, graph: str, folder: Path, **limits: LimitSettings) -> Settings:
    bots = {
        "shelf": BotSettings(
            id="shelf", use="collector/shelf", kind="collector", params={"folder": str(folder)}, to={"default": ["words"]}
        ),
        "words": BotSettings(id="words", use="parser/words", kind="parser", **limits),
        "moody": BotSettings(
            id="moody", use="expert/moody", kind="expert", params={"folder": str(folder)}, to={"default": ["next"]}, **limits
        ),
        "next": BotSettings(id="next", use="expert/moody", kind="expert"),
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
def _worker(settings: Settings) -> Iterator[None]:
    stop = Stop()
    worker = StageWorker(Assembly(settings), settings.workers["moody"], "main/moody/0", stop, wait=0.05)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        stop.request()
        thread.join()


def _letters(first: int, count: int) -> list[FailedItem]:
    """Give failed events: a third each of three errors, whose moods say what becomes of them when they come again."""
    errors = list(MOODS)
    made = []
    for n in range(first, first + count):
        error = errors[n % 3]
        event = {
            "id": f"report-{n}",
            "comment": MOODS[error],
            "source.ip": "192.0.2.1",
            "raw": f"row {n}, and its cells",
        }
        made.append(FailedItem("moody", error.format(n=n), "ValueError", "2026-01-01T00:00:00+00:00", event=event))
    return made


def _fail(broker: RedisBroker, number: int) -> None:
    for first in range(0, number, ENTRY):
        letters = _letters(first, min(ENTRY, number - first))
        frame = Output("moody", encode_failed(letters), len(letters))
        result = broker.commit(Commit(TickGuard("feeder", f"{first:09}"), failed=[frame]))
        assert result.answer is Answer.COMMITTED


def _ids(broker: RedisBroker, queue: str) -> Counter[str]:
    found: Counter[str] = Counter()
    after = ""
    while page := broker.peek(queue, 10, after):
        after = page[-1].id
        found.update(event["id"] for stored in page for event in decode(stored.data).items)
    return found


def _command(folder: Path, *words: str) -> tuple[str, int]:
    """Run a command of cleanbots; give what it printed, and the most memory that it took (MiB)."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, int(done.stderr.splitlines()[-1]) // 1024


@pytest.fixture
def million(long_form: bool) -> int:
    """How many items fail: a million in the long form."""
    return 999_000 if long_form else 15_000


def test_failed_items_in_great_numbers(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, million: int
) -> None:
    """They take little memory on the server, and a command that lists, exports or retries them a page of them, not all."""
    (tmp_path / "cleanbots.yaml").write_text(
        f"name: {graph}\nbroker: {server.address}\nplugins: [{SITE}]\nbots:\n"
        f"  shelf: {{use: collector/shelf, every: 1h, params: {{folder: {tmp_path}}}, to: words}}\n"
        "  words: {use: parser/words, to: moody}\n"
        "  moody: {use: expert/moody, to: next}\n"
        f"  next: {{use: output/file, params: {{path: {tmp_path}/out.jsonl}}}}\n"
    )
    before = broker._client.call("INFO", "memory")["used_memory"]
    _fail(broker, million)
    each = (broker._client.call("INFO", "memory")["used_memory"] - before) / million

    listed, listing = _command(tmp_path, "failed", "list", "--json")
    _, exporting = _command(tmp_path, "failed", "export", "-o", "failed.jsonl")
    said, retrying = _command(tmp_path, "failed", "retry", "moody", "--error", "table is missing")

    print(f"{million} failed: {each:.0f} bytes each; MiB: list {listing}, export {exporting}, retry {retrying}")  # noqa: T201
    third = million // 3
    assert Counter({group["error"]: group["count"] for group in json.loads(listed)}) == {
        "the table is missing": third,
        "source.ip: '…': not an IP address": third,
        "HTTP 503 of a lookup": third,
    }
    with (tmp_path / "failed.jsonl").open() as exported:
        assert sum(1 for _ in exported) == million
    assert str(third) in said
    assert broker.depths(["moody"])["moody"].events == third
    assert broker.failed_depths()["moody"].events == million - third
    assert each < 100
    assert max(listing, exporting, retrying) < 160


def test_a_retry_by_error_doubles_nothing_downstream(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, until: Until
) -> None:
    """What is chosen by its error goes on once; the others stay; what fails again is failed once, as before."""
    settings = _settings(server, graph, tmp_path)
    _fail(broker, 3 * ENTRY)
    with _worker(settings):
        assert failed.retry(broker, settings, "moody", Selection(error="table is missing")) == ENTRY
        assert failed.retry(broker, settings, "moody", Selection(error="table is missing")) == 0
        assert failed.retry(broker, settings, "moody", Selection(error="not an IP address")) == ENTRY
        until(lambda: broker.drained(["moody"]), "the retried items to be worked off")

    arrived = _ids(broker, "next")
    assert arrived == Counter(f"report-{n}" for n in range(0, 3 * ENTRY, 3))
    again = [item for item in failed.items(broker, "moody") if item.error.startswith("in a bad mood")]
    assert Counter(item.id for item in again) == Counter(f"report-{n}" for n in range(1, 3 * ENTRY, 3))
    assert len(list(failed.items(broker, "moody"))) == 2 * ENTRY


def test_a_full_failed_queue_stops_its_bot(
    server: EmbeddedServer,
    graph: str,
    broker: RedisBroker,
    tmp_path: Path,
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is dropped to make room: the bot stands still and says what to do; once somebody did it, all goes on."""
    settings = _settings(server, graph, tmp_path, failed_limit=LimitSettings(events=10))
    events: list[dict[str, Any]] = [{"id": f"r-{n}", "comment": "raise"} for n in range(1200)]
    broker.commit(Commit(TickGuard("feeder", "1"), [Output("moody", encode_events(events, {}), len(events))]))
    with _worker(settings), caplog.at_level(logging.ERROR):
        until(lambda: caplog.messages, "the alarm")
        assert "moody has too many failed items and stands still" in caplog.messages[0]
        assert "'cleanbots failed list moody', then retry or drop" in caplog.messages[0]
        dropped = 0
        while not broker.drained(["moody"]):
            dropped += failed.drop(broker, "moody", Selection())
    dropped += failed.drop(broker, "moody", Selection())
    assert dropped == 1200


def test_a_full_failed_queue_stops_its_collector(
    server: EmbeddedServer,
    graph: str,
    broker: RedisBroker,
    tmp_path: Path,
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A report with a line that is too long waits at a full failed queue of its parser, and says so."""
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "list.csv").write_text("word\n" + "x" * (RECORD_LIMIT + 1) + "\n")
    settings = _settings(server, graph, tmp_path, failed_limit=LimitSettings(events=0))
    settings.bots["shelf"].params["folder"] = str(tmp_path / "shelf")
    stop = Stop()
    collecting = threading.Thread(target=_collect, args=(settings, stop))
    with caplog.at_level(logging.ERROR):
        collecting.start()
        until(lambda: caplog.messages, "the alarm")
    stop.request()
    collecting.join()
    assert "words has too many failed items and stands still" in caplog.messages[0]
    assert not broker.failed_depths()


def _collect(settings: Settings, stop: Stop) -> None:
    with suppress(InterruptedWork):
        CollectorWorker(Assembly(settings), "shelf", stop).run()


def test_the_status_says_that_a_bot_stands_still(server: EmbeddedServer, graph: str, tmp_path: Path) -> None:
    """At the limit the status names the bot, the reason, and the commands that let it go on."""
    settings = _settings(server, graph, tmp_path, failed_limit=LimitSettings(events=10))
    problems = assess(settings, "main", "", [], [], Counts(failed={"moody": Depth(12, 100, 1, 0)})).problems
    (problem,) = problems
    assert problem == (
        "moody stands still: its failed queue is full (12 failed items); 'cleanbots failed list moody' says why, then "
        "'cleanbots failed retry moody' or 'cleanbots failed drop moody'"
    )
