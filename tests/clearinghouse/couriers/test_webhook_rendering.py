"""What webhooks get: golden bodies, pages, types, ids, and the published schemas."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cleanbots.clearinghouse.model import Delivery, Digest, Feed, Finding, Hub, Match, Member
from cleanbots.clearinghouse.webhook import SCHEMAS, render_webhook, schema
from cleanbots.clearinghouse.webhook.rendering import PAGE_BYTES, PAGE_FINDINGS, webhook_id

GOLDEN = Path(__file__).parent / "golden"
URL = "https://hooks.voorbeeldhost.example/abuse"


def finding(number: int = 1, state: str = "new", original: str = "", **event: Any) -> Finding:
    fields = {
        "id": f"3KQ9ZT7A2B4C6D8E-{number}",
        "classification.taxonomy": "vulnerable",
        "classification.type": "vulnerable-system",
        "classification.identifier": "open-redis",
        "source.ip": f"203.0.113.{number % 256}",
        "source.port": 6379,
        "port_is": "service",
        "protocol.transport": "tcp",
        "source.asn": 64500,
        "source.fqdn": "vps25.voorbeeldhost.example",
        "severity": "critical",
        "time.source": "2026-11-19T23:14:07+00:00",
        "time.observation": "2026-11-20T05:41:22+00:00",
        "feed.provider": "Example Scan",
        "feed.name": "Open-Redis",
        "tlp": "AMBER",
        "extra.version": "6.0.16",
        **event,
    }
    match = Match(member="voorbeeldhost", by="prefix", value="203.0.113.0/24", since="2019-05-01")
    return Finding(
        id=f"f-{number:06}",
        state=state,
        event=fields,
        match=match,
        first_seen="2026-11-19T23:14:07+00:00",
        last_seen="2026-11-19T23:14:07+00:00",
        original=original,
        report="open-redis.csv",
    )


def digest(*findings: Finding, when: str = "daily 07:30", events: tuple[str, ...] = (), **changed: Any) -> Digest:
    delivery = Delivery(id="hook", channel="webhook", url=URL, secrets=("${env:HOOK}",), when=when, events=events)
    return Digest(
        **{
            "reference": "MP-20261120-0042",
            "hub": Hub(domain="hub.example.net", reference="MP"),
            "member": Member(id="voorbeeldhost", name="Voorbeeld Hosting B.V."),
            "delivery": delivery,
            "recipients": (URL,),
            "period": ("2026-11-19T06:30:00+00:00", "2026-11-20T06:30:00+00:00"),
            "frozen": "2026-11-20T06:30:04+00:00",
            "findings": findings,
            "still": {"open-resolver": (3, "2026-11-02T00:00:00+00:00")},
            "suppressed": {"filter": 14, "too_old": 1},
            "feeds": (Feed(provider="Example Scan", last="2026-11-20T05:41:22+00:00"),),
            "highest": "critical",
            "tlp": "AMBER",
            **changed,
        }
    )


def bodies(made: Digest) -> list[dict[str, Any]]:
    return [json.loads(message.data) for message in render_webhook(made)]


def valid(body: dict[str, Any]) -> None:
    name = {"finding": "finding-1", "digest": "digest-1", "test": "ping-1"}[body["type"].partition(".")[0]]
    if "schema" in body["data"]:
        assert body["data"]["schema"] == f"https://hub.example.net/schema/{name}.json"
    Draft202012Validator(json.loads(schema(name)), format_checker=Draft202012Validator.FORMAT_CHECKER).validate(body)


SAMPLES = {
    "finding": digest(finding(original="timestamp,ip\n2026-11-19 23:14:07,203.0.113.1"), when="immediately"),
    "digest": digest(finding(), finding(2, "back", **{"classification.identifier": "open-rdp"})),
    "test": digest(finding(), when="immediately", kind="test", test=True),
    "empty": digest(kind="empty", still={}, suppressed={}, highest=""),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_bodies_are_as_they_were_agreed(name):
    """Each kind of body is, byte for byte, the golden one (delete a file to have it made anew, and read it)."""
    made = b"".join(message.data + b"\n" for message in render_webhook(SAMPLES[name]))
    golden = GOLDEN / f"{name}.jsonl"
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_bytes(made)
        pytest.fail(f"made {golden}; read it and run again")

    assert made == golden.read_bytes()


@pytest.mark.parametrize("name", SAMPLES)
def test_bodies_fit_the_published_schemas(name):
    """What is sent is what the JSON Schema of its type says."""
    made = bodies(SAMPLES[name])

    assert made
    for body in made:
        valid(body)


def test_rendering_twice_gives_the_same_bytes():
    """Nothing of the moment gets into a body."""
    for made in SAMPLES.values():
        assert render_webhook(made) == render_webhook(made)


def test_messages_carry_url_and_secrets():
    """A message knows its endpoint and the references of its secrets; it has no envelope sender."""
    (message,) = render_webhook(SAMPLES["finding"])

    assert (message.recipient, message.secrets, message.sender) == (URL, ("${env:HOOK}",), "")
    assert message.id == "3KQ9ZT7A2B4C6D8E-1"


@pytest.mark.parametrize(
    ("when", "events", "types"),
    [
        ("immediately", (), ["finding.new", "finding.back", "finding.still"]),
        ("immediately", ("finding.new", "finding.gone"), ["finding.new"]),
        ("immediately", ("digest.sent",), ["digest.sent"]),
        ("immediately", ("finding.back", "digest.sent"), ["finding.back"]),
        ("immediately", ("test.ping",), []),
        ("daily 07:30", (), ["digest.sent"]),
        ("daily 07:30", ("digest.sent", "finding.new"), ["digest.sent"]),
        ("daily 07:30", ("finding.new",), ["finding.new"]),
        ("daily 07:30", ("test.ping",), []),
    ],
)
def test_a_member_chooses_types(when, events, types):
    """Immediate deliveries send findings, others digests, and an endpoint gets the types that it named."""
    made = digest(finding(1), finding(2, "back"), finding(3, "still"), when=when, events=events)

    assert [body["type"] for body in bodies(made)] == types


@pytest.mark.parametrize("kind", ["correction", "dead-endpoint", "dead-contact", "operator"])
def test_letters_to_people_are_no_webhooks(kind):
    """What only people can read is not sent to machines."""
    assert render_webhook(digest(finding(), kind=kind, text="read this")) == []


def test_counts_are_of_the_whole_digest():
    """Listed and only counted findings add up, with what was left out by reason."""
    (body,) = bodies(
        digest(finding(1), finding(2, "back"), finding(3, "still"), suppressed={"filter": 14, "inventory": 2})
    )

    assert body["data"]["counts"] == {
        "new": 1,
        "back": 1,
        "still": 4,
        "gone": 0,
        "suppressed": {"tlp": 0, "filter": 14, "too_old": 0, "repeat": 3, "inventory": 2},
    }


@given(
    st.integers(0, 350),
    st.lists(st.sampled_from([0, 2_000, 20_000, 70_000]), min_size=1, max_size=8),
)
@settings(max_examples=25, deadline=None)
def test_pages_hold_everything_and_no_more_than_they_may(number, lengths):
    """At most 100 findings and 256 KiB a page; each finding is on one page, in order; all pages know the total."""
    rows = [f"a,b\n1,{'x' * lengths[n % len(lengths)]}" for n in range(number)]
    made = render_webhook(digest(*(finding(n, original=row) for n, row in enumerate(rows))))
    pages = [json.loads(message.data)["data"] for message in made]

    assert [page["page"] for page in pages] == list(range(1, len(pages) + 1))
    assert {page["pages"] for page in pages} == {len(pages)}
    assert [f["id"] for page in pages for f in page["findings"]] == [f"f-{n:06}" for n in range(number)]
    assert all(len(page["findings"]) <= PAGE_FINDINGS for page in pages)
    assert all(len(message.data) <= PAGE_BYTES for message in made)
    assert [message.id for message in made] == [f"MP-20261120-0042-p{n}" for n in range(1, len(pages) + 1)]
    for page in pages:
        for each in page["findings"]:
            index = int(each["id"][2:])
            full = lengths[index % len(lengths)] < 64_000
            assert each["original"] == ({"a": "1", "b": "x" * lengths[index % len(lengths)]} if full else None)


@pytest.mark.parametrize("label", ["AMBER+STRICT", "RED"])
def test_nothing_above_the_ceiling_leaves(label):
    """A finding above the delivery's TLP ceiling is in no body, should it ever come so far."""
    made = digest(finding(1, tlp=label), finding(2))
    lower = msgspec.structs.replace(made, delivery=msgspec.structs.replace(made.delivery, tlp="AMBER"))

    (body,) = bodies(lower)
    assert [f["id"] for f in body["data"]["findings"]] == ["f-000002"]


