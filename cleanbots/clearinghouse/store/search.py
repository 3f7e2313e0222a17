"""Find what members were told by what is at hand: an address, a name, a finding, an event, a mail address."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ...clock import iso
from ..findings import finding_number, finding_text
from .database import Database, micros, moment, run, select_in
from .payload import packed_address

_STATES = ("new", "back", "still")
_OUTCOMES = ("owed", "mentioned", "suppressed", "still", "dropped")
_MOST = 10_000

_LISTED = """
SELECT g.reference, d.member, d.delivery, g.state, g.mode, g.created, t.finding, t.state AS finding_state, e.id
FROM entries t JOIN digests g ON g.n = t.digest JOIN deliveries d ON d.n = g.delivery JOIN events e ON e.n = t.event
WHERE t.finding IN :keys AND g.created >= :since ORDER BY g.created DESC, g.n, t.position
"""

_DUES = """
SELECT n.member, n.delivery, d.outcome, d.reason, d.recorded, e.finding, e.id, g.reference, g.state, g.mode, g.created
FROM events e CROSS JOIN deliveries n JOIN dues d ON d.delivery = n.n AND d.event = e.n
LEFT JOIN digests g ON g.n = d.digest
WHERE e.id IN :keys ORDER BY n.member, n.delivery
"""

_MAILED = """
SELECT DISTINCT g.reference, d.member, d.delivery, g.state, g.mode, g.created
FROM envelopes v JOIN messages m ON m.n = v.message JOIN digests g ON g.n = m.digest JOIN deliveries d ON d.n = g.delivery
WHERE v.recipient = :recipient AND g.created >= :since ORDER BY g.created DESC LIMIT :most
"""


def search(database: Database, text: str, since: datetime | None) -> list[dict[str, Any]]:
    """Find deliveries.

    Args:
        database: where.
        text: an IP address, a finding's id, a mail address, an event's id, or a host name (its subdomains, too).
        since: leave out what was closed before.

    Returns:
        dicts with ``reference``, ``member``, ``delivery``, ``state``, ``mode``, ``created``; for findings also
        ``finding``, ``finding_state`` and ``event``; for an event one for each delivery, with ``outcome`` and
        ``reason``, also where nobody was told (``reference`` is "" then).
    """
    text = text.strip()
    from_ = micros(since) if since else 0
    with database.reading() as connection:
        if "@" in text:
            found = run(connection, _MAILED, recipient=text, since=from_, most=_MOST)
            return [_told(row) for row in found]
        numbers = _findings(connection, text)
        if numbers:
            return [
                {
                    **_told(row),
                    "finding": finding_text(row.finding),
                    "finding_state": _STATES[row.finding_state],
                    "event": row.id,
                }
                for row in select_in(connection, _LISTED, numbers[:_MOST], since=from_)
            ]
        return [_due(row) for row in select_in(connection, _DUES, [text])]


def _findings(connection: Connection, text: str) -> list[int]:
    address = packed_address(text)
    if address is not None:
        return list(run(connection, "SELECT n FROM findings WHERE address = :address", address=address).scalars())
    try:
        return [finding_number(text.lower())]
    except ValueError:
        pass
    host = text.lower().rstrip(".")
    found = run(
        connection,
        "SELECT n FROM findings WHERE host = :host OR host LIKE :below ESCAPE '!' LIMIT :most",
        host=host,
        below="%." + host.replace("!", "!!").replace("%", "!%").replace("_", "!_"),
        most=_MOST,
    )
    return list(found.scalars())


def _told(row: Any) -> dict[str, Any]:
    return {
        "reference": row.reference or "",
        "member": row.member,
        "delivery": row.delivery,
        "state": row.state or "",
        "mode": row.mode or "",
        "created": iso(moment(row.created)) if row.created is not None else "",
    }


def _due(row: Any) -> dict[str, Any]:
    return {
        **_told(row),
        "finding": finding_text(row.finding),
        "event": row.id,
        "outcome": _OUTCOMES[row.outcome],
        "reason": row.reason,
        "recorded": iso(moment(row.recorded)),
    }
