"""Notice that a database is not the one that was left: restored from an older copy, copied, moved, or made anew.

What such a database says was sent may be less than what was. Beside a SQLite file lies a folder, ``<file>.journal``: it
tells which database it belongs to, which file that is, and each change once more (`journal`). A database that is behind
its journal catches up from it; until then nothing is written into it.
"""

import os
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from ...clock import Clock
from ...errors import ConfigError, Retry
from .database import Database, micros, run
from .journal import Change, GapError, Journal
from .migrate import outgrown

_COUNTER = "changes"
_SUSPICION = "suspicion"
_EPOCH_BYTES = 8


class _Identity(msgspec.Struct, frozen=True):
    """What is known beside a database.

    Args:
        epoch: of the database; random, made once.
        inode: of the database's file: a copy has another.
        path: of the database's file: what was moved has another.
    """

    epoch: str
    inode: int
    path: str


class Epoch:
    """Which database a SQLite file is; `server_epoch` is the same for a server's.

    Args:
        database: whose.
        clock: what time it is.
        folder: where the journal lies; beside the file unless said.
    """

    def __init__(self, database: Database, clock: Clock, folder: Path | None = None) -> None:
        self._database = database
        self._clock = clock
        assert database.path is not None  # noqa: S101  # a server's has no path, and another class
        self._path = database.path.resolve()
        self._opened = self._inode()
        self._journal = Journal(folder or Path(f"{self._path}.journal"))
        self._beside = self._journal.folder / "identity.json"

    def begin(self, bring_forward: Callable[[], None]) -> None:
        """Take the database up: one that may be used is brought forward, a new one gets its epoch and its journal.

        A change that was in the journal and not yet committed when a process died is done now.

        Raises:
            ConfigError: if the file is new, and the journal tells of a database that was lost.
        """
        if not self._is_known():
            self._refuse_what_was_lost()
            bring_forward()
            with self._database.unsealed() as connection:
                if _epoch(connection) is None:  # else another process was faster
                    self._begin_anew(connection)
            self._database.sealing = self._seal
        else:
            self._database.sealing = self._seal
            if self._unfit() is None:
                self._catch_up()
                bring_forward()

    def check(self) -> str | None:
        """Tell what is wrong, and what to do; None if nothing is."""
        if wrong := self._unfit() or self._misplaced() or self._suspicion():
            return f"{self._database.name}: {wrong}. All deliveries are held until 'cleanbots deliveries reconcile'"
        return outgrown(self._database)

    def age(self) -> tuple[str, int]:
        """Give the epoch, and how many changes the database has seen."""
        with self._database.reading() as connection:
            return _epoch(connection) or "", _number(connection)

    def suspect(self, why: str) -> None:
        """Hold everything: somebody else knows that the database was further once, and its journal with it."""
        with self._database.unsealed() as connection:
            run(connection, "DELETE FROM facts WHERE name = :name", name=_SUSPICION)
            run(connection, "INSERT INTO facts (name, value) VALUES (:name, :why)", name=_SUSPICION, why=why)

    def missing(self) -> int | None:
        """Tell how many changes the journal has and the database has not; None if it can't catch up."""
        if self._suspicion():
            return None
        with self._database.reading() as connection:
            epoch, number = _epoch(connection), _number(connection)
        identity, last = self._identity(), self._journal.last()
        if identity is None or identity.epoch != epoch or last is None or last.number < number:
            return None
        try:
            return sum(1 for _ in self._journal.after(number))
        except GapError:
            return None

    def adopt(self, settle: Callable[[Connection], None] = lambda _: None) -> int:
        """Take the database for the right one; give how many changes of the journal it caught up with.

        One that can't catch up begins a new epoch, with a new journal, as *settle* leaves it.
        """
        if self.missing() is None:
            with self._database.unsealed() as connection:
                settle(connection)
                self._begin_anew(connection)
            return 0
        caught_up = self._catch_up()
        with self._database.reading() as connection:
            self._identify(str(_epoch(connection)))
        return caught_up

    def passed(self) -> None:
        """Do nothing: the journal has what was done."""

    def rotate(self, before: datetime) -> None:
        """Begin a new file of the journal, and remove files that end before *before*."""
        with self._database.unsealed():
            self._journal.rotate()
            self._journal.purge(micros(before))

    def forget(self) -> None:
        """Begin a new journal and remove the old one: what is erased is not to be in it any more."""
        with self._database.unsealed() as connection:
            self._journal.begin(_number(connection), micros(self._clock.now()), forget=True)

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    # -- what is wrong

    def _unfit(self) -> str | None:
        """Tell why the database and the journal don't go together."""
        identity = self._identity()
        with self._database.reading() as connection:
            epoch, before = _epoch(connection), _number(connection)
        last = self._journal.last()
        with self._database.reading() as connection:
            after = _number(connection)  # others may have written meanwhile
        if identity is None or last is None:
            return f"{self._journal.folder} is missing or damaged, so the file may be a copy"
        if identity.epoch != epoch:
            return f"it does not belong to {self._journal.folder}"
        if last.number > after + 1:
            return f"it was restored from an older copy: {last.number - after} later changes are not in it"
        if last.number < before:
            return f"{self._journal.folder} was restored from an older copy: it lacks {before - last.number} changes"
        return None

    def _misplaced(self) -> str | None:
        if self._inode() != self._opened:
            return "it was replaced while this process ran, which has the former file: 'cleanbots restart'"
        identity = self._identity()
        if identity is None or (identity.inode, identity.path) == (self._inode(), str(self._path)):
            return None
        return f"it was copied, moved or restored (it was {identity.path})"

    def _suspicion(self) -> str | None:
        with self._database.reading() as connection:
            why: str | None = run(connection, "SELECT value FROM facts WHERE name = :name", name=_SUSPICION).scalar()
            return why

    def _is_known(self) -> bool:
        """Tell whether the file is a store that has begun."""
        with self._database.reading() as connection:
            tables = "SELECT COUNT(*) FROM sqlite_master WHERE name IN ('facts', 'numbers')"
            return run(connection, tables).scalar() == 2 and _epoch(connection) is not None

    def _refuse_what_was_lost(self) -> None:
        last = self._journal.last()
        if last is not None and last.number:
            raise ConfigError(
                f"{self._database.name} is new, and {self._journal.folder} tells of {last.number} changes: the store was "
                "lost. 'cleanbots restore BACKUP' brings it back; to begin without it, remove that folder"
            )

    # -- writing

    def _seal(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Write into the journal what a transaction changed."""
        if self._inode() != self._opened:
            raise Retry(f"{self._database.name}: {self._misplaced()}")
        number = connection.exec_driver_sql(
            "UPDATE numbers SET last = last + 1 WHERE name = ? RETURNING last", (_COUNTER,)
        ).scalar_one()
        try:
            self._journal.append(number, micros(self._clock.now()), changes)
        except GapError:
            raise Retry(self.check() or f"{self._journal.folder} was changed by somebody else") from None
        except OSError as error:
            raise Retry(f"{self._journal.folder}: can't be written: {error.strerror}") from error

    def _catch_up(self) -> int:
        """Do what the journal has and the database has not, all or nothing; give how many changes."""
        done = 0
        with self._database.unsealed() as connection:
            for entry in self._journal.after(_number(connection)):
                for statement, values, many in entry.changes:
                    connection.exec_driver_sql(statement, list(map(tuple, values)) if many else tuple(values))
                run(connection, "UPDATE numbers SET last = :n WHERE name = :name", n=entry.number, name=_COUNTER)
                done += 1
        return done

    def _begin_anew(self, connection: Connection) -> None:
        epoch, number = secrets.token_hex(_EPOCH_BYTES), _number(connection)
        run(connection, "DELETE FROM facts WHERE name = :name", name=_SUSPICION)
        run(
            connection,
            "INSERT INTO facts (name, value) VALUES ('epoch', :epoch)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            epoch=epoch,
        )
        run(
            connection,
            "INSERT INTO numbers (name, last) VALUES (:name, :n) ON CONFLICT DO NOTHING",
            name=_COUNTER,
            n=number,
        )
        # What is beside comes first: a crash before the commit leaves a database that is taken for a copy.
        self._journal.begin(number, micros(self._clock.now()))
        self._identify(epoch)

    def _identity(self) -> _Identity | None:
        try:
            return msgspec.json.decode(self._beside.read_bytes(), type=_Identity)
        except (OSError, msgspec.DecodeError):
            return None

    def _identify(self, epoch: str) -> None:
        draft = self._beside.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(_Identity(epoch, self._inode(), str(self._path))))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._beside)

    def _inode(self) -> int:
        return self._path.stat().st_ino if self._path.exists() else 0


def _epoch(connection: Connection) -> str | None:
    value: str | None = run(connection, "SELECT value FROM facts WHERE name = 'epoch'").scalar()
    return value


def _number(connection: Connection) -> int:
    """Give how many changes the database has seen."""
    return run(connection, "SELECT last FROM numbers WHERE name = :name", name=_COUNTER).scalar() or 0
