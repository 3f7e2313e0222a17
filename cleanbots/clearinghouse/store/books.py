"""The books: each matched event in exactly one place, with its reason."""

from datetime import datetime
from typing import Any

from .database import Database, micros, run
from .recording import DROPPED, MENTIONED, OWED, STILL, SUPPRESSED

_LATEST = 2**62

_DUES = """
SELECT n.member, n.delivery, d.outcome, d.reason, g.state, COUNT(*) AS number
FROM dues d JOIN deliveries n ON n.n = d.delivery LEFT JOIN digests g ON g.n = d.digest
WHERE d.recorded >= :since AND d.recorded < :until
GROUP BY n.member, n.delivery, d.outcome, d.reason, g.state ORDER BY n.member, n.delivery
"""

_NOBODY = """
SELECT name, SUM(count) AS number FROM (
    SELECT name, count FROM tallies WHERE day >= :first AND day <= :last
    UNION ALL SELECT why AS name, COUNT(*) AS count FROM nobody WHERE recorded >= :since AND recorded < :until GROUP BY why
) t GROUP BY name
"""


def balance(database: Database, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    """Give the books of what was recorded in a period.

    Returns:
        ``events``: how many concern a member (``matched``), and how many nobody, by verdict. ``deliveries``: for each
        member and delivery ``matched`` and where these events are: ``mentioned``, ``still``, ``held``, ``owed``,
        ``changed_holder``, ``suppressed`` and ``given_up`` (both by reason).
    """
    period = {"since": micros(since) if since else 0, "until": micros(until) if until else _LATEST}
    days = {
        "first": f"{since:%Y-%m-%d}" if since else "",
        "last": f"{until:%Y-%m-%d}" if until else "9999-12-31",
    }
    books: dict[tuple[str, str], dict[str, Any]] = {}
    with database.reading() as connection:
        matched = run(
            connection, "SELECT COUNT(*) FROM events WHERE recorded >= :since AND recorded < :until", **period
        ).scalar_one()
        nobody = {row.name: int(row.number) for row in run(connection, _NOBODY, **period, **days)}
        for row in run(connection, _DUES, **period):
            book = books.setdefault((row.member, row.delivery), _book(row.member, row.delivery))
            book["matched"] += row.number
            place, reason = _place(row.outcome, row.reason, row.state)
            if reason:
                book[place][reason] = book[place].get(reason, 0) + row.number
            else:
                book[place] += row.number
    return {"events": {"matched": matched, **nobody}, "deliveries": list(books.values())}


def _book(member: str, delivery: str) -> dict[str, Any]:
    return {
        "member": member,
        "delivery": delivery,
        "matched": 0,
        "mentioned": 0,
        "still": 0,
        "held": 0,
        "owed": 0,
        "changed_holder": 0,
        "suppressed": {},
        "given_up": {},
    }


def _place(outcome: int, reason: str, state: str | None) -> tuple[str, str]:
    if outcome == OWED:
        return "owed", ""
    if outcome == SUPPRESSED:
        return "suppressed", reason
    if outcome == DROPPED:
        return ("changed_holder", "") if reason == "changed-holder" else ("given_up", reason)
    if state == "held":
        return "held", ""
    if state == "expired":
        return "given_up", "expired"
    return {MENTIONED: "mentioned", STILL: "still"}[outcome], ""
