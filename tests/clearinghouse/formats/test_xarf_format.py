"""Tests of ``xarf``; the specification's own JSON Schemas (of the package ``xarf``) are the referee."""

import base64
import hashlib
import json
from uuid import UUID

import pytest
from format_digests import HEADER, HUB, ROW, digest, finding, referee
from hypothesis import given
from hypothesis import strategies as st

from cleanbots.clearinghouse.formats.xarf import OUTBOUND, Xarf, report
from cleanbots.clearinghouse.formats.xarf_shapes import fault
from cleanbots.harmonization.taxonomy import rsit

NEVER = {
    *("violence", "harmful-speech", "sniffing", "burglary", "sabotage", "outage", "data-loss"),
    *("unauthorised-information-access", "unauthorised-information-modification", "unauthorised-use-of-resources"),
    *("other", "undetermined", "dga-domain", "malware", "proxy", "tor", "test"),
}

FULL = {
    "destination.fqdn": "sinkhole.example.org",
    "destination.port": 22,
    "event_description.target": "Example Bank",
    "event_description.text": "Connected to a sinkhole.",
    "feed.accuracy": 95.0,
    "malware.hash.sha256": "0" * 64,
    "malware.name": "examplebot",
    "port_is": "source",
    "product.vulnerabilities": ["CVE-2026-12345", "ghsa-xxxx"],
    "source.account": "someone@example.net",
    "source.fqdn": "www.example.net",
    "source.url": "http://www.example.net/a?b=c|d#é",
}
"""Fields that let every type be expressed that XARF has."""


def reports(made):
    """Render a digest as XARF; give its reports."""
    return [json.loads(line) for file in Xarf().render(made) for line in file.data.splitlines()]


def test_every_type_is_decided():
    """Each RSIT type has its place in the outbound table; a new one must be decided."""
    assert set(OUTBOUND) == set(rsit().types)
    assert {kind for kind, express in OUTBOUND.items() if express is None} == NEVER


@pytest.mark.parametrize("kind", sorted(set(OUTBOUND) - NEVER))
def test_each_type_is_valid_xarf(kind):
    """A complete finding of each type that XARF can say is a valid report by the specification."""
    (found,) = reports(digest(finding({**FULL, "classification.type": kind})))

    referee().validate(found)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("vulnerable-system", ("vulnerability", "cve")),
        ("ddos-amplifier", ("vulnerability", "open_service")),
        ("weak-crypto", ("vulnerability", "misconfiguration")),
        ("infected-system", ("infrastructure", "botnet")),
        ("c2-server", ("infrastructure", "compromised_server")),
        ("phishing", ("content", "phishing")),
        ("malware-configuration", ("content", "malware")),
        ("masquerade", ("content", "fraud")),
        ("data-leak", ("content", "exposed_data")),
        ("brute-force", ("connection", "login_attack")),
        ("scanner", ("connection", "port_scan")),
        ("dos", ("connection", "ddos")),
        ("exploit", ("connection", "vulnerability_scan")),
        ("spam", ("messaging", "spam")),
        ("copyright", ("copyright", "copyright")),
        ("blacklist", ("reputation", "blocklist")),
    ],
)
def test_type_becomes_category_and_type(kind, expected):
    """The outbound table says what each type is in XARF."""
    (found,) = reports(digest(finding({**FULL, "classification.type": kind})))

    assert (found["category"], found["type"]) == expected


@pytest.mark.parametrize(
    ("kind", "without"),
    [
        ("vulnerable-system", ("source.port",)),
        ("ddos-amplifier", ("protocol.application", "classification.identifier")),
        ("infected-system", ("event_description.text", "feed.name", "classification.identifier")),
        ("phishing", ("source.url",)),
        ("data-leak", ("source.url",)),
        ("brute-force", ("source.port",)),
        ("scanner", ("protocol.transport",)),
        ("ddos", ("source.ip",)),
        ("copyright", ("source.url",)),
        ("c2-server", ("source.ip", "source.fqdn", "source.url")),
    ],
)
def test_what_lacks_something_is_counted_not_bent(kind, without):
    """A finding that lacks what its type needs is not sent; the file beside it counts it."""
    lacking = finding({**FULL, "classification.type": kind}, without=without)

    (file,) = Xarf().render(digest(finding(), lacking))

    assert (file.rows, file.unexpressed) == (1, 1)
    assert Xarf().render(digest(lacking)) == []


def test_service_port_is_no_source_port_of_an_attack():
    """The port of a service never stands in for the port that an attack came from."""
    assert reports(digest(finding({**FULL, "classification.type": "scanner", "port_is": "service"}))) == []


def test_invalid_report_does_not_leave(caplog):
    """A report that would not validate stays, is counted, and the log says why, without the finding's data."""
    bad = finding({"source.ip": "192.0.2.66", "protocol.application": "x" * 201})

    (file,) = Xarf().render(digest(finding(), bad))

    assert (file.rows, file.unexpressed) == (1, 1)
    assert "$.service" in caplog.text
    assert "192.0.2.66" not in caplog.text


