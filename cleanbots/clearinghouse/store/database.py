"""The one door to the database: connections, transactions, and which errors say that the world is at fault."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, CursorResult, Engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from ...errors import CleanbotsError, ConfigError, Retry
from .journal import Change

_OLDEST_SQLITE = (3, 35, 0)
_BUSY = 30.0
_LOOKS = ("SELECT", "\nSELECT", "PRAGMA")
"""What a statement begins with that changes nothing."""
_CHUNK = 5000

_WORDS = {
    "sqlite": {"key": "INTEGER PRIMARY KEY", "blob": "BLOB", "clustered": "WITHOUT ROWID"},
    "postgresql": {"key": "BIGINT PRIMARY KEY", "blob": "BYTEA", "clustered": ""},
}
"""What the two databases say differently; in SQLite only ``INTEGER`` makes the key the row's own number."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Give *moment* as microseconds since 1970, the unit of every time in the store."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """Give microseconds since 1970 as a time in UTC."""
    return _EPOCH + timedelta(microseconds=value)


class Database:
    """A SQLite file or a PostgreSQL database.

    Args:
        where: a path, or a URL (``postgresql://user@host/name``).

    Raises:
        ConfigError: if it is neither, or SQLite is too old.
    """

    def __init__(self, where: str | Path) -> None:
        self.path = None if "://" in str(where) else Path(where)
        self.engine = _postgresql(str(where)) if self.path is None else _sqlite(self.path)
        self.sqlite = self.path is not None
        self.name = self.engine.url.render_as_string(hide_password=True) if self.path is None else str(self.path)
        self.sealing: Callable[[Connection, Sequence[Change]], None] | None = None
        """Called with what a transaction changed, before that is committed; what it raises undoes it."""

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that may write; raises `Retry` when the database is away, locked or full."""
        with self.unsealed() as connection:
            changes: list[Change] = []
            connection.execution_options(changes=changes)
            before = _changed(connection)
            yield connection
            connection.execution_options(changes=None)
            if self.sealing is not None and _changed(connection) > before:
                self.sealing(connection, changes)

    @contextmanager
    def unsealed(self) -> Iterator[Connection]:
        """Open a transaction that may write and that no journal hears of."""
        with self._translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that only reads."""
        with self._translated(), self.engine.connect().execution_options(reading=True) as connection:
            yield connection

    @contextmanager
    def bare(self) -> Iterator[Connection]:
        """Open a connection without a transaction: for what can't run within one."""
        with self._translated(), self.engine.connect().execution_options(bare=True) as connection:
            yield connection

    def copy(self, to: Path) -> None:
        """Copy a SQLite file as it is now, consistent while others write.

        Raises:
            CleanbotsError: if this is no file.
        """
        if self.path is None:
            raise CleanbotsError(f"{self.name}: a server's database is copied by its own tools: pg_dump -Fc")
        import sqlite3

        with self.bare() as connection, closing(sqlite3.connect(to)) as target:
            source: Any = connection.connection.dbapi_connection
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE").close()  # one file, without a log beside it

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            raise Retry(f"{self.name}: the store can't be used for now: {error.orig}") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Retry(f"{self.name}: the store's connection broke: {error.orig}") from error
            raise

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def run(connection: Connection, statement: str, **values: Any) -> CursorResult[Any]:
    """Run one statement with named values (``:name``)."""
    return connection.execute(_parsed(statement), values)


_parsed = lru_cache(512)(text)
"""Statements once read; reading one takes as long as running a small one."""


def define(connection: Connection, statement: str) -> None:
    """Run a statement that defines a table or an index, with ``{key}``, ``{blob}`` and ``{clustered}`` in it."""
    connection.exec_driver_sql(statement.format(**_WORDS[connection.dialect.name]))


def many(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run one statement (``?`` for values) for many rows; give how many rows it changed."""
    if not rows:
        return 0
    if connection.dialect.name != "sqlite":
        statement = statement.replace("?", "%s")
    return connection.exec_driver_sql(statement, list(rows)).rowcount


def select_in(connection: Connection, statement: str, keys: Sequence[Any], **values: Any) -> Iterator[Any]:
    """Run a query that has ``IN :keys`` for any number of keys, in pieces."""
    for result in _in_pieces(connection, statement, keys, values):
        yield from result


def change_in(connection: Connection, statement: str, keys: Sequence[Any], **values: Any) -> int:
    """Run a change that has ``IN :keys`` for any number of keys, in pieces; give how many rows it changed."""
    return sum(result.rowcount for result in _in_pieces(connection, statement, keys, values))


def _in_pieces(
    connection: Connection, statement: str, keys: Sequence[Any], values: Mapping[str, Any]
) -> Iterator[CursorResult[Any]]:
    prepared = text(statement).bindparams(sqlalchemy.bindparam("keys", expanding=True))
    for start in range(0, len(keys), _CHUNK):
        yield connection.execute(prepared, {"keys": list(keys[start : start + _CHUNK]), **values})


def take_numbers(connection: Connection, name: str, count: int = 1) -> int:
    """Take *count* consecutive numbers of a counter, without gaps; give the first. Other takers wait for the commit."""
    run(connection, "INSERT INTO numbers (name, last) VALUES (:name, 0) ON CONFLICT DO NOTHING", name=name)
    run(connection, "UPDATE numbers SET last = last + :count WHERE name = :name", name=name, count=count)
    last: int = run(connection, "SELECT last FROM numbers WHERE name = :name", name=name).scalar_one()
    return last - count + 1


def tally(connection: Connection, day: str, counts: Mapping[str, int]) -> None:
    """Add to the counters of a day."""
    many(
        connection,
        "INSERT INTO tallies (day, name, count) VALUES (?, ?, ?)"
        " ON CONFLICT (day, name) DO UPDATE SET count = tallies.count + excluded.count",
        [(day, name, count) for name, count in counts.items() if count],
    )


def _postgresql(url: str) -> Engine:
    try:
        parsed = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError as error:
        raise ConfigError("the store's URL can't be read; it looks like postgresql://user@host/name") from error
    if parsed.get_backend_name() != "postgresql":
        raise ConfigError(
            f"the store can't be a {parsed.get_backend_name()}: give a path (SQLite) or a postgresql:// URL"
        )
    try:
        return sqlalchemy.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise ConfigError("a PostgreSQL store needs psycopg: pip install 'cleanbots[postgresql]'") from error


def _sqlite(path: Path) -> Engine:
    import sqlite3

    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise ConfigError(f"SQLite {sqlite3.sqlite_version} is too old for the store: 3.35 or newer is needed")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        path.touch(mode=0o600)
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "after_cursor_execute", _note)
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
        "wal_autocheckpoint = 16384",  # pages: rows of a batch lie far apart, and many batches touch the same pages
        "cache_size = -65536",
        "temp_store = FILE",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _changed(connection: Connection) -> int:
    """Give how many rows a SQLite connection has changed so far."""
    return getattr(connection.connection.dbapi_connection, "total_changes", 0)


def _note(connection: Connection, _: Any, statement: str, values: Any, __: Any, many: bool) -> None:
    changes: list[Change] | None = connection.get_execution_options().get("changes")
    if changes is not None and not statement.startswith(_LOOKS):
        changes.append(Change(statement, values, many))


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("bare"):
        connection.exec_driver_sql("BEGIN" if options.get("reading") else "BEGIN IMMEDIATE")
