"""Close a delivery: decide in SQL what is new, back and still, list it, count the rest, give the reference."""

from typing import Any

import msgspec
from sqlalchemy import Connection

from ...clock import iso
from ..model import STATES
from .database import Database, define, micros, moment, run, take_numbers
from .findings import Findings
from .protocol import Closed, Closing

MODES = {"preview": 0, "test": 1, "live": 2}
TELLS_NOTHING = frozenset({"test", "correction", "dead-endpoint", "dead-contact", "operator"})
"""Kinds of deliveries that need a reference but tell no findings."""

_REPEAT = {"vulnerable": 7 * 86400.0, "other": 86400.0}
_TOLERANCE = 3 * 3600.0
_NO_DIGEST = 0
_SECOND = 1_000_000

_PREPARE = (
    "DROP TABLE IF EXISTS claimed",
    "DROP TABLE IF EXISTS judged",
    """
    CREATE TEMPORARY TABLE claimed (event {key}, finding BIGINT NOT NULL, match BIGINT NOT NULL,
        severity SMALLINT NOT NULL, seen BIGINT NOT NULL)
    """,
    """
    CREATE TEMPORARY TABLE judged (finding {key}, event BIGINT NOT NULL, match BIGINT NOT NULL,
        last BIGINT NOT NULL, state SMALLINT NOT NULL, listed SMALLINT NOT NULL, position BIGINT NOT NULL)
    """,
)

_EXCEPT = """
UPDATE dues SET outcome = 2, reason = 'except'
WHERE delivery = :delivery AND digest IS NULL AND outcome = 0 AND recorded <= :until AND EXISTS (
    SELECT 1 FROM dues o JOIN digests g ON g.n = o.digest
    WHERE o.delivery = :other AND o.event = dues.event AND o.outcome IN (1, 3) AND g.state <> 'expired')
"""

_CLAIM = """
INSERT INTO claimed (event, finding, match, severity, seen)
SELECT d.event, e.finding, d.match, e.severity, e.seen
FROM dues d JOIN events e ON e.n = d.event
WHERE d.delivery = :delivery AND d.digest IS NULL AND d.outcome = 0 AND d.recorded <= :until
"""

_NOT_OWED_THERE = (
    " AND NOT EXISTS (SELECT 1 FROM dues o WHERE o.delivery = {other:d} AND o.event = d.event AND o.outcome = 0)"
)

# Of each finding: its last observation, and the longest time without a sighting since it was last told or counted.
_JUDGE = """
INSERT INTO judged (finding, event, match, last, state, listed, position)
WITH known AS (
    SELECT c.*, CASE WHEN g.state = 'expired' THEN NULL ELSE t.mentioned END AS mentioned,
        CASE WHEN g.state = 'expired' THEN NULL ELSE t.seen END AS told
    FROM claimed c
    LEFT JOIN mentions t ON t.delivery = :delivery AND t.mode = :mode AND t.finding = c.finding
    LEFT JOIN digests g ON g.n = t.digest
), sights AS (
    SELECT c.finding, c.event, c.match, c.severity, c.seen, c.mentioned,
        c.seen - CASE WHEN LAG(c.seen) OVER sighted > c.told THEN LAG(c.seen) OVER sighted ELSE c.told END AS gap,
        ROW_NUMBER() OVER (PARTITION BY c.finding ORDER BY c.seen DESC, c.event DESC) AS recent
    FROM known c
    WINDOW sighted AS (PARTITION BY c.finding ORDER BY c.seen, c.event)
), gathered AS (
    SELECT finding, MAX(CASE WHEN recent = 1 THEN event END) AS event, MAX(CASE WHEN recent = 1 THEN match END) AS match,
        MAX(CASE WHEN recent = 1 THEN severity END) AS severity, MAX(seen) AS last, MAX(gap) AS gap,
        MAX(mentioned) AS mentioned
    FROM sights GROUP BY finding
), stated AS (
    SELECT g.*, f.address,
        CASE WHEN g.mentioned IS NULL THEN 0 WHEN g.gap >= :quiet THEN 1 ELSE 2 END AS state,
        {repeat} AS repeat_after
    FROM gathered g JOIN findings f ON f.n = g.finding JOIN kinds k ON k.n = f.kind
), chosen AS (
    SELECT stated.*, CASE WHEN state IN ({told}) AND (state < 2 OR :now - mentioned >= repeat_after)
        THEN 1 ELSE 0 END AS listed FROM stated
)
SELECT finding, event, match, last, state, listed,
    ROW_NUMBER() OVER (PARTITION BY listed ORDER BY state, severity, CASE WHEN address IS NULL THEN 1 ELSE 0 END,
        address, finding)
FROM chosen
"""

