"""A whole graph in memory: what arrives where if these items are fed there. No server, no output is written to."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ..bot import Failure, Parser, Stage
from ..clock import Clock, FixedClock, SystemClock
from ..config.model import BotSettings, Settings
from ..context import Context
from ..errors import ConfigError
from ..plugins import Registry
from ..report import Cut
from ..runtime.assembly import report_fields
from ..runtime.group import Yield
from .bench import Bench, Item, Queued, build, fields_of, queued
from .runner import Result
from .services import MemoryServices


@dataclass(frozen=True)
class Passage:
    """One item's way through one bot.

    Args:
        bot: the bot's id.
        before: the item as the bot received it; a parser's is the row alone.
        sent: path and fields of each event it became.
        failed: the error of the item, if it was set aside.
        dropped: the reason, if it goes no further.
    """

    bot: str
    before: Queued
    sent: list[tuple[str, dict[str, Any]]]
    failed: Exception | None
    dropped: str

    @property
    def changes(self) -> list[dict[str, tuple[Any, Any]]]:
        """For each event sent: field to its value before and after, for the fields that differ (None: not set)."""
        before = fields_of(self.before)
        return [
            {f: (before.get(f), after.get(f)) for f in {**before, **after} if before.get(f) != after.get(f)}
            for _, after in self.sent
        ]


@dataclass
class GraphResult:
    """What happened in a graph, by bot id.

    Args:
        arrived: the items that came to each bot, in order.
        bots: what each bot made of them; bots that were not called are missing.
        passages: the way of each item through each bot, if a trace was asked for.
    """

    arrived: dict[str, list[Queued]] = field(default_factory=dict)
    bots: dict[str, Result] = field(default_factory=dict)
    passages: list[Passage] = field(default_factory=list)

    @property
    def failed(self) -> dict[str, list[Failure]]:
        """The items set aside, for each bot that has any."""
        return {bot: result.failed for bot, result in self.bots.items() if result.failed}

    @property
    def dropped(self) -> dict[str, dict[str, int]]:
        """Reasons and numbers of the items that went no further, for each bot that dropped any."""
        return {bot: result.dropped for bot, result in self.bots.items() if result.dropped}


def run_graph(
    settings: Settings,
    registry: Registry,
    feed: Mapping[str, Iterable[Item]],
    *,
    trace: bool = False,
    now: datetime | None = None,
    tables: Mapping[str, Mapping[str, Any]] | None = None,
) -> GraphResult:
    """Feed items to bots of a graph and follow them to its outputs, which are not called.

    Args:
        settings: the compiled configuration.
        registry: where its bots come from.
        feed: bot id to items; what a collector is fed (payloads) goes to its receivers with its ``feed:`` facts.
        trace: whether to keep each item's way; batches are then taken through item by item.
        now: the time on the bots' clocks, which then stand still.
        tables: path of a prefix table to its records by prefix; other paths are opened for real.

    Raises:
        ConfigError: if *feed* names a bot that the graph lacks.
        PluginError: if a bot can't be loaded.
        InvalidValue: if a field of a fed event doesn't fit.
    """
    for name in feed:
        if name not in settings.bots:
            raise ConfigError(f"{name}: no such bot; the graph has {', '.join(settings.bots)}")
    clock: Clock = FixedClock(now) if now is not None else SystemClock()
    result = GraphResult({bot: [] for bot in settings.bots})
    for bot in settings.bots.values():  # upstream first
        items = list(feed.get(bot.id, ()))
        if bot.kind == "collector":
            fields = report_fields(bot, clock)
            for receiver in _receivers(bot):
                how = _cut(settings.bots[receiver], registry)
                result.arrived[receiver] += _queued(items, how, fields)  # as if it had been collected
            continue
        result.arrived[bot.id] += _queued(items, _cut(bot, registry), {})
        if bot.kind != "output" and result.arrived[bot.id]:
            stage = _stage(bot, settings, registry, clock, tables)
            result.bots[bot.id] = _work(stage, result, trace=trace)
            _hand_on(bot, result)
    return result


def _queued(items: Sequence[Item], how: Cut | None, fields: Mapping[str, Any]) -> list[Queued]:
    return [q for number, item in enumerate(items, 1) for q in queued(item, number, how, fields)]


def _cut(bot: BotSettings, registry: Registry) -> Cut | None:
    """Give how a parser wants its reports cut; None for other bots."""
    if bot.kind != "parser":
        return None
    cls = registry.load(bot.use)
    how: Cut = cls.cut(msgspec.convert(bot.params, cls.params_type())) if issubclass(cls, Parser) else Cut(unit="whole")
    return how


def _stage(
    bot: BotSettings,
    settings: Settings,
    registry: Registry,
    clock: Clock,
    tables: Mapping[str, Mapping[str, Any]] | None,
) -> Stage[Any, Any]:
    context = Context(
        bot=bot.id,
        clock=clock,
        base=Path(settings.base),
        data=Path(settings.state) / "data",
        services=MemoryServices(
            clock,
            tables=tables,
            base=Path(settings.base),
            members=Path(settings.members) if settings.members is not None else None,
        ),
    )
    made = build(registry.load(bot.use), bot.params, context)
    assert isinstance(made, Stage)  # noqa: S101  # the configuration was checked: everything but a collector is one
    return made


def _work(stage: Stage[Any, Any], result: GraphResult, *, trace: bool) -> Result:
    done = Result()
    with Bench(stage) as bench:
        items = result.arrived[bench.name]
        if not trace:
            done.add(bench.process(items, world_fails=True), bench.name)
            return done
        for before, made in bench.each(items):
            done.add(made, bench.name)
            result.passages.append(_passage(bench.name, before, made))
    return done


def _passage(bot: str, before: Queued, made: Yield) -> Passage:
    sent = [(path, dict(event.fields)) for path, events in made.queues.items() for event in events]
    failed = next((error for _, error in made.failed.get(bot, ())), None)
    prefix = f"{bot}:dropped:"
    dropped = next((counter.removeprefix(prefix) for counter in made.counters if counter.startswith(prefix)), "")
    return Passage(bot, before, sent, failed, dropped)


def _hand_on(bot: BotSettings, result: GraphResult) -> None:
    for path, events in result.bots[bot.id].paths.items():
        for receiver in bot.to.get(path, ()):
            result.arrived[receiver] += [copy.deepcopy(event.fields) for event in events]


def _receivers(bot: BotSettings) -> list[str]:
    return [receiver for receivers in bot.to.values() for receiver in receivers]
