"""Frames: up to N items encoded together, what a queue stores.

Layout (big-endian): magic ``CB`` · version u8 · kind u8 · catalogue hash 8 bytes · count u32 · zstd (RFC 8878, level 1)
of the body. Events are JSON, column by column (``[origins, [field, …], [[value, …], …]]``, null where an event lacks
the field), which takes a quarter less room than one by one; chunks and failed items hold bytes and are MessagePack.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson
import zstandard

from .errors import FrameError, NewerFrame
from .event import Origin
from .harmonization import catalogue_hash, revalidate
from .report import Chunk

VERSION = 1
EVENTS, CHUNKS, FAILED = 1, 2, 3

_HEADER = struct.Struct(">2sBB8sI")
_MAGIC = b"CB"
_MAX_BODY = 2**30

_compress = zstandard.ZstdCompressor(level=1).compress
_decompressor = zstandard.ZstdDecompressor()


class FailedItem(msgspec.Struct, frozen=True):
    """One dead letter.

    Args:
        bot: the bot that could not work it off.
        error: the sentence that says why.
        kind: the class of the error, for grouping.
        at: when (canonical time text).
        times: how often it failed by now.
        event: the event as the bot received it, or None.
        chunk: the piece of a report as the parser received it, or None.
        origins: what is needed to give the event's row back.
    """

    bot: str
    error: str
    kind: str
    at: str
    times: int = 1
    event: dict[str, Any] | None = None
    chunk: Chunk | None = None
    origins: dict[str, Origin] = {}

    @property
    def id(self) -> str:
        """The event's id, or ``<report id>-<line>`` of a piece of a report."""
        if self.event is not None:
            return str(self.event.get("id", ""))
        return "" if self.chunk is None else f"{self.chunk.id}-{self.chunk.line}"


class Frame(msgspec.Struct, frozen=True):
    """A decoded frame: its kind (`EVENTS`, `CHUNKS` or `FAILED`) and its items: dicts of events, `Chunk`, `FailedItem`."""

    kind: int
    items: list[Any]
    origins: dict[str, Origin] = {}


_chunks = msgspec.msgpack.Decoder(list[Chunk])
_failed = msgspec.msgpack.Decoder(list[FailedItem])
_pack = msgspec.msgpack.Encoder().encode


def encode_events(events: Sequence[dict[str, Any]], origins: Mapping[str, Origin]) -> bytes:
    """Encode events, given as their fields, and the origins of their reports. A field that is None is no field.

    Raises:
        FrameError: if a value can't be written as JSON.
    """
    names: dict[str, Any] = {"id": None}  # there is always a column to count events by
    for fields in events:
        names.update(fields)
    try:
        body = orjson.dumps([origins, list(names), [[fields.get(name) for fields in events] for name in names]])
    except (TypeError, ValueError) as error:
        raise FrameError(f"an event can't be written as JSON: {error}") from error
    return _frame(EVENTS, len(events), body)


def encode_chunks(chunks: Sequence[Chunk]) -> bytes:
    """Encode pieces of reports."""
    return _frame(CHUNKS, len(chunks), _pack(chunks))


def encode_failed(items: Sequence[FailedItem]) -> bytes:
    """Encode dead letters."""
    return _frame(FAILED, len(items), _pack(items))


def decode(data: bytes) -> Frame:
    """Decode a frame. Events written under another catalogue are checked again, field by field.

    Raises:
        FrameError: if *data* is no frame.
        NewerFrame: if a newer cleanbots wrote it.
    """
    if len(data) < _HEADER.size or data[:2] != _MAGIC:
        raise FrameError(f"{len(data)} bytes that are no frame; was this queue written by cleanbots?")
    _, version, kind, written_under, _ = _HEADER.unpack_from(data)
    if version > VERSION:
        raise NewerFrame(f"a frame of version {version}, and this cleanbots reads up to {VERSION}: upgrade it")
    try:
        body = _decompressor.decompress(memoryview(data)[_HEADER.size :], max_output_size=_MAX_BODY)
        if kind == EVENTS:
            origins, names, columns = orjson.loads(body)
            events = _events(names, columns)
            if written_under != catalogue_hash():
                events = [revalidate(fields) for fields in events]
            return Frame(EVENTS, events, origins)
        if kind == CHUNKS:
            return Frame(CHUNKS, _chunks.decode(body))
        if kind == FAILED:
            return Frame(FAILED, _failed.decode(body))
    except (zstandard.ZstdError, msgspec.DecodeError, ValueError, TypeError, LookupError) as error:
        raise FrameError(f"a damaged frame: {error}") from error
    raise FrameError(f"a frame of unknown kind {kind}")


def _events(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [{} for _ in columns[0]]
    for name, column in zip(names, columns, strict=True):
        for fields, value in zip(events, column, strict=True):
            if value is not None:
                fields[name] = value
    return events


def _frame(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(_MAGIC, VERSION, kind, catalogue_hash(), count) + _compress(body)