_SETTLE = """
UPDATE dues SET digest = :digest, outcome = :outcome
WHERE delivery = :delivery AND event IN (
    SELECT c.event FROM claimed c JOIN judged j ON j.finding = c.finding WHERE j.listed = :listed)
"""

_LIST = """
INSERT INTO entries (digest, position, finding, event, match, state, first_seen, last_seen, times_seen, before)
SELECT :digest, j.position, j.finding, j.event, j.match, j.state, f.first_seen, f.last_seen, f.times_seen, m.digest
FROM judged j JOIN findings f ON f.n = j.finding
LEFT JOIN mentions m ON m.delivery = :delivery AND m.mode = :mode AND m.finding = j.finding
WHERE j.listed = 1
"""

_MENTION = """
INSERT INTO mentions (delivery, mode, finding, digest, mentioned, seen)
SELECT :delivery, :mode, finding, :digest, :now, last FROM judged WHERE listed = 1
ON CONFLICT (delivery, mode, finding) DO UPDATE SET digest = excluded.digest, mentioned = excluded.mentioned,
    seen = CASE WHEN excluded.seen > mentions.seen THEN excluded.seen ELSE mentions.seen END
"""

_COUNT = """
INSERT INTO mentions (delivery, mode, finding, digest, mentioned, seen)
SELECT :delivery, :mode, finding, 0, 0, last FROM judged WHERE listed = 0
ON CONFLICT (delivery, mode, finding) DO UPDATE SET
    seen = CASE WHEN excluded.seen > mentions.seen THEN excluded.seen ELSE mentions.seen END
"""

_STILL = """
SELECT k.identifier, k.type, COUNT(*) AS number, MIN(f.first_seen) AS oldest
FROM judged j JOIN findings f ON f.n = j.finding JOIN kinds k ON k.n = f.kind
WHERE j.listed = 0 GROUP BY k.identifier, k.type ORDER BY k.identifier, k.type
"""

_LEFT_OUT = "delivery = :delivery AND digest IS NULL AND outcome = 2 AND recorded <= :until"

_ELSEWHERE = """
SELECT g.reference, k.type, COUNT(DISTINCT e.finding) AS number, g.created
FROM dues d JOIN dues o ON o.event = d.event AND o.delivery = :other JOIN digests g ON g.n = o.digest
JOIN events e ON e.n = d.event JOIN findings f ON f.n = e.finding JOIN kinds k ON k.n = f.kind
WHERE d.delivery = :delivery AND d.digest IS NULL AND d.outcome = 2 AND d.reason = 'except' AND d.recorded <= :until
    AND o.outcome IN (1, 3)
GROUP BY g.reference, k.type, g.created ORDER BY g.reference, k.type
"""

_DIGEST = """
INSERT INTO digests (n, reference, delivery, channel, kind, mode, state, why, since, until, created, listed, summary,
    members_version, config_version)
VALUES (:n, :reference, :delivery, :channel, :kind, :mode, 'closed', '', :since, :until, :now, :listed, :summary,
    :members_version, :config_version)
"""


class Summary(msgspec.Struct, frozen=True):
    """What the ledger keeps of a digest beside its entries; it names no address."""

    counts: dict[str, int]
    still: dict[str, tuple[int, str]]
    suppressed: dict[str, int]
    elsewhere: list[dict[str, str]]


_NOTHING = Summary({}, {}, {}, [])


