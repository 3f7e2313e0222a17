"""The compiled configuration: what a snapshot holds and what workers run. Every default is filled in.

A snapshot is immutable JSON; its hash names it. Secrets stay references in it.
"""

from typing import Any

import msgspec


class LimitSettings(msgspec.Struct, frozen=True):
    """The most that a queue may hold, in items and bytes."""

    events: int = 1_000_000
    bytes: int = 64 * 2**20


class ErrorPolicy(msgspec.Struct, frozen=True):
    """What happens when the world is at fault while a bot works (`cleanbots.errors.Retry` and its like).

    Args:
        retries: how often to try again; None for ever.
        delay: seconds before the first new try; doubled each time up to *max_delay*.
        max_delay: seconds.
        then: after the last try: ``fail`` (the items go to failed) or ``stop`` (the bot stops with an alarm).
    """

    retries: int | None = None
    delay: float = 1.0
    max_delay: float = 300.0
    then: str = "fail"


class FeedSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a collector's notifier; becomes ``feed.*`` and ``tlp`` of its events."""

    provider: str | None = None
    name: str | None = None
    code: str | None = None
    url: str | None = None
    documentation: str | None = None
    accuracy: float | None = None
    tlp: str | None = None
    contact: str | None = None
    disclose: bool | None = None
    share_raw: bool | None = None
    expect: str | None = None


class BotSettings(msgspec.Struct, frozen=True):
    """One bot of the graph.

    Args:
        id: its name in the configuration, and its queue's.
        use: which bot class, as ``kind/name``.
        kind: collector, parser, expert or output.
        params: its parameters as written (checked; secrets as references).
        to: path to the ids of the bots that receive by it, in the order written.
        feed: collectors: facts of the notifier.
        every: seconds between two time slots, or None.
        cron: a cron line for time slots, or None.
        on_error: policy for errors of the world.
        limit: of its queue.
        failed_limit: of its failed queue.
        slice: how many items a worker takes through at once.
        time_limit: seconds that one slice may take before the worker is ended.
        continuous: collectors: keeps a process.
        line: where it stands in the configuration, ``file:line``.
    """

    id: str
    use: str
    kind: str
    params: dict[str, Any] = {}
    to: dict[str, list[str]] = {}
    feed: FeedSettings = FeedSettings()
    every: float | None = None
    cron: str | None = None
    on_error: ErrorPolicy = ErrorPolicy()
    limit: LimitSettings = LimitSettings()
    failed_limit: LimitSettings = LimitSettings(100_000, 64 * 2**20)
    slice: int = 1000
    time_limit: float = 300.0
    continuous: bool = False
    line: str = ""


class WorkerSettings(msgspec.Struct, frozen=True):
    """One worker: the connected bots it hosts, and where how many of it run.

    Args:
        name: unique; the id of its first bot.
        bots: ids, upstream first. Bots of one worker form a tree.
        hosts: host name to number of processes.
        scheduled: True for a collector that the scheduler starts for each time slot.
    """

    name: str
    bots: list[str]
    hosts: dict[str, int] = {}
    scheduled: bool = False


class ArchiveSettings(msgspec.Struct, frozen=True):
    """How long raw reports are kept (seconds), and how much of them (bytes)."""

    keep: float = 7 * 86400.0
    max: int = 20 * 2**30


class DeliverySettings(msgspec.Struct, frozen=True):
    """How deliveries to members are made.

    Args:
        mode: ``preview``, ``test`` or ``live``.
        store: absolute path, or URL, of the store (may hold a reference to a secret).
        host: on which host the couriers run.
        couriers: channel to the parameters of its courier ``output/<channel>``, as written (secrets as references).
        written: the whole section as written and checked; `cleanbots.clearinghouse.settings.hub_of` compiles it.
    """

    mode: str = "preview"
    store: str = ""
    host: str = ""
    couriers: dict[str, dict[str, Any]] = {}
    written: dict[str, Any] = {}


class ConfigTest(msgspec.Struct, frozen=True):
    """A test that the configuration holds.

    Args:
        name: the rule that it proves.
        feed: bot id to what it is fed, as written.
        expect: bot id to what must arrive there, as written.
        line: where it stands, ``file:line``.
    """

    name: str
    feed: dict[str, Any] = {}
    expect: dict[str, Any] = {}
    line: str = ""


class Settings(msgspec.Struct, frozen=True):
    """A whole configuration, compiled.

    Args:
        name: the graph's name; all keys on the server carry it.
        base: absolute folder of the configuration file; relative paths in parameters start there.
        state: absolute folder of sockets, locks, logs, snapshots, the archive.
        broker: ``embedded`` or a URL (may hold a reference to a secret).
        bots: by id, upstream first (topological order).
        workers: by name.
        lease: seconds without a sign of life after which another worker may take over an entry.
        memory: bytes of private memory that one worker may use; beyond it an allocation fails the item at hand.
        catalogue: further fields, in the catalogue's own form.
        plugins: absolute site folders with bots.
        members: absolute path of the file of the members, or None.
        delivery: how deliveries to members are made.
        source: absolute path of the configuration file.
        hash: of everything but *source* and the lines of bots; names the snapshot.
    """

    name: str
    base: str
    state: str
    broker: str = "embedded"
    hosts: list[str] = msgspec.field(default_factory=lambda: ["main"])
    bots: dict[str, BotSettings] = {}
    workers: dict[str, WorkerSettings] = {}
    lease: float = 60.0
    memory: int = 2 * 2**30
    archive: ArchiveSettings | None = ArchiveSettings()
    catalogue: dict[str, Any] = {}
    plugins: list[str] = []
    members: str | None = None
    delivery: DeliverySettings = DeliverySettings()
    source: str = ""
    hash: str = ""
