"""Shadowserver's schema: which column of which report type becomes which field.

The format is Shadowserver's own (https://interchange.shadowserver.org/intelmq/v1/schema): a JSON object with one entry per report
type, each with ``feed_name``, ``file_name``, ``url``, ``constant_fields`` and the lists ``required_fields`` and
``optional_fields`` of ``[field, column, conversion, whole row]``, of which the last two may be missing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from cleanbots.errors import CleanbotsError

from ._shadowserver_convert import CONVERSIONS, ROW_CONVERSIONS

INVENTORY = frozenset(
    {
        *("device_id", "device_id6"),
        *("population_bgp", "population_http_proxy", "population_isakmp", "population_msmq", "population_ntrip"),
        *("population6_bgp", "population6_http_proxy", "population6_isakmp", "population6_msmq"),
        *("scan_http", "scan_imap", "scan_pop3", "scan_quic", "scan_smtp", "scan_ssh", "scan_ssl", "scan_stun"),
        *("scan6_http", "scan6_imap", "scan6_pop3", "scan6_smtp", "scan6_ssh", "scan6_ssl", "scan6_stun"),
    }
)
"""Report types (by file name) that count what is there and accuse nobody: ``kind`` is ``inventory`` for them."""

PORTS = {"port": "service", "src_port": "source"}
"""What ``source.port`` is (``port_is``), by the column that it is mapped from."""


LIMIT = 16 * 2**20
"""The most bytes that a schema may have."""


class SchemaError(CleanbotsError):
    """Text that is no schema in Shadowserver's format; says what and where."""


class Mapped(NamedTuple):
    """One column's way into an event.

    Args:
        field: the field; ``extra.`` stands for ``extra.<column>``, None drops the column.
        column: the column's name in the report's header.
        conversion: the schema's name of the conversion, or "".
    """

    field: str | None
    column: str
    conversion: str = ""

    @property
    def target(self) -> str | None:
        """The field's full name."""
        return f"extra.{self.column}" if self.field == "extra." else self.field

    @property
    def known_conversion(self) -> bool:
        """Whether the conversion is none or one that this cleanbots has."""
        return not self.conversion or self.conversion in CONVERSIONS or self.conversion in ROW_CONVERSIONS


@dataclass(frozen=True, slots=True)
class ReportType:
    """One type of report.

    Args:
        name: as it stands in the names of report files (``scan_redis``).
        feed_name: Shadowserver's name of the report (``Open-Redis``).
        url: its documentation, or "".
        constants: field to value, the same in every event.
        required: columns that a report of this type has.
        optional: columns that it may have.
    """

    name: str
    feed_name: str
    url: str
    constants: dict[str, str]
    required: tuple[Mapped, ...]
    optional: tuple[Mapped, ...]

    @property
    def mapped(self) -> tuple[Mapped, ...]:
        """All columns, required ones first."""
        return self.required + self.optional

    def problems(self, known: Callable[[str], bool]) -> Iterator[str]:
        """Name the conversions and fields that this cleanbots doesn't have.

        Args:
            known: tells whether the catalogue has a field.
        """
        for field in self.constants:
            if not known(field):
                yield f"{self.name}: no such field {field!r} (a constant)"
        for one in self.mapped:
            if not one.known_conversion:
                yield f"{self.name}: no such conversion {one.conversion!r} (column {one.column!r})"
            if one.target is not None and not known(one.target):
                yield f"{self.name}: no such field {one.field!r} (column {one.column!r})"


class _Entry(msgspec.Struct, forbid_unknown_fields=False):
    feed_name: str
    file_name: str
    constant_fields: dict[str, str]
    required_fields: list[list[Any]]
    optional_fields: list[list[Any]]
    url: str = ""


def read_schema(data: bytes) -> dict[str, ReportType]:
    """Read a schema in Shadowserver's format; unknown fields and conversions are for `ReportType.problems` to tell.

    Returns:
        report types by the name that report files carry.

    Raises:
        SchemaError: if *data* is no such schema.
    """
    try:
        entries = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SchemaError(f"no JSON object of report types: {error}") from None
    types: dict[str, ReportType] = {}
    for key, raw in entries.items():
        if key.startswith("_"):
            continue
        kind = _report_type(key, raw)
        if kind.name in types:
            raise SchemaError(f"{key}: a second report type with the file name {kind.name!r}")
        types[kind.name] = kind
    if not types:
        raise SchemaError("it describes no report type")
    return types


def load_schema(path: Path) -> dict[str, ReportType]:
    """Read a schema from a file of at most 16 MiB.

    Raises:
        SchemaError: if the file holds no schema or is too large.
        OSError: if it can't be read.
    """
    with path.open("rb") as file:
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise SchemaError(f"larger than {LIMIT} bytes")
    return read_schema(data)


def _report_type(key: str, raw: msgspec.Raw) -> ReportType:
    try:
        entry = msgspec.json.decode(raw, type=_Entry)
    except msgspec.DecodeError as error:
        raise SchemaError(f"{key}: {error}") from None
    if not entry.file_name or "-" in entry.file_name:
        raise SchemaError(f"{key}: file_name {entry.file_name!r} can't stand in a report's file name")
    return ReportType(
        name=entry.file_name,
        feed_name=entry.feed_name,
        url=entry.url,
        constants=entry.constant_fields,
        required=tuple(_mapped(key, one) for one in entry.required_fields),
        optional=tuple(_mapped(key, one) for one in entry.optional_fields),
    )


def _mapped(key: str, parts: list[Any]) -> Mapped:
    match parts:
        case [str() | False as field, str() as column] if column:
            return Mapped(field or None, column)
        case [str() | False as field, str() as column, str() as conversion, *rest] if column and rest in (
            [],
            [True],
            [False],
        ):
            return Mapped(field or None, column, conversion)
    raise SchemaError(f"{key}: {parts!r} is not [field, column, conversion, whole row]")
