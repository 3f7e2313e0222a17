"""How a graph is on this host: what runs, what waits, what has failed, and what needs a person."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from ..broker.protocol import Depth
from ..config.feeds import feed_health
from ..config.model import LimitSettings, Settings
from .client import Process
from .programs import Program

NEARLY_FULL = 80  # per cent
_MOST_HELD = 10
_FRESH = 60  # seconds: a program that ended and was started again within this time is told of


class WorkerStatus(msgspec.Struct, frozen=True):
    """One program on this host.

    Args:
        program: its name, ``<worker>-<number>``, ``scheduler`` or ``server``.
        state: ``running``, or as supervisord says; ``missing`` if it should be there and is not.
        pid: 0 if it does not run.
        uptime: seconds.
        bots: whom it hosts.
    """

    program: str
    state: str
    pid: int
    uptime: int
    bots: list[str]


class BotStatus(msgspec.Struct, frozen=True, rename={"taken": "in", "sent": "out"}):
    """One bot of the graph, on whatever hosts it runs. Counters go back to the graph's beginning.

    Args:
        bot: its id.
        kind: collector, parser, expert or output.
        taken: items it took.
        sent: events it sent on; of a collector: reports.
        dropped: items that went no further on purpose.
        failures: items that failed, ever; those that were retried since are among them.
        queue: items that wait or are being worked on now.
        failed: failed items that lie there now.
    """

    bot: str
    kind: str
    taken: int
    sent: int
    dropped: int
    failures: int
    queue: int
    failed: int


class Deliveries(msgspec.Struct, frozen=True):
    """How deliveries to members stand.

    Args:
        mode: ``preview``, ``test`` or ``live``.
        stopped: names of stops: ``*`` for all, a member's id, ``<member>/<delivery>``, or ``*/<delivery>``.
        held: reference to whose it is and why it waits for an operator, newest first.
        error: why nothing leaves, or why the store could not be asked, or "".
    """

    mode: str
    stopped: list[str] = []
    held: dict[str, str] = {}
    error: str = ""


class Status(msgspec.Struct, frozen=True):
    """The whole.

    Args:
        name: the graph's name.
        host: this host.
        snapshot: the hash of the configuration that runs.
        published: when it was published (canonical time text).
        problems: what needs a person, one sentence each; empty if all is well.
        workers: programs of this host.
        bots: all bots, upstream first.
        deliveries: how those to members stand, or None without a store on this host.
    """

    name: str
    host: str
    snapshot: str
    published: str
    problems: list[str]
    workers: list[WorkerStatus]
    bots: list[BotStatus]
    deliveries: Deliveries | None = None

    @property
    def headline(self) -> str:
        """The state of the graph in one line; it begins with what must not be overlooked."""
        problems = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        state = problems if self.problems else "running, all is well"
        mode, shout = "", ""
        if self.deliveries is not None:
            mode = f"; deliveries in mode {self.deliveries.mode}"
            stopped = ["everything" if name == "*" else name for name in self.deliveries.stopped]
            shout = f"DELIVERIES STOPPED ({', '.join(stopped)}): " if stopped else ""
        return f"{shout}{self.name} on {self.host}: {state}{mode}"


class Counts(msgspec.Struct, frozen=True):
    """What the broker says, or why it says nothing.

    Args:
        statistics: ``<bot>:<what>`` to number.
        depths: of queues.
        failed: of failed queues; only of bots that have any.
        feeds: collector to the canonical time of its last report.
        error: why the server could not be asked, or "".
    """

    statistics: Mapping[str, int] = {}
    depths: Mapping[str, Depth] = {}
    failed: Mapping[str, Depth] = {}
    feeds: Mapping[str, str] = {}
    error: str = ""


def assess(
    settings: Settings,
    host: str,
    published: str,
    programs: Sequence[Program],
    processes: Sequence[Process] | None,
    counts: Counts,
    deliveries: Deliveries | None = None,
    now: datetime | None = None,
) -> Status:
    """Judge what was gathered.

    Args:
        settings: the configuration that runs.
        host: this host.
        published: when it was published.
        programs: what should run on this host.
        processes: what supervisord says; None if it does not run.
        counts: what the broker says.
        deliveries: what the store says, if there is one.
        now: the time, to judge feeds of which something is expected; None judges none.
    """
    found = {process.name: process for process in processes or ()}
    problems = ["not running on this host; 'cleanbots up' starts it"] if processes is None else []
    if processes is not None:
        for program in programs:
            problems += _process_problems(program.name, found.get(program.name))
    if counts.error:
        problems.append(counts.error)
    problems += _queue_problems(settings, counts)
    problems += _feed_problems(settings, counts, published, now) if now is not None else []
    problems += _delivery_problems(deliveries) if deliveries is not None else []
    workers = [_worker(settings, program, found.get(program.name)) for program in programs]
    bots = [_bot(settings, bot, counts) for bot in settings.bots]
    return Status(settings.name, host, settings.hash, published, problems, workers, bots, deliveries)


def _process_problems(name: str, process: Process | None) -> list[str]:
    if process is None:
        return [f"{name}: not there; 'cleanbots up' starts it"]
    if process.state != "running":
        why = f" ({process.error})" if process.error else ""
        return [f"{name}: {process.state}{why}; 'cleanbots logs {name}' may say why"]
    if process.stopped and process.now - process.started < _FRESH:
        ago = process.now - process.stopped
        return [f"{name}: ended {ago} s ago and was started again; 'cleanbots logs {name}' may say why"]
    return []


def _queue_problems(settings: Settings, counts: Counts) -> list[str]:
    problems = []
    for bot, depth in counts.depths.items():
        if bot not in settings.bots:
            what = f"{depth.events} items wait for {bot}, which is configured no more"
            problems.append(f"{what}: 'cleanbots queues drain {bot}' or 'queues move {bot} BOT'")
            continue
        per_cent = _per_cent(depth, settings.bots[bot].limit)
        if per_cent >= NEARLY_FULL:
            problems.append(f"queue {bot} is {per_cent}% full: it takes in more than it works off; add instances")
    for bot, depth in counts.failed.items():
        known = settings.bots.get(bot)
        if known is None:
            problems.append(f"{bot}, configured no more, has {_failed(depth)}: export and drop them")
            continue
        full = _per_cent(depth, known.failed_limit)
        if full >= 100:
            problems.append(
                f"{bot} stands still: its failed queue is full ({_failed(depth)}); 'cleanbots failed list {bot}' "
                f"says why, then 'cleanbots failed retry {bot}' or 'cleanbots failed drop {bot}'"
            )
            continue
        warning = f", {full}% of its limit: at 100% the bot stops" if full >= NEARLY_FULL else ""
        problems.append(f"{bot} has {_failed(depth)}{warning}; 'cleanbots failed list {bot}' says why")
    return problems


def _feed_problems(settings: Settings, counts: Counts, published: str, now: datetime) -> list[str]:
    """Tell which feeds didn't come in time; one that never came is late since the configuration was published."""
    if counts.error:
        return []
    return [
        f"{feed.collector} ({feed.provider}) is {feed.health}: no report since {feed.last or 'it is expected'}; "
        f"'cleanbots logs {feed.collector}' may say why"
        for feed in feed_health(settings, counts.feeds, datetime.fromisoformat(published), now)
        if feed.health != "ok"
    ]


