"""Notice that a database file was restored, copied or moved: what it says was sent may then be less than what was."""

import os
import secrets
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from .database import Database, run, take_numbers

_COUNTER = "mark"


class Mark(msgspec.Struct, frozen=True):
    """What is written beside the database.

    Args:
        epoch: of the database; random, made once.
        mark: how many steps (digests, attempts) it had seen at least.
        inode: of the database's file: a copy has another.
    """

    epoch: str
    mark: int
    inode: int


class Epoch:
    """The high-water mark beside a SQLite file (``<file>.epoch``). A server database keeps itself: nothing is checked.

    Args:
        database: whose.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._path = None if database.path is None else Path(f"{database.path}.epoch")
        if self._path is not None:
            self._begin()

    def step(self, connection: Connection) -> int:
        """Count a step that the outside world may see, in its own transaction."""
        return take_numbers(connection, _COUNTER) if self._path else 0

    def passed(self, mark: int) -> None:
        """Say that the step was committed; a file that does not belong to the database is left as it is."""
        beside = self._read()
        if beside is not None and beside.inode == self._inode() and beside.mark < mark:
            self._write(Mark(beside.epoch, mark, beside.inode))

    def check(self) -> str | None:
        """Tell what is wrong, and what to do; None if nothing is."""
        if self._path is None:
            return None
        name, beside = self._database.name, self._read()
        with self._database.reading() as connection:
            epoch = run(connection, "SELECT value FROM facts WHERE name = 'epoch'").scalar_one()
            mark = run(connection, "SELECT last FROM numbers WHERE name = :name", name=_COUNTER).scalar() or 0
        if beside is None:
            wrong = f"{self._path} is missing or damaged, so the file may be a copy"
        elif beside.epoch != epoch:
            wrong = f"it does not belong to {self._path}"
        elif beside.mark > mark:
            wrong = f"it was restored from an older copy: {beside.mark - mark} later steps are not in it"
        elif beside.inode != self._inode():
            wrong = "it was copied or restored"
        else:
            return None
        return (
            f"{name}: {wrong}. All deliveries are held: see what was sent since, then 'cleanbots deliveries reconcile'"
        )

    def adopt(self) -> None:
        """Start a new epoch with the file as it is."""
        if self._path is None:
            return
        epoch = secrets.token_hex(8)
        with self._database.writing() as connection:
            run(connection, "UPDATE facts SET value = :epoch WHERE name = 'epoch'", epoch=epoch)
            mark = take_numbers(connection, _COUNTER)
        self._write(Mark(epoch, mark, self._inode()))

    def _begin(self) -> None:
        epoch = secrets.token_hex(8)
        with self._database.writing() as connection:
            made = run(
                connection,
                "INSERT INTO facts (name, value) VALUES ('epoch', :epoch) ON CONFLICT DO NOTHING",
                epoch=epoch,
            ).rowcount
            if made:  # beside first: a crash before the commit leaves a file that the next beginning replaces
                self._write(Mark(epoch, 0, self._inode()))

    def _inode(self) -> int:
        return self._database.path.stat().st_ino if self._database.path else 0

    def _read(self) -> Mark | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Mark) if self._path else None
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, mark: Mark) -> None:
        if self._path is None:
            return
        beside = self._path.with_name(f"{self._path.name}.new")
        with beside.open("wb") as file:
            file.write(msgspec.json.encode(mark))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
