"""Notice that a database on a PostgreSQL server is not the one that was left: restored from an older copy, or copied.

A server keeps its database itself: that copies are made, and replicas that have everything, is its operator's business.
What is noticed here is that it came back with less than left the house. Each host keeps a note in its state folder:
which database it worked with, and how much that knew (events recorded, hand-overs attempted). And the database knows
its own place (the server's identifier and the table's): what ``pg_restore`` made elsewhere has another.
"""

import os
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from ...clock import Clock
from .database import Database, many, micros, run
from .migrate import outgrown

_PLACE = "SELECT (pg_control_system()).system_identifier || '/' || CAST(CAST('facts' AS regclass) AS oid)"
_FACTS = "SELECT name, value FROM facts WHERE name IN ('epoch', 'place') OR name LIKE 'epoch:%'"
_KNOWS = "SELECT name, last FROM numbers WHERE name IN ('events', 'attempts')"
_GIVEN_UP = "epoch:"


class _State(msgspec.Struct, frozen=True):
    """What a host notes of a database.

    Args:
        epoch: of the database; random, made once and when an operator adopts it.
        events: how many events it had recorded at least.
        attempts: how many hand-overs it had noted at least.
    """

    epoch: str
    events: int
    attempts: int

    def lacks(self, of: "_State") -> str:
        """Tell what this one lacks of another; "" if nothing."""
        parts = {"hand-overs": of.attempts - self.attempts, "events": of.events - self.events}
        return " and ".join(f"{number} later {what}" for what, number in parts.items() if number > 0)


class ServerEpoch:
    """Which database of a server this is.

    Args:
        database: whose.
        clock: what time it is.
        folder: where this host's note lies; None keeps none, and only the database's own place is looked at.
    """

    def __init__(self, database: Database, clock: Clock, folder: Path | None) -> None:
        self._database = database
        self._clock = clock
        self._file = None if folder is None else folder / "postgresql.json"

    def begin(self, bring_forward: Callable[[], None]) -> None:
        """Take the database up: bring it forward; a new one gets its epoch, which is noted unless another one was."""
        bring_forward()
        with self._database.writing() as connection:
            facts = [("place", _place(connection)), ("epoch", secrets.token_hex(8))]
            begun = many(connection, "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", facts)
        if begun and self._read() is None:
            self._write(self._found())

    def check(self) -> str | None:
        """Tell what is wrong, and what to do; None if nothing is, and that is noted."""
        if wrong := self._wrong():
            return f"{self._database.name}: {wrong}. All deliveries are held until 'cleanbots deliveries reconcile'"
        self._write(self._found())
        return outgrown(self._database)

    def age(self) -> tuple[str, int]:
        """Give nothing: the notes of the hosts, which no restore of the server touches, say how far it was."""
        return "", 0

    def suspect(self, why: str) -> None:
        """Do nothing: nobody has a reason, without an age."""

    def missing(self) -> int | None:
        """Give 0 if the database has everything that this host knows of, None if it has not, or if nobody can tell."""
        noted = self._read()
        return None if noted is None or self._found().lacks(noted) else 0

    def adopt(self, settle: Callable[[Connection], None]) -> int:
        """Take the database for the right one, for all hosts; *settle* mends one that may lack something."""
        fine = self.missing() == 0
        with self._database.writing() as connection:
            if not fine:
                settle(connection)
            former = _state(connection).epoch
            noted = self._read()
            facts = {"epoch": secrets.token_hex(8), "place": _place(connection), f"{_GIVEN_UP}{former}": "given up"}
            if noted is not None:
                facts[f"{_GIVEN_UP}{noted.epoch}"] = "given up"
            many(
                connection,
                "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                list(facts.items()),
            )
        self._write(self._found())
        return 0

    def passed(self) -> None:
        """Note how much the database knows now, if it is the one that is noted."""
        noted, found = self._read(), self._found()
        if noted is not None and noted.epoch == found.epoch:
            self._write(found)

    def rotate(self, before: datetime) -> None:
        """Do nothing: there is no journal."""

    def forget(self) -> None:
        """Do nothing: there is no journal."""

    def close(self) -> None:
        """Do nothing: there is no journal."""

    def _wrong(self) -> str:
        noted = self._read()  # before the database: what is noted was there before
        with self._database.reading() as connection:
            found = _state(connection)
            facts = dict(map(tuple, run(connection, _FACTS)))
            place, working = _place(connection), _working(connection, micros(self._clock.now()))
        if facts["place"] != place:
            return "it was copied or restored"
        if self._file is None or (noted is not None and f"{_GIVEN_UP}{noted.epoch}" in facts):
            return ""
        if noted is None:
            # Another host that delivers right now shows that it is no copy out of a backup.
            return f"{self._file} is missing, so it may be an older copy" if found.attempts and not working else ""
        if noted.epoch != found.epoch:
            return f"it is not the database that {self._file} knows"
        if lacks := found.lacks(noted):
            return f"it was restored from an older copy: {lacks} are not in it"
        return ""

    def _found(self) -> _State:
        with self._database.reading() as connection:
            return _state(connection)

    def _write(self, state: _State) -> None:
        if self._file is None or self._read() == state:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(state))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)

    def _read(self) -> _State | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_State) if self._file else None
        except (OSError, msgspec.DecodeError):
            return None


def _state(connection: Connection) -> _State:
    epoch: str = run(connection, "SELECT value FROM facts WHERE name = 'epoch'").scalar_one()
    knows = dict(map(tuple, run(connection, _KNOWS)))
    return _State(epoch, knows.get("events", 0), knows.get("attempts", 0))


def _place(connection: Connection) -> str:
    return str(run(connection, _PLACE).scalar_one())


def _working(connection: Connection, now: int) -> bool:
    return bool(run(connection, "SELECT COUNT(*) FROM leases WHERE until > :now", now=now).scalar())
