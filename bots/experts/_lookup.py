"""What experts share that look addresses up in a prefix table."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from cleanbots import BatchExpert, Event, InvalidValue, Meta, Outlet, Params
from cleanbots.harmonization import harmonise

Side = Literal["source", "destination"]
Facts = Mapping[str, Any]


class LookupParams(Params):
    """Parameters of experts that look addresses up."""

    database: Annotated[
        str,
        Meta(
            min_length=1,
            description="The prefix table, an MMDB file. To update it, rename a new file onto it; it is used within seconds.",
        ),
    ]
    sides: Annotated[
        tuple[Side, ...],
        Meta(min_length=1, description="Whose address is looked up: source, destination or both."),
    ] = ("source", "destination")
    overwrite: Annotated[bool, Meta(description="Replace values that the event already has.")] = False


_REMEMBERED = 1.0
"""Seconds for which facts are remembered; a table is looked at for changes as often."""

_BLOCK = 24
"""Bits of an IPv4 address that its neighbours share; most tables know no smaller networks."""

L = TypeVar("L", bound=LookupParams)


class Lookup(BatchExpert[L]):
    """Looks addresses up and sets what the table says about them.

    Within a second an address is looked up once, and neighbours (IPv4: the same /24) that the table has in one network
    together.

    Class attributes:
        key: the fact that the others depend on. If the event has another value for it (and 'overwrite' is off), none of
            the others is set: a city in another country, or the name of another system, would be wrong.

    A missing or unreadable table makes the work wait (`cleanbots.Retry`), as events must not pass without the facts
    that later bots decide by.
    """

    key: ClassVar[str]

    def open(self) -> None:
        """Open the table."""
        self._table = self.context.tables.open(str(self.context.path(self.params.database)))
        self._known: dict[Side, dict[str, Facts]] = {side: {} for side in self.params.sides}  # by address or block
        self._known_until = 0.0

    def probe(self) -> None:
        """Tell whether the table can be used: raises `cleanbots.Retry` with the reason if not."""
        self.context.tables.open(str(self.context.path(self.params.database)))

    @abstractmethod
    def facts(self, record: Mapping[str, Any]) -> Facts:
        """Give what a record says: field name without its side to value; None and "" mean unknown."""

    def process_batch(self, items: list[Event], out: Outlet) -> None:
        """Look up the addresses of all events."""
        self._forget()
        for side, known in self._known.items():
            field = f"{side}.ip"
            add = _overwrite if self.params.overwrite else _completer(f"{side}.{self.key}")
            for event in items:
                address = event.fields.get(field)
                if address is None:
                    continue
                found = known.get(address.rpartition(".")[0])
                if found is None:
                    found = known.get(address)
                    if found is None:
                        found = self._look_up(side, address)
                if found:
                    add(event.fields, found)
        out.send_all(items)

    def _forget(self) -> None:
        """Forget what may be of a table that was replaced since."""
        now = self.context.clock.monotonic()
        if now >= self._known_until:
            self._known_until = now + _REMEMBERED
            for known in self._known.values():
                known.clear()

    def _look_up(self, side: Side, address: str) -> Facts:
        """Give the facts of an address, and remember them for all whom they hold for."""
        record, bits = self._table.find(address)
        found = self._facts(side, address, record)
        block = address.rpartition(".")[0]  # "" for IPv6
        shared = block and ":" not in block and bits <= _BLOCK
        self._known[side][block if shared else address] = found
        return found

    def _facts(self, side: Side, address: str, record: Any) -> Facts:
        if not isinstance(record, Mapping):
            return {}
        found = {}
        for name, value in self.facts(record).items():
            if value is None or value == "":
                continue
            field = f"{side}.{name}"
            try:
                found[field] = harmonise(field, value)
            except InvalidValue as error:
                self.context.log.debug("%s: %s in the table: %s", self.params.database, address, error)
        return found


def _overwrite(fields: dict[str, Any], found: Facts) -> None:
    fields.update(found)


def _completer(key: str) -> Callable[[dict[str, Any], Facts], None]:
    """Make the function that adds facts to fields that lack them, unless those have another value of *key*."""

    def complete(fields: dict[str, Any], found: Facts) -> None:
        if key not in fields or fields[key] == found.get(key):
            for name, value in found.items():
                fields.setdefault(name, value)

    return complete


def dig(record: Any, *path: str | int) -> Any:
    """Give what lies at *path* in nested maps and lists, or None."""
    for step in path:
        try:
            record = record[step]
        except (KeyError, IndexError, TypeError):
            return None
    return record


def first(record: Mapping[str, Any], *paths: tuple[str | int, ...]) -> Any:
    """Give the first text or number found at one of *paths*, or None."""
    for path in paths:
        value = dig(record, *path)
        if value is not None and value != "" and not isinstance(value, Mapping | list):
            return value
    return None
