"""Reads what is inside of zip and gzip files as streams: nothing is written by a member's name, no size is believed."""

import gzip
import io
import lzma
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, NamedTuple, cast

from ..errors import CleanbotsError

_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_BLOCK = 2**18
_IN_MEMORY = 2**20
_ENTRY = 256
_ENCRYPTED = 1

_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError, OverflowError)

Opener = Callable[[], BinaryIO]


class UnpackError(CleanbotsError):
    """An archive that is damaged, encrypted, or larger inside than the limits allow."""


class Limits(NamedTuple):
    """How much may come out of one archive.

    Args:
        total: bytes, all members together.
        ratio: bytes that may come out for each byte that goes in, as soon as *floor* bytes came out of a member.
        members: how many, nested ones included.
        depth: how many archives may be inside of each other.
        floor: bytes; small files may well be repetitive.
    """

    total: int = 2 * 2**30
    ratio: int = 200
    members: int = 10_000
    depth: int = 2
    floor: int = 16 * 2**20


class Member(NamedTuple):
    """One file of an archive.

    Args:
        name: its own name, without folders.
        path: tells it from all others of the archive; "" if the file is no archive.
        open: opens it as a stream; to be called while the walk stands at this member.
    """

    name: str
    path: str
    open: Opener


def unpack(opener: Opener, name: str, limits: Limits | None = None) -> Iterator[Member]:
    """Walk through the files of an archive; a file that is none is its own only member.

    What can't be read is a member too: opening or reading it raises.

    Args:
        opener: opens the archive; seekable.
        name: its file name.
        limits: the defaults of `Limits` if left out.

    Raises:
        UnpackError: by a member's `open` or a stream's `read`; one sentence that says why.
        OSError: likewise, if the file can't be read.
    """
    yield from _Walk(limits or Limits()).members(opener, name, "", 0)


class _Walk:
    """Counts what came out of one archive."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.total = 0
        self._members = 0

    def members(self, opener: Opener, name: str, path: str, depth: int) -> Iterator[Member]:
        before = self.total
        try:
            with opener() as stream:
                start = stream.read(4)
        except (OSError, CleanbotsError) as error:
            yield Member(name, path, _raiser(error))
            return
        self.total = before  # what is looked at here is read again
        if not start.startswith((_GZIP, *_ZIP)):
            yield Member(name, path, opener)
        elif depth == self.limits.depth:
            yield Member(name, path, _raiser(UnpackError(f"more than {depth} archives inside of each other")))
        elif start.startswith(_GZIP):
            inner = name.removesuffix(".gz")
            yield from self.members(lambda: self._gunzip(opener), inner, f"{path}!gz", depth + 1)
        else:
            yield from self._zipped(opener, name, path, depth + 1)

    def _gunzip(self, opener: Opener) -> BinaryIO:
        with ExitStack() as stack:
            source = _Counted(stack.enter_context(opener()), _BLOCK * 4)
            stream = stack.enter_context(gzip.GzipFile(fileobj=source))
            return _buffered(_Limited(cast("BinaryIO", stream), source, self, stack.pop_all()))

    def _zipped(self, opener: Opener, name: str, path: str, depth: int) -> Iterator[Member]:
        with ExitStack() as stack:
            try:
                with _sentences():
                    outer = stack.enter_context(opener())
                    seekable = outer if depth == 1 else stack.enter_context(_spooled(outer))
                    source = _Counted(seekable, max(self.limits.members * _ENTRY, _BLOCK * 4))
                    archive = stack.enter_context(zipfile.ZipFile(cast("BinaryIO", source)))
            except (OSError, CleanbotsError) as error:
                yield Member(name, path, _raiser(error))
                return
            for number, info in enumerate(archive.infolist()):
                if info.filename.endswith("/"):
                    continue
                self._members += 1
                here = f"{path}!{number}"
                if self._members > self.limits.members:
                    yield Member(name, here, _raiser(UnpackError(f"more than {self.limits.members} files inside")))
                    return
                inner = info.filename.replace("\\", "/").rpartition("/")[2]
                yield from self.members(self._opener(archive, info, source), inner, here, depth)

    def _opener(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: "_Counted") -> Opener:
        def opened() -> BinaryIO:
            if info.flag_bits & _ENCRYPTED:
                raise UnpackError("encrypted; have it sent without a password")
            with _sentences(), ExitStack() as stack:
                stream = stack.enter_context(archive.open(info))
                return _buffered(_Limited(cast("BinaryIO", stream), source, self, stack.pop_all()))

        return opened


class _Counted(io.RawIOBase):
    """Counts what is read of a file, and refuses to read much at once: a zip directory is read in one go."""

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream = stream
        self._most = most
        self.taken = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(min(size, self._most + 1) if size >= 0 else self._most + 1)
        if len(data) > self._most:
            raise UnpackError("a directory of too many files inside")
        self.taken += len(data)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return self._stream.seekable()

    def readable(self) -> bool:
        return True


class _Limited(io.RawIOBase):
    """What comes out of a compressed stream, up to the limits; closes all that it stands on."""

    def __init__(self, stream: BinaryIO, source: _Counted, walk: _Walk, stack: ExitStack) -> None:
        self._stream = stream
        self._source = source
        self._before = source.taken
        self._walk = walk
        self._stack = stack
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview", /) -> int:  # type: ignore[override]  # what io.BufferedReader gives
        with _sentences():
            data = self._stream.read(min(len(buffer), _BLOCK))
        self._given += len(data)
        self._walk.total += len(data)
        limits = self._walk.limits
        if self._walk.total > limits.total:
            raise UnpackError(f"more than {limits.total} bytes come out of it; raise the limit if that is right")
        if self._given > limits.floor and self._given > limits.ratio * (self._source.taken - self._before):
            raise UnpackError(f"more than {limits.ratio} bytes come out for each byte that goes in: a zip bomb?")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stack.close()
        super().close()


def _buffered(stream: _Limited) -> BinaryIO:
    return io.BufferedReader(stream, _BLOCK)


def _spooled(stream: BinaryIO) -> BinaryIO:
    """Copy a stream to a file without a name, so that it can be read in any order."""
    copy = cast("BinaryIO", tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115  # the caller closes it
    try:
        while block := stream.read(_BLOCK):
            copy.write(block)
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy


def _raiser(error: Exception) -> Opener:
    def opened() -> BinaryIO:
        raise error

    return opened


@contextmanager
def _sentences() -> Iterator[None]:
    """Say in one sentence what the readers of archives say in many ways."""
    try:
        yield
    except (NotImplementedError, RuntimeError) as error:
        raise UnpackError(f"an archive that can't be read: {error}") from error
    except _DAMAGE as error:
        raise UnpackError(f"a damaged archive: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise UnpackError(f"a damaged archive: {error}") from error  # gzip and bz2 say so by an error without number
