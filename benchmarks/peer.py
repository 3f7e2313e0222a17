"""IntelMQ, to be run beside cleanbots: the same reports, stages and machine.

It is installed from the package index into an environment of its own, ``.venv-peer``; nothing of it comes into this
project. Its bots refuse to run as root; started as root, they run as *nobody*.

The pipeline is a file collector, the Shadowserver parser, the deduplicator, GeoIP, the taxonomy and a file output. The clock
starts when the collector has handed on the file, so that neither start-up nor the collector's pauses count.
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import redis

from benchmarks.processes import cpu_seconds, pss_bytes
from benchmarks.samples import networks, report
from cleanbots.broker.embedded import server_program
from cleanbots.services.mmdb import build_tables

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv-peer"
PACKAGES = ("intelmq==3.5.0", "geoip2>=4,<6")

_MODULES = {
    "collector": "intelmq.bots.collectors.file.collector_file",
    "parser": "intelmq.bots.parsers.shadowserver.parser",
    "deduplicator": "intelmq.bots.experts.deduplicator.expert",
    "geoip": "intelmq.bots.experts.maxmind_geoip.expert",
    "taxonomy": "intelmq.bots.experts.taxonomy.expert",
    "output": "intelmq.bots.outputs.file.output",
}
_QUEUES = 2
"""The number of the peer's database with its queues."""

_READY = "Bot initialization completed."
_POLL = 0.02
_DEADLINE = 1800.0


class PeerRun(NamedTuple):
    """What one run of the peer cost.

    Args:
        wall: seconds from the collected file to the last written line.
        cpu: CPU seconds of all bots and of the server in that time.
        pss: the highest proportional set size of all bots together, in bytes.
        events: the written events.
    """

    wall: float
    cpu: float
    pss: int
    events: list[dict[str, Any]]


def install() -> None:
    """Make the peer's environment, once.

    Raises:
        subprocess.CalledProcessError: a package could not be installed.
    """
    if not (HOME / "bin" / "intelmqctl").exists():
        # The unprivileged user can't enter a Python in root's home.
        python = "/usr/bin/python3" if os.getuid() == 0 else sys.executable
        subprocess.run([python, "-m", "venv", HOME], check=True)
        subprocess.run([HOME / "bin" / "python", "-m", "pip", "install", "--quiet", *PACKAGES], check=True)


def measure(rows: int, *, durable: bool = False) -> PeerRun:
    """Run the peer's pipeline over a report of *rows* rows.

    Args:
        rows: how many rows the report has.
        durable: with an append-only file that is synced at every write; otherwise as the server comes.

    Raises:
        RuntimeError: a bot ended, or the events did not come out within half an hour.
    """
    with _folder() as folder, _server(folder, durable=durable) as server, _bots(folder, tuple(_MODULES)) as bots:
        watched, out, peak = [server, *bots], folder / "events.jsonl", 0
        _drop(folder, rows)
        _wait(lambda: not any((folder / "inbox").iterdir()), watched, "the collector to hand on the file")
        started, before = time.perf_counter(), _cpu(watched)

        def written() -> bool:
            nonlocal peak
            peak = max(peak, pss_bytes(bot.pid for bot in bots))
            return out.exists() and out.read_bytes().count(b"\n") >= rows

        _wait(written, watched, "the events to come out", pause=0.25)
        wall, cpu = time.perf_counter() - started, _cpu(watched) - before
        return PeerRun(wall, cpu, peak, [json.loads(line) for line in out.read_text("utf-8").splitlines()])


def queued_bytes(rows: int) -> float:
    """Give the server's bytes per event, of *rows* events that wait in front of a stopped output."""
    running = tuple(name for name in _MODULES if name != "output")
    with _folder() as folder, _server(folder, durable=False) as server, _bots(folder, running) as bots:
        _drop(folder, rows)
        with redis.Redis(unix_socket_path=str(folder / "socket"), db=_QUEUES) as queues:
            _wait(lambda: queues.llen("output-queue") >= rows, [server, *bots], "the events to queue up")
            return float(queues.memory_usage("output-queue", samples=0)) / rows


