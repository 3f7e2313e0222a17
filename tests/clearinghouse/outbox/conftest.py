"""Gives the tests of the outbox their world."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from outbox_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world of this test's own."""
    made = World(tmp_path)
    yield made
    made.store.close_connections()
