"""A made-up hub for the audit of deliveries: members on documentation addresses, and what notifiers say of them.

It imports nothing of the project: what is expected of deliveries must not come from the code that makes them.
"""

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 11, 2, tzinfo=UTC)
RECORDED_AT = ((1, 0), (5, 40), (10, 0), (16, 0), (22, 0))
"""Hours and minutes (UTC) at which events are recorded each day."""
TICKS = ((1, 30), (5, 50), (7, 0), (8, 30), (10, 30), (12, 0), (16, 30), (22, 30))
"""When the couriers look for what to do; at noon an operator approves first."""
TESTERS = "testers@hub.example.net"

_IDENTIFIERS = ("open-redis", "open-rdp", "dns-open-resolver")
_LABELS = ("CLEAR", "GREEN", "AMBER", "AMBER", "AMBER", "AMBER", "AMBER", "AMBER+STRICT", "AMBER+STRICT", "RED", None)
_NOBODYS = "2001:db8:fff0::"


@dataclass(frozen=True)
class Size:
    """How big a world is, and how bad its mail server.

    Args:
        members, days, rows: how much of it there is.
        kills: how many processes are killed in it.
        transient, hang, cut: the share of attempts that end so.
    """

    members: int
    days: int
    rows: int
    kills: int
    transient: float = 0.0
    hang: float = 0.0
    cut: float = 0.0

    @property
    def turning(self) -> datetime:
        """When endpoints that are to fail begin to."""
        return START + timedelta(days=self.days // 3, hours=6)


def make(folder: Path, size: Size, seed: int, hooks: int, smtp: int) -> None:
    """Write ``cleanbots.yaml``, ``members.yaml``, ``events.jsonl`` and ``plan.json`` into *folder*.

    Args:
        folder: where to.
        size: how much.
        seed: of all that is left to chance.
        hooks: port of the endpoints of webhooks, on the loopback.
        smtp: port of the mail server.
    """
    chance = random.Random(seed)
    members = [_member(number, size, hooks) for number in range(size.members)]
    (folder / "members.yaml").write_text(json.dumps({"members": members}, indent=1))
    # By the simulated clock it must not look as if it had changed just now, or in the future.
    os.utime(folder / "members.yaml", (START.timestamp() - 86400,) * 2)
    # Without testers for webhooks, those of a member that is tested are previews.
    tested = seed % 2 == 0
    test_url = f"test_url: http://127.0.0.1:{hooks}/testers" if tested else ""
    config = _CONFIG.replace("SMTP", str(smtp)).replace("TEST_URL", test_url)
    (folder / "cleanbots.yaml").write_text(config)
    plan = list(_plan(size))
    starts: dict[int, int] = {}
    with (folder / "events.jsonl").open("w") as file:
        for event in _events(chance, size, [each for each in plan if each["do"] == "record"]):
            starts.setdefault(event["batch"], file.tell())
            file.write(json.dumps(event) + "\n")
    said = {
        "phases": plan,
        "starts": starts,
        "unapproved": _unapproved(size),
        "kills": size.kills,
        "tested": tested,
    }
    (folder / "plan.json").write_text(json.dumps(said))


_CONFIG = f"""
name: audit
state: state
members: members.yaml
delivery:
  mode: live
  test_to: {TESTERS}
  TEST_URL
  from: {{mail: hub@hub.example.net, name: Meldpunt}}
  operator: operator@hub.example.net
  bounces: bounces@hub.example.net
  reference: MP
  approve: {{members_at_once: 50}}
  couriers:
    mail: {{host: 127.0.0.1, port: SMTP, timeout: 5s}}
    webhook: {{allow: ["127.0.0.1/32"], timeout: 5s}}
bots:
  inbox: {{use: collector/file, every: 1m, params: {{path: inbox}}, to: rows}}
  rows: {{use: parser/csv, params: {{columns: {{address: source.ip}}}}, to: members}}
  members: {{use: expert/constituency, to: {{default: record, unmatched: rest, ambiguous: rest, guarded: rest, excluded: rest}}}}
  record: {{use: output/members}}
  rest: {{use: output/file, params: {{path: rest.jsonl}}}}
"""


def _unapproved(size: Size) -> str:
    return f"m{size.members - 3:03}"


def _member(number: int, size: Size, port: int) -> dict[str, Any]:
    id_ = f"m{number:03}"
    networks: list[dict[str, Any]] = [{"prefix": f"2001:db8:{number:x}::/48"}]
    last = size.members - number
    if number % 11 == 5 and last > 3:
        networks[0]["until"] = (START + timedelta(days=3)).date().isoformat()
    if number % 10 == 1:
        networks.append({"prefix": f"2001:db8:{number - 1:x}:8000::/49"})
    if number < 24:
        block = ("192.0.2", "198.51.100", "203.0.113")[number % 3]
        networks.append({"prefix": f"{block}.{number // 3 * 32}/27"})
    resources: dict[str, Any] = {"networks": networks}
    if number % 7 == 3:
        resources["exclude"] = [{"prefix": f"2001:db8:{number:x}:dead::/64"}]
    if number % 5 == 0:
        resources["domains"] = [{"suffix": f"{id_}.example"}]
    if number < 12:
        resources["asns"] = [{"asn": 64496 + number}]
    relay = number == 4
    if relay:
        resources = {"networks": [{"prefix": "2001:db8::/47"}]}
    return {
        "id": id_,
        "name": f"Member {number}",
        "kind": "relay" if relay else "provider",
        "state": {1: "paused", 2: "test"}.get(last, "invited" if number % 20 == 13 else "live"),
        "language": ("nl", "en", "nl+en")[number % 3],
        "tlp": "AMBER" if number % 3 == 0 else "AMBER+STRICT",
        "resources": resources,
        "contacts": [
            {"id": "desk", "mail": f"{_desk(number)}@{id_}.example"},
            {"id": "noc", "mail": f"noc@{id_}.example"},
        ],
        "deliveries": list(_deliveries(number, port)),
    }


def _desk(number: int) -> str:
    """Give the mailbox of a member's desk: of three in twenty it is gone."""
    return "gone" if number % 20 in (6, 7, 8) else "desk"


def _deliveries(number: int, port: int) -> Iterator[dict[str, Any]]:
    """Give what a member wants; where its desk is gone there is a second contact, one to fall back on, or none."""
    data = "jsonl" if number % 4 == 1 else "csv"
    daily: dict[str, Any] = {"id": "daily", "to": ["desk"], "format": ["text", data], "when": "daily 07:30"}
    instead: dict[str, Any] = {6: {"fallback": ["noc"]}, 7: {"to": ["desk", "noc"]}}.get(number % 20, {})
    if number % 20 == 0:
        daily["also"] = ["inform"]
    yield {**daily, **instead, "except": ["urgent"]}
    urgent = {"id": "urgent", "to": ["desk"], "format": ["text", "csv"], "when": "immediately"}
    yield {**urgent, **instead, "filter": "priority == 'urgent'"}
    if number % 3 == 0:
        when = "immediately" if number % 2 else "daily 09:00"
        kind = {12: "/gone", 15: "/dead", 3: "/slow"}.get(number % 20, "")
        url = f"http://127.0.0.1:{port}/m{number:03}{kind}"
        hook = {"id": "hook", "channel": "webhook", "url": url, "when": when, "on_dead": "desk"}
        yield {**hook, "secrets": ["${env:AUDIT_HOOK}"]}


def _plan(size: Size) -> Iterator[dict[str, Any]]:
    """Give what happens when: batches of events are recorded, and couriers work; two quiet days follow."""
    batches = 0
    for day in range(size.days + 2):
        moments = [(*at, "tick") for at in TICKS]
        moments += [(*at, "record") for at in RECORDED_AT if day < size.days]
        for hour, minute, do in sorted(moments):
            at = START + timedelta(days=day, hours=hour, minutes=minute)
            yield {"do": do, "at": at.isoformat(), "batch": batches if do == "record" else -1}
            batches += do == "record"


def _events(chance: random.Random, size: Size, batches: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give events in the order of their batches; some come again under their own id, in a later batch."""
    again: list[dict[str, Any]] = []
    number = 0
    for batch in batches:
        for repeated in again:
            yield {**repeated, "batch": batch["batch"]}
        again = []
        while number < size.rows * (batch["batch"] + 1) // len(batches):
            event = {"batch": batch["batch"], "recorded": batch["at"], **_event(chance, size, number, batch["at"])}
            number += 1
            yield event
            if chance.random() < 0.03:
                again.append(event)


def _event(chance: random.Random, size: Size, number: int, recorded: str) -> dict[str, Any]:
    now = datetime.fromisoformat(recorded)
    age = timedelta(days=12) if chance.random() < 0.03 else timedelta(seconds=chance.randrange(5 * 3600))
    fields = {
        "id": f"r{number // 1000:04d}-{number % 1000}",
        "time.source": (now - age).isoformat(),
        "time.observation": recorded,
        "feed.provider": "Example",
        "severity": chance.choice(("critical", "high", "medium", "low")),
        **_asset(chance, size),
        **chance.choice((_open_service, _open_service, _open_service, _infected, _phishing))(chance, size),
    }
    label = chance.choice(_LABELS)
    if label is not None:
        fields["tlp"] = label
    if chance.random() < 0.03:
        fields["kind"] = "inventory"
    return {"fields": fields}


def _asset(chance: random.Random, size: Size) -> dict[str, Any]:
    """Choose one of few hosts of a member, so that most findings are seen again; some lie where nobody claims."""
    kind, host = chance.random(), chance.randrange(1, 7)
    if kind < 0.03:
        return {"source.ip": f"{_NOBODYS}{host}"}
    if kind < 0.06:
        return {"source.ip": f"{_NOBODYS}{host}", "source.asn": 64496 + chance.randrange(min(12, size.members))}
    member = min(int(chance.expovariate(4 / size.members)), size.members - 1)
    if kind < 0.2 and member < 24:
        block = ("192.0.2", "198.51.100", "203.0.113")[member % 3]
        return {"source.ip": f"{block}.{member // 3 * 32 + host}"}
    subnet = {0: ":8000", 1: ":dead"}.get(chance.randrange(8), "")
    return {"source.ip": f"2001:db8:{member:x}{subnet}::{host}" if member or subnet else f"2001:db8::{host}"}


def _open_service(chance: random.Random, size: Size) -> dict[str, Any]:
    return {
        "classification.taxonomy": "vulnerable",
        "classification.type": "vulnerable-system",
        "classification.identifier": chance.choice(_IDENTIFIERS),
        "source.port": chance.choice((6379, 3389)),
        "port_is": "service",
        "protocol.transport": "tcp",
    }


def _infected(chance: random.Random, size: Size) -> dict[str, Any]:
    return {
        "classification.taxonomy": "malicious-code",
        "classification.type": "infected-system",
        "malware.name": "examplebot",
        "source.port": chance.randrange(1024, 65536),
        "port_is": "source",
        "protocol.transport": "tcp",
    }


def _phishing(chance: random.Random, size: Size) -> dict[str, Any]:
    host = f"shop.m{chance.randrange(size.members):03}.example"
    return {
        "classification.taxonomy": "fraud",
        "classification.type": "phishing",
        "source.url": f"https://{host}/login{chance.randrange(3)}",
        "priority": chance.choice(("urgent", "urgent", "normal")),
    }
