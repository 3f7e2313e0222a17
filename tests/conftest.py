"""What all tests share: a private queue server, and waiting for events with a deadline."""

import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from postgresql_server import PostgresqlServer, binary

from cleanbots.broker import EmbeddedServer, RedisBroker, connect

_numbers = itertools.count()

# How long an example takes says something about the machine only.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


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


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A private PostgreSQL server for the whole session, where one is installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    if binary("initdb") is None:
        pytest.skip("no PostgreSQL server is installed")
    # Not below pytest's own folder: only its user may look into that.
    with TemporaryDirectory(prefix="cleanbots-pg-", ignore_cleanup_errors=True) as folder:
        database = PostgresqlServer(Path(folder))
        database.make()
        database.start()
        yield database
        database.stop()


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


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path, int], Path]]:
    """Mount an empty disk of so many MiB at a folder; skips where that is not allowed."""
    mounted: list[Path] = []

    def mount(folder: Path, size: int) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["/bin/mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", folder]
        if not Path(command[0]).exists() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no disk can be mounted here; root can")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["/bin/umount", "--lazy", folder], check=True)
