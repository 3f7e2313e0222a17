"""From a frozen delivery to the bodies that its endpoint gets; the same digest always gives the same bytes."""

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from ..formats.finding import finding_object, may_leave, utc
from ..model import STATES, Delivery, Digest, Finding, FindingState, Message

PAGE_FINDINGS = 100
PAGE_BYTES = 256 * 2**10
PING, DIGEST = "test.ping", "digest.sent"
FINDINGS = ("finding.new", "finding.back", "finding.still", "finding.gone")
EVENTS = (*FINDINGS, DIGEST, PING)
"""The types of messages; a delivery's ``events`` chooses among them."""

_TOLD = frozenset({"digest", "urgent", "baseline", "empty", "test"})
_ALWAYS_COUNTED = ("tlp", "filter", "too_old", "repeat")
_PLAIN_ID = re.compile(r"[A-Za-z0-9-]{1,100}")
_DOTTED_ID = re.compile(r"[A-Za-z0-9.-]{1,100}")

encode = msgspec.json.Encoder().encode


def render_webhook(digest: Digest) -> list[Message]:
    """Render the bodies for the endpoint of a webhook's delivery.

    An immediate delivery sends one ``finding.<state>`` per finding, any other sends ``digest.sent`` in pages; what the
    delivery's ``events`` doesn't name is left out. A digest of kind ``test`` begins with ``test.ping``. Kinds that are
    letters to people (corrections, dead endpoints and contacts, the operator's) have no message. Findings above the
    delivery's TLP ceiling are left out, should any have come this far.

    Args:
        digest: closed and frozen; its recipients are the endpoint's URL.
    """
    if digest.kind not in _TOLD:
        return []
    told = tuple(finding for finding in digest.findings if may_leave(digest, finding))
    bodies = list(_bodies(msgspec.structs.replace(digest, findings=told)))
    return [
        Message(id=identifier, recipient=url, data=body, secrets=digest.delivery.secrets)
        for url in digest.recipients
        for identifier, body in bodies
    ]


def tells(delivery: Delivery) -> frozenset[FindingState]:
    """Give the states in which a listed finding makes a message of a delivery: its ``events`` decide."""
    if not delivery.events or _paged(delivery):
        return frozenset(STATES)
    return frozenset(state for state in STATES if f"finding.{state}" in delivery.events)


def webhook_id(event_id: str) -> str:
    """Give a ``webhook-id`` for an event's id: one to one, without dots (they separate what is signed)."""
    if _PLAIN_ID.fullmatch(event_id):
        return event_id
    if _DOTTED_ID.fullmatch(event_id):
        return event_id.replace(".", "_")
    return f"e_{blake2b(event_id.encode(), digest_size=16).hexdigest()}"


def _bodies(digest: Digest) -> Iterator[tuple[str, bytes]]:
    if digest.kind == "test":
        yield f"{digest.reference}-ping", encode(_envelope(digest, PING, "ping-1", {}))
    if _paged(digest.delivery):
        yield from _pages(digest)
        return
    wanted = set(digest.delivery.events) or set(FINDINGS)
    for finding in digest.findings:
        kind = f"finding.{finding.state}"
        if kind in wanted:
            body = {"finding": finding_object(digest, finding)}
            yield webhook_id(str(finding.event["id"])), encode(_envelope(digest, kind, "finding-1", body))


def _paged(delivery: Delivery) -> bool:
    wanted, immediate = delivery.events, delivery.when == "immediately"
    if not wanted:
        return not immediate
    return DIGEST in wanted and not (immediate and any(kind in wanted for kind in FINDINGS))


def _pages(digest: Digest) -> Iterator[tuple[str, bytes]]:
    """Fill pages with as many findings as fit, so that receivers may limit what they accept."""
    rendered = [_fitting(digest, finding) for finding in digest.findings]
    pages = list(_cut(rendered, PAGE_BYTES - len(_page(digest, 9999, 9999, ()))))
    part = f"{digest.part}" if digest.parts > 1 else ""
    for number, page in enumerate(pages, 1):
        yield f"{digest.reference}-{part}p{number}", _page(digest, number, len(pages), page)


def _fitting(digest: Digest, finding: Finding) -> msgspec.Raw:
    """Render a finding; an original row that would fill a page by itself is left out of it."""
    made = finding_object(digest, finding)
    data = encode(made)
    if len(data) > PAGE_BYTES // 4:
        data = encode({**made, "original": None})
    return msgspec.Raw(data)


def _cut(rendered: Sequence[msgspec.Raw], room: int) -> Iterator[list[msgspec.Raw]]:
    page: list[msgspec.Raw] = []
    used = 0
    for raw in rendered:
        length = len(memoryview(raw)) + 1
        if page and (len(page) == PAGE_FINDINGS or used + length > room):
            yield page
            page, used = [], 0
        page.append(raw)
        used += length
    yield page


def _page(digest: Digest, number: int, pages: int, findings: Sequence[msgspec.Raw]) -> bytes:
    body = {
        "reference": digest.reference,
        "period": {"from": utc(digest.period[0]), "until": utc(digest.period[1])},
        "page": number,
        "pages": pages,
        "counts": _counts(digest),
        "highest": digest.highest or None,
        "tlp": _label(digest.tlp),
        "feeds": [{"provider": feed.provider, "last": utc(feed.last), "health": feed.health} for feed in digest.feeds],
        "findings": findings,
    }
    return encode(_envelope(digest, DIGEST, "digest-1", body))


def _envelope(digest: Digest, kind: str, schema: str, body: dict[str, Any]) -> dict[str, Any]:
    hub = digest.hub.domain
    data = {
        "hub": hub,
        "member": digest.member.id,
        "delivery": digest.delivery.id,
        "test": digest.test or digest.kind == "test",
        "schema": f"https://{hub}/schema/{schema}.json",
        **body,
    }
    return {"type": kind, "timestamp": utc(digest.frozen), "data": data}


def _counts(digest: Digest) -> dict[str, Any]:
    only_counted = sum(number for number, _ in digest.still.values())
    suppressed = {"repeat": only_counted, **digest.suppressed}
    return {
        "new": _number(digest, "new"),
        "back": _number(digest, "back"),
        "still": _number(digest, "still") + only_counted,
        "gone": 0,
        "suppressed": {
            reason: suppressed.get(reason, 0) for reason in dict.fromkeys((*_ALWAYS_COUNTED, *sorted(suppressed)))
        },
    }


def _number(digest: Digest, state: str) -> int:
    return sum(finding.state == state for finding in digest.findings)


def _label(tlp: str) -> str:
    return tlp if tlp.startswith("TLP:") else f"TLP:{tlp}"