@contextmanager
def _folder() -> Iterator[Path]:
    """Give an empty installation of the peer that belongs to the user who runs it."""
    with tempfile.TemporaryDirectory(prefix="peer-") as name:
        folder = Path(name)
        for part in ("etc", "inbox", "stage", "var/log", "var/run", "var/lib/bots"):
            (folder / part).mkdir(parents=True)
        package = next((HOME / "lib").glob("python3*/site-packages/intelmq"))
        shutil.copy(package / "etc" / "harmonization.conf", folder / "etc")
        shutil.copy(ROOT / "config" / "shadowserver-schema.json", folder / "var/lib/bots")
        networks(folder / "networks.txt")
        build_tables(folder / "networks.txt", folder, datetime.now(UTC))
        (folder / "etc" / "runtime.yaml").write_text(json.dumps(_runtime(folder)))
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (folder, *folder.rglob("*")):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        yield folder


def _runtime(folder: Path) -> dict[str, Any]:
    """Give the peer's configuration: its defaults, apart from addresses, paths and the pause between two looks."""
    socket = str(folder / "socket")
    names = list(_MODULES)
    parameters: dict[str, dict[str, Any]] = {
        "collector": {"path": str(folder / "inbox"), "postfix": ".csv", "delete_file": True, "rate_limit": 1},
        "parser": {"overwrite": True},
        "deduplicator": {"filter_keys": "raw,time.observation", "filter_type": "blacklist"},
        "geoip": {"database": str(folder / "geo.mmdb"), "overwrite": True},
        "output": {"file": str(folder / "events.jsonl")},
    }
    shared = {
        "source_pipeline_host": socket,
        "destination_pipeline_host": socket,
        "statistics_host": socket,
        "redis_cache_host": socket,
        "logging_path": str(folder / "var/log"),
    }
    bots = {
        name: {
            "bot_id": name,
            "enabled": True,
            "group": module.split(".")[2].capitalize().rstrip("s"),
            "module": module,
            "name": name,
            "run_mode": "continuous",
            "parameters": {
                **parameters.get(name, {}),
                "destination_queues": {"_default": [f"{later}-queue" for later in names[at + 1 : at + 2]]},
            },
        }
        for at, (name, module) in enumerate(_MODULES.items())
    }
    return {"global": shared, **bots}


@contextmanager
def _server(folder: Path, *, durable: bool) -> Iterator[subprocess.Popen[bytes]]:
    settings = ["--appendonly", "yes", "--appendfsync", "always"] if durable else []
    place = ["--port", "0", "--unixsocket", str(folder / "socket"), "--unixsocketperm", "777", "--dir", str(folder)]
    with _started([str(server_program()), *place, *settings], folder, folder / "server.log") as process:
        _wait((folder / "socket").exists, [process], "the server to start")
        yield process


@contextmanager
def _bots(folder: Path, names: tuple[str, ...]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run these bots; gives them when all are ready."""
    if not names:
        yield []
        return
    first, *rest = names
    command = [str(HOME / "bin" / _MODULES[first]), first]
    with _started(command, folder, folder / f"{first}.out") as bot, _bots(folder, tuple(rest)) as others:
        log = folder / "var/log" / f"{first}.log"
        _wait(lambda: log.exists() and _READY in log.read_text("utf-8"), [bot], f"{first} to be ready")
        yield [bot, *others]


@contextmanager
def _started(command: list[str], folder: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "INTELMQ_ROOT_DIR": str(folder), "HOME": str(folder)},
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            **user,  # type: ignore[arg-type]  # three parameters of Popen by name
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _drop(folder: Path, rows: int) -> None:
    """Put the report into the inbox, whole and at once."""
    staged = report(folder / "stage", rows)
    if os.getuid() == 0:
        shutil.chown(staged, "nobody", "nogroup")
    staged.rename(folder / "inbox" / staged.name)


def _wait(done: Callable[[], bool], alive: list[subprocess.Popen[bytes]], what: str, pause: float = _POLL) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not done():
        ended = next((one for one in alive if one.poll() is not None), None)
        if ended is not None or time.monotonic() > deadline:
            why = f"{ended.args} ended" if ended is not None else f"{_DEADLINE:.0f} s are over"
            raise RuntimeError(f"waiting for {what}: {why}")
        time.sleep(pause)


def _cpu(processes: list[subprocess.Popen[bytes]]) -> float:
    return cpu_seconds(process.pid for process in processes)
