"""Findings, what is due of them, and deliveries with their books, in SQL."""

from pathlib import Path
from typing import TYPE_CHECKING

from ...clock import Clock

if TYPE_CHECKING:
    from .store import SqlStore


def open_store(where: str | Path, clock: Clock) -> "SqlStore":
    """Open the store, made or brought forward if need be.

    Args:
        where: a path (SQLite), or a ``postgresql://`` URL.
        clock: what time it is.

    Raises:
        ConfigError: if *where* can't be a store, or a newer cleanbots made it.
        Retry: if the database is away.
    """
    from .store import SqlStore

    return SqlStore(where, clock)


__all__ = ["open_store"]
