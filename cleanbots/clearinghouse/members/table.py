"""The compiled claims: one file of flat arrays, mapped into memory and shared by all workers.

Prefixes form two trees (IPv4 and IPv6). Their nodes are sorted by first address and length, so a node's prefix lies
within that of its parent, and what lies within a node follows it. The node for an address is found by bisection: the
last one that begins at or before it, or else the first of that one's parents that holds it. Each node has one or more
claims; a claim is a row over a few columns.

The file: a magic, the length of a JSON header (its sections with type, offset and size, and what has no array), the
header, the arrays. It is a cache of one machine and holds numbers in that machine's byte order.
"""

import mmap
import os
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import msgspec

from ...errors import CleanbotsError
from ..model import Member
from .addresses import V4, V6, WIDTH, Block

CLAIM, EXCLUDE, CUSTOMER, SHARED, GUARD = range(5)
"""Kinds of rows: a resource; what its member does not want; a customer's block; a shared block; nobody's."""

ALWAYS, NEVER = 0, 4_000_000
"""Days before and after all others (`datetime.date.toordinal`)."""

NOBODY = 0xFFFF_FFFF
"""In place of a member, for rows of the guard."""

_MAGIC = b"cleanbots claims 1\n"
_COLUMNS = {"member": "I", "kind": "B", "since": "i", "until": "i", "file": "H", "line": "I", "detail": "I"}
_BRANCH = {"lengths": "B", "parents": "i", "first": "I"}
_STARTS = {V4: {"starts": "I"}, V6: {"high": "Q", "low": "Q"}}
_LOW = 2**64 - 1


