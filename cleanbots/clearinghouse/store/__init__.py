"""Findings, what is due of them, and deliveries with their books, in SQL."""

from pathlib import Path
from typing import TYPE_CHECKING

from ...clock import Clock

if TYPE_CHECKING:
    from .store import SqlStore


def open_store(where: str | Path, clock: Clock, journal: Path | None = None) -> "SqlStore":
    """Open the store, made or brought forward if need be.

    Args:
        where: a path (SQLite), or a ``postgresql://`` URL.
        clock: what time it is.
        journal: see `SqlStore`.

    Raises:
        ConfigError: if *where* can't be a store, or a newer cleanbots made it.
        Retry: if the database is away.
    """
    from .store import SqlStore

    return SqlStore(where, clock, journal)


__all__ = ["open_store"]
