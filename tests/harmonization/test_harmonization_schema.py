"""The published schema and the hot path agree: the schema accepts exactly the canonical values."""

import string
from typing import Any

import pytest
from harmonization_formats import format_checker, is_canonical, same
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cleanbots.data import data_path
from cleanbots.errors import InvalidValue
from cleanbots.harmonization import catalogue, harmonise
from cleanbots.harmonization.docs import fields_markdown
from cleanbots.harmonization.schema import event_schema, event_schema_text
from cleanbots.harmonization.types import TYPES

VALIDATOR = Draft202012Validator(event_schema(), format_checker=format_checker())
FIELDS = sorted(name for name in catalogue().fields if name != "extra")

_octets = st.integers(0, 300).map(str)
_labels = st.text(string.ascii_letters + string.digits + "-_ü*", max_size=5)
_names = st.lists(_labels, min_size=1, max_size=4).map(".".join)
_times = st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat())
_addresses = st.one_of(st.ip_addresses().map(str), st.lists(_octets, min_size=4, max_size=4).map(".".join))
_networks = st.tuples(_addresses, st.integers(0, 130)).map(lambda pair: f"{pair[0]}/{pair[1]}")
_urls = st.tuples(
    st.sampled_from(["http", "HTTPS", "hxxp", "phish", "file", "javascript"]),
    st.one_of(_names, _addresses, _addresses.map(lambda text: f"[{text}]"), st.just("")),
    st.sampled_from(["", ":80", ":99999", ":"]),
    st.text(max_size=5).map(lambda text: f"/{text}"),
).map(lambda parts: f"{parts[0]}://{parts[1]}{parts[2]}{parts[3]}")
_words = st.sampled_from(
    [
        *(word for field in catalogue().fields.values() for word in field.enum or ()),
        *(word for kind in ("tlp", "registry", "taxonomy", "classification") for word in TYPES[kind].schema(None)["enum"]),  # type: ignore[arg-type]
        "WHITE", "TLP:RED", "NL", "nl", "CVE-2026-12345", "cve-2026-12345", "ghsa-a-b", "TCP", "true", "1",
    ]
)  # fmt: skip
_hex = st.integers(0, 64).flatmap(lambda n: st.text("0123456789abcdefABCDEF", min_size=n, max_size=n))
_mails = st.tuples(st.text(string.ascii_letters + "._-@ ", max_size=4), _names).map("@".join)
_texts = st.one_of(
    st.text(max_size=20), _words, _names, _times, _addresses, _networks, _urls, _hex, _mails,
    st.uuids().map(str), st.uuids().map(lambda uuid: str(uuid).upper()),
)  # fmt: skip
_numbers = st.one_of(
    st.integers(-(2**53), 2**53),
    st.integers(-1, 70000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
_leaves = st.one_of(st.none(), _texts, _numbers)
VALUES = st.one_of(
    _texts, _numbers, st.none(), st.lists(_texts, max_size=3),
    st.recursive(_leaves, lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)), max_leaves=6),
)  # fmt: skip


@pytest.mark.parametrize("field", [*FIELDS, "extra.some.thing"])
@settings(max_examples=60, deadline=None)
@given(value=VALUES)
def test_schema_accepts_exactly_the_canonical_values(field: str, value: Any):
    """The schema takes a value of a field if, and only if, the harmonisation gives it back as it is."""
    accepted = VALIDATOR.is_valid({field: value})

    assert accepted == is_canonical(lambda given: harmonise(field, given), value)


@pytest.mark.parametrize("field", [*FIELDS, "extra.some.thing"])
@settings(max_examples=60, deadline=None)
@given(value=st.one_of(VALUES, _words, _times, _addresses, _networks, _urls, _names, _mails, _hex))
def test_harmonising_twice_is_harmonising_once(field: str, value: Any):
    """What the harmonisation made is canonical, and the schema takes it."""
    try:
        once = harmonise(field, value)
    except InvalidValue:
        return

    assert same(harmonise(field, once), once)
    assert VALIDATOR.is_valid({field: once})


def test_schema_is_a_schema():
    """The published schema is valid JSON Schema 2020-12."""
    Draft202012Validator.check_schema(event_schema())


def test_schema_refuses_unknown_fields():
    """A field that the catalogue lacks is refused by the schema, too."""
    assert not VALIDATOR.is_valid({"source.ipp": "192.0.2.1"})
    assert not VALIDATOR.is_valid({"extra": {"a": 1}})
    assert not VALIDATOR.is_valid({"extra.A": 1})


def test_published_schema_is_current():
    """harmonization/event.schema.json is what the catalogue gives: run ``cleanbots schema events`` to renew it."""
    assert data_path("harmonization", "event.schema.json").read_text(encoding="utf-8") == event_schema_text()


def test_page_of_fields_is_current():
    """docs/fields.md is what the catalogue gives: run ``cleanbots fields --markdown > docs/fields.md`` to renew it."""
    page = data_path("harmonization", "events.json").parents[1] / "docs" / "fields.md"

    assert page.read_text(encoding="utf-8") == fields_markdown()
