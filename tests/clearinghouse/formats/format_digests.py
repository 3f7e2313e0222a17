"""Digests of documentation data, and XARF's own schemas, for the tests of the formats."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from referencing import Registry, Resource

from cleanbots.clearinghouse.model import Delivery, Digest, Finding, Hub, Match, Member

HUB = Hub(name="Meldpunt", mail="meldpunt@hub.example.net", domain="hub.example.net")
HEADER = '"timestamp","ip","port","protocol","version"\r\n'
ROW = '"2026-11-19 23:14:07","203.0.113.25",6379,"tcp","6.0.16"\r\n'

REDIS: dict[str, Any] = {
    "id": "abcdefgh12345678-117",
    "classification.identifier": "open-redis",
    "classification.taxonomy": "vulnerable",
    "classification.type": "vulnerable-system",
    "feed.code": "scan_redis",
    "feed.name": "Open-Redis",
    "feed.provider": "Shadowserver",
    "port_is": "service",
    "protocol.application": "redis",
    "protocol.transport": "tcp",
    "severity": "critical",
    "source.asn": 64500,
    "source.ip": "203.0.113.25",
    "source.port": 6379,
    "source.reverse_dns": "vps25.example.net",
    "time.observation": "2026-11-20T05:41:22+00:00",
    "time.source": "2026-11-19T23:14:07+00:00",
    "tlp": "AMBER",
}
"""The canonical fields of an open Redis."""


def finding(event: dict[str, Any] | None = None, *, without: tuple[str, ...] = (), **facts: Any) -> Finding:
    """Make a finding: an open Redis, with other fields, without some, and with other facts about it."""
    fields = {name: value for name, value in {**REDIS, **(event or {})}.items() if name not in without}
    defaults: dict[str, Any] = {
        "id": "f-3kq9zt",
        "state": "new",
        "match": Match(member="voorbeeldhost", value="203.0.113.0/24", since="2019-05-01"),
        "first_seen": "2026-11-19T23:14:07+00:00",
        "last_seen": "2026-11-19T23:14:07+00:00",
        "original": HEADER + ROW,
        "report": "2026-11-19-scan_redis-nl-geo.csv",
    }
    return Finding(event=fields, **{**defaults, **facts})


def digest(*findings: Finding, delivery: dict[str, Any] | None = None, **facts: Any) -> Digest:
    """Make a digest of findings for a member that may see TLP:AMBER."""
    defaults: dict[str, Any] = {
        "reference": "MP-20261120-0042",
        "hub": HUB,
        "member": Member(id="voorbeeldhost", name="Voorbeeld Hosting B.V."),
        "delivery": Delivery(id="daily", **{"tlp": "AMBER", **(delivery or {})}),
        "recipients": ("abuse@voorbeeldhost.example",),
        "period": ("2026-11-19T06:30:00+00:00", "2026-11-20T06:30:00+00:00"),
        "frozen": "2026-11-20T06:30:04+00:00",
    }
    return Digest(findings=findings, **{**defaults, **facts})


def changed(match: Finding, **facts: Any) -> Finding:
    """Give a finding with another match."""
    return msgspec.structs.replace(match, match=msgspec.structs.replace(match.match, **facts))


@cache
def referee() -> jsonschema.Draft202012Validator:
    """Give the validator of XARF's own master schema; skips without the package that has it."""
    spec = find_spec("xarf")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package xarf, which has the specification's schemas, is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "schemas"
    schemas = [json.loads(path.read_text()) for path in folder.rglob("*.json")]
    registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas)
    master = json.loads((folder / "xarf-v4-master.json").read_text())
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(master, registry=registry, format_checker=checker)
