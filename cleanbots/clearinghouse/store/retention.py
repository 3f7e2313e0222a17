"""Retention: payload goes when its time is over, the ledger much later, and all of somebody when that is asked for."""

# ruff: noqa: S608  # the statements are put together of constants of this module

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from .database import Database, micros, moment, run, tally

_DAY = 86_400_000_000

_GIVE_UP = (
    "UPDATE dues SET outcome = 4, reason = 'given_up', digest = 0"
    " WHERE digest IS NULL AND outcome = 0 AND recorded < :before"
)
_NOT_TOLD = "UPDATE dues SET digest = 0 WHERE digest IS NULL AND outcome = 2 AND recorded < :before"
_EXPIRE = (
    "UPDATE digests SET state = 'expired', why = 'past its retention' WHERE created < :before"
    " AND (state IN ('closed', 'held') OR (state = 'frozen' AND mode <> 'preview'))"
)
_STOP_WAITING = (
    "UPDATE messages SET state = 'expired' WHERE state = 'waiting'"
    " AND digest IN (SELECT n FROM digests WHERE created < :before)"
)
_OLD_MESSAGES = "SELECT m.n FROM messages m JOIN digests g ON g.n = m.digest WHERE g.created < :before"

_PAYLOAD = {
    "answers": f"DELETE FROM answers WHERE attempt IN (SELECT n FROM attempts WHERE message IN ({_OLD_MESSAGES}))",
    "messages": f"DELETE FROM envelopes WHERE message IN ({_OLD_MESSAGES})",
    "files": "DELETE FROM files WHERE digest IN (SELECT n FROM digests WHERE created < :before)",
    "events": "UPDATE events SET payload = NULL WHERE n < :event AND n >= :from AND payload IS NOT NULL",
    "findings": (
        "UPDATE findings SET address = NULL, host = NULL"
        " WHERE last_seen < :before AND (address IS NOT NULL OR host IS NOT NULL)"
    ),
    "shared": "DELETE FROM shared WHERE used < :used",
}

_LEDGER = {
    "ledger_attempts": f"DELETE FROM attempts WHERE message IN ({_OLD_MESSAGES})",
    "ledger_messages": f"DELETE FROM messages WHERE n IN ({_OLD_MESSAGES})",
    "ledger_entries": "DELETE FROM entries WHERE digest IN (SELECT n FROM digests WHERE created < :before)",
    "ledger_deliveries": "DELETE FROM digests WHERE created < :before",
    "ledger_observations": "DELETE FROM dues WHERE recorded < :before",
    "ledger_mentions": "DELETE FROM mentions WHERE mentioned < :before AND seen < :before",
    "ledger_events": "DELETE FROM events WHERE n < :event",
    "ledger_findings": "DELETE FROM findings WHERE last_seen < :before",
    "ledger_flags": (
        "DELETE FROM facts WHERE name LIKE 'flag:hold:%'"
        " AND substr(name, 11) NOT IN (SELECT reference FROM digests WHERE state IN ('closed', 'held'))"
    ),
    "ledger_audit": "DELETE FROM audit WHERE at < :before",
    "ledger_tallies": "DELETE FROM tallies WHERE day < :day",
}


def purge(database: Database, now: datetime, keep_sent: float, keep_ledger: float) -> dict[str, int]:
    """Remove what is past its retention.

    Args:
        database: where.
        now: the time.
        keep_sent: seconds that payload is kept: events, addresses, rendered bytes, answers. What was not told by then
            is given up.
        keep_ledger: seconds that the ledger is kept.

    Returns:
        how much was removed, by kind.
    """
    removed: dict[str, int] = {}
    before = micros(now - timedelta(seconds=keep_sent))
    with database.writing() as connection:
        removed["given_up"] = run(connection, _GIVE_UP, before=before).rowcount
        removed["expired"] = run(connection, _EXPIRE, before=before).rowcount
        for statement in (_NOT_TOLD, _STOP_WAITING):
            run(connection, statement, before=before)
        event, from_ = _first_event(connection, before), _purged(connection)
        # A shared text is noted as used once a day at least.
        values: dict[str, Any] = {"before": before, "event": event, "from": from_, "used": before - _DAY}
        removed.update(_run_all(connection, _PAYLOAD, values))
        _set_purged(connection, event)
        removed["nobody"] = _fold_nobody(connection, before)
    old = now - timedelta(seconds=keep_ledger)
    with database.writing() as connection:
        ledger = micros(old)
        values = {"before": ledger, "event": _first_event(connection, ledger), "day": f"{old:%Y-%m-%d}"}
        removed.update(_run_all(connection, _LEDGER, values))
    settle(database)
    return {name: count for name, count in removed.items() if count}


def settle(database: Database, *, rewrite: bool = False) -> None:
    """See to it that what was removed is not in the files any more.

    Freed cells are overwritten as they go (``secure_delete``); the log is emptied; *rewrite* writes the file anew.
    """
    if not database.sqlite:
        return
    with database.bare() as connection:
        if rewrite:
            connection.exec_driver_sql("VACUUM")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()


def _run_all(connection: Connection, statements: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, int]:
    return {
        name: run(
            connection, statement, **{key: value for key, value in values.items() if f":{key}" in statement}
        ).rowcount
        for name, statement in statements.items()
    }


def _first_event(connection: Connection, before: int) -> int:
    """Give the number below which all events were recorded before *before*: numbers rise with time, so bisect."""
    low = run(connection, "SELECT MIN(n) FROM events").scalar()
    high = run(connection, "SELECT MAX(n) FROM events").scalar()
    if low is None or high is None:
        return 0
    high += 1
    while low < high:
        middle = (low + high) // 2
        recorded = run(connection, "SELECT recorded FROM events WHERE n >= :n ORDER BY n LIMIT 1", n=middle).scalar()
        if recorded is not None and recorded < before:
            low = middle + 1
        else:
            high = middle
    return int(low)


def _purged(connection: Connection) -> int:
    return run(connection, "SELECT last FROM numbers WHERE name = 'purged'").scalar() or 0


def _set_purged(connection: Connection, event: int) -> None:
    run(
        connection,
        "INSERT INTO numbers (name, last) VALUES ('purged', :event) ON CONFLICT (name) DO UPDATE SET last = excluded.last",
        event=event,
    )


def _fold_nobody(connection: Connection, before: int) -> int:
    days: dict[str, dict[str, int]] = {}
    rows = run(
        connection,
        "SELECT why, recorded / :day AS day, COUNT(*) AS number FROM nobody WHERE recorded < :before GROUP BY 1, 2",
        day=_DAY,
        before=before,
    )
    for row in rows:
        days.setdefault(f"{moment(row.day * _DAY):%Y-%m-%d}", {})[row.why] = row.number
    for day, counts in days.items():
        tally(connection, day, counts)
    return run(connection, "DELETE FROM nobody WHERE recorded < :before", before=before).rowcount


__all__ = ["purge", "settle"]
