"""Digests of every kind in every language, with documentation addresses: what the golden mails are rendered from."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from cleanbots.clearinghouse.model import (
    Attachment,
    Contact,
    Customer,
    Delivery,
    Digest,
    Feed,
    Finding,
    Hub,
    Match,
    Member,
)

HUB = Hub(
    mode="live",
    name="Netwerk Meldpunt NL",
    mail="meldpunt@hub.example.net",
    reply_to="helpdesk@hub.example.net",
    bounces="bounces@hub.example.net",
    phone="+31 20 555 0199",
    privacy="https://hub.example.net/privacy",
    domain="hub.example.net",
    reference="MP",
    subject="[Meldpunt]",
)
DELIVERY = Delivery(
    id="daily",
    to=("desk",),
    format=("text", "html", "csv", "xarf"),
    tlp="AMBER",
    repeat={"vulnerable": 7 * 86400.0, "other": 86400.0},
)
MEMBER = Member(
    id="voorbeeldhost",
    name="Voorbeeld Hosting B.V.",
    state="live",
    contacts={
        "desk": Contact(id="desk", mail="abuse@voorbeeldhost.example"),
        "noc": Contact(id="noc", role="security", mail="noc@voorbeeldhost.example"),
    },
    deliveries={"daily": DELIVERY},
    asns=(64500,),
)
CLAIM = Match(member="voorbeeldhost", value="203.0.113.0/24", since="2019-05-01")
LANGUAGES = ("nl", "en", "nl+en")
KINDS = (
    "digest",
    "urgent",
    "test",
    "baseline",
    "empty",
    "correction",
    "dead-endpoint",
    "dead-contact",
    "operator",
)


def finding(number: int, state: str, match: Match = CLAIM, **fields: Any) -> Finding:
    """Make a finding; fields are the event's, with ``__`` for a dot."""
    event = {name.replace("__", "."): value for name, value in fields.items()}
    event = {"id": f"e-{number:06}", "feed.provider": "Shadowserver", "time_precision": "second", **event}
    seen = event.setdefault("time.source", "2026-11-20T03:00:00+00:00")
    return Finding(id=f"f-{number:06}", state=state, event=event, match=match, first_seen=seen, last_seen=seen)


def _vulnerable(number: int, ip: str, port: int, identifier: str, severity: str, time: str, **more: Any) -> Finding:
    return finding(
        number,
        more.pop("state", "new"),
        classification__type=more.pop("type", "vulnerable-system"),
        classification__identifier=identifier,
        severity=severity,
        source__ip=ip,
        source__port=port,
        port_is="service",
        protocol__transport=more.pop("transport", "tcp"),
        time__source=f"{time}+00:00",
        **more,
    )


def _infected(number: int, ip: str, port: int, time: str, match: Match = CLAIM) -> Finding:
    return finding(
        number,
        "new",
        match,
        classification__type="infected-system",
        classification__identifier="examplebot",
        malware__name="examplebot",
        severity="high",
        source__ip=ip,
        source__port=port,
        port_is="source",
        protocol__transport="tcp",
        time__source=f"{time}+00:00",
    )