def test_report_says_who_what_and_how_sure():
    """A report has hub, asset, time, tags and confidence; the id is the same each time."""
    made = digest(finding({"feed.accuracy": 95.0}))
    (found,) = reports(made)

    party = {"org": "Meldpunt", "contact": "meldpunt@hub.example.net", "domain": "hub.example.net"}
    assert found["xarf_version"] == "4.2.0"
    assert found["sender"] == found["reporter"] == party
    assert (found["source_identifier"], found["source_port"], found["service"]) == ("203.0.113.25", 6379, "redis")
    assert found["timestamp"] == found["first_seen"] == "2026-11-19T23:14:07Z"
    assert found["confidence"] == 0.95
    assert {"finding:f-3kq9zt", "state:new", "severity:critical", "tlp:amber"} <= set(found["tags"])
    assert UUID(found["report_id"]).version == 5
    assert reports(made) == [found]


def test_report_ids_tell_observations_and_hubs_apart():
    """Another observation, and the same one at another hub, is another report."""
    elsewhere = digest(finding(), hub=type(HUB)(name="B", mail="b@b.example.net", domain="b.example.net"))
    found = [*reports(digest(finding(), finding({"id": "abcdefgh12345678-118"}))), *reports(elsewhere)]

    assert len({each["report_id"] for each in found}) == 3


def test_evidence_is_the_original_row_below_its_header():
    """Evidence gives header and row back to the byte, with their hash; without leave to share there is none."""
    (found,) = reports(digest(finding()))
    (evidence,) = found["evidence"]
    payload = base64.b64decode(evidence["payload"])

    assert payload == (HEADER + ROW).encode()
    assert evidence["hash"] == "sha256:" + hashlib.sha256(payload).hexdigest()
    assert "evidence" not in reports(digest(finding(original="")))[0]


def test_sinkhole_is_named_only_with_leave():
    """Where an infected system connected to is named only if the feed shares its originals."""
    infected = {**FULL, "classification.type": "infected-system"}

    (shared,) = reports(digest(finding(infected)))
    (closed,) = reports(digest(finding(infected, original="")))

    assert shared["c2_server"] == "sinkhole.example.org"
    assert "sinkhole" not in json.dumps({**closed, "compromise_evidence": ""})


def test_notifier_is_named_only_if_it_wants_to_be():
    """The reporter is the notifier if its feed discloses it and tells its address, else the hub."""
    contact = {"feed.contact": "contact@notifier.example.org"}

    (named,) = reports(digest(finding({**contact, "feed.disclose": True})))
    (closed,) = reports(digest(finding(contact)))

    assert named["reporter"] == {
        "org": "Shadowserver",
        "contact": "contact@notifier.example.org",
        "domain": "notifier.example.org",
    }
    assert named["sender"] == closed["reporter"]


def test_urgent_single_finding_is_one_object():
    """A single urgent finding is ``xarf.json``, as the mail transport of XARF names it; a test says so in a tag."""
    (file,) = Xarf().render(digest(finding(), kind="urgent", test=True))

    assert (file.name, file.content_type, file.rows) == ("xarf.json", "application/json", 1)
    assert "lifecycle:test" in json.loads(file.data)["tags"]


def test_field_that_is_not_listed_does_not_leave():
    """The shapes are closed: what they don't list, such as ``_internal``, makes a report invalid."""
    (found,) = reports(digest(finding()))

    assert fault(json.dumps(found).encode()) == ""
    assert "_internal" in fault(json.dumps({**found, "_internal": {}}).encode())


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
urls = st.builds("http://www.example.net/{}".format, words)


@given(
    kind=st.sampled_from(rsit().types),
    fields=st.fixed_dictionaries(
        {"classification.type": st.just("other")},
        optional={
            "classification.identifier": words,
            "destination.fqdn": st.just("sinkhole.example.org"),
            "destination.port": st.integers(1, 65535),
            "event_description.target": words,
            "event_description.text": words,
            "feed.accuracy": st.floats(0, 100),
            "feed.name": words,
            "malware.hash.md5": st.just("0" * 32),
            "malware.name": words,
            "port_is": st.sampled_from(["service", "source"]),
            "product.vulnerabilities": st.lists(st.sampled_from(["CVE-2026-12345", "CVE-2026-99999", "ghsa-x"])),
            "protocol.application": words,
            "protocol.transport": st.sampled_from(["tcp", "udp", "icmp", "sctp", "gre", "ospfigp"]),
            "severity": st.sampled_from(["critical", "undefined"]),
            "source.account": words | st.just("someone@example.net"),
            "source.fqdn": st.just("www.example.net"),
            "source.ip": st.sampled_from(["192.0.2.1", "2001:db8::1"]),
            "source.port": st.integers(1, 65535),
            "source.url": urls,
        },
    ),
    original=st.just("") | words,
)
def test_whatever_leaves_is_valid_by_the_specification(kind, fields, original):
    """Over all types and whatever fields an event has: a report is valid by the specification, or is not sent."""
    bare = finding(original=original, without=tuple(finding().event))
    fields = {**fields, "classification.type": kind, "tlp": "CLEAR", "time.source": "2026-11-19T23:14:07+00:00"}
    bare.event.update(fields)

    for found in reports(digest(bare)):
        referee().validate(found)
        assert report(digest(bare), bare) == found
