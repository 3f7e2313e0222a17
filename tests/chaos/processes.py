"""The processes of a campaign, as the system sees them."""

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

_ROLES = {
    "cleanbots.runtime.scheduler": "scheduler",
    "cleanbots.runtime.courier": "courier",
    "supervisor.supervisord": "supervisord",
}
_WORKER = re.compile(r"cleanbots\.runtime\.worker")


@dataclass(frozen=True)
class Process:
    """A process.

    Args:
        pid: its id.
        role: ``worker``, ``collector`` (a short-lived worker), ``scheduler``, ``courier`` or ``supervisord``.
        name: the worker's or channel's name, else the role.
        host: whose it is.
        consumer: a worker's name on the queue server, else "".
    """

    pid: int
    role: str
    name: str
    host: str
    consumer: str = ""


def find(folder: Path, roles: set[str]) -> list[Process]:
    """Give the processes of the campaign in *folder*, in the order of role, name and age."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    found = [process for pid in pids if (process := _process(folder, pid)) is not None]
    return sorted(
        (process for process in found if not roles or process.role in roles),
        key=lambda process: (process.host, process.role, process.name, process.pid),
    )


def _process(folder: Path, pid: int) -> Process | None:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    if "-m" not in words:
        return None
    at = words.index("-m") + 1
    module, rest = words[at], words[at + 1 :]
    mine = next((word for word in rest if word.startswith(f"{folder}/")), None)
    if mine is None:
        return None
    host = Path(mine).relative_to(folder).parts[0]
    if _WORKER.fullmatch(module):
        if "--slot" in rest:
            return Process(pid, "collector", rest[1], host)
        return Process(pid, "worker", rest[1], host, f"{rest[rest.index('--host') + 1]}/{rest[1]}/{rest[2]}")
    role = _ROLES.get(module)
    return Process(pid, role, rest[1] if role == "courier" else role, host) if role else None


def signalled(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False if the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