FINDINGS = (
    _vulnerable(1, "203.0.113.25", 6379, "open-redis", "critical", "2026-11-19T23:14:07"),
    _vulnerable(2, "203.0.113.26", 6379, "open-redis", "critical", "2026-11-19T23:14:09"),
    _infected(3, "203.0.113.77", 51234, "2026-11-20T01:02:03", msgspec.structs.replace(CLAIM, shared_address=True)),
    _infected(4, "203.0.113.78", 40222, "2026-11-20T01:07:44"),
    _vulnerable(5, "203.0.113.53", 53, "dns-open-resolver", "medium", "2026-11-20T02:40:51", transport="udp"),
    _vulnerable(6, "203.0.113.12", 443, "ssl-poodle", "low", "2026-11-19T21:10:30", type="weak-crypto"),
    msgspec.structs.replace(
        _vulnerable(7, "203.0.113.91", 3389, "open-rdp", "high", "2026-11-20T03:05:10", state="back"),
        first_seen="2026-10-02T02:51:00+00:00",
        mentioned="MP-20261002-0007",
    ),
)
PHISHING = finding(
    8,
    "new",
    classification__type="phishing",
    severity="critical",
    source__ip="203.0.113.40",
    source__url="https://login.shop.example.org/verify",
    source__reverse_dns="shared7.voorbeeldhost.example",
    feed__provider="OpenPhish",
    time__source="2026-11-20T04:40:00+00:00",
)
CUSTOMER = Customer(ref="c-4711", mail="security@klant.example", desk="abuse@voorbeeldhost.example")
FEEDS = (
    Feed(provider="Shadowserver", last="2026-11-20T05:41:22+00:00"),
    Feed(provider="DIVD", last="2026-11-12T08:00:00+00:00", health="late"),
    Feed(provider="NCSC", last="2026-11-18T09:10:00+00:00", health="silent"),
)
DIGEST = Digest(
    reference="MP-20261120-0042",
    hub=HUB,
    member=MEMBER,
    delivery=DELIVERY,
    recipients=("abuse@voorbeeldhost.example",),
    period=("2026-11-19T06:30:00+00:00", "2026-11-20T06:30:00+00:00"),
    frozen="2026-11-20T06:30:04+00:00",
    findings=FINDINGS,
    still={"dns-open-resolver": (3, "2026-11-02T04:00:00+00:00")},
    suppressed={"filter": 14, "too_old": 1, "repeat": 3},
    elsewhere=({"reference": "MP-20261120-0017", "type": "phishing", "time": "2026-11-20T04:52:00+00:00"},),
    feeds=FEEDS,
    highest="critical",
    tlp="AMBER",
)
_NOTHING: dict[str, Any] = {"findings": (), "still": {}, "suppressed": {}, "elsewhere": (), "highest": ""}
_OF_KIND: dict[str, dict[str, Any]] = {
    "digest": {},
    "urgent": {**_NOTHING, "findings": (PHISHING,), "highest": "critical", "reference": "MP-20261120-0017"},
    "test": {**_NOTHING, "findings": (FINDINGS[0], FINDINGS[2], PHISHING), "highest": "critical", "test": True},
    "baseline": {"elsewhere": (), "still": {}, "suppressed": {}},
    "empty": {
        **_NOTHING,
        "still": {"dns-open-resolver": (3, "2026-11-02T04:00:00+00:00"), "proxy": (1, "2026-11-05T04:00:00+00:00")},
    },
    "correction": {
        **_NOTHING,
        "findings": FINDINGS[2:4],
        "text": "The sinkhole had a wrong clock: these two systems were seen in 2025.\n\nIts keeper has set it right.",
        "facts": {"corrects": "MP-20261119-0040"},
    },
    "dead-endpoint": {
        **_NOTHING,
        "facts": {
            "delivery": "hook",
            "url": "https://hooks.voorbeeldhost.example/abuse",
            "since": "2026-11-19T05:10:00+00:00",
            "answer": "HTTP 5xx",
            "waiting": "128",
            "until": "2026-12-03T05:10:00+00:00",
        },
    },
    "dead-contact": {
        **_NOTHING,
        "recipients": ("noc@voorbeeldhost.example",),
        "facts": {
            "address": "abuse@voorbeeldhost.example",
            "since": "2026-11-19T05:10:00+00:00",
            "answer": "550 5.1.1 no such mailbox",
        },
    },
    "operator": {
        **_NOTHING,
        "recipients": ("csirt@hub.example.net",),
        "text": "The digest of voorbeeldhost has 2310 new findings; its median is 41. Nothing was sent.",
        "facts": {
            "cause": "1 digest is held",
            "command": "cleanbots deliveries show MP-20261120-0042\ncleanbots deliveries approve MP-20261120-0042",
        },
    },
}


def digest_of(kind: str, language: str = "nl", **changes: Any) -> Digest:
    """Give the sample digest of a kind."""
    delivery = msgspec.structs.replace(DIGEST.delivery, language=language)
    return msgspec.structs.replace(DIGEST, kind=kind, delivery=delivery, **{**_OF_KIND[kind], **changes})


def attachments_of(digest: Digest) -> list[Attachment]:
    """Give small attachments as formats make them."""
    if digest.kind == "urgent":
        report = {"xarf_version": "4.2.0", "category": "content", "type": "phishing"}
        data = json.dumps(report).encode()
        return [Attachment(name="xarf.json", content_type="application/json", data=data, rows=1)]
    if digest.kind not in {"digest", "baseline", "test"}:
        return []
    rows = [f"{each.state},{each.event['source.ip']},{each.id}\r\n" for each in digest.findings]
    lines = [f'{{"source_identifier":"{each.event["source.ip"]}"}}\n' for each in digest.findings[1:]]
    return [
        Attachment(
            name=f"{digest.reference}.csv",
            content_type="text/csv; charset=utf-8",
            data="".join(["state,ip,finding_id\r\n", *rows]).encode(),
            rows=len(rows),
        ),
        Attachment(
            name=f"{digest.reference}.xarf.jsonl",
            content_type="application/x-ndjson",
            data="".join(lines).encode(),
            rows=len(lines),
            unexpressed=1,
        ),
    ]


def golden() -> Iterator[tuple[str, Digest]]:
    """Give name and digest of every golden mail."""
    for kind in KINDS:
        for language in LANGUAGES:
            yield f"{kind}.{language}", digest_of(kind, language)
    for language in LANGUAGES[:2]:
        recipients = (HUB.test_to or "csirt-test@hub.example.net",)
        yield f"digest-in-test-mode.{language}", digest_of("digest", language, test=True, recipients=recipients)
        yield f"digest-sent-again.{language}", digest_of("digest", language, resend=1)
        yield f"digest-to-customer.{language}", to_customer(language)


def to_customer(language: str) -> Digest:
    """Give the sample digest of a member's customer."""
    sample = digest_of("digest", language, recipients=(CUSTOMER.mail,), findings=FINDINGS[2:4], highest="high")
    delivery = msgspec.structs.replace(sample.delivery, id=f"daily/{CUSTOMER.ref}", to=(), customer=CUSTOMER)
    return msgspec.structs.replace(sample, delivery=delivery, still={}, elsewhere=(), feeds=())
