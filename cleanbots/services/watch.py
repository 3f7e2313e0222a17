"""Wait until something changes in a folder, without asking again and again: inotify(7) where there is one."""

import ctypes
import os
import select
from pathlib import Path

CHANGED = 0x0000_0002 | 0x0000_0008 | 0x0000_0080
"""What is waited for: a file is written to, closed after writing, moved in (IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO)."""
ARRIVED = 0x0000_0008 | 0x0000_0080
"""A file is closed after writing, or moved in."""

_NONBLOCK, _CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC  # of inotify_init1, too
_BUFFER = 64 * 1024


class Watch:
    """Tells when something changes in folders; those that are there when it is made, not the folders in them.

    Where the system has no such thing, or none left, `wait` only lets the time pass.

    Args:
        folders: which.
        events: what counts: `CHANGED` or `ARRIVED`.
    """

    def __init__(self, *folders: Path, events: int = CHANGED) -> None:
        self._file = _inotify()
        for folder in folders:
            _add(self._file, folder, events)

    def wait(self, seconds: float, *bells: int) -> bool:
        """Wait until something has changed since the last call; False if nothing has.

        Args:
            seconds: for how long.
            bells: descriptors; that one of them can be read ends the waiting, too.
        """
        files = [self._file] if self._file >= 0 else []
        ready, _, _ = select.select([*files, *bells], [], [], seconds)
        if self._file not in ready:
            return False
        os.read(self._file, _BUFFER)
        return True

    def close(self) -> None:
        """Watch no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _inotify() -> int:
    """Give the descriptor of a new inotify instance, or -1 if the system has none left or none at all."""
    try:
        made: int = _libc().inotify_init1(_NONBLOCK | _CLOEXEC)
    except AttributeError:
        return -1
    return made


def _add(file: int, folder: Path, events: int) -> None:
    if file >= 0:
        _libc().inotify_add_watch(file, os.fsencode(folder), events)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
