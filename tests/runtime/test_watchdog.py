"""The watchdog ends work that never ends, and nothing else."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cleanbots.broker import EmbeddedServer, RedisBroker
from cleanbots.broker.protocol import Commit, Output, TickGuard
from cleanbots.config.model import BotSettings, ErrorPolicy, LimitSettings, Settings, WorkerSettings
from cleanbots.errors import BrokerUnavailable
from cleanbots.frame import encode_events

SITE = Path(__file__).parent / "site"

_PROGRAM = """
from cleanbots.clock import SystemClock
from cleanbots.runtime.watchdog import Watchdog

watchdog = Watchdog(SystemClock(), 0.2)
watchdog.watch()
{then}
"""


def _run(then: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", _PROGRAM.format(then=then)]
    return subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)


def test_endless_work_ends_the_process() -> None:
    """A loop without end is left by ending the process; the traceback says where it was."""
    done = _run("def stuck():\n    while True: pass\nstuck()")
    assert done.returncode != 0
    assert "in stuck" in done.stderr


def test_waiting_is_no_endless_work() -> None:
    """Who says that it rests may take as long as it likes."""
    done = _run("import threading\nwatchdog.rest()\nthreading.Event().wait(0.6)")
    assert (done.returncode, done.stderr) == (0, "")


def test_work_that_goes_on_is_left_alone() -> None:
    """Who is heard of in time lives on, however long it takes in all."""
    pause = (
        "import threading\nfor _ in range(8):\n    threading.Event().wait(0.08)\n    watchdog.watch()\nwatchdog.rest()"
    )
    assert _run(pause).returncode == 0


# -- a worker under its watchdog


@contextmanager
def _worker(address: str, folder: Path, **moody: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a worker whose slices may take 0.4 s; its log is in the file ``log``."""
    bots = {
        "moody": BotSettings(
            "moody", "expert/moody", "expert", params={"folder": str(folder)}, to={"default": ["next"]}, slice=2,
            time_limit=0.4, **moody,
        ),
        "next": BotSettings("next", "expert/moody", "expert"),
    }  # fmt: skip
    workers = {"moody": WorkerSettings("moody", ["moody"], {"main": 1})}
    settings = Settings(
        "g", str(folder), str(folder / "state"), address, bots=bots, workers=workers, plugins=[str(SITE)]
    )
    (folder / "snapshot.json").write_bytes(msgspec.json.encode(settings))
    program = [sys.executable, "-m", "cleanbots.runtime.worker", str(folder / "snapshot.json"), "moody", "0"]
    program += ["--log-level", "DEBUG"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(program, stderr=log, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _feed(broker: RedisBroker, slot: str, number: int, mood: str = "pass") -> None:
    events = [{"id": f"r-{n}", "comment": mood} for n in range(number)]
    broker.commit(Commit(TickGuard("feeder", slot), [Output("moody", encode_events(events, {}), number)]))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that a test may kill."""
    with EmbeddedServer(tmp_path / "server") as server:
        yield server


def test_a_worker_lives_while_its_server_is_away(
    own_server: EmbeddedServer, tmp_path: Path, until: Callable[..., None]
) -> None:
    """A server that goes in the middle of a slice, for longer than the slice's limit, ends no worker."""
    broker = RedisBroker(own_server.address, "g")
    _feed(broker, "1", 4_000)
    with _worker(own_server.address, tmp_path) as process:
        until(lambda: broker.statistics().get("moody:in"), "the work to begin")
        own_server._process.kill()
        own_server._process.wait()
        until(lambda: "trying again in 1.6 s" in (tmp_path / "log").read_text(), "1.5 s without a server")
        own_server.start()
        with suppress(BrokerUnavailable):  # this connection ended with the server
            broker.statistics()
        until(lambda: broker.drained(["moody"]), "the work to go on")
        assert process.poll() is None
    assert broker.statistics()["moody:in"] == 4_000
    broker.close()


def test_a_worker_lives_while_its_bot_stands_still(
    own_server: EmbeddedServer, tmp_path: Path, until: Callable[..., None]
) -> None:
    """A bot whose policy says stop waits for its operator for as long as that takes."""
    broker = RedisBroker(own_server.address, "g")
    _feed(broker, "1", 1, "wait")
    with _worker(own_server.address, tmp_path, on_error=ErrorPolicy(retries=0, then="stop")) as process:
        until(lambda: "stopped: moody: the door is closed" in (tmp_path / "log").read_text(), "the bot to stop")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
    broker.close()


def test_a_worker_lives_while_the_next_queue_is_full(
    own_server: EmbeddedServer, tmp_path: Path, until: Callable[..., None]
) -> None:
    """A slice that waits for room, for longer than its limit, is no endless work."""
    broker = RedisBroker(own_server.address, "g")
    _feed(broker, "1", 4)
    with _worker(
        own_server.address, tmp_path, failed_limit=LimitSettings(0), on_error=ErrorPolicy(0, then="fail")
    ) as process:
        until(lambda: broker.drained(["moody"]), "the good items to go on")
        _feed(broker, "2", 1, "raise")
        until(lambda: "stands still" in (tmp_path / "log").read_text(), "the worker to wait for room")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
    broker.close()
