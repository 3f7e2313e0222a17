"""The catalogue: its file, its extension, its hash, and checking events of another catalogue again."""

import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from cleanbots.data import data_path
from cleanbots.errors import ConfigError, UnknownField
from cleanbots.harmonization import catalogue_hash, revalidate
from cleanbots.harmonization.catalogue import load
from cleanbots.harmonization.taxonomy import rsit, taxonomy_of
from cleanbots.harmonization.types import TYPES


def read(name):
    """Read a shipped JSON file."""
    return json.loads(data_path("harmonization", name).read_text(encoding="utf-8"))


def test_catalogue_file_fits_its_schema():
    """The shipped catalogue is what its JSON Schema asks for."""
    schema = read("catalogue.schema.json")
    Draft202012Validator.check_schema(schema)

    assert [error.message for error in Draft202012Validator(schema).iter_errors(read("events.json"))] == []


def test_catalogue_schema_knows_every_type():
    """The schema of the catalogue lists exactly the types that exist."""
    assert read("catalogue.schema.json")["$defs"]["field"]["properties"]["type"]["enum"] == sorted(TYPES)


def test_fields_have_only_limits_that_their_type_takes():
    """No shipped field has a limit that its type would ignore."""
    for field in load().fields.values():
        given = {name for name in field.limits.__struct_fields__ if getattr(field, name) is not None}
        assert given <= TYPES[field.type].limits, field.name


def test_catalogue_has_the_fields_of_the_peer_and_ours():
    """IntelMQ 3.5 has 89 event fields and 10 report fields; ten more are ours."""
    fields = load().fields.values()

    assert sum(not field.own for field in fields) == 89
    assert sum(field.report and not field.own for field in fields) == 10
    assert {field.name for field in fields if field.own} == {
        "feed.contact", "feed.disclose", "feed.share_raw", "id", "kind", "matches", "members", "port_is", "priority", "refused", "resolved",
        "time_precision",
    }  # fmt: skip


def test_added_field_is_converted_and_changes_the_hash():
    """A further field works as a shipped one, and events written without it are told apart."""
    own = load()
    before = own.hash

    own.add({"customer.score": {"type": "integer", "description": "How good they are.", "minimum": 1, "maximum": 10}})

    assert own.converter("customer.score")("7") == 7
    assert own.fields["customer.score"].own
    assert own.hash != before


def test_same_definition_again_changes_nothing():
    """Adding a field with the same definition twice is no clash."""
    own = load()
    definition = {"customer.score": {"type": "integer", "description": "How good they are."}}
    own.add(definition)
    once = own.hash

    own.add(definition)

    assert own.hash == once


@pytest.mark.parametrize(
    ("name", "definition", "sentence"),
    [
        ("source.ip", {"type": "text", "description": "Else."}, "another definition"),
        ("Customer", {"type": "text", "description": "Else."}, "lower-case"),
        ("extra.a", {"type": "text", "description": "Else."}, "free already"),
        ("customer", {"type": "txt", "description": "Else."}, "did you mean 'text'"),
        ("customer", {"type": "text"}, "description"),
        ("customer", {"type": "text", "description": "Else.", "colour": 1}, "colour"),
        ("customer", {"type": "ip", "description": "Else.", "length": 3}, "takes no length"),
        ("customer", {"type": "text", "description": "Else.", "pattern": "("}, "no regular expression"),
        ("customer", "text", "mapping"),
    ],
)
def test_bad_definition_is_refused_and_nothing_is_added(name, definition, sentence):
    """A definition that can't be used is a configuration error that says why; the rest is not added either."""
    own = load()
    before = own.hash

    with pytest.raises(ConfigError, match=name) as caught:
        own.add({"customer.good": {"type": "text", "description": "Fine."}, name: definition})

    assert sentence in str(caught.value)
    assert own.hash == before
    assert "customer.good" not in own


def test_extension_reaches_the_hot_path_of_the_process():
    """`extend` makes `harmonise` know a field that it refused before."""
    script = (
        "from cleanbots.harmonization import extend, harmonise, catalogue_hash\n"
        "before = catalogue_hash()\n"
        "extend({'customer.score': {'type': 'integer', 'description': 'A score.'}})\n"
        "print(harmonise('customer.score', '7'), catalogue_hash() != before, len(before))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["7", "True", "8"]


def test_hash_is_the_same_in_every_process():
    """Equal catalogues have equal hashes, whatever process reads them."""
    script = "from cleanbots.harmonization.catalogue import load; print(load().hash.hex())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == load().hash.hex()
    assert len(catalogue_hash()) == 8


def test_what_no_longer_fits_moves_to_rejected():
    """An event written under another catalogue keeps what fits; the rest moves below ``extra.rejected.``."""
    fields = {
        "id": "abc-1",
        "source.port": 99999,
        "old.field": "x",
        "Bad Name": 1,
        "extra.note": "kept",
        "extra.rejected.source.ip": {"value": "nope", "reason": "not an IP address"},
    }

    assert revalidate(fields) == {
        "id": "abc-1",
        "extra.rejected.source.port": {"value": 99999, "reason": "must be from 1 to 65535"},
        "extra.rejected.old.field": {"value": "x", "reason": "no such field in this catalogue"},
        "extra.rejected.bad_name": {"value": 1, "reason": "no such field in this catalogue"},
        "extra.note": "kept",
        "extra.rejected.source.ip": {"value": "nope", "reason": "not an IP address"},
    }


def test_revalidating_twice_changes_nothing_more():
    """Checking again what was checked gives the same fields."""
    once = revalidate({"source.port": 0, "no.such": ["a"], "tlp": "white"})

    assert revalidate(once) == once


def test_taxonomy_counts():
    """RSIT 1003 has 11 classes and 39 types; IntelMQ adds five."""
    assert len(rsit().taxonomy) == 11
    assert len(rsit().types) == 44
    assert len(set(rsit().types) - set(rsit().intelmq)) == 39
    assert set(rsit().aliases.values()) <= set(rsit().types)


def test_taxonomy_of_type():
    """Each type has one class."""
    assert taxonomy_of("c2-server") == "malicious-code"
    with pytest.raises(KeyError):
        taxonomy_of("c2server")


def test_membership_is_about_names_that_may_be_set():
    """A name is in the catalogue if an event may have it."""
    own = load()

    assert "source.ip" in own
    assert "extra.any.thing" in own
    assert "extra" not in own
    with pytest.raises(UnknownField):
        own.converter("extra")
