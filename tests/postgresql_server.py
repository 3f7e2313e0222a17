"""A private PostgreSQL server for tests."""

import itertools
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote


def binary(name: str) -> Path | None:
    """Give the newest program of PostgreSQL of that name that is installed."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / name).is_file():
            return folder / name
    found = shutil.which(name)
    return Path(found) if found else None


class PostgresqlServer:
    """A private PostgreSQL server on a socket; it refuses to run as root, so root lends it to another user.

    Args:
        folder: for its data, its socket and its log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = str(folder / "data")
        self._numbers = itertools.count()
        self._user = None if os.getuid() else pwd.getpwnam("nobody")
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def make(self) -> None:
        """Make its data."""
        more = ("--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        self._run("initdb", "-D", self._data, "-U", "cleanbots", *more)

    def start(self) -> None:
        """Start it; return when it answers."""
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off -c max_connections=50"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """End it."""
        self._run("pg_ctl", "-D", self._data, "-m", "fast", "stop")

    def copy(self) -> None:
        """Copy all its data while it doesn't run, as a backup of the whole server does."""
        self._run("cp", "-a", self._data, f"{self._data}.backup")

    def put_back(self) -> None:
        """Put that copy in the place of its data."""
        self._run("rm", "-r", self._data)
        self._run("mv", f"{self._data}.backup", self._data)

    def schema(self) -> str:
        """Make an empty schema, which is as good as a database and much faster made, and give its URL."""
        name = f"store{next(self._numbers)}"
        self.sql(f"CREATE SCHEMA {name}")
        return self._url("postgres", f"-csearch_path={name}")

    def database(self) -> str:
        """Make an empty database and give its URL."""
        name = f"store{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        return self._url(name)

    def dump_and_restore(self, url: str) -> None:
        """Make a backup of a database and bring it back into it, with PostgreSQL's own tools."""
        backup = str(self._folder / "backup")
        self._run("pg_dump", "-Fc", "-f", backup, "-d", url)
        self._run("pg_restore", "--clean", "--if-exists", "-d", url, backup)

    def sql(self, statement: str) -> None:
        """Run one statement."""
        self._run("psql", "-h", str(self._folder), "-U", "cleanbots", "-d", "postgres", "-c", statement)

    def _url(self, database: str, options: str = "") -> str:
        more = f"&options={quote(options, safe='')}" if options else ""
        return f"postgresql://cleanbots@/{database}?host={self._folder}{more}"

    def _run(self, name: str, *arguments: str) -> None:
        program = binary(name)
        assert program is not None
        subprocess.run(
            [program, *arguments],
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
        )
