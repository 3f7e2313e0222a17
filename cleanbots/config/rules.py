"""The rules of the graph: who may send what to whom, what must be connected, when and where bots run."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from cronsim import CronSim, CronSimError

from ..bot import DEFAULT, Bot, Collector, Parser, Stage
from ..errors import shorten
from ..report import Cut
from .draft import Draft, Edge
from .finding import Path, closest
from .source import Source

_RECEIVES = {"collector": "nothing", "parser": "reports", "expert": "events", "output": "events"}
_SENDS = {"collector": "reports", "parser": "events", "expert": "events", "output": "nothing"}

Drafts = Mapping[str, Draft]
Rule = Callable[[Source, Drafts], None]


def apply_rules(source: Source, bots: Drafts) -> None:
    """Note every breach of every rule."""
    for rule in RULES:
        rule(source, bots)


def exits(draft: Draft) -> tuple[str, ...] | None:
    """Give the paths that a bot has, or None if that can't be told yet.

    Raises:
        Exception: whatever the bot class raises when it is asked for its paths.
    """
    if draft.kind == "output":
        return ()
    if draft.kind == "collector":
        return (DEFAULT,)
    if draft.bot is None:
        return None
    if draft.params is not None:
        return tuple(draft.bot.paths(draft.params))
    # Without good parameters only those are known that don't depend on them.
    plain = draft.bot.paths.__func__ is Bot.paths.__func__  # type: ignore[attr-defined]  # a class method
    return (DEFAULT,) if plain else None


def known_targets(source: Source, bots: Drafts) -> None:
    """Each target is a bot, and named once per path."""
    for draft in bots.values():
        seen: set[tuple[str, str]] = set()
        for edge in draft.edges:
            if edge.target not in bots:
                source.find(edge.at, f"there is no bot {edge.target!r}", closest(edge.target, bots))
            elif (edge.path, edge.target) in seen:
                source.find(edge.at, f"{edge.target!r} is named twice", "an event is sent to each receiver once")
            seen.add((edge.path, edge.target))


def known_paths(source: Source, bots: Drafts) -> None:
    """Each path is one that the bot has; its default path leads somewhere, if only to an empty list."""
    for draft in bots.values():
        to = draft.entry.get("to")
        try:
            have = exits(draft)
        except Exception as error:  # noqa: BLE001  # a plugin's code; its mistake must not hide the others
            source.find((*draft.at, "params"), f"the paths can't be told: {error}", "mend the parameters or the bot")
            continue
        if have is None or draft.kind == "output" or to is None:
            continue
        if isinstance(to, dict):
            for path in to:
                if path not in have:
                    hint = f"its paths: {', '.join(have)}"
                    source.find((*draft.at, "to", path), f"the bot has no path {path!r}", hint, key=True)
            if DEFAULT in have and DEFAULT not in to and to:
                text = f"nothing receives what leaves by the path {DEFAULT!r}"
                hint = f"add '{DEFAULT}: BOT', or '{DEFAULT}: []' if those events end here"
                source.find((*draft.at, "to"), text, hint, key=True)
        elif DEFAULT not in have:
            text = f"the bot has no path {DEFAULT!r}"
            source.find((*draft.at, "to"), text, f"write path: target; its paths: {', '.join(have)}")


def fitting_edges(source: Source, bots: Drafts) -> None:
    """Collectors send reports and only parsers take them; all others take events."""
    for edge in _edges(bots):
        sender, target = bots[edge.sender].kind, bots[edge.target].kind
        if sender == "output" or _fits(edge, bots):
            continue
        text = (
            f"{edge.target!r} is {_a(target)} and takes {_RECEIVES[target]}, not the {_SENDS[sender]} of {_a(sender)}"
        )
        if target == "collector":
            hint = "nothing can be sent to a collector"
        elif target == "parser":
            hint = "send to an expert or an output; parsers are fed by collectors"
        else:
            hint = "put a parser between them"
        source.find(edge.at, text, hint)


def connected(source: Source, bots: Drafts) -> None:
    """Every bot but a collector is fed; every bot but an output sends somewhere; outputs send nowhere."""
    fed = {edge.target for draft in bots.values() for edge in draft.edges}
    for draft in bots.values():
        to = draft.entry.get("to")
        if draft.kind in {"parser", "expert", "output"} and draft.id not in fed:
            source.find(draft.at, "nothing sends to this bot", "name it under 'to:' of another, or remove it", key=True)
        if draft.kind == "output" and "to" in draft.entry:
            source.find((*draft.at, "to"), "an output sends to no bot", "remove 'to:'", key=True)
        if draft.kind in {"collector", "parser", "expert"} and (to is None or to in ([], {})):
            source.find(draft.at, "sends to no bot", "add 'to:' with the bots that receive", key=True)


def acyclic(source: Source, bots: Drafts) -> None:
    """Nothing that a bot sends comes back to it."""
    state: dict[str, bool] = {}  # False while a bot's receivers are walked through, True afterwards
    for start in bots:
        if start in state:
            continue
        trail = [start]
        stack = [iter(bots[start].edges)]
        state[start] = False
        while stack:
            edge = next(stack[-1], None)
            if edge is None:
                stack.pop()
                state[trail.pop()] = True
            elif edge.target not in bots or not _fits(edge, bots):
                continue
            elif edge.target not in state:
                state[edge.target] = False
                trail.append(edge.target)
                stack.append(iter(bots[edge.target].edges))
            elif not state[edge.target]:
                circle = [*trail[trail.index(edge.target) :], edge.target]
                text = f"events would run in a circle: {' → '.join(circle)}"
                source.find(edge.at, text, "remove one of these connections")


def time_slots(source: Source, bots: Drafts) -> None:
    """``every`` or ``cron``, and only for bots that do something with a time slot."""
    for draft in bots.values():
        given = [key for key in ("every", "cron") if draft.entry.get(key) is not None]
        if len(given) == 2:
            source.find((*draft.at, "cron"), "'every' and 'cron' are both given", "keep one", key=True)
        cron = draft.entry.get("cron")
        if isinstance(cron, str) and (reason := cron_fault(cron)):
            hint = "write five fields: minute hour day month weekday, such as 20 * * * *"
            source.find((*draft.at, "cron"), f"{shorten(cron)} is no cron line: {reason}", hint)
        if draft.bot is None or not given:
            continue
        if issubclass(draft.bot, Collector):
            if draft.bot.continuous:
                text = f"{draft.entry['use']} keeps running and has no time slots"
                source.find((*draft.at, given[0]), text, f"remove '{given[0]}:'", key=True)
        elif issubclass(draft.bot, Stage) and draft.bot.tick is Stage.tick:
            text = f"{draft.entry['use']} does nothing at a time slot"
            source.find((*draft.at, given[0]), text, f"remove '{given[0]}:'; it is for collectors", key=True)


def cron_fault(line: str) -> str:
    """Say what is wrong with a cron line, or "" if it is fine."""
    if len(line.split()) != 5:
        return f"it has {len(line.split())} fields"
    try:
        # Any day will do to see whether the line ever comes.
        next(CronSim(line, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return str(error)[:1].lower() + str(error)[1:]
    except StopIteration:
        return "it never comes"
    return ""


def placement(source: Source, bots: Drafts) -> None:
    """Hosts are known; nothing that must be alone is run several times."""
    hosts = source.value.get("hosts", ["main"])
    if not isinstance(hosts, list):
        return
    known = [host for host in hosts if isinstance(host, str)]
    for draft in bots.values():
        host, instances = draft.entry.get("host"), draft.entry.get("instances")
        at: Path = (*draft.at, "instances")
        if isinstance(host, str) and host not in known:
            source.find((*draft.at, "host"), f"there is no host {host!r}", closest(host, known, "see 'hosts:'"))
        if isinstance(instances, dict):
            for name in instances:
                if name not in known:
                    hint = closest(name, known, "see 'hosts:'")
                    source.find((*at, name), f"there is no host {name!r}", hint, key=True)
            if host is not None:
                source.find((*draft.at, "host"), "'instances' already says on which hosts", "remove 'host:'", key=True)
        if draft.bot is not None and _number(instances) > 1 and (reason := _only_one(draft, draft.bot)):
            source.find(at, reason, "remove 'instances:'", key=True)


def _only_one(draft: Draft, bot: type[Bot[Any]]) -> str:
    if bot.single:
        return f"{draft.entry['use']} keeps state that needs one instance"
    if issubclass(bot, Collector) and not bot.continuous:
        return "a collector with time slots runs once at a time"
    return ""


def feeds(source: Source, bots: Drafts) -> None:
    """Facts of a notifier stand at its collector."""
    for draft in bots.values():
        if draft.kind in {"parser", "expert", "output"} and "feed" in draft.entry:
            source.find((*draft.at, "feed"), "only a collector has a feed", "move it to the collector", key=True)


def same_cut(source: Source, bots: Drafts) -> None:
    """Parsers fed by one collector cut its reports alike, because a report is cut once."""
    for draft in bots.values():
        parsers = [edge for edge in draft.edges if edge.target in bots and _cut(bots[edge.target]) is not None]
        for first, other in pairwise(parsers):
            if _cut(bots[first.target]) != _cut(bots[other.target]):
                text = f"{other.target!r} cuts reports differently from {first.target!r}"
                source.find(other.at, text, "give each its own collector")


def _cut(draft: Draft) -> Cut | None:
    if draft.bot is None or draft.params is None or not issubclass(draft.bot, Parser):
        return None
    try:
        return draft.bot.cut(draft.params)
    except Exception:  # noqa: BLE001  # a plugin's code; the bot's own tests tell
        return None


def _fits(edge: Edge, bots: Drafts) -> bool:
    sender, target = bots[edge.sender].kind, bots[edge.target].kind
    return not sender or not target or _SENDS[sender] == _RECEIVES[target]


def _edges(bots: Drafts) -> list[Edge]:
    return [edge for draft in bots.values() for edge in draft.edges if edge.target in bots]


def _number(instances: Any) -> int:
    if isinstance(instances, dict):
        return sum(number for number in instances.values() if isinstance(number, int))
    return instances if isinstance(instances, int) else 1


def _a(kind: str) -> str:
    return f"an {kind}" if kind in {"expert", "output"} else f"a {kind}"


RULES: tuple[Rule, ...] = (
    known_targets,
    known_paths,
    fitting_edges,
    connected,
    acyclic,
    time_slots,
    placement,
    feeds,
    same_cut,
)
"""Every rule of the graph."""
