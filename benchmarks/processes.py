"""What running processes use, read from ``/proc`` (Linux)."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _KIBIBYTE = 13, 1024


def cpu_seconds(processes: Iterable[int]) -> float:
    """Give the CPU seconds, in user and system mode, that these processes have used so far; an ended one counts 0."""
    return sum(_ticks(process) for process in processes) / _TICKS


def pss_bytes(processes: Iterable[int]) -> int:
    """Give the proportional set size of these processes together: shared pages are counted once in all."""
    return sum(_pss(process) for process in processes)


def family(process: int) -> list[int]:
    """Give a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [process]
    for one in found:
        found += children.get(one, ())
    return found


def _stat(process: int) -> list[str]:
    """Give the fields behind the name in ``/proc/<pid>/stat``, beginning with the state; see proc(5)."""
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []


def _ticks(process: int) -> int:
    fields = _stat(process)
    return int(fields[_USER - 2]) + int(fields[_USER - 1]) if fields else 0


def _pss(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text("utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) * _KIBIBYTE for line in text.splitlines() if line.startswith("Pss:")), 0)
