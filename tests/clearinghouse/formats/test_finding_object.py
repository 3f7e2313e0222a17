"""Tests of the finding object and of ``jsonl``, which writes it."""

import json

from format_digests import changed, digest, finding

from cleanbots.clearinghouse.formats import finding_object
from cleanbots.clearinghouse.formats.jsonl import JsonLines


def test_finding_object_has_all_that_the_webhook_promises():
    """The object is the contract of webhook and jsonl; keys may be added, none may go."""
    made = finding(
        {"event_description.url": "https://example.org/advice", "product.vulnerabilities": ["CVE-2026-12345"]}
    )
    found = finding_object(digest(made), made)

    title = found["what"].pop("title")
    assert title.startswith("Redis")
    assert found == {
        "id": "f-3kq9zt",
        "event_id": "abcdefgh12345678-117",
        "state": "new",
        "severity": "critical",
        "priority": "normal",
        "kind": "finding",
        "classification": {"taxonomy": "vulnerable", "type": "vulnerable-system", "identifier": "open-redis"},
        "asset": {
            "ip": "203.0.113.25",
            "port": 6379,
            "port_is": "service",
            "transport": "tcp",
            "hostname": "vps25.example.net",
            "asn": 64500,
            "url": None,
            "shared_address": False,
        },
        "time": {
            "observed": "2026-11-19T23:14:07Z",
            "precision": "second",
            "first_seen": "2026-11-19T23:14:07Z",
            "last_seen": "2026-11-19T23:14:07Z",
            "times_seen": 1,
            "received": "2026-11-20T05:41:22Z",
        },
        "what": {"advice": "https://example.org/advice", "cve": ["CVE-2026-12345"], "malware": None},
        "why": {"role": "act", "by": "prefix", "value": "203.0.113.0/24", "since": "2019-05-01", "customer_ref": None},
        "source": {
            "notifier": "Shadowserver",
            "feed": "Open-Redis",
            "report": "2026-11-19-scan_redis-nl-geo.csv",
            "documentation": None,
        },
        "tlp": "TLP:AMBER",
        "share_with_customer": True,
        "original": {
            "timestamp": "2026-11-19 23:14:07",
            "ip": "203.0.113.25",
            "port": "6379",
            "protocol": "tcp",
            "version": "6.0.16",
        },
    }


def test_bare_finding_has_every_key():
    """What is not known is null, lists are empty, and nothing is left out; an unlabelled finding is AMBER+STRICT."""
    bare = finding(original="", report="", without=tuple(finding().event))
    full, found = finding_object(digest(finding()), finding()), finding_object(digest(bare), bare)

    assert {name: set(value) for name, value in found.items() if isinstance(value, dict)} == {
        name: set(value) for name, value in full.items() if isinstance(value, dict) and name != "original"
    }
    assert list(found) == list(full)
    assert found["what"]["cve"] == []
    assert found["asset"]["ip"] is found["original"] is None
    assert (found["tlp"], found["share_with_customer"]) == ("TLP:AMBER+STRICT", False)


def test_title_is_in_the_language_of_the_delivery():
    """A delivery in two languages has the title in both."""
    titles = [
        finding_object(digest(finding(), delivery={"language": language}), finding())["what"]["title"]
        for language in ("nl", "en", "nl+en")
    ]

    assert titles[0] != titles[1]
    assert titles[2] == f"{titles[0]} / {titles[1]}"


def test_json_lines_are_finding_objects():
    """Each line of ``jsonl`` is the object that a webhook would send, exact and in order."""
    made = digest(finding({"malware.name": "=cmd"}), changed(finding(state="back"), shared_address=True))

    (file,) = JsonLines().render(made)

    assert (file.name, file.rows) == ("MP-20261120-0042.jsonl", 2)
    assert [json.loads(line) for line in file.data.splitlines()] == [
        finding_object(made, each) for each in made.findings
    ]
