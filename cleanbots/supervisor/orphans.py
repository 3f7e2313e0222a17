"""Processes that outlived a supervisord that was killed."""

import os
from pathlib import Path

_PROC = Path("/proc")


def orphans(socket: Path) -> list[int]:
    """Give the ids of the own user's processes that the supervisord of *socket* once started.

    supervisord tells each process where it came from by an environment variable, and what these start inherits it.
    Where there is no ``/proc`` (not Linux) the answer is empty, and the workers' slot locks alone keep order.
    """
    mark = b"SUPERVISOR_SERVER_URL=unix://" + os.fsencode(socket)
    return [pid for pid in _pids() if mark in _environment(pid)]


def _pids() -> list[int]:
    try:
        return sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
    except OSError:
        return []


def _environment(pid: int) -> list[bytes]:
    folder = _PROC / str(pid)
    try:
        if folder.stat().st_uid != os.getuid() or pid == os.getpid():
            return []
        return (folder / "environ").read_bytes().split(b"\0")
    except OSError:  # it ended just now, or is not ours to read
        return []
