"""Stores of both kinds: a SQLite file, and a database on a real PostgreSQL server where one is installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from store_world import START, Desk

from cleanbots.clearinghouse.store import open_store
from cleanbots.clock import FixedClock


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Where a new store may be."""
    if request.param == "sqlite":
        return tmp_path / "store" / "cleanbots.db"
    return request.getfixturevalue("postgresql").schema()


@pytest.fixture
def clock() -> FixedClock:
    """A clock that a test moves."""
    return FixedClock(START)


@pytest.fixture
def desk(where: str | Path, clock: FixedClock) -> Iterator[Desk]:
    """An empty store and a clock."""
    store = open_store(where, clock)
    yield Desk(store, clock)
    store.close_connections()


@pytest.fixture
def file_desk(tmp_path: Path, clock: FixedClock) -> Iterator[Desk]:
    """An empty store in a file, and a clock."""
    store = open_store(tmp_path / "store" / "cleanbots.db", clock)
    yield Desk(store, clock)
    store.close_connections()