def close(database: Database, connection: Connection, closing: Closing) -> Closed | None:
    """Close a delivery; see `cleanbots.clearinghouse.store.protocol.Store.close`."""
    return _Close(database, connection, closing).close()


def closed(database: Database, reference: str) -> Closed:
    """Give again what `close` gave.

    Raises:
        KeyError: if there is no such delivery.
    """
    with database.reading() as connection:
        row = run(
            connection,
            "SELECT n, since, listed, summary FROM digests WHERE reference = :reference",
            reference=reference,
        ).one_or_none()
    if row is None:
        raise KeyError(reference)
    return _closed(database, reference, row.n, row.since, row.listed, msgspec.json.decode(row.summary, type=Summary))


def _closed(database: Database, reference: str, digest: int, since: int, listed: int, summary: Summary) -> Closed:
    return Closed(
        reference=reference,
        findings=Findings(database, digest, range(listed)),
        still=summary.still,
        suppressed=summary.suppressed,
        elsewhere=summary.elsewhere,
        since=moment(since),
    )


class _Close:
    """One closing, within one transaction."""

    def __init__(self, database: Database, connection: Connection, closing: Closing) -> None:
        self._database = database
        self._connection = connection
        self._closing = closing
        self._now = micros(closing.now)
        self._until = micros(closing.until)
        self._delivery = self._number(closing.delivery)
        self._excepted = [n for id_ in closing.excepted if (n := self._number(id_)) is not None]
        self._mode = MODES[closing.mode]

    def close(self) -> Closed | None:
        closing = self._closing
        if closing.kind in TELLS_NOTHING:
            return self._write(_NOTHING, 0)
        if self._delivery is None:
            return self._write(_NOTHING, 0) if closing.kind == "empty" else None
        if closing.kind != "empty" and not self._owes():
            return None
        self._judge()
        states = dict(map(tuple, self._run("SELECT state, COUNT(*) FROM judged WHERE listed = 1 GROUP BY state")))
        listed = sum(states.values())
        if not listed and closing.kind != "empty":
            if len(closing.tells) < len(STATES):
                self._count(_NO_DIGEST)  # it would never be listed, and its sightings must keep it from being back
            return None
        counts: dict[str, int] = {name: states.get(state, 0) for state, name in enumerate(STATES)}
        still = self._still()
        counts["listed"], counts["still"] = listed, counts["still"] + sum(number for number, _ in still.values())
        return self._write(Summary(counts, still, self._suppressed(), self._elsewhere()), listed)

    def _number(self, delivery: str) -> int | None:
        number: int | None = run(
            self._connection,
            "SELECT n FROM deliveries WHERE member = :member AND delivery = :delivery",
            member=self._closing.member,
            delivery=delivery,
        ).scalar()
        return number

    def _run(self, statement: str, **values: Any) -> Any:
        given = {"delivery": self._delivery, "until": self._until, "now": self._now, "mode": self._mode}
        named = {name: value for name, value in given.items() if f":{name}" in statement}
        return run(self._connection, statement, **named, **values)

    def _owes(self) -> bool:
        where = "delivery = :delivery AND digest IS NULL AND outcome = 0 AND recorded <= :until"
        return self._run(f"SELECT 1 FROM dues WHERE {where} LIMIT 1").scalar() is not None  # noqa: S608

    def _judge(self) -> None:
        for statement in _PREPARE:
            define(self._connection, statement)
        for other in self._excepted:
            self._run(_EXCEPT, other=other)
        strict = self._closing.strict
        claim = _CLAIM + "".join(_NOT_OWED_THERE.format(other=other) for other in self._excepted)
        self._run(claim if strict is None else f"{claim} AND d.strict = {strict:d}")
        repeat, values = _repeat(self._closing)
        self._run(
            _JUDGE.format(
                repeat=repeat, told=", ".join(str(STATES.index(each)) for each in self._closing.tells) or "-1"
            ),
            quiet=round(self._closing.quiet * _SECOND),
            **values,
        )
        self._run("DELETE FROM judged WHERE listed = 1 AND position > :most", most=self._closing.most)

    def _still(self) -> dict[str, tuple[int, str]]:
        still: dict[str, tuple[int, int]] = {}
        for row in self._run(_STILL):
            name = row.identifier or row.type or "unknown"
            number, oldest = still.get(name, (0, row.oldest))
            still[name] = number + row.number, min(oldest, row.oldest)
        return {name: (number, iso(moment(oldest))) for name, (number, oldest) in still.items()}

    def _suppressed(self) -> dict[str, int]:
        # That a delivery doesn't take a role is nothing that it leaves out.
        where = f"{_LEFT_OUT} AND reason <> 'role'"
        return dict(map(tuple, self._run(f"SELECT reason, COUNT(*) FROM dues WHERE {where} GROUP BY reason")))  # noqa: S608

    def _elsewhere(self) -> list[dict[str, str]]:
        return [
            {"reference": row.reference, "type": row.type, "count": str(row.number), "time": iso(moment(row.created))}
            for other in self._excepted
            for row in self._run(_ELSEWHERE, other=other)
        ]

    def _write(self, summary: Summary, listed: int) -> Closed:
        closing, connection = self._closing, self._connection
        if self._delivery is None:
            self._delivery = _add_delivery(connection, closing.member, closing.delivery)
        digest = take_numbers(connection, "digests")
        day = f"{moment(self._now):%Y%m%d}"
        reference = f"{closing.prefix}-{day}-{take_numbers(connection, f'{closing.prefix}-{day}'):04d}"
        since = self._since()
        run(
            connection,
            _DIGEST,
            n=digest,
            reference=reference,
            delivery=self._delivery,
            channel=closing.channel,
            kind=closing.kind,
            mode=closing.mode,
            since=since,
            until=self._until,
            now=self._now,
            listed=listed,
            summary=msgspec.json.encode(summary).decode(),
            members_version=closing.members_version,
            config_version=closing.config_version,
        )
        if summary is not _NOTHING:
            self._settle(digest)
        return _closed(self._database, reference, digest, since, listed, summary)

    def _settle(self, digest: int) -> None:
        self._run(_LIST, digest=digest)
        self._run(_MENTION, digest=digest)
        self._run(_SETTLE, digest=digest, outcome=1, listed=1)
        self._count(digest)
        self._run(f"UPDATE dues SET digest = :digest WHERE {_LEFT_OUT}", digest=digest)  # noqa: S608

    def _count(self, digest: int) -> None:
        self._run(_COUNT)
        self._run(_SETTLE, digest=digest, outcome=3, listed=0)

    def _since(self) -> int:
        # What is closed apart at the same time has the same period.
        last: int | None = self._run(
            "SELECT MAX(until) FROM digests WHERE delivery = :delivery AND until < :until"
            " AND kind IN ('digest', 'urgent', 'baseline', 'empty')"
        ).scalar()
        if last is None:
            last = self._run("SELECT MIN(recorded) FROM dues WHERE delivery = :delivery").scalar()
        return self._until if last is None else last


def _add_delivery(connection: Connection, member: str, delivery: str) -> int:
    number = take_numbers(connection, "deliveries")
    run(
        connection,
        "INSERT INTO deliveries (n, member, delivery) VALUES (:n, :member, :delivery)",
        n=number,
        member=member,
        delivery=delivery,
    )
    return number


def _repeat(closing: Closing) -> tuple[str, dict[str, Any]]:
    """Give the SQL that gives a finding's repeat time, and its values.

    Digests don't close on the second, so a repeat is due a little early: an eighth of it, three hours at most.
    """
    repeat = {**_REPEAT, **closing.repeat}
    values: dict[str, Any] = {}
    cases = []
    for number, (taxonomy, seconds) in enumerate(repeat.items()):
        values[f"after{number}"] = round((seconds - min(seconds / 8, _TOLERANCE)) * _SECOND)
        if taxonomy != "other":
            values[f"taxonomy{number}"] = taxonomy
            cases.append(f"WHEN k.taxonomy = :taxonomy{number} THEN :after{number}")
    otherwise = f":after{list(repeat).index('other')}"
    return f"CASE {' '.join(cases)} ELSE {otherwise} END", values
