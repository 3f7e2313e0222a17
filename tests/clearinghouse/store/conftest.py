"""Stores of both kinds: a SQLite file, and a database on a real PostgreSQL server where one is installed."""

import itertools
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from store_world import START, Desk

from cleanbots.clearinghouse.store import open_store
from cleanbots.clock import FixedClock

_numbers = itertools.count()


def _binary(name: str) -> Path | None:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / name).is_file():
            return folder / name
    found = shutil.which(name)
    return Path(found) if found else None


class _Server:
    """A private PostgreSQL server on a socket; it refuses to run as root, so root lends it to another user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = None if os.getuid() else pwd.getpwnam("nobody")
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def run(self, name: str, *arguments: str) -> None:
        binary = _binary(name)
        assert binary is not None
        subprocess.run(
            [binary, *arguments],
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
        )

    def start(self) -> None:
        data = str(self._folder / "data")
        self.run("initdb", "-D", data, "-U", "cleanbots", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off -c max_connections=30"
        self.run("pg_ctl", "-D", data, "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")

    def database(self) -> str:
        """Make an empty schema, which is as good as a database and much faster made, and give its URL."""
        name = f"store{next(_numbers)}"
        self.run("psql", "-h", str(self._folder), "-U", "cleanbots", "-d", "postgres", "-c", f"CREATE SCHEMA {name}")
        return f"postgresql://cleanbots@/postgres?host={self._folder}&options=-csearch_path%3D{name}"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Make databases on a private PostgreSQL server."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    if _binary("initdb") is None:
        pytest.skip("no PostgreSQL server is installed")
    # Not below pytest's own folder: only its user may look into that.
    with TemporaryDirectory(prefix="cleanbots-pg-", ignore_cleanup_errors=True) as folder:
        server = _Server(Path(folder))
        server.start()
        yield server.database
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Where a new store may be."""
    if request.param == "sqlite":
        return tmp_path / "store" / "cleanbots.db"
    return request.getfixturevalue("postgresql")()


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
