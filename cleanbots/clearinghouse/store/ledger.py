"""The ledger of deliveries: rendered messages, attempts, states, leases."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import msgspec
from sqlalchemy import Connection

from ...clock import iso
from ...errors import CleanbotsError
from ..model import Digest, Message, Outcome
from .database import Database, many, micros, moment, run, select_in, take_numbers
from .protocol import Row

_MEDIAN_OF = 30
_LEFT_OUT = 5000  # more deliveries than a hub makes in a day

_ROWS = """
SELECT g.*, d.member, d.delivery AS delivery_id FROM digests g JOIN deliveries d ON d.n = g.delivery
WHERE {where} ORDER BY g.created DESC, g.n DESC LIMIT :most
"""

_MESSAGES = """
SELECT m.*, e.recipient FROM messages m LEFT JOIN envelopes e ON e.message = m.n WHERE m.digest IN :keys ORDER BY m.n
"""

_LAST_ATTEMPTS = """
SELECT t.message, t.at, t.code, a.text AS answer FROM attempts t LEFT JOIN answers a ON a.attempt = t.n
WHERE t.n IN (SELECT MAX(n) FROM attempts WHERE message IN :keys GROUP BY message)
"""

_STORED = """
SELECT m.id, e.recipient, e.sender, e.secrets, e.data FROM messages m JOIN envelopes e ON e.message = m.n
JOIN digests g ON g.n = m.digest WHERE g.reference = :reference ORDER BY m.n
"""

_UNWANTED = "given", "no message: its recipients want none of what it tells"
_NOBODY = "expired", "no message: it has no recipients"
_AFTER = {"accepted": "accepted", "refused": "refused", "gone": "gone"}


def freeze(
    connection: Connection,
    digest: Digest,
    messages: Sequence[Message],
    *,
    hold: str,
    mode: str,
    files: Mapping[str, bytes],
) -> None:
    """Store rendered messages and files, and let them go or hold them."""
    number = _digest(connection, digest.reference).n
    there = set(
        map(
            tuple,
            run(
                connection,
                "SELECT m.id, e.recipient FROM messages m JOIN envelopes e ON e.message = m.n WHERE m.digest = :n",
                n=number,
            ),
        )
    )
    fresh = [message for message in messages if (message.id, message.recipient) not in there]
    first = take_numbers(connection, "messages", len(fresh))
    numbered = list(enumerate(fresh, first))
    many(
        connection,
        "INSERT INTO messages (n, digest, id, state, attempts, next, size, sha256) VALUES (?, ?, ?, 'waiting', 0, 0, ?, ?)",
        [(n, number, m.id, len(m.data), hashlib.sha256(m.data).hexdigest()) for n, m in numbered],
    )
    many(
        connection,
        "INSERT INTO envelopes (message, recipient, sender, secrets, data) VALUES (?, ?, ?, ?, ?)",
        [(n, m.recipient, m.sender, msgspec.json.encode(m.secrets).decode(), m.data) for n, m in numbered],
    )
    many(
        connection,
        "INSERT INTO files (digest, name, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(number, name, data) for name, data in files.items()],
    )
    if messages or there or mode == "preview":
        _state(connection, number, "held" if hold else "frozen", hold)
    else:
        _state(connection, number, *(_UNWANTED if digest.recipients else _NOBODY))
    run(connection, "UPDATE digests SET mode = :mode WHERE n = :n", mode=mode, n=number)


def approve(connection: Connection, reference: str, who: str, at: int) -> None:
    """Let a held delivery go."""
    row = _digest(connection, reference)
    if row.state != "held":
        raise CleanbotsError(f"{reference} is {row.state}, not held: there is nothing to approve")
    _state(connection, row.n, "frozen", "")
    note(connection, at, who, "approve", reference)


def hold(connection: Connection, reference: str, why: str, at: int, *, unrendered: bool = False) -> None:
    """Hold a delivery that nobody was given yet."""
    row = _digest(connection, reference)
    given = run(connection, "SELECT COUNT(*) FROM messages WHERE digest = :n AND state = 'accepted'", n=row.n).scalar()
    if row.state not in {"frozen", "held", *(["closed"] if unrendered else [])} or given:
        raise CleanbotsError(f"{reference} can't be held: it is {row.state} and {given} of its messages were accepted")
    _state(connection, row.n, "held", why)
    note(connection, at, "", f"hold: {why}", reference)


def attempt(
    connection: Connection,
    reference: str,
    message: str,
    outcome: Outcome,
    now: datetime,
    again: datetime | None,
    recipient: str,
) -> None:
    """Note an attempt, and what it means for the message and the delivery."""
    digest = _digest(connection, reference).n
    state = _AFTER.get(outcome.verdict) or ("expired" if again is None else "waiting")
    found = run(
        connection,
        "SELECT m.n FROM messages m LEFT JOIN envelopes e ON e.message = m.n WHERE m.digest = :digest AND m.id = :id"
        " AND (:recipient = '' OR e.recipient = :recipient)",
        digest=digest,
        id=message,
        recipient=recipient,
    )
    for number in found.scalars().all():
        run(
            connection,
            "UPDATE messages SET state = :state, attempts = attempts + 1, next = :next WHERE n = :n",
            state=state,
            next=micros(again or now),
            n=number,
        )
        _add_attempt(connection, number, outcome, micros(now))
    _conclude(connection, digest)


def _add_attempt(connection: Connection, message: int, outcome: Outcome, at: int) -> None:
    number = take_numbers(connection, "attempts")
    run(
        connection,
        "INSERT INTO attempts (n, message, at, verdict, code) VALUES (:n, :message, :at, :verdict, :code)",
        n=number,
        message=message,
        at=at,
        verdict=outcome.verdict,
        code=outcome.code,
    )
    if outcome.answer:
        answer = outcome.answer.replace("\0", "")[: 64 * 1024]
        run(connection, "INSERT INTO answers (attempt, text) VALUES (:n, :text)", n=number, text=answer)


def _conclude(connection: Connection, digest: int) -> None:
    states = set(run(connection, "SELECT DISTINCT state FROM messages WHERE digest = :n", n=digest).scalars())
    if states and "waiting" not in states:
        _state(connection, digest, "given" if "accepted" in states else "expired", "")


def lease(connection: Connection, channel: str, owner: str, now: datetime, seconds: float) -> bool:
    """Take or renew a lease."""
    taken = run(
        connection,
        "INSERT INTO leases (channel, owner, until) VALUES (:channel, :owner, :until) ON CONFLICT (channel) DO UPDATE"
        " SET owner = excluded.owner, until = excluded.until WHERE leases.owner = :owner OR leases.until <= :now",
        channel=channel,
        owner=owner,
        until=micros(now + timedelta(seconds=seconds)),
        now=micros(now),
    )
    return taken.rowcount > 0


def take_as_sent(connection: Connection) -> None:
    """Take all that waits for couriers, or is owed, for told by now: the database is older than what left."""
    # Held as 'rendering' is what a courier was storing part by part; what waits for an operator goes on waiting.
    told = "state IN ('closed', 'frozen') OR (state = 'held' AND why = 'rendering')"
    where = f"mode <> 'preview' AND ({told})"
    run(
        connection,
        f"UPDATE messages SET state = 'accepted' WHERE state = 'waiting' AND digest IN (SELECT n FROM digests WHERE {where})",  # noqa: S608
    )
    run(connection, f"UPDATE digests SET state = 'given', why = 'taken as sent' WHERE {where}")  # noqa: S608
    run(
        connection,
        "UPDATE dues SET outcome = 4, reason = 'taken_as_sent', digest = 0 WHERE digest IS NULL AND outcome = 0",
    )


def skip_references(connection: Connection, at: int) -> None:
    """Leave out numbers of today that may have been given: no reference, and no id made of it, is given twice."""
    day = f"{moment(at):%Y%m%d}"
    prefixes = {name.partition("-")[0] for name in run(connection, "SELECT reference FROM digests").scalars()}
    for prefix in sorted(prefixes):
        take_numbers(connection, f"{prefix}-{day}", _LEFT_OUT)


def holder(connection: Connection, channel: str) -> str:
    """Give whose the lease is, or was last; "" if nobody ever had it."""
    return run(connection, "SELECT owner FROM leases WHERE channel = :channel", channel=channel).scalar() or ""


def messages(database: Database, reference: str) -> list[Message]:
    """Give the stored messages of a delivery."""
    with database.reading() as connection:
        return [_message(row) for row in run(connection, _STORED, reference=reference) if row.data]


def rows(
    database: Database,
    *,
    member: str = "",
    state: str = "",
    since: datetime | None = None,
    most: int = 1000,
    reference: str = "",
) -> list[Row]:
    """List deliveries, newest first."""
    wanted = {"d.member": member, "g.state": state, "g.reference": reference}
    values: dict[str, Any] = {column[2:]: value for column, value in wanted.items() if value}
    conditions = [f"{column} = :{column[2:]}" for column, value in wanted.items() if value]
    conditions.append("g.created >= :since")
    with database.reading() as connection:
        statement = _ROWS.format(where=" AND ".join(conditions))
        found = run(connection, statement, **values, since=micros(since) if since else 0, most=most).all()
        details = _details(connection, [row.n for row in found])
    return [
        Row(
            reference=row.reference,
            member=row.member,
            delivery=row.delivery_id,
            channel=row.channel,
            kind=row.kind,
            state=row.state,
            why=row.why,
            mode=row.mode,
            created=moment(row.created),
            counts=_counts(row.summary),
            messages=details.get(row.n, []),
        )
        for row in found
    ]


def median_size(database: Database, member: str, delivery: str) -> float | None:
    """Give the median number of listed findings of the last digests that listed some."""
    with database.reading() as connection:
        sizes = run(
            connection,
            "SELECT g.listed FROM digests g JOIN deliveries d ON d.n = g.delivery"
            " WHERE d.member = :member AND d.delivery = :delivery AND g.listed > 0 ORDER BY g.n DESC LIMIT :most",
            member=member,
            delivery=delivery,
            most=_MEDIAN_OF,
        )
        found = list(sizes.scalars())
    return float(median(found)) if found else None


def note(connection: Connection, at: int, who: str, what: str, reference: str = "") -> None:
    """Write into the audit log."""
    run(
        connection,
        "INSERT INTO audit (n, at, who, what, reference) VALUES (:n, :at, :who, :what, :reference)",
        n=take_numbers(connection, "audit"),
        at=at,
        who=who,
        what=what,
        reference=reference,
    )


def _digest(connection: Connection, reference: str) -> Any:
    row = run(
        connection, "SELECT n, state FROM digests WHERE reference = :reference", reference=reference
    ).one_or_none()
    if row is None:
        raise CleanbotsError(f"{reference}: there is no such delivery; 'cleanbots deliveries list' shows them")
    return row


def _state(connection: Connection, digest: int, state: str, why: str) -> None:
    run(connection, "UPDATE digests SET state = :state, why = :why WHERE n = :n", state=state, why=why, n=digest)


def _details(connection: Connection, digests: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    found = list(select_in(connection, _MESSAGES, digests))
    last = {row.message: row for row in select_in(connection, _LAST_ATTEMPTS, [row.n for row in found])}
    details: dict[int, list[dict[str, Any]]] = {}
    for row in found:
        attempt_ = last.get(row.n)
        details.setdefault(row.digest, []).append(
            {
                "id": row.id,
                "recipient": row.recipient or "",
                "state": row.state,
                "attempts": row.attempts,
                "size": row.size,
                "sha256": row.sha256,
                "at": iso(moment(attempt_.at)) if attempt_ else "",
                "code": attempt_.code if attempt_ else 0,
                "answer": (attempt_.answer or "") if attempt_ else "",
                "next": iso(moment(row.next)) if row.state == "waiting" and row.next else "",
            }
        )
    return details


def _counts(summary: str) -> dict[str, int]:
    decoded = msgspec.json.decode(summary)
    return {**decoded["counts"], **decoded["suppressed"]}


def _message(row: Any) -> Message:
    return Message(
        id=row.id,
        recipient=row.recipient,
        sender=row.sender,
        data=bytes(row.data),
        secrets=tuple(msgspec.json.decode(row.secrets)),
    )
