"""The broker on Redis (from 7.0) or Valkey (from 8): streams of frames, and one script per step.

``docs/queues.md`` describes keys, states and guards, and why nothing is lost or doubled.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..clock import Clock, SystemClock
from ..errors import BrokerRefused, BrokerReplaced, BrokerUnavailable
from .client import BLOCK_LIMIT, Client
from .durability import Durability
from .epoch import Epoch
from .health import Health
from .keys import GROUP, LEDGER_SHARDS, Keys
from .packing import packed
from .protocol import DONE, Answer, Commit, Depth, Entry, Result, Stored
from .seen import Seen

_FORGET_RUN = 64


class RedisBroker:
    """A graph's queues, ledger, statistics and failed items on one server; implements `protocol.Broker`.

    ``take``, ``mine`` and ``claim`` belong to one thread; ``alive`` and everything that only reads may be called from
    another.

    Args:
        address: see `address.parse`.
        name: the graph's name; all keys carry it.
        folder: the state directory, where this host's copy of the epoch lies; None does without.
        seen_limit: the most keys that a bot's deduplication remembers; then the oldest are forgotten.
        clock: tells how long a commit ago is.
        on_close: called after the connections are closed.

    Raises:
        BrokerRefused: if the address can't be read.
    """

    def __init__(
        self,
        address: str,
        name: str,
        folder: Path | None = None,
        *,
        seen_limit: int = 20_000_000,
        clock: Clock | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._on_close = on_close
        self._keys = Keys(name)
        self._client = Client(address, self._keys.tag)
        self._health = Health(self._client)
        self._epoch = Epoch(self._client, self._keys, folder)
        self._durability = Durability(self._client, clock or SystemClock())
        self._seen = Seen(self._client, self._keys, seen_limit)
        self._more: list[Entry] = []

    # -- server ----------------------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Look whether server and settings can keep the promise; give warnings.

        Raises:
            BrokerRefused: if they can't, or if the server's data is not what this host worked with before.
        """
        warnings = self._health.check()
        try:
            self._epoch.verify()
        except BrokerReplaced as error:
            raise BrokerRefused(str(error)) from error
        return warnings

    def verify(self) -> None:
        """Look whether the server's data are still those that this host worked with.

        Raises:
            BrokerReplaced: if they are not.
        """
        self._epoch.verify()

    def adopt(self) -> None:
        """Accept the server's data as they are now, for all hosts, after they were found emptied or replaced."""
        self._epoch.adopt()

    def durable(self, timeout: float) -> bool:
        """Wait until everything this client committed is durable; False if *timeout* seconds were not enough.

        Raises:
            BrokerUnavailable: also if the server was restarted since: ask the ledger what it still knows.
        """
        return self._durability.wait(timeout)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        if self._on_close is not None:
            self._on_close()

    # -- entries ---------------------------------------------------------------------------------------------------

    def take(self, queues: Sequence[str], consumer: str, wait: float) -> Entry | None:
        """Take the next entry of the first queue in *queues* that has one; wait up to *wait* seconds for it.

        One wait is at most `BLOCK_LIMIT` seconds long. If several queues get something in the same instant while
        this waits, the server hands out one entry of each; the others are kept here and given by the next calls.
        """
        if entry := self._kept(queues, consumer):
            return entry
        keys = [self._keys.queue(queue) for queue in queues]
        if found := self._client.run("take", keys, [consumer]):
            return _entry(queues[found[0]], found[1], found[2])
        if wait <= 0 or not queues:
            return None
        self._more = self._wait(queues, keys, consumer, min(wait, BLOCK_LIMIT))
        return self._more.pop(0) if self._more else None

    def _kept(self, queues: Sequence[str], consumer: str) -> Entry | None:
        """Give an entry that came along with another one, unless it was claimed meanwhile."""
        while self._more:
            entry = self._more.pop(0)
            if entry.queue in queues and self.alive(entry, consumer):
                return entry
        return None

    def _wait(self, queues: Sequence[str], keys: Sequence[str], consumer: str, wait: float) -> list[Entry]:
        command = ["XREADGROUP", "GROUP", GROUP, consumer, "COUNT", 1, "BLOCK", max(1, int(wait * 1000)), "STREAMS"]
        command += [*keys, *[">"] * len(keys)]
        try:
            streams = self._client.call(*command)
        except BrokerUnavailable as error:
            if not _is_missing_group(error):
                raise
            self.verify()  # queues are there from the first time on that somebody waits for them
            self._client.run("make_queues", [self._keys.depths, *keys], [])
            streams = self._client.call(*command)
        names = {key.encode(): queue for key, queue in zip(keys, queues, strict=True)}
        found = {names[key]: _entry(names[key], *entries[0]) for key, entries in streams or ()}
        return [found[queue] for queue in queues if queue in found]

    def mine(self, queues: Sequence[str], consumer: str) -> list[Entry]:
        """Give the entries that *consumer* holds and has not finished (after a restart or a broken connection)."""
        self._more = []
        held = self._client.run("mine", self._with_marks(queues), [consumer, *queues])
        return [_entry(queues[n], key, fields, mark.decode(), again=True) for n, key, fields, mark in held]

    def claim(self, queues: Sequence[str], consumer: str, idle: float) -> Entry | None:
        """Take over one entry that a consumer has held for more than *idle* seconds without a sign of life.

        Entries that *consumer* itself has forgotten for so long are given, too.
        """
        arguments = [consumer, max(0, int(idle * 1000)), *queues]
        found = self._client.run("claim", self._with_marks(queues), arguments)
        return _entry(queues[found[0]], found[1], found[2], found[3].decode(), again=True) if found else None

    def _with_marks(self, queues: Sequence[str]) -> list[str]:
        pairs = [key for queue in queues for key in (self._keys.queue(queue), self._keys.marks(queue))]
        return [self._keys.statistics, *pairs]

    def alive(self, entry: Entry, consumer: str) -> bool:
        """Say that *consumer* still works on *entry*; False if it has lost it."""
        return bool(self._client.run("alive", [self._keys.queue(entry.queue)], [entry.id, consumer]))

    def commit(self, commit: Commit) -> Result:
        """Do one atomic step, or nothing.

        A commit whose reply was lost may be sent again: if it was done, the guard doesn't hold any more (``LOST``).
        """
        self._durability.committing()
        keys, arguments = packed(commit, self._keys)
        answer = self._client.run("commit", keys, arguments)
        self._durability.committed()
        return Result(Answer(answer[0].decode()), answer[1].decode() if len(answer) > 1 else "")

    # -- ledger and state ------------------------------------------------------------------------------------------

    def position(self, report: str) -> str:
        """Give the ledger's position of a report: "" if unknown, `DONE` if complete.

        Asking says that the source still shows the report; see `forget_reports`.
        """
        position: bytes = self._client.run("position", [self._keys.ledger(report)], [report])
        return position.decode()

    def forget_reports(self, before: datetime) -> int:
        """Forget the complete reports that nobody asked for since the day of *before*; give how many those were."""
        first_kept = int(before.astimezone(UTC).timestamp() // 86400)
        shards = [self._keys.ledger_shard(number) for number in range(LEDGER_SHARDS)]
        runs = (shards[start : start + _FORGET_RUN] for start in range(0, LEDGER_SHARDS, _FORGET_RUN))
        return sum(self._client.run("forget", run, [first_kept, DONE]) for run in runs)

    def cursor(self, collector: str) -> str | None:
        """Give a collector's cursor."""
        cursor: bytes | None = self._client.call("HGET", self._keys.cursors, collector)
        return None if cursor is None else cursor.decode()

    def last_slot(self, bot: str) -> str:
        """Give the last time slot of a bot whose tick was committed, or ""."""
        slot: bytes | None = self._client.call("HGET", self._keys.slots, bot)
        return (slot or b"").decode()

    def state(self, bot: str) -> dict[str, bytes]:
        """Give a bot's state."""
        return {key.decode(): value for key, value in self._hash(self._keys.state(bot)).items()}

    def claim_keys(self, bot: str, keys: Sequence[bytes], owners: Sequence[str], window: float) -> list[str]:
        """Deduplicate: give each key's owner (see `cleanbots.context.Cache`)."""
        return self._seen.claim(bot, keys, owners, window)

    # -- looking ---------------------------------------------------------------------------------------------------

    def depths(self, queues: Sequence[str]) -> dict[str, Depth]:
        """Tell how full each queue is."""
        return self._depths(self._keys.depths, {queue: self._keys.queue(queue) for queue in queues})

    def queues(self) -> list[str]:
        """Name the queues that hold something, also those that no configuration knows any more."""
        return self._named(self._keys.depths)

    def failed_depths(self) -> dict[str, Depth]:
        """Tell how many failed items each bot has; only bots that have any."""
        bots = self._named(self._keys.failed_depths)
        depths = self._depths(self._keys.failed_depths, {bot: self._keys.failed(bot) for bot in bots})
        return {bot: depth for bot, depth in depths.items() if depth.entries}

    def _named(self, counts: str) -> list[str]:
        return sorted({field.decode().rpartition(":")[0] for field in self._hash(counts)})

    def _depths(self, counts: str, streams: Mapping[str, str]) -> dict[str, Depth]:
        rows = self._client.run("depths", [counts, *streams.values()], list(streams))
        return {name: Depth(*row) for name, row in zip(streams, rows, strict=True)}

    def drained(self, queues: Sequence[str]) -> bool:
        """Tell in one atomic look whether nothing waits and nothing is held in any of *queues*."""
        lengths = self._client.together(*[("XLEN", self._keys.queue(queue)) for queue in queues], atomic=True)
        return not any(lengths)

    def witness(self, what: str, number: int) -> int:
        """Remember how far something outside has come; give the highest number that was told of it before."""
        return int(self._client.run("witness", [self._keys.witness], [what, number]))

    def statistics(self) -> dict[str, int]:
        """Give all counters, ``<bot>:<what>`` to number."""
        return {key.decode(): int(value) for key, value in self._hash(self._keys.statistics).items()}

    def peek(self, queue: str, count: int, after: str = "") -> list[Stored]:
        """List entries of a queue in order, after the entry *after*."""
        return self._range(self._keys.queue(queue), count, after)

    def failed(self, bot: str, count: int, after: str = "") -> list[Stored]:
        """List entries of a bot's failed queue in order, after the entry *after*."""
        return self._range(self._keys.failed(bot), count, after)

    def _range(self, key: str, count: int, after: str) -> list[Stored]:
        entries = self._client.call("XRANGE", key, f"({after}" if after else "-", "+", "COUNT", count)
        return [_stored(*entry) for entry in entries]

    def _hash(self, key: str) -> dict[bytes, bytes]:
        fields: dict[bytes, bytes] = self._client.call("HGETALL", key)
        return fields

    def clear(self, queue: str) -> int:
        """Delete everything in a queue that nobody holds; give how many items that were."""
        items, last, more = 0, b"", 1
        while more:
            keys = [self._keys.depths, self._keys.queue(queue)]
            deleted, last, more = self._client.run("clear", keys, [queue, last])
            items += deleted
        return items


def _is_missing_group(error: BrokerUnavailable) -> bool:
    return str(error.__cause__).startswith("NOGROUP")


def _pairs(fields: Any) -> dict[bytes, bytes]:
    """Give an entry's fields by name: a script answers them as a flat list, redis-py parses those of a command."""
    return fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))


def _entry(queue: str, key: bytes, fields: Any, mark: str = "", *, again: bool = False) -> Entry:
    pairs = _pairs(fields)
    return Entry(queue, key.decode(), pairs.get(b"d", b""), int(pairs.get(b"n", 0)), mark, again)


def _stored(key: bytes, fields: Any) -> Stored:
    pairs = _pairs(fields)
    return Stored(key.decode(), pairs.get(b"d", b""), int(pairs.get(b"n", 0)))
