"""The snapshots that supervisord's programs name: kept for as long as one of them does.

A worker that no reload concerned goes on with the snapshot it was started with, and is started again with it after a
crash, however many snapshots were published since.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from .conf import Paths
from .programs import Program


def hold(paths: Paths, snapshot: Path) -> Path:
    """Give a name of the snapshot's file that stays while a program uses it."""
    held = paths.snapshots / snapshot.name
    if not held.exists():
        paths.snapshots.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.link(snapshot, held)
    return held


def release(paths: Paths, programs: Iterable[Program]) -> None:
    """Forget the snapshots that none of *programs* names."""
    named = {argument for program in programs for argument in program.argv}
    for held in paths.snapshots.glob("*.json"):
        if str(held) not in named:
            held.unlink(missing_ok=True)
