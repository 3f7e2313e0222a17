"""Bring a database's schema forward, step by step; refuse one that a newer cleanbots made."""

import re
from functools import cache
from importlib.resources import files

from sqlalchemy import Connection

from ...errors import ConfigError
from .database import Database, define, run

_NAME = re.compile(r"(\d{4})_\w+\.sql")


@cache
def steps() -> dict[int, str]:
    """Give the steps: number to SQL."""
    folder = files(__package__) / "migrations"
    found = {
        int(match[1]): item.read_text("utf-8") for item in folder.iterdir() if (match := _NAME.fullmatch(item.name))
    }
    return dict(sorted(found.items()))


def newest() -> int:
    """Give the version of the schema that this cleanbots knows."""
    return max(steps())


def outgrown(database: Database) -> str | None:
    """Tell whether a newer cleanbots has brought the database forward while this process ran, and what to do."""
    with database.reading() as connection:
        version = run(connection, "SELECT MAX(version) FROM schema_version").scalar()
    if version is None or version <= newest():
        return None
    return (
        f"{database.name}: a newer cleanbots brought it to schema {version}, this process knows {newest()}. "
        "It delivers nothing any more: 'cleanbots restart'"
    )


def migrate(database: Database, to: int | None = None) -> None:
    """Take the steps that the database has not seen, all in one transaction.

    Args:
        database: to bring forward.
        to: the version to stop at; the newest by default.

    Raises:
        ConfigError: if the database was made by a newer cleanbots.
    """
    with database.writing() as connection:
        if database.sqlite is False:
            run(connection, "SELECT pg_advisory_xact_lock(7021943)")
        run(connection, "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        version = run(connection, "SELECT MAX(version) FROM schema_version").scalar() or 0
        if version > newest():
            raise ConfigError(
                f"{database.name}: the store has schema {version}, this cleanbots knows up to {newest()}; "
                "upgrade cleanbots, or restore the backup that was made before the upgrade"
            )
        for number, script in steps().items():
            if version < number <= (to or newest()):
                _take(connection, number, script)


def _take(connection: Connection, number: int, script: str) -> None:
    for statement in re.sub(r"--.*", "", script).split(";"):
        if statement.strip():
            define(connection, statement)
    run(connection, "INSERT INTO schema_version (version) VALUES (:number)", number=number)
