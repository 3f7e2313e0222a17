"""Where the machine itself is at fault: full and read-only disks, no more files, no more threads, a clock that jumps."""

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bots.collectors.file import File
from cleanbots.broker import EmbeddedServer, RedisBroker
from cleanbots.broker.protocol import DONE, Commit, Output, TickGuard
from cleanbots.clock import FixedClock
from cleanbots.config.model import BotSettings, Settings, WorkerSettings
from cleanbots.frame import encode_events
from cleanbots.report import Report, report_id
from cleanbots.runtime.assembly import Assembly
from cleanbots.runtime.collecting import CollectorWorker
from cleanbots.runtime.stages import StageWorker
from cleanbots.runtime.stop import Stop
from cleanbots.testing import run

Until = Callable[..., None]


@pytest.fixture
def disk(small_disk: Callable[[Path, int], Path], tmp_path: Path) -> Path:
    """A disk of 1 MiB."""
    return small_disk(tmp_path / "disk", 1)


def _settings(server: EmbeddedServer, graph: str, folder: Path, path: str = "out.jsonl") -> Settings:
    shelf = {"path": str(folder / "shelf"), "settle": "0s", "after": "delete"}
    columns = {"columns": {"address": "source.ip"}, "type": "scanner"}
    bots = {
        "shelf": BotSettings("shelf", "collector/file", "collector", params=shelf, to={"default": ["parse"]}),
        "parse": BotSettings("parse", "parser/csv", "parser", params=columns),
        "out": BotSettings("out", "output/file", "output", params={"path": path}),
    }
    return Settings(
        graph,
        str(folder),
        str(folder / "state"),
        server.address,
        bots=bots,
        workers={"out": WorkerSettings("out", ["out"], {"main": 1})},
    )


def _feed(broker: RedisBroker, number: int) -> list[str]:
    events = [{"id": f"r-{n}", "source.asn": 64496 + n, "source.ip": "192.0.2.1"} for n in range(number)]
    broker.commit(Commit(TickGuard("feeder", "1"), [Output("out", encode_events(events, {}), number)]))
    return [str(event["id"]) for event in events]


def _written(*files: Path) -> list[str]:
    return sorted(msgspec.json.decode(line)["id"] for file in files for line in file.read_bytes().splitlines())


@contextmanager
def _worker(settings: Settings) -> Iterator[None]:
    stop = Stop()
    worker = StageWorker(Assembly(settings), settings.workers["out"], "main/out/0", stop, wait=0.05)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        stop.request()
        thread.join()


# -- disks


def test_a_move_to_a_full_disk_leaves_the_file_where_it_is(disk: Path, tmp_path: Path) -> None:
    """No half a file appears where collected files go; the next run moves it, once there is room."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "list.csv").write_bytes(b"x" * 600_000)
    (disk / "ballast").write_bytes(bytes(700_000))
    params: dict[str, Any] = {"path": str(tmp_path / "inbox"), "settle": "0s", "after": "move", "to": str(disk)}

    run(File, params=params)
    assert [path.name for path in disk.iterdir()] == ["ballast"]
    assert (tmp_path / "inbox" / "list.csv").stat().st_size == 600_000

    (disk / "ballast").unlink()
    run(File, params=params)
    assert {path.name: path.stat().st_size for path in disk.iterdir()} == {"list.csv": 600_000}
    assert not list((tmp_path / "inbox").iterdir())


def test_a_file_is_deleted_after_durability_only(tmp_path: Path, until: Until) -> None:
    """Under 'everysec' a collected file stays until its commit can't be lost any more."""
    (tmp_path / "shelf").mkdir()
    file = tmp_path / "shelf" / "list.csv"
    file.write_text("address\n192.0.2.1\n")
    facts = file.stat()
    report = Report(f"file:{file}:{facts.st_size}:{facts.st_mtime_ns}", b"")
    with EmbeddedServer(tmp_path / "server", {"appendfsync": "everysec"}) as server:
        settings = _settings(server, "g", tmp_path)
        broker = RedisBroker(server.address, "g")
        collecting = threading.Thread(target=CollectorWorker(Assembly(settings), "shelf", Stop()).run)
        collecting.start()
        until(lambda: broker.position(report.id) == DONE, "the report to be collected")
        assert file.exists()
        collecting.join()
        assert not file.exists()
        broker.close()


