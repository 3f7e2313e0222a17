"""What a broker promises: bytes in, bytes out, and commits that happen once or not at all.

Only `cleanbots.broker` speaks to Redis; everything above works with these shapes. The states, the guards and the
reason why nothing is lost or doubled are written down in ``docs/queues.md``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """A frame that this consumer took from a queue and has not finished yet.

    Args:
        queue: the queue's name (the id of the bot it belongs to).
        id: the stream id of the entry.
        data: the frame.
        count: how many items the frame holds, as its writer said.
        mark: the progress mark, "" if nobody committed a part of it yet. Its content is the worker's business.
        again: True if the entry was handed out before (to this consumer in a former life, or to another).
    """

    queue: str
    id: str
    data: bytes
    count: int
    mark: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class EntryGuard:
    """Work on an entry: holds while the entry is pending and its mark is *mark*.

    Args:
        entry: the entry as it was taken (its ``queue``, ``id``, ``count`` and size of ``data`` are used).
        mark: the mark that the worker last read or wrote.
        then: the new mark, or None if the entry is finished (it is acknowledged and deleted, its mark removed).
    """

    entry: Entry
    mark: str
    then: str | None


@dataclass(frozen=True, slots=True)
class ReportGuard:
    """Collecting a report: holds while the ledger's position of *report* is *position*.

    Args:
        collector: the id of the collecting bot (its cursor is set with the commit).
        report: the report's id.
        position: the position that the collector continues from; "" if the ledger doesn't know the report.
        then: the new position; ``DONE`` when the report is complete.
        cursor: set as the collector's cursor, unless None.
    """

    collector: str
    report: str
    position: str
    then: str
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class TickGuard:
    """A time slot of a bot: holds while *slot* (sortable text) is later than the bot's last one, or that is *instead*.

    Args:
        bot: its id.
        slot: the slot.
        instead: a last slot that is to be replaced all the same, as a clock that was wrong left it; "" if there is none.
    """

    bot: str
    slot: str
    instead: str = ""


@dataclass(frozen=True, slots=True)
class FailedGuard:
    """Retrying or dropping failed items: holds while the entry *id* is in *bot*'s failed queue.

    The entry is removed; what of it shall stay is appended again by ``Commit.failed``.
    """

    bot: str
    id: str
    count: int
    size: int


DONE = "done"
"""The ledger's position of a report that is complete."""


FEEDS = "/feeds"
"""Whose state keeps when each collector last had a complete report, by the collector's id; no bot has this name."""


