"""`run`: give a bot some items, get back what it made of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ..bot import DEFAULT, Bot, Collector, Failure, Stage
from ..clock import Clock, FixedClock, SystemClock
from ..context import Context
from ..errors import PluginError
from ..event import Event
from ..plugins import discover
from ..report import Report
from ..runtime.group import Yield
from .bench import Bench, Item, build, payload_of, queued
from .services import MemoryServices, Page


@dataclass
class Result:
    """What came of a run.

    Args:
        paths: path to the events sent by it, in order.
        failed: the items set aside, each as the bot received it (parsers: the row alone), with its error.
        dropped: reason to the number of items that went no further by it.
        reports: collectors: the reports, their payloads read.
        state: what the bot's state holds at the end.
        asked: the URLs it fetched, in order.
    """

    paths: dict[str, list[Event]] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    state: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def sent(self) -> list[Event]:
        """The events sent by the default path."""
        return self.paths.get(DEFAULT, [])

    def add(self, made: Yield, bot: str) -> None:
        """Add what came of one batch of *bot*."""
        for path, events in made.queues.items():
            self.paths.setdefault(path, []).extend(events)
        self.failed += [Failure(item, error) for item, error in made.failed.get(bot, ())]
        prefix = f"{bot}:dropped:"
        for counter, number in made.counters.items():
            if counter.startswith(prefix):
                reason = counter.removeprefix(prefix)
                self.dropped[reason] = self.dropped.get(reason, 0) + number


def load(use: str, *site_folders: Path) -> type[Bot[Any]]:
    """Give the bot class behind a name such as ``parser/csv``, also from a site folder.

    Raises:
        PluginError: if there is no such bot, or if it can't be loaded; a refused site folder is part of the sentence.
    """
    registry = discover(site_folders)
    try:
        return registry.load(use)
    except PluginError as error:
        raise PluginError("; ".join([str(error), *map(str, registry.problems)])) from error


def run(
    bot: type[Bot[Any]],
    items: Iterable[Item] = (),
    *,
    params: Mapping[str, Any] | None = None,
    fields: Mapping[str, Any] | None = None,
    name: str = "",
    now: datetime | None = None,
    tick: datetime | None = None,
    cursor: str | None = None,
    base: Path | None = None,
    data: Path | None = None,
    pages: Mapping[str, Page] | None = None,
    tables: Mapping[str, Mapping[str, Any]] | None = None,
    state: Mapping[str, bytes] | None = None,
    members: Path | None = None,
) -> Result:
    """Run a bot on *items* the way a worker does: open, one batch, item by item if it raised, close.

    A collector collects until it ends or has nothing now, and is told ``done`` for each report.

    Args:
        bot: the class.
        items: payloads for a parser; dicts of fields, or events, for the others. Values are harmonised.
        params: parameters as they would stand in the configuration.
        fields: what each event starts with, such as ``feed.provider``.
        name: the report's file name, for parsers that look at it.
        now: the time on the bot's clock, which then stands still; the machine's own clock if left out.
        tick: after the items, let the bot do what is due at this time.
        cursor: collectors: where the last run ended.
        base: the folder that relative paths in parameters start from.
        data: the folder for what the bot downloads.
        pages: URL to what it answers: a body, an exception, or a function from request headers to a body.
        tables: path of a prefix table to its records by prefix; other paths are opened for real.
        state: what the bot's state holds at the start.
        members: the file of the members; ``members.yaml`` in *base* if left out.

    Returns:
        events, failures, drops, reports: whatever there was.

    Raises:
        msgspec.ValidationError: if the parameters don't fit.
        Retry: (or a connection error) if the world is at fault; a worker would wait.
    """
    clock: Clock = FixedClock(now) if now is not None else SystemClock()
    services = MemoryServices(clock, pages, tables, state, base=base, members=members)
    made = build(bot, params, Context(clock=clock, base=base, data=data, cursor=cursor, services=services))
    result = Result()
    if isinstance(made, Collector):
        result.reports = _collect(made)
    elif isinstance(made, Stage):
        items = list(items)
        origins = {report: o for i in items if isinstance(i, Event) for report, o in i.origins.items()}
        bench = Bench(made, origins)
        given = [q for n, i in enumerate(items, 1) for q in queued(i, n, bench.cut, fields or {}, name)]
        with bench:
            result.add(bench.process(given), bench.name)
            if tick is not None:
                result.add(bench.group.tick(bench.name, tick), bench.name)
    else:
        raise TypeError(f"{bot.__name__} is no collector and no stage; extend one of the kinds of bots")
    result.state = services.memory.values
    result.asked = services.pages.asked
    return result


def _collect(collector: Collector[Any]) -> list[Report]:
    """Collect until the end or the first None; a report is told to be done before the next is asked for."""
    reports = []
    collector.open()
    try:
        for report in collector.collect():
            if report is None:
                break
            reports.append(_read(report))
            collector.done(report)
    finally:
        collector.close()
    return reports


def _read(report: Report) -> Report:
    return replace(report, payload=payload_of(report))
