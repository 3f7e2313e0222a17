"""Events: one harmonised observation each, a flat mapping of dotted fields to canonical JSON values, with an id."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from .errors import InvalidValue
from .harmonization import Plan, harmonise
from .harmonization.convert import rejected_name
from .harmonization.values import rejection

Origin = dict[str, Any]
"""What is kept once per report so that a row can be given back: ``header`` (text), ``delimiter``, ``quote``."""

_NO_ORIGINS: Mapping[str, Origin] = {}


class Event:
    """One observation. Reading is as of a dict; setting converts and validates by the harmonisation.

    Args:
        fields: canonical fields, trusted as they are; the event keeps this very dict.
        origins: report id to `Origin` for the reports that the event may come from.
    """

    __slots__ = ("fields", "origins")

    def __init__(self, fields: dict[str, Any] | None = None, origins: Mapping[str, Origin] = _NO_ORIGINS) -> None:
        self.fields: dict[str, Any] = {} if fields is None else fields
        self.origins = origins

    @classmethod
    def build(
        cls, plan: Plan, row: Sequence[str], base: Mapping[str, Any], origins: Mapping[str, Origin] = _NO_ORIGINS
    ) -> "Event":
        """Make an event of a table's row by a compiled mapping.

        Args:
            plan: of `cleanbots.harmonization.compile_plan`.
            row: the row's cells.
            base: canonical fields to start with, trusted as they are: ``id``, ``raw``, ``feed.*``, ….
            origins: as of the class.

        Raises:
            InvalidRow: if the row is too short.
            InvalidValue: if a required column does not fit.
        """
        return cls(plan.build(row, base), origins)

    @property
    def id(self) -> str:
        """The event's deterministic id: ``<report id>-<line>`` (``.<n>`` if a row gives several)."""
        return str(self.fields.get("id", ""))

    def __getitem__(self, field: str) -> Any:
        """Give the canonical value of *field*; raises KeyError if it is not set."""
        return self.fields[field]

    def __setitem__(self, field: str, value: Any) -> None:
        """Set *field*; the value must fit.

        Raises:
            InvalidValue: if the value doesn't fit; the field is left as it was.
            UnknownField: if the catalogue has no such field.
        """
        self.fields[field] = harmonise(field, value)

    def __delitem__(self, field: str) -> None:
        """Remove *field*; raises KeyError if it is not set."""
        del self.fields[field]

    def __contains__(self, field: str) -> bool:
        """Tell whether *field* is set."""
        return field in self.fields

    def __iter__(self) -> Iterator[str]:
        """Walk through the names of the fields that are set."""
        return iter(self.fields)

    def __len__(self) -> int:
        """Count the fields that are set."""
        return len(self.fields)

    def __eq__(self, other: object) -> bool:
        """Compare by fields."""
        return isinstance(other, Event) and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        """Show the id and how many fields are set; never the values."""
        return f"<Event {self.id or '(no id)'} of {len(self.fields)} fields>"

    def get(self, field: str, default: Any = None) -> Any:
        """Give the canonical value of *field*, or *default*."""
        return self.fields.get(field, default)

    def offer(self, field: str, value: Any) -> bool:
        """Set *field* if the value fits; an absent value (None, an empty or blank text) is no value.

        A value that doesn't fit is kept as ``extra.rejected.<field>`` with its reason.

        Returns:
            whether the field was set.

        Raises:
            UnknownField: if the catalogue has no such field.
        """
        if value is None or (isinstance(value, str) and not value.strip()):
            return False
        try:
            self.fields[field] = harmonise(field, value)
        except InvalidValue as error:
            self.reject(error)
            return False
        return True

    def reject(self, error: InvalidValue) -> None:
        """Keep a value that did not fit under ``extra.rejected.`` with its reason."""
        self.fields[rejected_name(error.field)] = rejection(error.value, error.reason)

    def time(self, field: str) -> datetime | None:
        """Give a time field as an aware datetime in UTC, or None if it is not set."""
        text = self.fields.get(field)
        return None if text is None else datetime.fromisoformat(text)

    def address(self, field: str) -> IPv4Address | IPv6Address | None:
        """Give an address field as an `ipaddress` object, or None if it is not set."""
        text = self.fields.get(field)
        return None if text is None else ip_address(text)

    def copy(self) -> "Event":
        """Give an event of its own with the same fields."""
        return Event(dict(self.fields), self.origins)

    def derive(self, number: int) -> "Event":
        """Give a copy with the id ``<id>.<number>``: for experts that make several events of one."""
        fields = dict(self.fields)
        fields["id"] = f"{self.id}.{number}"
        return Event(fields, self.origins)

    def original(self) -> str | None:
        """Give the row as the notifier wrote it, below its report's header if it has one; None without ``raw``."""
        raw = self.fields.get("raw")
        if raw is None:
            return None
        header = self.origins.get(self.id.partition("-")[0], {}).get("header", "")
        return f"{header}{raw}" if header else str(raw)