@given(st.text(min_size=1, max_size=150), st.text(min_size=1, max_size=150))
def test_ids_have_no_dots_and_stay_apart(one, other):
    """A webhook-id is safe in a header, has no dot, and different events have different ids."""
    for text in (one, other):
        made = webhook_id(text.encode("utf-8", "replace").decode())
        assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
        assert 0 < len(made) <= 100
    if one != other and one.isascii() and other.isascii():
        assert webhook_id(one) != webhook_id(other)


def test_derived_events_have_their_own_id():
    """The dot of an event that was split becomes an underscore, which no event's id has otherwise."""
    assert webhook_id("3KQ9ZT-17.2") == "3KQ9ZT-17_2"
    assert webhook_id("a_2") != webhook_id("a.2")


def test_parts_of_a_split_digest_stay_apart():
    """Pages of different parts of one reference have different ids."""
    ids = [m.id for part in (1, 2) for m in render_webhook(digest(finding(), part=part, parts=2))]

    assert ids == ["MP-20261120-0042-1p1", "MP-20261120-0042-2p1"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_good_schemas(name):
    """Each published schema is valid itself, and allows keys that come later."""
    loaded = json.loads(schema(name))
    Draft202012Validator.check_schema(loaded)

    assert loaded["$id"] == f"urn:cleanbots:webhook:{name}"
    assert b'"additionalProperties": false' not in schema(name)


def test_a_finding_is_the_same_in_both_schemas():
    """The finding of a digest is the finding of a single message."""
    assert json.loads(schema("digest-1"))["$defs"] == json.loads(schema("finding-1"))["$defs"]


def test_unknown_schemas_are_none():
    """No other file is given out as a schema."""
    with pytest.raises(KeyError):
        schema("../rendering")
