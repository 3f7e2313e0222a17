"""Write prefix tables as MaxMind DB files (spec 2.0), and make the two small tables of the demo from a text file.

IPv4 lies below ``::/96`` of one IPv6 tree, as the format's readers expect; ``::ffff:0:0/96``, ``2002::/16`` and
``64:ff9b::/96`` lead to the IPv4 part too unless the table has entries of its own there.
"""

import os
import re
import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
from tempfile import NamedTemporaryFile
from typing import Any, Self

_LEAF = 0x8000_0000
_EMPTY = 0
_V6_ROOT, _V4_ROOT = 0, 1
_V4_PLACE = (0, 96)
_V4_ALIASES = ((0xFFFF, 96), (0x2002, 16), (0x64_FF9B << 64, 96))
_MAGIC = b"\xab\xcd\xefMaxMind.com"

_POINTER_LIMIT = 2**32
_MAX_DATA_RECORDS = _LEAF - 1


def write_mmdb(
    path: Path,
    entries: Iterable[tuple[str, Any]],
    *,
    database_type: str,
    built: datetime,
    description: str = "",
) -> int:
    """Write a prefix table; the file at *path* is replaced atomically.

    Args:
        path: the file.
        entries: (prefix, record) in any order. Prefixes such as ``192.0.2.0/24`` or ``2001:db8::/32``, without host
            bits; nested ones are fine, the most specific wins, and of two equal ones the later. A record is a mapping,
            list, text, number or boolean; equal records are stored once.
        database_type: what readers see as the table's type, for example ``cleanbots-ASN``.
        built: when the data was made.
        description: one English sentence.

    Returns:
        how many entries were written.

    Raises:
        ValueError: if a prefix is none, has host bits or lies in ``::/96``, where IPv4 lives.
        TypeError: if a record holds a type that the format doesn't have.
        OSError: if the file can't be written.
    """
    data = _DataSection()
    by_length: dict[tuple[int, int], tuple[list[int], array[int]]] = {}
    count = 0
    for prefix, record in entries:
        root, bits, length = parse_prefix(prefix)
        prefixes, records = by_length.setdefault((root, length), ([], array("I")))
        prefixes.append(bits)
        records.append(data.add(record))
        count += 1
    nodes = _tree(by_length)
    metadata = {
        "binary_format_major_version": _Sized(5, 2),
        "binary_format_minor_version": _Sized(5, 0),
        "build_epoch": _Sized(9, int(built.timestamp())),
        "database_type": database_type,
        "description": {"en": description or database_type},
        "ip_version": _Sized(5, 6),
        "languages": ["en"],
        "node_count": _Sized(6, len(nodes) // 2),
        "record_size": _Sized(5, 32),
    }
    pieces = (_resolved(nodes, data.offsets), bytes(16), bytes(data.encoded), _MAGIC, encode(metadata))
    _replace(path, pieces)
    return count


def parse_prefix(text: str) -> tuple[int, int, int]:
    """Take a prefix apart: root of its tree (0: IPv6, 1: IPv4), its leading bits as a number, how many bits.

    Raises:
        ValueError: if *text* is no prefix, has host bits or lies in ``::/96``.
    """
    address, _, length_text = text.partition("/")
    family, root, width = (AF_INET6, _V6_ROOT, 128) if ":" in address else (AF_INET, _V4_ROOT, 32)
    try:
        number = int.from_bytes(inet_pton(family, address), "big")
        length = int(length_text) if length_text else width
    except (OSError, ValueError):
        raise ValueError(f"{text!r} is no prefix; write it like 192.0.2.0/24 or 2001:db8::/32") from None
    if not 0 <= length <= width:
        raise ValueError(f"{text!r}: the length must be from 0 to {width}")
    bits = number >> (width - length)
    if bits << (width - length) != number:
        raise ValueError(f"{text!r} has host bits: they must be zero after bit {length}")
    if root == _V6_ROOT and length >= 96 and bits >> (length - 96) == 0:
        raise ValueError(f"{text!r} lies in ::/96, where the format keeps IPv4; write it as an IPv4 prefix")
    return root, bits, length


def _tree(by_length: dict[tuple[int, int], tuple[list[int], "array[int]"]]) -> "array[int]":
    """Build the search tree: two slots a node, each 0 (nothing), a node's number, or a record's with `_LEAF`."""
    nodes = array("I", (_EMPTY,) * 4)
    for root, length in sorted(by_length, key=lambda key: key[1]):
        prefixes, records = by_length[root, length]
        for bits, record in zip(prefixes, records, strict=True):
            _set(nodes, root, bits, length, record | _LEAF)
    for bits, length in _V4_ALIASES:
        if _is_free(nodes, bits, length):
            _set(nodes, _V6_ROOT, bits, length, _V4_ROOT)
    _set(nodes, _V6_ROOT, *_V4_PLACE, _V4_ROOT)
    return nodes


def _set(nodes: "array[int]", root: int, bits: int, length: int, value: int) -> None:
    """Set the slot of a prefix. Prefixes must come shortest first: a longer one splits what covers it."""
    if length == 0:
        nodes[2 * root] = nodes[2 * root + 1] = value
        return
    node = root
    for shift in range(length - 1, 0, -1):
        slot = 2 * node + (bits >> shift & 1)
        node = nodes[slot]
        if node == _EMPTY or node & _LEAF:
            nodes.append(node)
            nodes.append(node)
            node = nodes[slot] = len(nodes) // 2 - 1
    nodes[2 * node + (bits & 1)] = value


def _is_free(nodes: "array[int]", bits: int, length: int) -> bool:
    node = _V6_ROOT
    for shift in range(length - 1, -1, -1):
        node = nodes[2 * node + (bits >> shift & 1)]
        if node == _EMPTY or node & _LEAF:
            return node == _EMPTY
    return False


def _resolved(nodes: "array[int]", offsets: "array[int]") -> bytes:
    """Give the tree as it is stored: 32-bit big-endian slots, where leaves point into the data section."""
    count = len(nodes) // 2
    start = count + 16
    if start + (offsets[-1] if offsets else 0) >= _POINTER_LIMIT:
        raise ValueError(f"a table of {count} nodes is too large for the format")
    slots = array(
        "I", (start + offsets[slot ^ _LEAF] if slot & _LEAF else slot if slot != _EMPTY else count for slot in nodes)
    )
    if sys.byteorder == "little":
        slots.byteswap()
    return slots.tobytes()


class _DataSection:
    """Encoded records, each stored once."""

    def __init__(self) -> None:
        self.encoded = bytearray()
        self.offsets = array("I")
        self._known: dict[bytes, int] = {}
        self._last: tuple[Any, int] = (object(), 0)

    def add(self, record: Any) -> int:
        """Give the number of *record*, which is stored if it is new."""
        last, number = self._last
        if record is last:
            return number
        encoded = encode(record)
        number = self._known.setdefault(encoded, len(self.offsets))
        if number == len(self.offsets):
            if number >= _MAX_DATA_RECORDS:
                raise ValueError("too many different records for the format")
            self.offsets.append(len(self.encoded))
            self.encoded += encoded
        self._last = (record, number)
        return number


class _Sized(int):
    """A number with a type of the format given, as the metadata demands it."""

    kind: int

    def __new__(cls, kind: int, value: int) -> Self:
        made = super().__new__(cls, value)
        made.kind = kind
        return made


def encode(value: Any) -> bytes:
    """Encode a value for the data section (spec, "MaxMind DB Data Section"; numbers as short as possible).

    Raises:
        TypeError: if the format has no type for it.
    """
    try:
        encoder = _ENCODERS[type(value)]
    except KeyError:
        raise TypeError(f"a prefix table can't hold {type(value).__name__} ({value!r})") from None
    return encoder(value)


def _control(kind: int, size: int) -> bytes:
    if size < 29:
        low, more = size, b""
    elif size < 285:
        low, more = 29, bytes((size - 29,))
    elif size < 65821:
        low, more = 30, (size - 285).to_bytes(2, "big")
    else:
        low, more = 31, (size - 65821).to_bytes(3, "big")
    first = bytes((kind << 5 | low,)) if kind < 8 else bytes((low, kind - 7))
    return first + more


def _encode_text(value: str) -> bytes:
    encoded = value.encode()
    return _control(2, len(encoded)) + encoded


def _encode_number(value: int) -> bytes:
    if value < 0:
        return _control(8, 4) + struct.pack(">i", value)
    kind = value.kind if isinstance(value, _Sized) else 6 if value < 2**32 else 9 if value < 2**64 else 10
    encoded = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _control(kind, len(encoded)) + encoded


def _encode_map(value: dict[str, Any]) -> bytes:
    return _control(7, len(value)) + b"".join(_encode_text(key) + encode(item) for key, item in value.items())


def _encode_list(value: "list[Any] | tuple[Any, ...]") -> bytes:
    return _control(11, len(value)) + b"".join(map(encode, value))


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    str: _encode_text,
    int: _encode_number,
    _Sized: _encode_number,
    float: lambda value: _control(3, 8) + struct.pack(">d", value),
    bool: lambda value: _control(14, int(value)),
    dict: _encode_map,
    list: _encode_list,
    tuple: _encode_list,
}


