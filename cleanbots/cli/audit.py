"""The audit log: who changed what, and when; one JSON line for each command that changes something."""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from ..clock import Clock, SystemClock, iso


def record(
    state: Path, command: str, arguments: Mapping[str, Any], snapshot: str = "", clock: Clock | None = None
) -> None:
    """Append a line to ``<state>/audit.jsonl``, which only its owner can read.

    Args:
        state: the graph's state folder.
        command: what was done, for example ``failed drop``.
        arguments: what it was done with, and what came of it; no secrets.
        snapshot: the hash of the configuration that runs (or runs from now on).
        clock: what time it is.
    """
    line = {
        "time": iso((clock or SystemClock()).now()),
        "user": user(),
        "command": command,
        "arguments": dict(arguments),
        "snapshot": snapshot,
    }
    state.mkdir(parents=True, exist_ok=True)
    # one write in append mode: lines of commands at the same time don't mix
    file = os.open(state / "audit.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, orjson.dumps(line, default=str) + b"\n")
    finally:
        os.close(file)


def user() -> str:
    """Give the name of the operating system's user that runs this process, or its number."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
