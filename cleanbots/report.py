"""Reports: the raw material of one notifier, as a collector hands it on and as a parser receives it."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import msgspec


def report_id(key: str) -> str:
    """Give a report's id: 80 bits of BLAKE2b (RFC 7693) over its *key* as 16 lower-case base32 characters."""
    digest = hashlib.blake2b(key.encode(), digest_size=10).digest()
    return base64.b32encode(digest).decode().lower()


@dataclass(frozen=True, slots=True)
class Report:
    """What a collector yields: one source object and how to read it.

    Args:
        key: names the source object for ever (file: path, size, mtime; IMAP: UIDVALIDITY/UID/part; HTTP: URL plus
            validator or content hash). The report's id is made of it, so the same object is recognised again.
        payload: the bytes, or a function that opens them as a binary stream (called once, closed by the runtime).
        name: the file's name, if it has one; some parsers tell the report's type from it.
        url: where it came from (``feed.url`` of its events).
        cursor: the collector's position after this report; committed with it and lent again as ``context.cursor``.
        encoding: the character set the source declared, or "" if it did not say.
        fields: further facts for each event, by field name.
    """

    key: str
    payload: bytes | Callable[[], BinaryIO]
    name: str = ""
    url: str = ""
    cursor: str | None = None
    encoding: str = ""
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The report's deterministic id."""
        return report_id(self.key)


class Chunk(msgspec.Struct, frozen=True, omit_defaults=True, array_like=False):
    """A piece of a report on its way to a parser: whole records, never a part of one.

    Args:
        id: the report's id.
        payload: the records' bytes as they came, without the header.
        line: 1-based physical line (in the whole report) at which *payload* begins.
        header: the report's header bytes, repeated in each chunk ("" if the format has none).
        name: the report's file name, or "".
        encoding: declared character set, or "".
        final: whether this is the report's last chunk.
        fields: what every event of the report starts with: ``feed.*``, ``tlp``, ``time.observation``.
        ordinal: 0-based ordinal of the chunk's first element, for formats that count elements instead of lines.
    """

    id: str
    payload: bytes
    line: int = 1
    header: bytes = b""
    name: str = ""
    encoding: str = ""
    final: bool = False
    fields: dict[str, Any] = {}
    ordinal: int = 0


class Cut(msgspec.Struct, frozen=True):
    """How a parser's payload may be cut into chunks.

    Args:
        unit: ``rows`` (CSV: a quoted newline stays inside its row), ``lines`` or ``whole``.
        header: how many rows at the start are the header, repeated with every chunk.
        delimiter: the CSV delimiter (``rows`` only).
        quote: the CSV quote character (``rows`` only).
        skip: lines starting with one of these are comments, no header and no rows.
        columns: how many columns a row has, if there is no header to tell; 0 if that is not known (``rows`` only).
        encoding: the character set to read the payload in, whatever the source declared; "" to believe the source.
        skip_lines: how many physical lines at the start are neither header nor rows.
    """

    unit: str = "rows"
    header: int = 0
    delimiter: str = ","
    quote: str = '"'
    skip: tuple[str, ...] = ()
    columns: int = 0
    encoding: str = ""
    skip_lines: int = 0
