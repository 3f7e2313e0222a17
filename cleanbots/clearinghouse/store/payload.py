"""What the store keeps of an event: its fields and the notifier's row, compressed; and what it is found by."""

import hashlib
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
import zstandard

_LEVEL = 1
_LEFT_OUT = frozenset({"raw", "matches"})
_SEVERITIES = {"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}
_UNKNOWN_SEVERITY = 5
_MAPPED = bytes(10) + b"\xff\xff"
_SHAREABLE = frozenset({"CLEAR", "GREEN", "AMBER"})

_compress = zstandard.ZstdCompressor(level=_LEVEL).compress
_decompress = zstandard.ZstdDecompressor().decompress
_encoder = msgspec.json.Encoder()


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """An event as it is kept.

    Args:
        event: its fields, without ``raw`` and ``matches``.
        row: the notifier's row if it may be shared, or "".
        header: number of the report's header among the shared texts, or 0.
        report: the report's file name, or "".
    """

    event: dict[str, Any]
    row: str = ""
    header: int = 0
    report: str = ""


_decoder = msgspec.json.Decoder(Payload)


def pack(payload: Payload) -> bytes:
    """Give *payload* as bytes."""
    return _compress(_encoder.encode(payload))


def unpack(data: bytes) -> Payload:
    """Give what `pack` packed."""
    return _decoder.decode(_decompress(data))


def without_row(event: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields that are kept of an event."""
    kept = dict(event)
    for name in _LEFT_OUT:
        kept.pop(name, None)
    return kept


def split_original(original: str, raw: Any) -> tuple[str, str]:
    """Take an original apart into the header, which all rows of a report share, and the row."""
    if isinstance(raw, str) and raw and original.endswith(raw):
        return original[: -len(raw)], raw
    return "", original


def severity(event: Mapping[str, Any]) -> int:
    """Give the severity as a rank, 0 for ``critical``."""
    return _SEVERITIES.get(event.get("severity", ""), _UNKNOWN_SEVERITY)


def strict(event: Mapping[str, Any]) -> bool:
    """Tell whether the event's label is above TLP:AMBER; without a label it is."""
    return event.get("tlp") not in _SHAREABLE


def packed_address(text: str) -> bytes | None:
    """Give an address as bytes that sort as addresses do (IPv4 first); None if it is none.

    An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) is the IPv4 address.
    """
    try:
        return b"\x04" + socket.inet_pton(socket.AF_INET, text)
    except OSError:
        pass
    try:
        packed = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return None
    return b"\x04" + packed[12:] if packed.startswith(_MAPPED) else b"\x06" + packed


def event_address(event: Mapping[str, Any]) -> bytes | None:
    """Give the address that an event is found and sorted by."""
    text = event.get("source.ip") or event.get("destination.ip")
    return None if text is None else packed_address(text)


def event_host(event: Mapping[str, Any]) -> str | None:
    """Give the host name that an event is found by."""
    for side in ("source", "destination"):
        name = event.get(f"{side}.fqdn")
        url = event.get(f"{side}.url")
        if name is None and url is not None:
            try:
                name = urlsplit(url).hostname
            except ValueError:
                name = None
        if name:
            return str(name)
    return None


def content_hash(data: bytes) -> bytes:
    """Give the name of a shared text."""
    return hashlib.blake2b(data, digest_size=16).digest()
