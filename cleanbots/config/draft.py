"""A bot as far as it can be understood while its configuration may still be wrong anywhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ..bot import DEFAULT, KINDS, Bot
from ..params import Params
from .finding import Path


class Registry(Protocol):
    """What is asked of `cleanbots.plugins.Registry`."""

    @property
    def problems(self) -> Any:
        """What is wrong with plugins: things whose text is one sentence each."""
        ...

    def names(self) -> list[str]:
        """List the names of all bots."""
        ...

    def fields(self) -> Mapping[str, Any]:
        """Give the further fields of events that plugins bring."""
        ...

    def functions(self) -> Mapping[str, Any]:
        """Give the further functions of expressions that plugins bring."""
        ...

    def load(self, use: str) -> type[Bot[Any]]:
        """Give a bot class by name; raises PluginError."""
        ...


class Edge(NamedTuple):
    """One connection as written: by which exit, to which bot, and where that stands."""

    sender: str
    path: str
    target: str
    at: Path


@dataclass
class Draft:
    """One bot.

    Args:
        id: its name.
        entry: what is written below it, defaults not yet filled in.
        kind: collector, parser, expert, output, or "" if that can't be told.
        bot: its class, if it could be loaded.
        params: its parameters, if they fit.
        edges: whom it sends to.
    """

    id: str
    entry: dict[str, Any]
    kind: str = ""
    bot: type[Bot[Any]] | None = None
    params: Params | None = None
    edges: list[Edge] = field(default_factory=list)

    @property
    def at(self) -> Path:
        """Where it stands."""
        return ("bots", self.id)


def drafts(value: Mapping[str, Any]) -> dict[str, Draft]:
    """Give a draft of each bot that has at least the form of one."""
    bots = value.get("bots")
    if not isinstance(bots, dict):
        return {}
    found = {name: Draft(name, entry) for name, entry in bots.items() if isinstance(entry, dict)}
    for draft in found.values():
        use = draft.entry.get("use")
        kind = use.partition("/")[0] if isinstance(use, str) else ""
        draft.kind = kind if kind in KINDS else ""
        draft.edges = list(_edges(draft))
    return found


def _edges(draft: Draft) -> Iterator[Edge]:
    to = draft.entry.get("to")
    at: Path = (*draft.at, "to")
    if isinstance(to, dict):
        for path, targets in to.items():
            yield from _listed(draft.id, path, targets, (*at, path))
    else:
        yield from _listed(draft.id, DEFAULT, to, at)


def _listed(sender: str, path: str, targets: Any, at: Path) -> Iterator[Edge]:
    if isinstance(targets, str):
        yield Edge(sender, path, targets, at)
    elif isinstance(targets, list):
        for number, target in enumerate(targets):
            if isinstance(target, str):
                yield Edge(sender, path, target, (*at, number))