def _delivery_problems(deliveries: Deliveries) -> list[str]:
    problems = [deliveries.error] if deliveries.error else []
    problems += [f"{_stopped(name)}; '{_start(name)}' lets them go on" for name in deliveries.stopped]
    references = list(deliveries.held)
    problems += [
        f"{reference} is held, {deliveries.held[reference]}; 'cleanbots deliveries show {reference}', then "
        f"'cleanbots deliveries approve {reference}'"
        for reference in references[:_MOST_HELD]
    ]
    if (more := len(references) - _MOST_HELD) > 0:
        problems.append(f"{more} more deliveries are held; 'cleanbots deliveries list --held' shows all")
    return problems


def _stopped(name: str) -> str:
    member, _, delivery = name.partition("/")
    if name == "*":
        return "deliveries are stopped"
    whose = "" if member == "*" else f" of {member}"
    return f"deliveries{f' {delivery}' if delivery else ''}{whose} are stopped"


def _start(name: str) -> str:
    member, _, delivery = name.partition("/")
    of_member = "" if member == "*" else f" --member {member}"
    return f"cleanbots deliveries start{of_member}{f' --delivery {delivery}' if delivery else ''}"


def _failed(depth: Depth) -> str:
    return f"{depth.events} failed item{'s' if depth.events != 1 else ''}"


def _per_cent(depth: Depth, limit: LimitSettings) -> int:
    return max(100 * depth.events // max(1, limit.events), 100 * depth.bytes // max(1, limit.bytes))


def _worker(settings: Settings, program: Program, process: Process | None) -> WorkerStatus:
    bots = settings.workers[program.worker].bots if program.worker in settings.workers else []
    if process is None:
        return WorkerStatus(program.name, "missing", 0, 0, bots)
    return WorkerStatus(program.name, process.state, process.pid, process.uptime, bots)


def _bot(settings: Settings, bot: str, counts: Counts) -> BotStatus:
    depth, failed = counts.depths.get(bot), counts.failed.get(bot)
    return BotStatus(
        bot=bot,
        kind=settings.bots[bot].kind,
        taken=_sum(counts.statistics, f"{bot}:in"),
        sent=_sum(counts.statistics, f"{bot}:out") + counts.statistics.get(f"{bot}:reports", 0),
        dropped=_sum(counts.statistics, f"{bot}:dropped"),
        failures=counts.statistics.get(f"{bot}:failed", 0),
        queue=depth.events if depth else 0,
        failed=failed.events if failed else 0,
    )


def _sum(statistics: Mapping[str, int], key: str) -> int:
    """Add a counter up over its paths or reasons (``<bot>:out:<path>``)."""
    return sum(n for name, n in statistics.items() if name == key or name.startswith(f"{key}:"))
