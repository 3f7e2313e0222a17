"""What runs on a host: one program for each worker and number, the scheduler, and the private queue server."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..config.model import DeliverySettings, Settings, WorkerSettings
from ..errors import ConfigError

SCHEDULER = "scheduler"
SERVER = "server"
_GRACE = 30.0


class Program(msgspec.Struct, frozen=True):
    """One process that supervisord keeps alive.

    Args:
        name: unique on this host; workers are ``<worker>-<number>``.
        argv: what is executed, without a shell.
        digest: of all that decides how it works; equal digests need no restart.
        stop_seconds: how long it may take to finish the slice at hand before it is killed.
        worker: the worker's name, or "" for scheduler and server.
        directory: where it runs.
        first: whether others need it, so that it starts first and stops last.
    """

    name: str
    argv: list[str]
    digest: str
    stop_seconds: int
    worker: str = ""
    directory: str = "/"
    first: bool = False


def programs(settings: Settings, snapshot: Path, host: str, server: Sequence[str] = ()) -> list[Program]:
    """Give the programs of *host*.

    Args:
        settings: the compiled configuration.
        snapshot: the file that holds it, which the workers read.
        host: which of the configuration's hosts this is.
        server: arguments that start the private queue server here, or nothing.

    Raises:
        ConfigError: if the configuration has no such host.
    """
    if host not in settings.hosts:
        raise ConfigError(f"host {host!r}: not in this configuration; its hosts are {', '.join(settings.hosts)}")
    found = []
    if server:
        digest = _digest(list(server))
        found.append(Program(SERVER, list(server), digest, int(_GRACE), directory=settings.base, first=True))
    scheduled = [worker for worker in settings.workers.values() if worker.scheduled and host in worker.hosts]
    if scheduled:
        limit = max(_stop_seconds(settings, worker) for worker in scheduled)
        digest = _digest([fingerprint(settings, worker) for worker in scheduled])
        argv = [*_python("cleanbots.runtime.scheduler"), str(snapshot), "--host", host]
        found.append(Program(SCHEDULER, argv, digest, limit, directory=settings.base))
    for worker in settings.workers.values():
        if not worker.scheduled:
            found += [_worker(settings, worker, number, snapshot, host) for number in _numbers(worker, host)]
    if host == (settings.delivery.host or settings.hosts[0]):
        found += [_courier(settings, channel, snapshot, host) for channel in settings.delivery.couriers]
    return found


def _courier(settings: Settings, channel: str, snapshot: Path, host: str) -> Program:
    argv = [*_python("cleanbots.runtime.courier"), str(snapshot), channel, "--host", host]
    said = [settings.base, settings.state, settings.members, msgspec.to_builtins(settings.delivery), settings.plugins]
    return Program(f"courier-{channel}", argv, _digest(said), int(_GRACE), directory=settings.base)


def _worker(settings: Settings, worker: WorkerSettings, number: int, snapshot: Path, host: str) -> Program:
    return Program(
        name=f"{worker.name}-{number}",
        argv=[*_python("cleanbots.runtime.worker"), str(snapshot), worker.name, str(number), "--host", host],
        digest=fingerprint(settings, worker),
        stop_seconds=_stop_seconds(settings, worker),
        worker=worker.name,
        directory=settings.base,
    )


def _numbers(worker: WorkerSettings, host: str) -> range:
    return range(worker.hosts.get(host, 0))


def _python(module: str) -> list[str]:
    # -P: the working directory is the operator's and must not be able to shadow a module
    return [sys.executable, "-P", "-m", module]


def _stop_seconds(settings: Settings, worker: WorkerSettings) -> int:
    return int(max(settings.bots[bot].time_limit for bot in worker.bots) + _GRACE)


def fingerprint(settings: Settings, worker: WorkerSettings) -> str:
    """Give a digest of all that a worker's doings depend on, so that only what differs is restarted.

    That is the graph's own facts, its bots (not the lines at which they stand), and the limits of whom they send to.
    """
    graph = msgspec.structs.replace(settings, bots={}, workers={}, hosts=[], source="", hash="")
    if all(settings.bots[bot].use != "output/members" for bot in worker.bots):
        graph = msgspec.structs.replace(graph, members=None, delivery=DeliverySettings())
    bots = [msgspec.structs.replace(settings.bots[bot], line="") for bot in worker.bots]
    receivers = sorted({to for bot in bots for ids in bot.to.values() for to in ids} - set(worker.bots))
    return _digest(
        [
            graph,
            msgspec.structs.replace(worker, hosts={}),
            bots,
            [(to, settings.bots[to].kind, settings.bots[to].limit) for to in receivers],
        ]
    )


def _digest(value: Any) -> str:
    return hashlib.blake2b(msgspec.json.encode(value, order="sorted"), digest_size=10).hexdigest()
