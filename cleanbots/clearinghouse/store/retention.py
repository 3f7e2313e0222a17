"""Retention: payload goes when its time is over, the ledger much later, and all of somebody when that is asked for."""

# ruff: noqa: S608  # the statements are put together of constants of this module

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from .database import Database, change_in, micros, moment, run, tally

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
_LEDGER_FLAGS = (
    "DELETE FROM facts WHERE name LIKE 'flag:hold:%'"
    " AND substr(name, 11) NOT IN (SELECT reference FROM digests WHERE state IN ('closed', 'held'))"
)


class _Step(NamedTuple):
    """What is removed piece by piece, each in a transaction of its own, so that others can write in between.

    Args:
        name: under which it is counted.
        keys: query for the next keys above ``:after``, at most ``:most``, in order.
        change: for the rows of these ``:keys``; it asks again whether they are past their retention.
        piece: how many keys at a time.
    """

    name: str
    keys: str
    change: str
    piece: int = 10_000


_OLD = "JOIN digests g ON g.n = m.digest WHERE g.created < :before"
_OLD_DIGESTS = "SELECT n FROM digests WHERE created < :before AND n > :after ORDER BY n LIMIT :most"
_DELIVERIES = "SELECT n FROM deliveries WHERE n > :after ORDER BY n LIMIT :most"
_OLD_FINDINGS = "SELECT n FROM findings WHERE last_seen < :before AND n > :after {} ORDER BY n LIMIT :most"
_NAMED = "AND (address IS NOT NULL OR host IS NOT NULL)"

_PAYLOAD = (
    _Step(
        "answers",
        f"SELECT a.attempt FROM answers a JOIN attempts t ON t.n = a.attempt JOIN messages m ON m.n = t.message {_OLD}"
        " AND a.attempt > :after ORDER BY a.attempt LIMIT :most",
        "DELETE FROM answers WHERE attempt IN :keys",
    ),
    _Step(
        "messages",
        f"SELECT e.message FROM envelopes e JOIN messages m ON m.n = e.message {_OLD}"
        " AND e.message > :after ORDER BY e.message LIMIT :most",
        "DELETE FROM envelopes WHERE message IN :keys",
        200,
    ),
    _Step(
        "files",
        f"SELECT DISTINCT m.digest FROM files m {_OLD} AND m.digest > :after ORDER BY m.digest LIMIT :most",
        "DELETE FROM files WHERE digest IN :keys",
        200,
    ),
    _Step(
        "events",
        "SELECT n FROM events WHERE n > :after AND n >= :from AND n < :event AND payload IS NOT NULL ORDER BY n LIMIT :most",
        "UPDATE events SET payload = NULL WHERE n IN :keys",
    ),
    _Step(
        "findings",
        _OLD_FINDINGS.format(_NAMED),
        f"UPDATE findings SET address = NULL, host = NULL WHERE n IN :keys AND last_seen < :before {_NAMED}",
    ),
    _Step(
        "shared",
        "SELECT n FROM shared WHERE used < :used AND n > :after ORDER BY n LIMIT :most",
        "DELETE FROM shared WHERE n IN :keys AND used < :used",
    ),
)

_LEDGER = (
    _Step(
        "ledger_attempts",
        f"SELECT t.n FROM attempts t JOIN messages m ON m.n = t.message {_OLD} AND t.n > :after ORDER BY t.n LIMIT :most",
        "DELETE FROM attempts WHERE n IN :keys",
    ),
    _Step(
        "ledger_messages",
        f"SELECT m.n FROM messages m {_OLD} AND m.n > :after ORDER BY m.n LIMIT :most",
        "DELETE FROM messages WHERE n IN :keys",
    ),
    _Step("ledger_entries", _OLD_DIGESTS, "DELETE FROM entries WHERE digest IN :keys", 200),
    _Step("ledger_deliveries", _OLD_DIGESTS, "DELETE FROM digests WHERE n IN :keys"),
    # Numbers of events rise with the time of recording, and the key of an observation begins with its delivery.
    _Step("ledger_observations", _DELIVERIES, "DELETE FROM dues WHERE delivery IN :keys AND event < :event", 20),
    _Step(
        "ledger_mentions",
        _DELIVERIES,
        "DELETE FROM mentions WHERE delivery IN :keys AND mentioned < :before AND seen < :before",
        20,
    ),
    _Step(
        "ledger_events",
        "SELECT n FROM events WHERE n > :after AND n < :event ORDER BY n LIMIT :most",
        "DELETE FROM events WHERE n IN :keys",
    ),
    _Step("ledger_findings", _OLD_FINDINGS.format(""), "DELETE FROM findings WHERE n IN :keys AND last_seen < :before"),
)


def purge(database: Database, now: datetime, keep_sent: float, keep_ledger: float) -> dict[str, int]:
    """Remove what is past its retention; broken off and called again, it goes on.

    Args:
        database: where.
        now: the time.
        keep_sent: seconds that payload is kept: events, addresses, rendered bytes, answers. What was not told by then
            is given up.
        keep_ledger: seconds that the ledger is kept.

    Returns:
        how much was removed, by kind.
    """
    before = micros(now - timedelta(seconds=keep_sent))
    removed = _purge_payload(database, before)
    removed.update(_purge_ledger(database, now - timedelta(seconds=keep_ledger)))
    settle(database)
    return {name: count for name, count in removed.items() if count}


def _purge_payload(database: Database, before: int) -> dict[str, int]:
    with database.writing() as connection:
        removed = {
            "given_up": run(connection, _GIVE_UP, before=before).rowcount,
            "expired": run(connection, _EXPIRE, before=before).rowcount,
        }
        for statement in (_NOT_TOLD, _STOP_WAITING):
            run(connection, statement, before=before)
        event, from_ = _first_event(connection, before), _purged(connection)
    # A shared text is noted as used once a day at least.
    values = {"before": before, "event": event, "from": from_, "used": before - _DAY}
    removed.update({step.name: _piece_by_piece(database, step, values) for step in _PAYLOAD})
    with database.writing() as connection:
        _set_purged(connection, event)
        removed["nobody"] = _fold_nobody(connection, before)
    return removed


def _purge_ledger(database: Database, old: datetime) -> dict[str, int]:
    before = micros(old)
    with database.reading() as connection:
        values = {"before": before, "event": _first_event(connection, before)}
    removed = {step.name: _piece_by_piece(database, step, values) for step in _LEDGER}
    with database.writing() as connection:
        removed["ledger_flags"] = run(connection, _LEDGER_FLAGS).rowcount
        removed["ledger_audit"] = run(connection, "DELETE FROM audit WHERE at < :before", before=before).rowcount
        removed["ledger_tallies"] = run(
            connection, "DELETE FROM tallies WHERE day < :day", day=f"{old:%Y-%m-%d}"
        ).rowcount
    return removed


def _piece_by_piece(database: Database, step: _Step, values: dict[str, Any]) -> int:
    after, changed = -1, 0
    while True:
        with database.reading() as connection:
            named = _named(step.keys, values)
            keys = list(run(connection, step.keys, after=after, most=step.piece, **named).scalars())
        if not keys:
            return changed
        with database.writing() as connection:
            changed += change_in(connection, step.change, keys, **_named(step.change, values))
        after = keys[-1]


def _named(statement: str, values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if f":{name}" in statement}


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