@dataclass(frozen=True, slots=True)
class Output:
    """A frame to append to a queue: its name, the frame, and how many items it holds."""

    queue: str
    data: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that a queue may hold; a queue below both limits accepts a whole frame."""

    events: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Commit:
    """One atomic step.

    Args:
        guard: if it doesn't hold, nothing happens.
        outputs: frames for queues; each queue is checked against *limits*.
        failed: frames for the failed queues of bots (``queue`` is the bot's id); checked against *failed_limits*.
        limits: queue name to its limit; a queue that is not named has none.
        failed_limits: bot id to the limit of its failed queue.
        counters: added to the graph's statistics; keys ``<bot>:<what>``.
        state: bot id to what its state puts (None removes a key).
        priority: True exempts from *limits* (retries, edges inside a group).
    """

    guard: EntryGuard | ReportGuard | TickGuard | FailedGuard
    outputs: Sequence[Output] = ()
    failed: Sequence[Output] = ()
    limits: Mapping[str, Limit] = field(default_factory=dict)
    failed_limits: Mapping[str, Limit] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    state: Mapping[str, Mapping[str, bytes | None]] = field(default_factory=dict)
    priority: bool = False


class Answer(Enum):
    """What became of a commit."""

    COMMITTED = "committed"
    LOST = "lost"  # the guard didn't hold: somebody else did this work
    FULL = "full"  # a receiving queue is full: no effect, try again later
    FAILED_FULL = "failed full"  # a failed queue is full: no effect, an operator must look


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a commit, and for FULL and FAILED_FULL the queue or bot concerned."""

    answer: Answer
    name: str = ""


@dataclass(frozen=True, slots=True)
class Depth:
    """How full a queue is: waiting and taken items, bytes, and entries that consumers hold."""

    events: int
    bytes: int
    entries: int
    pending: int


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it lies in a queue or failed queue: for listing, not for working on it."""

    id: str
    data: bytes
    count: int


class Broker(Protocol):
    """A graph's queues, ledger, statistics and failed items on one server.

    Every method raises `BrokerUnavailable` when the server is away or refuses for now; after it, what a consumer
    holds is to be asked for again with `mine`. No method retries by itself.
    """

    def check(self) -> list[str]:
        """Look whether server and settings can keep the promise; give warnings.

        Raises:
            BrokerRefused: if they can't.
        """
        ...

    def verify(self) -> None:
        """Look whether the server's data are still those that this host worked with; cheap, to be asked often.

        Raises:
            BrokerReplaced: if they were emptied, exchanged, or set back to an older copy.
        """
        ...

    def adopt(self) -> None:
        """Accept the server's data as they are, after `check` or `verify` found others."""
        ...

    def take(self, queues: Sequence[str], consumer: str, wait: float) -> Entry | None:
        """Take the next entry of the first queue in *queues* that has one; wait up to *wait* seconds for it.

        None may come earlier than that.
        """
        ...

    def mine(self, queues: Sequence[str], consumer: str) -> list[Entry]:
        """Give the entries that *consumer* holds and has not finished (after a restart or a broken connection)."""
        ...

    def claim(self, queues: Sequence[str], consumer: str, idle: float) -> Entry | None:
        """Take over one entry that a consumer has held for more than *idle* seconds without a sign of life.

        What *consumer* itself holds and has forgotten for so long is given, too.
        """
        ...

    def alive(self, entry: Entry, consumer: str) -> bool:
        """Say that *consumer* still works on *entry*; False if it has lost it."""
        ...

    def commit(self, commit: Commit) -> Result:
        """Do one atomic step, or nothing; after a lost reply the same commit may be sent again, and is at worst lost."""
        ...

    def position(self, report: str) -> str:
        """Give the ledger's position of a report: "" if unknown, `DONE` if complete."""
        ...

    def forget_reports(self, before: datetime) -> int:
        """Forget the complete reports that nobody asked for since the day of *before*; give how many those were."""
        ...

    def cursor(self, collector: str) -> str | None:
        """Give a collector's cursor."""
        ...

    def last_slot(self, bot: str) -> str:
        """Give the last time slot of a bot whose tick was committed, or ""."""
        ...

    def state(self, bot: str) -> dict[str, bytes]:
        """Give a bot's state."""
        ...

    def claim_keys(self, bot: str, keys: Sequence[bytes], owners: Sequence[str], window: float) -> list[str]:
        """Deduplicate: give each key's owner (see `cleanbots.context.Cache`); one answer per key, in their order."""
        ...

    def durable(self, timeout: float) -> bool:
        """Wait until everything this client committed is durable; False if *timeout* seconds were not enough."""
        ...

    def depths(self, queues: Sequence[str]) -> dict[str, Depth]:
        """Tell how full each queue is."""
        ...

    def queues(self) -> list[str]:
        """Name the queues that hold something, also those that no configuration knows any more."""
        ...

    def drained(self, queues: Sequence[str]) -> bool:
        """Tell in one atomic look whether nothing waits and nothing is held in any of *queues*."""
        ...

    def witness(self, what: str, number: int) -> int:
        """Remember how far something outside has come; give the highest number that was told of it before."""
        ...

    def statistics(self) -> dict[str, int]:
        """Give all counters, ``<bot>:<what>`` to number."""
        ...

    def peek(self, queue: str, count: int, after: str = "") -> list[Stored]:
        """List entries of a queue in order, after the entry *after*."""
        ...

    def failed(self, bot: str, count: int, after: str = "") -> list[Stored]:
        """List entries of a bot's failed queue in order, after the entry *after*."""
        ...

    def failed_depths(self) -> dict[str, Depth]:
        """Tell how many failed items each bot has; only bots that have any."""
        ...

    def clear(self, queue: str) -> int:
        """Delete everything in a queue that nobody holds; give how many items that were."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
