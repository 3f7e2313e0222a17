"""The bench: one bot with everything lent to it in memory. Its items go the way a worker sends them."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, Self, TypeVar

import msgspec

from ..bot import DEFAULT, Bot, Failure, Parser, Stage
from ..context import Context
from ..cutter import cut
from ..errors import InvalidRow
from ..event import Event, Origin
from ..report import Chunk, Cut, Report
from ..runtime.faults import world_at_fault
from ..runtime.group import Group, Node, Yield
from ..runtime.mark import Mark
from ..runtime.units import Units

B = TypeVar("B", bound=Bot[Any])

Item = str | bytes | Mapping[str, Any] | Event | Chunk | Report
"""What a bot may be given: a payload, fields (for parsers ``raw`` is the payload), or the thing itself."""

Queued = dict[str, Any] | Chunk | Failure
"""An item as it lies in a queue; or a piece of a report that is set aside before any bot sees it."""


def build(cls: type[B], params: Mapping[str, Any] | None, context: Context) -> B:
    """Make a bot; its parameters are converted and checked as a worker does it.

    Raises:
        msgspec.ValidationError: if the parameters don't fit.
    """
    return cls(msgspec.convert(dict(params or {}), cls.params_type()), context)


class Bench:
    """A stage alone in its group: what a worker would do with it, without queues.

    Args:
        stage: the bot, not yet opened.
        origins: of the reports that its events come from.
    """

    def __init__(self, stage: Stage[Any, Any], origins: Mapping[str, Origin] | None = None) -> None:
        self.stage = stage
        self.origins = dict(origins or {})
        self.name = stage.context.bot
        paths = {*stage.paths(stage.params), DEFAULT}
        self.group = Group({self.name: Node(self.name, stage, {path: [path] for path in paths})})

    @property
    def cut(self) -> Cut | None:
        """How the bot wants its reports cut; None if it works on events."""
        return self.stage.cut(self.stage.params) if isinstance(self.stage, Parser) else None

    def __enter__(self) -> Self:
        """Open the bot."""
        self.group.open()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the bot."""
        self.group.close()

    def process(self, items: Sequence[Queued], *, world_fails: bool = False) -> Yield:
        """Bring items through at once; if the bot raises, again one by one, on fresh copies.

        Args:
            items: as they lie in a queue.
            world_fails: whether errors of the world fail their item, instead of being raised.
        """
        units, broken = self._apart(items)
        try:
            made = self.group.process(self.name, units)
        except Exception as error:
            if world_at_fault(error) and not world_fails:
                raise
            units, broken = self._apart(items)
            made = self.group.process_carefully(self.name, units, world_fails=world_fails)
        for item, fault in broken:
            made.fail(self.name, item, fault)
        return made

    def each(self, items: Sequence[Queued]) -> Iterator[tuple[Queued, Yield]]:
        """Bring units through one by one; give each as an item of its own, as it was before, and what came of it."""
        units, broken = self._apart(items)
        for unit in units:
            item = copy.deepcopy(self.stage.restore(unit))
            made = self.group.process_carefully(self.name, [unit], world_fails=True)
            yield item.fields if isinstance(item, Event) else item, made
        for whole, fault in broken:
            made = Yield()
            made.fail(self.name, whole, fault)
            yield whole.fields if isinstance(whole, Event) else whole, made

    def slices(self, items: Sequence[Queued], limit: int | None = None, size: int = 500) -> Iterator[Yield]:
        """Bring up to *limit* units through, *size* at a time, so that a long report needs little memory."""
        source, broken = self._source(items)
        left = limit
        while source.more and left != 0:
            units = [unit for _, _, unit in source.take(size if left is None else min(size, left))]
            left = None if left is None else left - len(units)
            yield self.group.process_carefully(self.name, units, world_fails=True)
        for item, fault in (*source.broken, *broken):
            made = Yield()
            made.fail(self.name, item, fault)
            yield made

    def _apart(self, items: Sequence[Queued]) -> tuple[list[Any], list[tuple[Any, Exception]]]:
        """Take fresh copies of items apart into the units that the bot works on, and those that can't be."""
        source, broken = self._source([copy.deepcopy(item) for item in items])
        units = []
        while source.more:
            units += [unit for _, _, unit in source.take(1000)]
        return units, [*source.broken, *broken]

    def _source(self, items: Sequence[Queued]) -> tuple[Units, list[Failure]]:
        whole = [item for item in items if not isinstance(item, Failure)]
        origins = {**self.origins, **self.group.origins(self.name, whole, {})}
        return Units(self.stage, whole, origins, Mark()), [item for item in items if isinstance(item, Failure)]


def queued(item: Item, number: int, how: Cut | None, fields: Mapping[str, Any], name: str = "") -> Iterator[Queued]:
    """Give *item* as it would lie in a queue.

    Args:
        item: see `Item`.
        number: of the item in its test; ids are made of it where the item has none.
        how: for a parser, how it wants its reports cut; for other bots None.
        fields: what each event starts with.
        name: the report's file name.

    Raises:
        InvalidValue: if a field's value doesn't fit.
        UnknownField: if the catalogue lacks a field.
        TypeError: if such a bot can't be given such an item.
    """
    if isinstance(item, Chunk):
        yield item
    elif how is not None:
        yield from _chunks(_report(item, number, name), how, fields)
    elif isinstance(item, Event):
        yield item.fields
    elif isinstance(item, Mapping):
        yield _event({"id": f"test-{number}", **fields, **item})
    else:
        raise TypeError(f"{item!r}: this bot works on events; give the fields of one")


def fields_of(item: Queued) -> dict[str, Any]:
    """Give the fields of an event, or those that each event of a piece of a report starts with."""
    return item if isinstance(item, dict) else (item.item if isinstance(item, Failure) else item).fields


def payload_of(report: Report) -> bytes:
    """Read a report's payload."""
    if isinstance(report.payload, bytes):
        return report.payload
    with report.payload() as stream:
        return stream.read()


def _report(item: Item, number: int, name: str) -> Report:
    if isinstance(item, Report):
        return item
    if isinstance(item, (Event, Chunk)):
        raise TypeError("a parser works on reports; give it a payload (str or bytes) or {'raw': payload}")
    known = {"raw": item} if isinstance(item, (str, bytes)) else dict(item)
    raw = known.pop("raw", b"")
    payload = raw.encode() if isinstance(raw, str) else bytes(raw)
    return Report(f"test-{number}", payload, name=name, fields=_event(known))


def _chunks(report: Report, how: Cut, fields: Mapping[str, Any]) -> Iterator[Queued]:
    """Cut a report as a collector's worker does; what it would set aside comes as a failure."""
    started = _event({**fields, **({"feed.url": report.url} if report.url else {}), **report.fields})
    try:
        for piece in cut(BytesIO(payload_of(report)), how, encoding=report.encoding):
            chunk = Chunk(
                report.id, piece.payload, piece.line, piece.header, report.name, piece.encoding, piece.final, started
            )
            if piece.payload:
                yield chunk
            for broken in piece.broken:
                kept = msgspec.structs.replace(chunk, payload=broken.payload, line=broken.line)
                yield Failure(kept, InvalidRow(f"line {broken.line}: {broken.reason}"))
    except Exception as error:
        if world_at_fault(error):
            raise
        yield Failure(Chunk(report.id, b"", name=report.name), error)


def _event(fields: Mapping[str, Any]) -> dict[str, Any]:
    event = Event()
    for field, value in fields.items():
        event[field] = value
    return event.fields
