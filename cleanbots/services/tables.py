"""Prefix tables (MaxMind DB files), memory-mapped, opened anew when the file was replaced."""

import logging
from pathlib import Path
from typing import Any

import maxminddb

from ..clock import Clock, SystemClock
from ..errors import CleanbotsError, Retry

_CHECK_EVERY = 1.0
"""Seconds between two looks at the file."""

_ALL_BITS = 128

_log = logging.getLogger(__name__)

_Signature = tuple[int, int, int]


class TablesService:
    """Opens prefix tables; two bots of a process that open the same file share it.

    Args:
        clock: tells when to look at a file again.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._tables: dict[Path, PrefixTable] = {}

    def open(self, path: str) -> "PrefixTable":
        """Open the MMDB file at *path*.

        Raises:
            Retry: if the file is not there or can't be read as a table.
            CleanbotsError: if maxminddb lacks its C extension, without which look-ups take twenty times as long.
        """
        key = Path(path).absolute()
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = PrefixTable(key, self._clock)
        return table

    def close(self) -> None:
        """Close all tables."""
        for table in self._tables.values():
            table.close()
        self._tables.clear()


class PrefixTable:
    """A read-only prefix table in a file. If a replacement can't be read, the old table stays in use.

    Args:
        path: the MMDB file.
        clock: tells when to look at the file again.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._signature = _signature(path)
        self._reader = _read(path)
        self._find = self._reader.get_with_prefix_len
        self._next_look = clock.monotonic() + _CHECK_EVERY

    def get(self, address: str) -> Any:
        """Give the record of the longest prefix that holds *address*, or None.

        Raises:
            Retry: if the file turns out to be damaged.
        """
        return self.find(address)[0]

    def find(self, address: str) -> tuple[Any, int]:
        """Give what `get` gives, and how many leading bits decide it: whoever shares them has the same record.

        Raises:
            Retry: if the file turns out to be damaged.
        """
        if self._clock.monotonic() >= self._next_look:
            self._look()
        try:
            return self._find(address)
        except ValueError:
            return None, _ALL_BITS  # no address, or IPv6 in a table of IPv4 alone
        except maxminddb.InvalidDatabaseError as error:
            raise Retry(f"{self.path}: a damaged prefix table ({error}); download or build it anew") from error

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _look(self) -> None:
        self._next_look = self._clock.monotonic() + _CHECK_EVERY
        try:
            signature = _signature(self.path)
            if signature == self._signature:
                return
            self._signature = signature
            reader = _read(self.path)
        except Retry as error:
            _log.warning("%s; the table opened before stays in use", error)
            self._next_look += 60 * _CHECK_EVERY
            return
        self._reader.close()
        self._reader, self._find = reader, reader.get_with_prefix_len


def _signature(path: Path) -> _Signature:
    try:
        status = path.stat()
    except OSError as error:
        raise Retry(
            f"{path}: prefix table: {error.strerror}; put an MMDB file there, or correct 'database' in the parameters"
        ) from error
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: Path) -> maxminddb.Reader:
    try:
        return maxminddb.open_database(path, maxminddb.MODE_MMAP_EXT)
    except (maxminddb.InvalidDatabaseError, OSError) as error:
        raise Retry(f"{path}: no readable prefix table ({error}); download or build it anew") from error
    except ValueError as error:
        raise CleanbotsError(f"maxminddb has no C extension here; reinstall it from a wheel ({error})") from error
