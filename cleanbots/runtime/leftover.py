"""What a bot that is configured no more has left in its queue: let it finish that, or give it to another bot."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ..broker.protocol import Answer, Broker, Commit, Entry, EntryGuard, Output
from ..clock import Clock
from ..config.model import Settings, WorkerSettings
from ..errors import CleanbotsError, FrameError
from ..frame import CHUNKS, decode
from .faults import Backoff
from .mark import Mark
from .scheduler import worker_command
from .stop import Stop

_CONSUMER = "operator"
_PAGE = 10
_STEP = 0.1
_UNTOUCHED = ("", Mark().released().text())
"""Marks of entries that were never handed out, or that a worker let go of before it had done anything."""


def move(broker: Broker, settings: Settings, queue: str, to: str) -> tuple[int, int]:
    """Give what lies in *queue* to another bot, entry by entry, each in one commit.

    Args:
        broker: the graph's.
        settings: of the configuration that runs.
        queue: of a bot that is configured no more, so that nobody works on it.
        to: the bot that gets it.

    Returns:
        how many items were moved, and how many stay because a worker had begun with their entry: only the former bot
        knows where to go on (see `drain`).

    Raises:
        CleanbotsError: if *to* can't take these items.
    """
    bot = settings.bots.get(to)
    if bot is None or bot.kind == "collector":
        raise CleanbotsError(f"{to}: no bot with a queue in the running configuration")
    while broker.take([queue], _CONSUMER, 0.0):  # only what is handed out can be finished
        pass
    moved = stay = 0
    for entry in _entries(broker, queue):
        if _holds_reports(entry) != (bot.kind == "parser"):
            raise CleanbotsError(f"{to} can't take what lies in {queue}: parsers take reports, all others events")
        output = Output(to, entry.data, entry.count)
        commits = (Commit(EntryGuard(entry, mark, None), [output], priority=True) for mark in _UNTOUCHED)
        if any(broker.commit(commit).answer is Answer.COMMITTED for commit in commits):
            moved += entry.count
        else:
            stay += entry.count
    return moved, stay


def drain(broker: Broker, former: Settings, bot: str, host: str, clock: Clock, stop: Stop) -> None:
    """Let a bot of a former configuration work off its queue; return when that is empty, or *stop* is requested.

    It runs alone, in a process of its own; what it sends lies in queues as ever. Entries that a lost worker held are
    taken over after the lease.

    Args:
        broker: the graph's.
        former: the settings that knew the bot.
        bot: its id.
        host: this host.
        clock: measures the wait before a new try.
        stop: the request to stop.
    """
    alone = msgspec.structs.replace(former, hosts=[host], workers={bot: WorkerSettings(bot, [bot], {host: 1})})
    backoff = Backoff(0.2, 10.0)
    process: subprocess.Popen[bytes] | None = None
    not_before = 0.0
    with _snapshot(alone) as snapshot:
        command = worker_command(snapshot, bot, 0, host, "--log-level", "WARNING")
        try:
            while not broker.drained([bot]) and not stop.wait(_STEP):
                if process is not None and process.poll() is not None:
                    process, not_before = None, clock.monotonic() + backoff.next()
                if process is None and clock.monotonic() >= not_before:
                    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        finally:
            if process is not None:
                process.terminate()
                process.wait()


def _entries(broker: Broker, queue: str) -> Iterator[Entry]:
    after = ""
    while page := broker.peek(queue, _PAGE, after):
        for stored in page:
            after = stored.id
            yield Entry(queue, stored.id, stored.data, stored.count)


def _holds_reports(entry: Entry) -> bool:
    try:
        return decode(entry.data).kind == CHUNKS
    except FrameError as error:
        raise CleanbotsError(
            f"{entry.queue}: entry {entry.id}: {error}; 'cleanbots queues clear' deletes it"
        ) from error


@contextmanager
def _snapshot(settings: Settings) -> Iterator[Path]:
    """Write settings down for the time being; they hold references to secrets, and no secrets."""
    handle, name = tempfile.mkstemp(prefix="former-", suffix=".json", dir=settings.state)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(settings))
        yield Path(name)
    finally:
        Path(name).unlink()
