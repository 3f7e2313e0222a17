"""Take known findings over to a new rule of identity, so that an upgrade never takes a known finding for a new one."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from ...errors import ConfigError
from .database import Database, define, many, run
from .payload import unpack

_FACT = "finding_version"
_PAGE = 5000

_PREPARE = (
    "DROP TABLE IF EXISTS moved",
    "CREATE TEMPORARY TABLE moved (event {key}, fresh BIGINT NOT NULL)",
)

# What one old finding was is what each of its new ones was; several old ones become one by adding up.
_MOVE = (
    """
    INSERT INTO findings (n, version, kind, address, host, first_seen, last_seen, times_seen)
    SELECT g.fresh, :version, b.kind, b.address, b.host, g.first_seen, g.last_seen, g.times_seen
    FROM (
        SELECT p.fresh, MIN(f.n) AS base, MIN(f.first_seen) AS first_seen, MAX(f.last_seen) AS last_seen,
            SUM(f.times_seen) AS times_seen
        FROM (SELECT DISTINCT e.finding AS old, m.fresh FROM moved m JOIN events e ON e.n = m.event) p
        JOIN findings f ON f.n = p.old GROUP BY p.fresh
    ) g JOIN findings b ON b.n = g.base
    WHERE true
    ON CONFLICT (n) DO UPDATE SET version = excluded.version
    """,
    """
    INSERT INTO mentions (delivery, mode, finding, digest, mentioned, seen)
    SELECT t.delivery, t.mode, p.fresh, MAX(t.digest), MAX(t.mentioned), MAX(t.seen)
    FROM (SELECT DISTINCT e.finding AS old, m.fresh FROM moved m JOIN events e ON e.n = m.event) p
    JOIN mentions t ON t.finding = p.old GROUP BY t.delivery, t.mode, p.fresh
    ON CONFLICT DO NOTHING
    """,
    "UPDATE events SET finding = (SELECT fresh FROM moved WHERE event = n) WHERE n IN (SELECT event FROM moved)",
    """
    UPDATE entries SET finding = (SELECT finding FROM events WHERE n = entries.event)
    WHERE event IN (SELECT event FROM moved)
    """,
    "DELETE FROM findings WHERE version < :version AND n NOT IN (SELECT finding FROM events)",
    "DELETE FROM mentions WHERE finding NOT IN (SELECT n FROM findings)",
    "UPDATE findings SET version = :version WHERE version < :version",
)


def rekey(database: Database, identify: Callable[[Mapping[str, Any]], int], version: int) -> int:
    """Give findings the numbers that a new rule gives them, if the store has those of an older one.

    What is known of a finding goes with it: since when, how often, and what every delivery was told of it. A finding
    whose last details were removed can't be taken over; its next sighting is listed in any case.

    Args:
        database: where.
        identify: the rule: canonical fields of an event to the finding's number.
        version: of the rule.

    Returns:
        how many events belong to another finding now.

    Raises:
        ConfigError: if the store has numbers of a newer rule.
    """
    with database.writing() as connection:
        noted = run(connection, "SELECT value FROM facts WHERE name = :name", name=_FACT).scalar()
        known = int(noted or run(connection, "SELECT MAX(version) FROM findings").scalar() or version)
        if known > version:
            raise ConfigError(
                f"{database.name}: findings are told apart by rule {known}, this cleanbots knows rule {version}; "
                "upgrade cleanbots, or restore the backup that was made before the upgrade"
            )
        if noted == str(version):
            return 0
        moved = _rekey(connection, identify, version) if known < version else 0
        run(
            connection,
            "INSERT INTO facts (name, value) VALUES (:name, :value)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name=_FACT,
            value=str(version),
        )
    return moved


def _rekey(connection: Connection, identify: Callable[[Mapping[str, Any]], int], version: int) -> int:
    for statement in _PREPARE:
        define(connection, statement)
    after = moved = 0
    while rows := run(
        connection,
        "SELECT n, finding, payload FROM events WHERE n > :after AND payload IS NOT NULL ORDER BY n LIMIT :most",
        after=after,
        most=_PAGE,
    ).all():
        fresh = [(row.n, row.finding, identify(unpack(row.payload).event)) for row in rows]
        changed = [(event, new) for event, old, new in fresh if new != old]
        moved += many(connection, "INSERT INTO moved (event, fresh) VALUES (?, ?)", changed)
        after = rows[-1].n
    for statement in _MOVE:
        values = {"version": version} if ":version" in statement else {}
        run(connection, statement, **values)
    return moved