def _replace(path: Path, pieces: Iterable[bytes]) -> None:
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(file.name).unlink()
            raise


_COLUMNS = ("prefix", "country", "city", "latitude", "longitude", "asn", "AS name")


def build_tables(text: Path, folder: Path, built: datetime) -> tuple[Path, Path]:
    """Make ``geo.mmdb`` and ``asn.mmdb`` in *folder* from a text file.

    A line has seven columns, two blanks or a tab apart: prefix, country code, city, latitude, longitude, AS number, AS
    name; ``-`` means unknown. Empty lines and lines that begin with ``#`` are skipped.

    Raises:
        ValueError: with file and line, if a line doesn't fit.
    """
    rows = list(_rows(text))
    folder.mkdir(parents=True, exist_ok=True)
    geo, asn = folder / "geo.mmdb", folder / "asn.mmdb"
    places = ((row[0], record) for row in rows if (record := _place(row)))
    systems = ((row[0], record) for row in rows if (record := _system(row)))
    write_mmdb(geo, places, database_type="cleanbots-City", built=built, description="Where networks are.")
    write_mmdb(asn, systems, database_type="cleanbots-ASN", built=built, description="Who announces networks.")
    return geo, asn


def _rows(text: Path) -> Iterator[list[str]]:
    with text.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            row = ["" if cell == "-" else cell for cell in re.split(r"\t+|\s{2,}", stripped)]
            try:
                if len(row) != len(_COLUMNS):
                    wanted = ", ".join(_COLUMNS)
                    raise ValueError(f"{len(row)} columns instead of {len(_COLUMNS)} ({wanted}), two blanks apart")  # noqa: TRY301
                parse_prefix(row[0])
                _place(row)
                _system(row)
            except ValueError as error:
                raise ValueError(f"{text}:{number}: {error}") from None
            yield row


def _place(row: list[str]) -> dict[str, Any]:
    _, country, city, latitude, longitude, _, _ = row
    record: dict[str, Any] = {}
    if country:
        record["country"] = {"iso_code": country}
    if city:
        record["city"] = {"names": {"en": city}}
    if latitude and longitude:
        record["location"] = {"latitude": float(latitude), "longitude": float(longitude)}
    return record


def _system(row: list[str]) -> dict[str, Any]:
    *_, asn, name = row
    if not asn:
        return {}
    record: dict[str, Any] = {"autonomous_system_number": int(asn.removeprefix("AS"))}
    return {**record, "autonomous_system_organization": name} if name else record
