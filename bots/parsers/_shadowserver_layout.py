"""Layouts: a report type and a header become a compiled plan, and what differs between the two becomes known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cleanbots import Event, InvalidRow
from cleanbots.harmonization import Column, catalogue, compile_plan

from ._shadowserver_convert import CONVERSIONS, ROW_CONVERSIONS, RowConvert, add_utc
from ._shadowserver_schema import INVENTORY, PORTS, Mapped, ReportType

ESSENTIAL = frozenset({"time.source", "source.ip"})
"""Fields without which a row says nothing: if the schema requires one of them, a bad value fails the row."""

_TIMES = frozenset(name for name, field in catalogue().fields.items() if field.type == "time")


class Layout:
    """How the rows of one report type with one header become events.

    Args:
        kind: the report type.
        header: the names of the columns in the report.

    Attributes:
        missing: required columns that the header lacks; no row can be used then.
        drift: what differs between the two, as column to a word for it.
    """

    def __init__(self, kind: ReportType, header: Sequence[str]) -> None:
        self.kind = kind
        self.header = tuple(header)
        self._index = {name: index for index, name in reversed(list(enumerate(header)))}
        self.missing = [one.column for one in kind.required if one.column not in self._index]
        self.drift = dict(self._drift())
        self._facts = dict(self._constants())
        self._plan = compile_plan(list(self._columns()))
        required = {one.field for one in kind.required}
        self._timed = "time.source" in required
        self._placed = "source.ip" in required

    def base(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Give what all events of a report start with: *fields* of the collector, and what the type says."""
        names = {"feed.name": self.kind.feed_name, "feed.code": self.kind.name}
        return {**names, **fields, **self._facts}

    def fill(self, rows: Sequence[Sequence[str]], events: Sequence[dict[str, Any]]) -> list[tuple[int, Exception]]:
        """Fill each of *events*, begun with `base`, from its row.

        Returns:
            for each row that can't be used its index and why: it lacks its time or its address, or one doesn't fit.
        """
        failed = self._plan.fill(rows, events)
        known = {index for index, _ in failed}
        for index, fields in enumerate(events):
            if "source.port" not in fields:
                fields.pop("port_is", None)
            if index in known:
                continue
            if self._timed and "time.source" not in fields:
                failed.append((index, InvalidRow("the row has no time")))
            elif self._placed and "source.ip" not in fields and "source.network" not in fields:
                failed.append((index, InvalidRow("the row has no address")))
        return failed

    def _constants(self) -> Iterator[tuple[str, Any]]:
        event = Event()
        for field, value in self.kind.constants.items():
            event.offer(field if field in catalogue() else _extra(field), value)
        event.offer("feed.documentation", self.kind.url)
        event["time_precision"] = "second"
        if self.kind.name in INVENTORY:
            event["kind"] = "inventory"
        for one in self.kind.mapped:
            if one.field == "source.port" and one.column in PORTS:
                event["port_is"] = PORTS[one.column]
            convert = CONVERSIONS.get(one.conversion)
            meaning = convert("") if convert else None
            if meaning is not None and one.target is not None and one.target in catalogue():
                event.offer(one.target, meaning)  # plans skip empty columns, yet here they mean something
        yield from event.fields.items()

    def _columns(self) -> Iterator[Column]:
        """Give the columns, the last first: of two with one field, a plan lets the later win, and the schema the first."""
        named = {one.column for one in self.kind.mapped}
        for index, column in enumerate(self.header):
            if column not in named:
                yield Column(_extra(column), index)
        for one in reversed(self.kind.mapped):
            if one.column in self._index and one.target is not None:
                yield from self._column(one, one.target)

    def _column(self, one: Mapped, target: str) -> Iterator[Column]:
        index = self._index[one.column]
        if target not in catalogue():
            yield Column(_extra(one.column), index)
            return
        if one.conversion == "category_or_detail" and "detail" in self._index:
            yield Column(target, self._index["detail"])  # plans skip an empty category
        essential = target in ESSENTIAL and one in self.kind.required
        if one.conversion in ROW_CONVERSIONS:
            named = self._by_name(ROW_CONVERSIONS[one.conversion])
            yield Column(target, index, required=essential, row_convert=named)
        elif one.known_conversion:
            convert = CONVERSIONS.get(one.conversion)
            yield Column(target, index, convert, essential, canonical=convert is add_utc and target in _TIMES)
        else:
            yield Column(_extra(one.column), index)

    def _by_name(self, convert: RowConvert) -> Callable[[str, Sequence[str]], Any]:
        header = self.header
        return lambda text, row: convert(text, dict(zip(header, row, strict=False)))

    def _drift(self) -> Iterator[tuple[str, str]]:
        named = {one.column for one in self.kind.mapped}
        for word, columns in (("missing", self.kind.optional), ("missing, yet required", self.kind.required)):
            for one in columns:
                if one.column not in self._index:
                    yield one.column, word
        for column in self.header:
            if column not in named:
                yield column, "unknown"
        for one in self.kind.mapped:
            if not one.known_conversion:
                yield one.column, f"of a conversion {one.conversion!r} that this version lacks"
            elif one.target is not None and one.target not in catalogue():
                yield one.column, f"meant for a field {one.field!r} that this version lacks"


def _extra(column: str) -> str:
    """Give the name below ``extra.`` for a column, whatever letters it is made of."""
    name = f"extra.{column}"
    return name if name in catalogue() else catalogue().closest(name) or "extra.unnamed"
