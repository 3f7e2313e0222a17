"""Exchange: nested form and back, IntelMQ's data format and back."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanbots.event import Event
from cleanbots.harmonization import catalogue, harmonise
from cleanbots.harmonization.exchange import flat, from_intelmq, hierarchical, to_intelmq

FIELDS = {
    "id": "abc-2",
    "kind": "finding",
    "members": ["m-1", "m-2"],
    "feed.name": "Example",
    "feed.share_raw": True,
    "classification.type": "unauthorised-use-of-resources",
    "classification.taxonomy": "fraud",
    "product.vulnerabilities": ["CVE-2026-12345", "ghsa-xxxx-yyyy-zzzz"],
    "raw": "192.0.2.1,80\r\n",
    "source.ip": "192.0.2.1",
    "time.source": "2026-11-20T07:30:00+00:00",
    "tlp": "AMBER+STRICT",
    "extra.kind": "theirs",
    "extra.rejected.source.port": {"value": "0", "reason": "must be from 1 to 65535"},
}


def test_nested_form():
    """Fields nest by their dots; below ``extra`` the names stay whole."""
    assert hierarchical({"source.ip": "192.0.2.1", "source.geolocation.cc": "NL", "extra.a": 1, "extra.a.b": 2}) == {
        "source": {"ip": "192.0.2.1", "geolocation": {"cc": "NL"}},
        "extra": {"a": 1, "a.b": 2},
    }


@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from(sorted(set(catalogue().fields) - {"extra"})),
            st.from_regex(r"extra(\.[a-z]{1,2}){1,3}", fullmatch=True),
        ),
        st.one_of(st.integers(), st.lists(st.text(), max_size=2)),
    )
)
def test_nested_form_and_back(fields):
    """Flattening undoes nesting, whatever fields an event has."""
    assert flat(hierarchical(fields)) == fields


def test_objects_below_extra_come_back_whole():
    """An object that is a value below ``extra.`` is not taken for nested fields."""
    assert flat(hierarchical(FIELDS)) == FIELDS


def test_event_for_intelmq():
    """IntelMQ gets its own spelling, TLP 1 words, Base64 and one text of vulnerabilities; ours go below ``extra.``."""
    sent = to_intelmq(Event(dict(FIELDS), {"abc": {"header": "ip,port\r\n"}}))

    assert base64.b64decode(sent["raw"]) == b"ip,port\r\n192.0.2.1,80\r\n"
    assert {name: value for name, value in sent.items() if name != "raw"} == {
        "__type": "Event",
        "extra.cleanbots.id": "abc-2",
        "extra.cleanbots.kind": "finding",
        "extra.cleanbots.members": ["m-1", "m-2"],
        "extra.cleanbots.feed.share_raw": True,
        "extra.cleanbots.tlp": "AMBER+STRICT",
        "feed.name": "Example",
        "classification.type": "unauthorized-use-of-resources",
        "classification.taxonomy": "fraud",
        "product.vulnerabilities": "cve-2026-12345;ghsa-xxxx-yyyy-zzzz",
        "source.ip": "192.0.2.1",
        "time.source": "2026-11-20T07:30:00+00:00",
        "tlp": "AMBER",
        "extra.kind": "theirs",
        "extra.rejected.source.port": {"value": "0", "reason": "must be from 1 to 65535"},
    }


@pytest.mark.parametrize("tlp", ["RED", "AMBER+STRICT", "AMBER", "GREEN", "CLEAR"])
def test_event_comes_back_from_intelmq_as_it_went(tlp):
    """What was sent to an IntelMQ peer comes back the same."""
    fields = {**FIELDS, "tlp": tlp}

    assert from_intelmq(to_intelmq(Event(dict(fields)))) == fields


def test_peer_that_raised_the_label_is_obeyed():
    """A label that a peer changed on the way counts; the one we sent along does not."""
    sent = to_intelmq(Event(dict(FIELDS))) | {"tlp": "RED"}

    assert from_intelmq(sent)["tlp"] == "RED"


def test_event_from_intelmq():
    """Events of a peer are read flat or nested, ``extra`` as object or JSON text; values become canonical."""
    nested = {
        "__type": "Event",
        "source": {"ip": "192.0.2.1", "port": 80},
        "tlp": "WHITE",
        "product": {"vulnerabilities": "cve-2026-12345;cve-2026-12346"},
        "raw": base64.b64encode(b"caf\xe9").decode(),
        "comment": "",
        "extra": '{"OS Name": "x", "os_name": "y", "tags": ["a"]}',
    }

    assert from_intelmq(nested) == {
        "source.ip": "192.0.2.1",
        "source.port": 80,
        "tlp": "CLEAR",
        "product.vulnerabilities": ["CVE-2026-12345", "CVE-2026-12346"],
        "raw": "caf\\xe9",
        "extra.os_name": "x",
        "extra.os_name_2": "y",
        "extra.tags": ["a"],
    }


def test_nothing_of_a_peer_vanishes():
    """Values that do not fit and fields that we lack are kept with the reason."""
    found = from_intelmq({"source.port": 99999, "raw": "not base 64!", "colour": "red", "extra": "text"})

    assert {name: value["reason"] for name, value in found.items() if name.startswith("extra.rejected.")} == {
        "extra.rejected.source.port": "must be from 1 to 65535",
        "extra.rejected.raw": "not Base64",
        "extra.rejected.colour": "no such field in this catalogue",
    }
    assert found["extra.value"] == "text"
    assert len(found) == 4


def test_every_field_survives_the_way_to_intelmq_and_back():
    """No field of the catalogue is lost or renamed on the way to an IntelMQ peer and back."""
    samples = {
        "boolean": True, "integer": 5, "number": 1.5, "accuracy": 50.0, "latitude": 1.5, "longitude": 1.5, "port": 80,
        "asn": 64496, "ip": "192.0.2.1", "network": "192.0.2.0/24", "fqdn": "www.example.com", "suffix": "com",
        "url": "http://example.com/", "emails": "a@example.net", "country": "NL", "md5": "0" * 32, "sha1": "0" * 40,
        "sha256": "0" * 64, "uuid": "4d9f5a3c-1111-4222-8333-444455556666", "registry": "RIPE", "tlp": "CLEAR",
        "taxonomy": "fraud", "classification": "phishing", "vulnerabilities": ["CVE-2026-12345"], "json": "{}",
        "time": "2026-11-20T07:30:00+00:00", "texts": ["m-1"], "uppercase": "AB",
        "objects": [{"member": "m-1", "chain": ["c-1"]}],
    }  # fmt: skip
    fields = {
        name: field.enum[0] if field.enum else samples.get(field.type, "text")
        for name, field in catalogue().fields.items()
        if field.type != "extra"
    }
    assert all(harmonise(name, value) == value for name, value in fields.items())

    assert from_intelmq(to_intelmq(Event(dict(fields)))) == fields