class Detail(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is seldom said about a claim; equal details are stored once."""

    shared_with: tuple[str, ...] = ()
    relay_only: bool = False
    ref: str = ""
    contact: str = ""
    share: str = "member"
    why: str = ""


class Side(msgspec.Struct, frozen=True):
    """What the table holds beside its arrays.

    Args:
        version: of the registry, a hash of what was written.
        members: all members; rows name them by number.
        digests: of each member's entry, to tell which ones a reload touches.
        details: by number.
        files: that claims stand in, by number.
        asns: number of an autonomous system to rows.
        names: suffix to rows.
        watch: paths of which a change may mean another version.
        sections: name to type, offset and number of its elements.
    """

    version: str
    members: list[Member]
    digests: list[str]
    details: list[Detail]
    files: list[str]
    asns: dict[str, list[int]]
    names: dict[str, list[int]]
    watch: list[str]
    sections: dict[str, tuple[str, int, int]] = {}


class Branch:
    """The tree of one family.

    Args:
        family: 4 or 6.
        columns: its arrays by name.
    """

    def __init__(self, family: int, columns: dict[str, Any]) -> None:
        self.family = family
        self.width = WIDTH[family]
        self.lengths, self.parents, self.first = columns["lengths"], columns["parents"], columns["first"]
        if family == V4:
            self._starts = columns["starts"]
        else:
            self._high, self._low = columns["high"], columns["low"]

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self.lengths)

    def start(self, node: int) -> int:
        """Give the first address of a node, as a number."""
        found: int = self._starts[node] if self.family == V4 else self._high[node] << 64 | self._low[node]
        return found

    def block(self, node: int) -> Block:
        """Give the prefix of a node."""
        return Block(self.family, self.start(node), self.lengths[node])

    def find(self, number: int, length: int | None = None) -> int:
        """Give the node of the longest prefix that holds an address (or the prefix of *length* bits there), or -1."""
        lengths, parents = self.lengths, self.parents
        longest = self.width if length is None else length
        if self.family == V4:
            starts = self._starts
            node: int = bisect_right(starts, number) - 1
            while node >= 0 and (lengths[node] > longest or (starts[node] ^ number) >> (32 - lengths[node])):
                node = parents[node]
            return node
        high, upper = self._high, number >> 64
        node = self._after(number) - 1
        while node >= 0:
            bits = lengths[node]
            if bits <= 64:
                if bits <= longest and not (high[node] ^ upper) >> (64 - bits):
                    return node
            elif bits <= longest and not (self.start(node) ^ number) >> (128 - bits):
                return node
            node = parents[node]
        return node

    def inside(self, block: Block) -> range:
        """Give the nodes of the prefixes that lie within *block* and are not the same."""
        node = self._from(block.start)
        while node < len(self) and self.start(node) == block.start and self.lengths[node] <= block.length:
            node += 1
        return range(node, max(node, self._after(block.end)))

    def up(self, node: int) -> Iterator[int]:
        """Walk from a node to the root: most specific first."""
        while node >= 0:
            yield node
            node = self.parents[node]

    def rows(self, node: int) -> range:
        """Give the rows of a node's claims."""
        return range(self.first[node], self.first[node + 1])

    def _after(self, number: int) -> int:
        """Give the first node that begins after an address."""
        if self.family == V4:
            return bisect_right(self._starts, number)
        high = number >> 64
        end = bisect_right(self._high, high)
        if end == 0 or self._high[end - 1] != high:
            return end
        return bisect_right(self._low, number & _LOW, bisect_left(self._high, high, 0, end), end)

    def _from(self, number: int) -> int:
        """Give the first node that begins at an address or after it."""
        if self.family == V4:
            return bisect_left(self._starts, number)
        high, low = number >> 64, number & _LOW
        begin = bisect_left(self._high, high)
        return bisect_left(self._low, low, begin, bisect_right(self._high, high, begin))


class Table:
    """The compiled claims, as they lie in a file or in memory.

    Args:
        data: the bytes; they must stay as they are.

    Raises:
        CleanbotsError: if they are no such table, or one of another version or machine.
    """

    def __init__(self, data: "bytes | mmap.mmap") -> None:
        if data[: len(_MAGIC)] != _MAGIC:
            raise CleanbotsError("not a table of claims of this version")
        at = len(_MAGIC) + 5
        order, size = data[len(_MAGIC)], int.from_bytes(data[len(_MAGIC) + 1 : at], "big")
        if order != _byte_order():
            raise CleanbotsError("a table of claims of another kind of machine")
        try:
            self.side = msgspec.json.decode(data[at : at + size], type=Side)
            view = memoryview(data)
            columns = {
                name: view[offset : offset + count * array(kind).itemsize].cast(kind)  # type: ignore[call-overload]  # a letter of ours
                for name, (kind, offset, count) in self.side.sections.items()
            }
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            raise CleanbotsError(f"a damaged table of claims: {error}") from error
        self.member, self.kind, self.since, self.until = (
            columns[name] for name in ("member", "kind", "since", "until")
        )
        self.file, self.line, self.detail = columns["file"], columns["line"], columns["detail"]
        self.branches = {family: Branch(family, _of(columns, family)) for family in (V4, V6)}

    @classmethod
    def open(cls, path: Path) -> "Table":
        """Map the table in *path* into memory.

        Raises:
            CleanbotsError: if it is none.
            OSError: if it can't be read.
        """
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < len(_MAGIC) + 5:
                raise CleanbotsError(f"{path}: not a table of claims")
            return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def place(self, row: int) -> str:
        """Give ``file:line`` of a row."""
        return f"{self.side.files[self.file[row]]}:{self.line[row]}"


class Row(NamedTuple):
    """The columns of a claim: numbers of its member and kind, days, file and line, number of its detail."""

    member: int
    kind: int
    since: int
    until: int
    file: int
    line: int
    detail: int


class Builder:
    """Takes claims in any order and makes the bytes of a table of them."""

    def __init__(self) -> None:
        self._columns = {name: array(kind) for name, kind in _COLUMNS.items()}
        self._details: dict[Detail, int] = {Detail(): 0}
        self._files: dict[str, int] = {}
        self._keys: dict[int, list[int]] = {V4: [], V6: []}
        self._rows: dict[int, array[int]] = {V4: array("I"), V6: array("I")}
        self._asns: dict[str, list[int]] = {}
        self._names: dict[str, list[int]] = {}

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._columns["member"])

    def network(self, where: Block, row: Row) -> None:
        """Add a claim of a prefix; *row* is what `row` gave."""
        # The key sorts as (start, length) do, and holds both.
        self._keys[where.family].append(where.start << 8 | where.length)
        self._rows[where.family].append(self._add(row))

    def asn(self, number: int, row: Row) -> None:
        """Add a claim of an autonomous system."""
        self._asns.setdefault(str(number), []).append(self._add(row))

    def name(self, suffix: str, row: Row) -> None:
        """Add a claim of a domain."""
        self._names.setdefault(suffix, []).append(self._add(row))

    def row(
        self,
        member: int,
        kind: int,
        place: tuple[str, int],
        days: tuple[int, int] = (ALWAYS, NEVER),
        detail: Detail | None = None,
    ) -> Row:
        """Give the columns of a claim.

        Args:
            member: number of its member, or `NOBODY`.
            kind: one of `CLAIM`, `EXCLUDE`, ….
            place: file and line.
            days: since (included) and until (excluded).
            detail: what else there is.
        """
        number = 0 if detail is None else self._details.setdefault(detail, len(self._details))
        file = self._files.setdefault(place[0], len(self._files))
        return Row(member, kind, *days, file, place[1], number)

    def bytes(self, version: str, members: Iterable[Member], digests: list[str], watch: list[str]) -> bytes:
        """Make the table."""
        sections: dict[str, array[int]] = {}
        order = array("I")
        renumbered = array("I", bytes(4 * len(self)))
        for family in (V4, V6):
            for name, column in self._branch(family, order).items():
                sections[f"{family}.{name}"] = column
        for rows in (*self._asns.values(), *self._names.values()):
            order.extend(rows)
        for new, old in enumerate(order):
            renumbered[old] = new
        for name, column in self._columns.items():
            sections[name] = array(column.typecode, map(column.__getitem__, order))
        side = Side(
            version=version,
            members=list(members),
            digests=digests,
            details=list(self._details),
            files=list(self._files),
            asns={key: [renumbered[row] for row in rows] for key, rows in self._asns.items()},
            names={key: [renumbered[row] for row in rows] for key, rows in self._names.items()},
            watch=watch,
        )
        return _assembled(side, sections)

    def _add(self, row: Row) -> int:
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)
        return len(self) - 1

    def _branch(self, family: int, order: "array[int]") -> dict[str, "array[int]"]:
        """Make the arrays of a tree; the rows of its claims are added to *order*."""
        keys, rows, width = self._keys[family], self._rows[family], WIDTH[family]
        starts = [array(kind) for kind in _STARTS[family].values()]
        lengths, parents, first = array("B"), array("i"), array("I")
        stack: list[tuple[int, int]] = []  # last address and node of the prefixes around the one at hand
        last = -1
        for number in sorted(range(len(keys)), key=keys.__getitem__):
            key = keys[number]
            if key != last:
                last, start, length = key, key >> 8, key & 255
                while stack and stack[-1][0] < start:
                    stack.pop()
                parents.append(stack[-1][1] if stack else -1)
                stack.append((start | (1 << width - length) - 1, len(lengths)))
                for column, part in zip(starts, (start,) if family == V4 else (start >> 64, start & _LOW), strict=True):
                    column.append(part)
                lengths.append(length)
                first.append(len(order))
            order.append(rows[number])
        first.append(len(order))
        names = [*_STARTS[family], *_BRANCH]
        return dict(zip(names, (*starts, lengths, parents, first), strict=True))