def test_a_read_only_disk_is_waited_out(
    server: EmbeddedServer,
    graph: str,
    broker: RedisBroker,
    tmp_path: Path,
    disk: Path,
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An output says what is wrong and what to do, keeps its work, and goes on once it may write."""
    settings = _settings(server, graph, tmp_path, str(disk / "out.jsonl"))
    ids = _feed(broker, 50)
    subprocess.run(["/bin/mount", "-o", "remount,ro", disk], check=True)
    with _worker(settings):
        until(lambda: "mount the file system writable" in caplog.text, "the output to say what is wrong")
        assert broker.depths(["out"])["out"].events == 50
        subprocess.run(["/bin/mount", "-o", "remount,rw", disk], check=True)
        until(lambda: broker.drained(["out"]), "the output to go on")
    assert _written(disk / "out.jsonl") == sorted(ids)


# -- limits of a process


def test_too_few_files_may_be_open(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, until: Until
) -> None:
    """A worker at its limit of descriptors says so, lives on, and finishes its work when it gets more."""
    settings = _settings(server, graph, tmp_path, "out/{source.asn|unknown}.jsonl")
    broker.commit(Commit(TickGuard("feeder", "0"), [Output("out", encode_events([{"id": "r-x"}], {}), 1)]))
    (tmp_path / "snapshot.json").write_bytes(msgspec.json.encode(settings))
    program = [sys.executable, "-m", "cleanbots.runtime.worker", str(tmp_path / "snapshot.json"), "out", "0"]
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(program, stderr=log)
    try:
        until((tmp_path / "out" / "unknown.jsonl").exists, "the worker to work")
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (_open_files(worker.pid) + 8, 4096))
        ids = _feed(broker, 60)
        until(lambda: "lower 'max_open'" in (tmp_path / "log").read_text(), "the worker to say what it lacks")
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (1024, 4096))
        until(lambda: broker.drained(["out"]), "the worker to go on")
        assert worker.poll() is None
    finally:
        worker.terminate()
        worker.wait(60)
    assert _written(*(tmp_path / "out").glob("*.jsonl")) == sorted([*ids, "r-x"])


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_no_thread_may_be_started(
    server: EmbeddedServer,
    graph: str,
    broker: RedisBroker,
    tmp_path: Path,
    until: Until,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that the system refuses a thread says so and waits: no crash, no suspicion against its items."""
    settings = _settings(server, graph, tmp_path)
    ids = _feed(broker, 50)
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "heart":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    with _worker(settings):
        until(lambda: "let this user run more processes" in caplog.text, "the worker to say what it lacks")
        monkeypatch.setattr(threading.Thread, "start", start)
        until(lambda: broker.drained(["out"]), "the worker to go on")
    assert _written(tmp_path / "out.jsonl") == sorted(ids)
    assert not broker.failed_depths()


# -- clocks


@pytest.mark.parametrize("jump", [timedelta(days=4000), timedelta(days=-4000), timedelta(hours=-3)])
def test_a_clock_that_jumps_and_comes_back(
    server: EmbeddedServer, graph: str, broker: RedisBroker, tmp_path: Path, jump: timedelta
) -> None:
    """Nothing is collected twice or forgotten because of it, and time slots go on afterwards."""
    settings = _settings(server, graph, tmp_path)
    settings.bots["shelf"].params["after"] = "keep"
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "list.csv").write_text("address\n192.0.2.1\n")
    os.utime(tmp_path / "shelf" / "list.csv", (1.0, 1.0))
    now = datetime.now(UTC)
    for moment in (now, now + jump, now + timedelta(hours=1), now + timedelta(hours=2)):
        slot = moment.replace(microsecond=0).isoformat()
        CollectorWorker(Assembly(settings, FixedClock(moment)), "shelf", Stop()).run(slot)
        if moment > now and moment < now + timedelta(hours=3):
            assert broker.last_slot("shelf") == slot

    assert broker.depths(["parse"])["parse"].entries == 1
    key = f"file:{tmp_path / 'shelf' / 'list.csv'}:18:1000000000"
    assert broker.position(report_id(key)) == DONE
