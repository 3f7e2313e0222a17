"""Messages that wait to be handed over: which are due, which wait longer, what was handed over lately."""

from collections.abc import Collection
from datetime import datetime

import msgspec
import sqlalchemy
from sqlalchemy import Connection

from ...errors import CleanbotsError
from ..model import Message
from .database import Database, micros, moment, run

# What one breakdown takes down: the domain of a mail address, or a URL. A mail address has one "@" that counts, the
# last; those with a quoted one are refused when members are checked, so the first serves, too.
_DESTINATION = {
    "sqlite": "CASE WHEN e.recipient LIKE '%://%' THEN e.recipient"
    " ELSE lower(substr(e.recipient, instr(e.recipient, '@') + 1)) END",
    "postgresql": "CASE WHEN e.recipient LIKE '%://%' THEN e.recipient"
    " ELSE lower(substr(e.recipient, position('@' in e.recipient) + 1)) END",
}

_WAITING = """
SELECT g.reference, m.id, e.recipient, e.sender, e.secrets, e.data
FROM messages m JOIN digests g ON g.n = m.digest JOIN envelopes e ON e.message = m.n
WHERE m.state = 'waiting' AND m.next <= :now AND g.state = 'frozen' AND g.mode <> 'preview' AND g.channel = :channel
    {skip} ORDER BY m.next, m.n LIMIT :most
"""

_HANDED_OVER = """
SELECT t.at, e.recipient FROM attempts t JOIN messages m ON m.n = t.message JOIN digests g ON g.n = m.digest
JOIN envelopes e ON e.message = m.n WHERE t.at >= :since AND g.channel = :channel ORDER BY t.n
"""


def waiting(
    database: Database, channel: str, now: datetime, most: int, skip: Collection[str] = ()
) -> list[tuple[str, Message]]:
    """Give messages whose next attempt is due, without those to destinations in *skip*."""
    where = f"AND {_DESTINATION[database.engine.dialect.name]} NOT IN :skip" if skip else ""
    statement = sqlalchemy.text(_WAITING.format(skip=where))
    values = {"channel": channel, "now": micros(now), "most": most}
    if skip:
        statement = statement.bindparams(sqlalchemy.bindparam("skip", expanding=True))
        values["skip"] = list(skip)
    with database.reading() as connection:
        return [
            (
                row.reference,
                Message(
                    id=row.id,
                    recipient=row.recipient,
                    sender=row.sender,
                    data=bytes(row.data),
                    secrets=tuple(msgspec.json.decode(row.secrets)),
                ),
            )
            for row in connection.execute(statement, values)
        ]


def handed_over(database: Database, channel: str, since: datetime) -> list[tuple[datetime, str]]:
    """Give time and recipient of every attempt since *since*."""
    with database.reading() as connection:
        rows = run(connection, _HANDED_OVER, channel=channel, since=micros(since)).all()
    return [(moment(row.at), row.recipient) for row in rows]


def postpone(connection: Connection, reference: str, until: datetime, recipient: str = "") -> None:
    """Let the waiting messages of a delivery wait longer, all or one recipient's."""
    run(
        connection,
        "UPDATE messages SET next = :until WHERE state = 'waiting' AND next < :until"
        " AND digest = (SELECT n FROM digests WHERE reference = :reference)"
        " AND (:recipient = '' OR n IN (SELECT message FROM envelopes WHERE recipient = :recipient))",
        recipient=recipient,
        until=micros(until),
        reference=reference,
    )


def requeue(connection: Connection, reference: str, now: datetime) -> int:
    """Let every stored message of a delivery wait again; give how many."""
    digest = run(
        connection, "SELECT n, state, mode FROM digests WHERE reference = :reference", reference=reference
    ).one_or_none()
    if digest is None or digest.state not in {"frozen", "given", "expired"} or digest.mode == "preview":
        raise CleanbotsError(f"{reference} was never handed to anybody, so it can't be repeated")
    changed = run(
        connection,
        "UPDATE messages SET state = 'waiting', attempts = 0, next = :now WHERE digest = :digest"
        " AND EXISTS (SELECT 1 FROM envelopes e WHERE e.message = messages.n AND length(e.data) > 0)",
        now=micros(now),
        digest=digest.n,
    ).rowcount
    if changed:
        run(connection, "UPDATE digests SET state = 'frozen', why = '' WHERE n = :digest", digest=digest.n)
    return changed
