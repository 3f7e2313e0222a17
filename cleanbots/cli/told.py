"""Who was told of a finding or an event, or by a delivery: in which mails, and by which events."""

import re
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from ..clock import iso
from ..config.model import Settings
from .standing import opened

if TYPE_CHECKING:
    from ..clearinghouse.store.protocol import Store

_FINDING = re.compile(r"f-[a-z0-9]+", re.IGNORECASE | re.ASCII)
_REFERENCE = re.compile(r"[A-Z][A-Z0-9]{0,7}-[0-9]{8}-[0-9]{4,}", re.IGNORECASE | re.ASCII)
_MOST = 1000


class Telling(msgspec.Struct):
    """One delivery of what is asked about.

    Args:
        reference: "" if it is not in any delivery: still owed, or left out.
        member, delivery: whose.
        state: of the delivery.
        why: why the delivery is held, or "".
        mode: in which it was made.
        created: when it was closed.
        outcome: of an event: ``owed``, ``mentioned``, ``suppressed``, ``still`` or ``dropped``.
        reason: why that outcome, or "".
        findings: ids of those that it lists, of what is asked about.
        events: ids of the events that it lists them by.
        mails: recipients, each with ``state``, ``attempts`` and the last ``answer``.
    """

    reference: str
    member: str
    delivery: str
    state: str
    why: str = ""
    mode: str = ""
    created: str = ""
    outcome: str = ""
    reason: str = ""
    findings: list[str] = []
    events: list[str] = []
    mails: list[dict[str, object]] = []


def is_told_of(text: str) -> bool:
    """Tell whether *text* names a finding or a delivery, not an event or a report."""
    return bool(_FINDING.fullmatch(text) or _REFERENCE.fullmatch(text))


def told(settings: Settings, what: str) -> list[Telling]:
    """Tell which deliveries mention *what*: a finding's id, an event's id, or the reference of a delivery itself.

    Raises:
        Retry: if the store can't be used for now.
    """
    with opened(settings) as store:
        if store is None:
            return []
        if _REFERENCE.fullmatch(what):
            return _itself(store, what.upper())
        found: dict[tuple[str, str, str], Telling] = {}
        for hit in store.search(what):
            key = (hit["reference"], hit["member"], hit["delivery"])
            if key not in found:
                found[key] = Telling(
                    **{name: hit.get(name, "") for name in ("reference", "member", "delivery", "state", "mode")},
                    created=hit["created"],
                    outcome=hit.get("outcome", ""),
                    reason=hit.get("reason", ""),
                )
            telling = found[key]
            if hit["finding"] not in telling.findings:
                telling.findings.append(hit["finding"])
            if hit["event"] not in telling.events:
                telling.events.append(hit["event"])
        for telling in found.values():
            row = store.row(telling.reference) if telling.reference else None
            if row is not None:
                telling.why, telling.mails = row.why, row.messages
        return list(found.values())


def _itself(store: "Store", reference: str) -> list[Telling]:
    row = store.row(reference)
    if row is None:
        return []
    listed = list(islice(store.closed(reference).findings, _MOST))
    return [
        Telling(
            reference=row.reference,
            member=row.member,
            delivery=row.delivery,
            state=row.state,
            why=row.why,
            mode=row.mode,
            created=iso(row.created),
            findings=[finding.id for finding in listed],
            events=[str(finding.event.get("id", "")) for finding in listed],
            mails=row.messages,
        )
    ]