def _of(columns: dict[str, Any], family: int) -> dict[str, Any]:
    prefix = f"{family}."
    return {name.removeprefix(prefix): column for name, column in columns.items() if name.startswith(prefix)}


def _byte_order() -> int:
    return ord(sys.byteorder[0])


def _assembled(side: Side, sections: dict[str, "array[int]"]) -> bytes:
    """Put header and arrays together; each array begins at a multiple of 8, so that its elements are aligned."""
    empty = {name: (column.typecode, 2**40, len(column)) for name, column in sections.items()}
    room = len(msgspec.json.encode(msgspec.structs.replace(side, sections=empty)))
    at = start = -(-(len(_MAGIC) + 5 + room) // 8) * 8
    placed: dict[str, tuple[str, int, int]] = {}
    for name, column in sections.items():
        placed[name] = (column.typecode, at, len(column))
        at += -(-len(column) * column.itemsize // 8) * 8
    header = msgspec.json.encode(msgspec.structs.replace(side, sections=placed))
    head = _MAGIC + bytes((_byte_order(),)) + len(header).to_bytes(4, "big") + header
    parts = [head.ljust(start, b"\0")]
    parts += [(data := column.tobytes()) + bytes(-len(data) % 8) for column in sections.values()]
    return b"".join(parts)


def write(path: Path, data: bytes) -> None:
    """Write a table; whoever opens *path* finds the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
