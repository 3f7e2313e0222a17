"""What all tests share: a private queue server, and waiting for events with a deadline."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cleanbots.broker import EmbeddedServer, RedisBroker, connect

_numbers = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--long``: the long forms of the fault campaign and of the big runs."""
    parser.addoption("--long", action="store_true", help="run the long forms")


@pytest.fixture(scope="session")
def long_form(request: pytest.FixtureRequest) -> bool:
    """Whether the long form was asked for."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A private queue server for the whole session; graphs on it are told apart by their names."""
    embedded = EmbeddedServer(tmp_path_factory.mktemp("server"))
    embedded.start()
    yield embedded
    embedded.stop()


@pytest.fixture
def graph(server: EmbeddedServer) -> str:
    """The name of a graph that no other test uses."""
    return f"graph{next(_numbers)}"


@pytest.fixture
def broker(server: EmbeddedServer, graph: str) -> Iterator[RedisBroker]:
    """A broker for a graph of this test's own."""
    made = connect(server.address, graph)
    yield made
    made.close()


def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until *condition* holds; fail with *what* if that takes longer than *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(0.01)


@pytest.fixture(name="until")
def _until() -> Callable[..., None]:
    return until


@pytest.fixture
def repository() -> Path:
    """The top of the checkout."""
    return Path(__file__).resolve().parents[1]
