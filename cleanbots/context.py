"""What a bot is lent: its context, and the services behind it.

Bots take what they need from `Context`; the runtime and `cleanbots.testing` make the services.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .clock import Clock, SystemClock
from .event import Event


class Cache(Protocol):
    """Remembers keys for a time, shared by all workers of a graph."""

    def claim(self, keys: Sequence[bytes], owners: Sequence[str], window: float) -> list[str]:
        """Give the owner of each key: the one who claimed it first within *window* seconds, or the one given now.

        Compare it with the owner given: another's is a stand-in, as its text is not kept.
        """
        ...


class State(Protocol):
    """A bot's own small memory; what is put takes effect with the commit of the work at hand, or not at all."""

    def get(self, key: str) -> bytes | None:
        """Give what was put under *key*, or None."""
        ...

    def put(self, key: str, value: bytes | None) -> None:
        """Stage *value* under *key*; None removes it."""
        ...


class Table(Protocol):
    """A read-only prefix table in a file, replaced atomically while in use."""

    def get(self, address: str) -> Any:
        """Give the record of the longest prefix that holds *address*, or None."""
        ...

    def find(self, address: str) -> tuple[Any, int]:
        """Give what `get` gives, and how many leading bits decide it: whoever shares them has the same record."""
        ...


class Tables(Protocol):
    """Opens prefix tables."""

    def open(self, path: str) -> Table:
        """Open the MMDB file at *path* (memory-mapped); it is opened anew when the file is replaced."""
        ...


class Http(Protocol):
    """Fetches over HTTP with the limits and checks of the installation."""

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int | None = None,
        foreign: bool = False,
    ) -> bytes:
        """Fetch *url*; raises `Retry` when the world is at fault.

        Say *foreign* where the URL comes from data and not from the configuration: it must lead to public addresses.
        """
        ...


class Members(Protocol):
    """The members that the configuration names."""

    def get(self) -> Any:
        """Give the version in use, a `cleanbots.clearinghouse.members.Registry`; ask once a batch.

        Raises:
            Retry: if there is none yet, because the file has mistakes or can't be read.
        """
        ...


class Recorder(Protocol):
    """Records events for the members that they concern."""

    def record(self, events: Sequence[Event]) -> Mapping[str, int]:
        """Record each event once, however often it comes; raises `Retry` while the store is away."""
        ...


@dataclass
class Context:
    """What a bot is lent.

    Args:
        bot: the id of the bot in the configuration.
        log: its logger.
        clock: what time it is.
        base: the folder that relative paths in parameters are relative to (the configuration's).
        data: a folder for what the bot downloads; losing it loses nothing that decides.
        cursor: collectors only: the cursor of the last report that was committed.
    """

    bot: str = "bot"
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("cleanbots"))
    clock: Clock = field(default_factory=SystemClock)
    base: Path | None = None
    data: Path | None = None
    cursor: str | None = None
    services: "Services | None" = None

    @property
    def cache(self) -> Cache:
        """Remembers keys for a time."""
        return self._lent().cache

    @property
    def state(self) -> State:
        """The bot's own small memory, staged in the commit."""
        return self._lent().state(self.bot)

    @property
    def tables(self) -> Tables:
        """Opens prefix tables."""
        return self._lent().tables

    @property
    def http(self) -> Http:
        """Fetches over HTTP."""
        return self._lent().http

    @property
    def members(self) -> Members:
        """Knows the members."""
        return self._lent().members

    @property
    def recorder(self) -> Recorder:
        """Records events for members."""
        return self._lent().recorder

    def path(self, text: str) -> Path:
        """Give *text* as a path; a relative one is below the configuration's folder."""
        return (self.base or Path()) / Path(text).expanduser()

    def _lent(self) -> "Services":
        if self.services is None:
            raise RuntimeError(f"{self.bot}: no services were lent to this bot; run it by testing.run or a worker")
        return self.services


class Services(Protocol):
    """Where a context gets its services from; made by the runtime, or by `cleanbots.testing`."""

    @property
    def cache(self) -> Cache:
        """The graph's cache."""
        ...

    @property
    def tables(self) -> Tables:
        """The process's prefix tables."""
        ...

    @property
    def http(self) -> Http:
        """The process's HTTP client."""
        ...

    @property
    def members(self) -> Members:
        """The members in use."""
        ...

    @property
    def recorder(self) -> Recorder:
        """The clearinghouse's recorder."""
        ...

    def state(self, bot: str) -> State:
        """The state of *bot*."""
        ...
