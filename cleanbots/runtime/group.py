"""A group: the connected bots that one worker hosts. Inside it events are handed on in memory.

A group brings a slice of units through its tree of bots and says what came of it, as one `Yield`. It knows no queue
and no commit: the worker makes those of the result.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..bot import Outlet, Parser, Stage
from ..event import Event, Origin
from ..report import Chunk
from .faults import world_at_fault

Watch = Callable[[str], None]
"""Told the id of each bot before it is called; it may leave a note of it on the server."""


@dataclass(slots=True)
class Node:
    """A bot in its group.

    Args:
        id: the bot's id.
        stage: the bot.
        to: path to the ids of the bots that receive by it.
    """

    id: str
    stage: Stage[Any, Any]
    to: Mapping[str, Sequence[str]]


@dataclass(slots=True)
class Yield:
    """What came of a slice.

    Args:
        queues: bot id outside of the group to the events for its queue.
        failed: bot id to the items it could not work off, with the error of each.
        counters: ``<bot>:<what>`` to number, for the graph's statistics.
    """

    queues: dict[str, list[Event]] = field(default_factory=dict)
    failed: dict[str, list[tuple[Event | Chunk, Exception]]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def count(self, bot: str, what: str, number: int = 1) -> None:
        """Add *number* to a counter."""
        key = f"{bot}:{what}"
        self.counters[key] = self.counters.get(key, 0) + number

    def fail(self, bot: str, item: Event | Chunk, error: Exception) -> None:
        """Set an item aside for *bot*."""
        self.failed.setdefault(bot, []).append((item, error))
        self.count(bot, "failed")


class PoisonError(Exception):
    """An item that killed its worker twice at the same bot."""


class Group:
    """The bots of one worker, wired.

    Args:
        nodes: by id, upstream first. Edges between two of them stay in memory; all others lead to queues.
    """

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = dict(nodes)
        self.calling = ""

    def open(self) -> None:
        """Open every bot, upstream first."""
        for node in self.nodes.values():
            self.calling = node.id
            node.stage.open()

    def close(self) -> None:
        """Close every bot, also when one of them raises; the first error is raised at the end."""
        errors = []
        for node in self.nodes.values():
            try:
                node.stage.close()
            except Exception as error:  # noqa: BLE001  # each bot gets its chance to let go
                errors.append(error)
        if errors:
            raise errors[0]

    def origins(self, bot: str, items: Sequence[Any], origins: Mapping[str, Origin]) -> dict[str, Origin]:
        """Give what is kept once per report for the events that a frame's items become."""
        stage = self.nodes[bot].stage
        if isinstance(stage, Parser):
            return {item.id: origin for item in items if (origin := stage.origin(item))}
        return dict(origins)

    def process(self, bot: str, units: Sequence[Any]) -> Yield:
        """Bring *units* through the group, beginning at *bot*. Any exception of a bot ends it without effect."""
        result = Yield()
        self._step(bot, list(units), result)
        return result

    def process_carefully(
        self,
        bot: str,
        units: Sequence[Any],
        watch: Watch | None = None,
        divert: str = "",
        world_fails: bool = False,
    ) -> Yield:
        """Bring *units* through one by one, each bot working on a copy; who raises, fails alone.

        Args:
            bot: where they begin.
            units: fresh ones, that no bot has touched.
            watch: told before each call of a bot.
            divert: a bot that must not be called; what arrives at it fails there as poison.
            world_fails: whether errors of the world (see `world_at_fault`) fail items, too.

        Raises:
            Exception: errors of the world, unless *world_fails*.
        """
        result = Yield()
        careful = _Careful(watch, divert, world_fails)
        for unit in units:
            self._step_carefully(bot, unit, result, careful)
        return result

    def tick(self, bot: str, now: datetime) -> Yield:
        """Let *bot* do what is due at *now*, and bring what it sends through the group."""
        result = Yield()
        out = Outlet()
        self.calling = bot
        self.nodes[bot].stage.tick(now, out)
        self._hand_on(bot, out, result)
        return result

    def _step(self, bot: str, units: list[Any], result: Yield) -> None:
        node = self.nodes[bot]
        out = Outlet()
        self.calling = bot
        node.stage.process_batch(units, out)
        result.count(bot, "in", len(units))
        self._hand_on(bot, out, result)

    def _hand_on(self, bot: str, out: Outlet, result: Yield) -> None:
        self._settle(bot, out, result)
        for inner, events in self._route(bot, out, result):
            self._step(inner, events, result)

    def _step_carefully(self, bot: str, unit: Any, result: Yield, careful: "_Careful") -> None:
        stage = self.nodes[bot].stage
        if bot == careful.divert:
            sentence = f"killed its worker twice at {bot}; retry it after the bot was mended"
            result.count(bot, "in")
            result.fail(bot, stage.restore(unit), PoisonError(sentence))
            return
        if careful.watch is not None:
            careful.watch(bot)
        out = Outlet()
        self.calling = bot
        try:
            stage.process_batch([copy.deepcopy(unit)], out)
        except Exception as error:
            if world_at_fault(error) and not careful.world_fails:
                raise
            out = Outlet()
            out.fail(stage.restore(unit), error)
        result.count(bot, "in")
        self._settle(bot, out, result)
        for inner, events in self._route(bot, out, result):
            for event in events:
                self._step_carefully(inner, event, result, careful)

    def _settle(self, bot: str, out: Outlet, result: Yield) -> None:
        for item, error in out.failed:
            result.fail(bot, item, error)
        for reason, number in out.dropped.items():
            result.count(bot, f"dropped:{reason}", number)

    def _route(self, bot: str, out: Outlet, result: Yield) -> Iterator[tuple[str, list[Event]]]:
        """Put what leaves the group into *result*; yield what stays in it. All but the last receiver get copies."""
        to = self.nodes[bot].to
        for path, events in out.sent.items():
            receivers = to.get(path, ())
            if not receivers:
                result.count(bot, f"dropped:{path}", len(events))
                continue
            result.count(bot, f"out:{path}", len(events))
            for receiver in receivers[:-1]:
                copies = [Event(copy.deepcopy(event.fields), event.origins) for event in events]
                yield from self._deliver(receiver, copies, result)
            yield from self._deliver(receivers[-1], events, result)

    def _deliver(self, receiver: str, events: list[Event], result: Yield) -> Iterator[tuple[str, list[Event]]]:
        if receiver in self.nodes:
            yield receiver, events
        elif receiver in result.queues:
            result.queues[receiver].extend(events)
        else:
            result.queues[receiver] = events


@dataclass(frozen=True, slots=True)
class _Careful:
    watch: Watch | None
    divert: str
    world_fails: bool
