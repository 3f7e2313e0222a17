"""The journal of a SQLite store: each change once more, in a file beside it, so that an older copy can catch up.

A change is written here, and synced, after its statements ran and before they are committed, under the database's write
lock: what is committed is always in the journal, and at most the last entry was never committed. Entries are numbered
like the changes; where a number comes again, the earlier one was not committed. Two files tell the same only in the
same order, so a copy of the database that has seen *n* changes is what it would be now after those from *n* + 1 on.
"""

import os
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

import msgspec
import zstandard

_CURRENT = "current"
_MAGIC = b"\x93cbj"
_HEAD = Struct(">4sIQq")  # magic, size of the body, number, time
_TAIL = Struct(">II")  # CRC of head and body, size of the body
_LARGEST = 64 << 20

_compress = zstandard.ZstdCompressor(1).compress
_decompress = zstandard.ZstdDecompressor().decompress


class Change(NamedTuple):
    """One statement, as the database's driver was given it; *many* says that *values* are rows of values."""

    statement: str
    values: Any
    many: bool


class Mark(NamedTuple):
    """How far a journal goes: the number of a change, and when it was made, in microseconds since 1970."""

    number: int
    at: int


class Entry(NamedTuple):
    """What one transaction changed.

    Args:
        number: of the change.
        at: when, in microseconds since 1970.
        body: its statements, packed.
    """

    number: int
    at: int
    body: bytes

    @property
    def changes(self) -> list[Change]:
        """The statements, in their order."""
        return [Change(*change) for change in msgspec.msgpack.decode(_decompress(self.body))]


class GapError(Exception):
    """The journal doesn't go on where the database stands."""


class Journal:
    """Numbered changes in the files of a folder.

    Only who holds the database's write lock may write; anybody may read.

    Args:
        folder: where; made when the journal begins.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: int | None = None

    def begin(self, number: int, at: int, *, forget: bool = False) -> None:
        """Begin anew with a database that has seen *number* changes; *forget* removes what was there."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.close()
        for path in [*self._files(), *self.folder.glob("*.old")] if forget else self._files():
            if forget:
                path.unlink()
            else:
                path.replace(path.with_suffix(".old"))
        self._write(number, at, b"")

    def append(self, number: int, at: int, changes: Sequence[Change]) -> None:
        """Write change *number* and wait until it is on the disk.

        Raises:
            GapError: if *number* doesn't follow the last one.
            OSError: if it can't be written; then nothing was.
        """
        last = self.last()
        if last is None or number not in (last.number, last.number + 1):
            raise GapError
        self._write(number, at, _compress(msgspec.msgpack.encode(changes, enc_hook=tuple)))
        if (self.folder / _CURRENT).stat().st_size > _LARGEST:
            self.rotate()

    def rotate(self) -> None:
        """Begin a new file, so that old ones can be removed."""
        last = _last_of(self.folder / _CURRENT)
        if last is None or (full := self.folder / f"{last.number:015d}.log").exists():
            return
        self.close()
        (self.folder / _CURRENT).replace(full)
        self._write(last.number, last.at, b"")

    def purge(self, before: int) -> int:
        """Remove files of which all was written before *before* (microseconds since 1970); give how many."""
        removed = 0
        for path in [*self._rotated(), *self.folder.glob("*.old")]:
            last = _last_of(path)
            if last is None or last.at < before:
                path.unlink()
                removed += 1
        return removed

    def last(self) -> "Mark | None":
        """Tell how far it goes; None if there is none."""
        return next((last for path in reversed(self._files()) if (last := _last_of(path)) is not None), None)

    def after(self, number: int) -> Iterator[Entry]:
        """Walk through what was changed after change *number*, each number once.

        Raises:
            GapError: if something in between is missing.
        """
        files = self._files()
        # A file that was rotated has its last number in its name.
        needed = [path for path in files if path.name == _CURRENT or int(path.stem) > number]
        before: Entry | None = None
        for entry in chain.from_iterable(map(_entries, needed)):
            if not entry.body or entry.number <= number:
                continue
            if before is None or entry.number != before.number:  # else the earlier one was not committed
                if entry.number != (number if before is None else before.number) + 1:
                    raise GapError
                if before is not None:
                    yield before
            before = entry
        if before is not None:
            yield before

    def close(self) -> None:
        """Close the file; the next entry opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _files(self) -> list[Path]:
        current = self.folder / _CURRENT
        return [*self._rotated(), *([current] if current.exists() else [])]

    def _rotated(self) -> list[Path]:
        return sorted(self.folder.glob("*.log"))

    def _write(self, number: int, at: int, body: bytes) -> None:
        file = self._open()
        size = os.fstat(file).st_size
        head = _HEAD.pack(_MAGIC, len(body), number, at)
        data = memoryview(b"".join((head, body, _TAIL.pack(zlib.crc32(body, zlib.crc32(head)), len(body)))))
        try:
            while data:
                data = data[os.write(file, data) :]
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise

    def _open(self) -> int:
        """Open the current file, unless it is open; another process may have begun a new one."""
        path = self.folder / _CURRENT
        try:
            if self._file is not None and os.fstat(self._file).st_ino == path.stat().st_ino:
                return self._file
        except FileNotFoundError:
            pass
        self.close()
        fresh = not path.exists()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if fresh:
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return self._file


def _last_of(path: Path) -> Mark | None:
    """Tell how far a file goes: by its end, or by a walk if the end was torn by a crash."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        end = os.fstat(file).st_size
        if end >= _HEAD.size + _TAIL.size:
            _, size = _TAIL.unpack(os.pread(file, _TAIL.size, end - _TAIL.size))
            start = end - _TAIL.size - size - _HEAD.size
            if start >= 0:
                magic, told, number, at = _HEAD.unpack(os.pread(file, _HEAD.size, start))
                if magic == _MAGIC and told == size:
                    return Mark(number, at)
    finally:
        os.close(file)
    last = None
    for entry in _entries(path):
        last = Mark(entry.number, entry.at)
    return last


def _entries(path: Path) -> Iterator[Entry]:
    """Walk through the whole entries of a file; what a crash left torn is passed over."""
    data = path.read_bytes()
    at = 0
    while at + _HEAD.size + _TAIL.size <= len(data):
        magic, size, number, moment = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + size
        whole = magic == _MAGIC and end + _TAIL.size <= len(data)
        if whole and _TAIL.unpack_from(data, end) == (zlib.crc32(data[at:end]), size):
            yield Entry(number, moment, data[at + _HEAD.size : end])
            at = end + _TAIL.size
            continue
        found = data.find(_MAGIC, at + 1)
        if found < 0:
            return
        at = found
