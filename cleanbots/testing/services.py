"""Services for tests: they keep the promises of the real ones, in memory and without a server."""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clock import Clock
from ..context import Http, Table, Tables
from ..errors import Retry
from ..event import Event
from ..services.tables import TablesService

if TYPE_CHECKING:
    from ..clearinghouse.members import Registry

Page = bytes | str | Exception | Callable[[Mapping[str, str]], bytes]
"""What a URL answers: a body, an exception to raise, or a function from request headers to a body."""


class MemoryCache:
    """A `cleanbots.context.Cache` whose windows run on *clock*."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._owners: dict[bytes, tuple[str, float]] = {}

    def claim(self, keys: Sequence[bytes], owners: Sequence[str], window: float) -> list[str]:
        """Give the owner of each key: the one who claimed it first within *window* seconds, or the one given now."""
        now = self._clock.monotonic()
        answer = []
        for key, owner in zip(keys, owners, strict=True):
            holder, until = self._owners.get(key, ("", now))
            if until <= now:
                holder = owner
                self._owners[key] = owner, now + window
            answer.append(holder)
        return answer


class MemoryState:
    """A `cleanbots.context.State` in a dict, open to a test's eyes as ``values``."""

    def __init__(self, values: Mapping[str, bytes] | None = None) -> None:
        self.values: dict[str, bytes] = dict(values or {})

    def get(self, key: str) -> bytes | None:
        """Give what was put under *key*, or None."""
        return self.values.get(key)

    def put(self, key: str, value: bytes | None) -> None:
        """Put *value* under *key*; None removes it."""
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value


class Pages:
    """A `cleanbots.context.Http` that answers from a dict; what it was asked for is kept as ``asked``.

    Args:
        pages: URL to body, exception, or a function from request headers to a body.
    """

    def __init__(self, pages: Mapping[str, Page] | None = None) -> None:
        self.pages = dict(pages or {})
        self.asked: list[str] = []

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int | None = None,
        foreign: bool = False,
    ) -> bytes:
        """Give the page of *url*, whoever named it.

        Raises:
            Retry: if the page is longer than *limit*, or unknown; or whatever the page is, if it is an exception.
        """
        self.asked.append(url)
        page = self.pages.get(url)
        if page is None:
            raise Retry(f"{url}: nothing is fetched in a test; give its body as pages={{{url!r}: …}}")
        if isinstance(page, Exception):
            raise page
        body = page(headers or {}) if callable(page) else page
        data = body.encode() if isinstance(body, str) else body
        if limit is not None and len(data) > limit:
            raise Retry(f"{url}: more than {limit} bytes")
        return data


class MemoryTable:
    """A `cleanbots.context.Table` from a dict of prefixes."""

    def __init__(self, records: Mapping[str, Any]) -> None:
        self._records = sorted(
            ((ip_network(prefix), record) for prefix, record in records.items()), key=lambda r: -r[0].prefixlen
        )

    def get(self, address: str) -> Any:
        """Give the record of the longest prefix that holds *address*, or None."""
        wanted = ip_address(address)
        return next((record for network, record in self._records if wanted in network), None)

    def find(self, address: str) -> tuple[Any, int]:
        """Give what `get` gives; it is taken to hold for this address alone."""
        return self.get(address), ip_address(address).max_prefixlen


class MemoryTables:
    """A `cleanbots.context.Tables` that knows some paths from a dict and opens all others for real.

    Args:
        tables: path to a dict of prefix to record.
        base: where relative paths start.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], base: Path) -> None:
        self._base = base
        self._tables = {base / path: MemoryTable(records) for path, records in tables.items()}
        self._real: Tables | None = None

    def open(self, path: str) -> Table:
        """Open the table at *path*."""
        known = self._tables.get(self._base / path)
        if known is not None:
            return known
        if self._real is None:
            self._real = TablesService()
        return self._real.open(path)


class MemoryRecorder:
    """A `cleanbots.context.Recorder` that keeps what it was given as ``events``, each event once."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}

    def record(self, events: Sequence[Event]) -> Mapping[str, int]:
        """Keep *events*."""
        before = len(self.events)
        self.events.update((event.id, event) for event in events)
        return {"recorded": len(self.events) - before}


class MemoryMembers:
    """A `cleanbots.context.Members` that reads the file once.

    Args:
        file: of the members.
        clock: for events without any time.
    """

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._registry: Registry | None = None

    def get(self) -> "Registry":
        """Give the members; raises `cleanbots.ConfigError` with all mistakes of the file."""
        if self._registry is None:
            from ..clearinghouse.members import Registry

            self._registry = Registry.load(self._file, self._clock)
        return self._registry


class MemoryServices:
    """All that a bot is lent in a test.

    Args:
        clock: what time it is.
        pages: what URLs answer.
        tables: path to a dict of prefix to record.
        state: what the bot's state holds at the start.
        http: what fetches; by default only *pages* are there.
        base: where relative paths of tables start, and where ``members.yaml`` is.
        members: the file of the members, if it is another one.
    """

    def __init__(
        self,
        clock: Clock,
        pages: Mapping[str, Page] | None = None,
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        state: Mapping[str, bytes] | None = None,
        http: Http | None = None,
        base: Path | None = None,
        members: Path | None = None,
    ) -> None:
        self.members = MemoryMembers(members or (base or Path()) / "members.yaml", clock)
        self.cache = MemoryCache(clock)
        self.pages = Pages(pages)
        self.http = self.pages if http is None else http
        self.tables = MemoryTables(tables or {}, base or Path())
        self.memory = MemoryState(state)
        self.recorder = MemoryRecorder()

    def state(self, bot: str) -> MemoryState:
        """Give the bot's state; here each bot has services of its own."""
        return self.memory
