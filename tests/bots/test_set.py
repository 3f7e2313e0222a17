"""Setting, renaming and dropping fields."""

import msgspec
import pytest

from bots.experts.set import Set, SetParams
from cleanbots.testing import run

EVENT = {"id": "a-1", "source.ip": "192.0.2.1", "source.asn": 64496, "extra.a": "x", "extra.b": 2, "extra.tags": ["a"]}


def changed(event: dict | None = None, **params: object) -> dict:
    """Run one event through and give its fields."""
    (made,) = run(Set, [event or EVENT], params=params).sent
    return made.fields


def test_constants_are_harmonised():
    """A constant is stored in the field's canonical form."""
    fields = changed(assign={"classification.type": "Phishing", "source.fqdn": "WWW.Example.NET", "source.port": "80"})

    assert fields["classification.type"] == "phishing"
    assert fields["source.fqdn"] == "www.example.net"
    assert fields["source.port"] == 80


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{source.ip} of AS{source.asn}", "192.0.2.1 of AS64496"),
        ("{{x}} {extra.a}", "{x} x"),
        ("{{x}}", "{x}"),
        ("tags {extra.tags}", "tags a"),
    ],
)
def test_templates_take_other_fields(template, expected):
    """Names in braces stand for fields, doubled braces for braces."""
    assert changed(assign={"comment": template})["comment"] == expected


def test_lone_field_is_taken_over_as_it_is():
    """A template of one field alone copies its value, whatever its type."""
    fields = changed(assign={"destination.asn": "{source.asn}", "extra.copy": "{extra.tags}"})

    assert fields["destination.asn"] == 64496
    assert fields["extra.copy"] == ["a"]


def test_template_with_a_missing_field_sets_nothing():
    """Where a field that a template names is missing, the target stays as it was."""
    assert "comment" not in changed(assign={"comment": "by {malware.name}"})


@pytest.mark.parametrize(("overwrite", "expected"), [(True, 64500), (False, 64496)])
def test_overwrite(overwrite, expected):
    """A value that is there is replaced only with 'overwrite'."""
    assert changed(assign={"source.asn": 64500}, overwrite=overwrite)["source.asn"] == expected


def test_rename():
    """A renamed field moves and is converted to its new type."""
    fields = changed({"id": "a-1", "extra.asn": "AS64500"}, rename={"extra.asn": "source.asn", "extra.no": "comment"})

    assert fields == {"id": "a-1", "source.asn": 64500}


def test_rename_onto_a_field_that_is_there():
    """Without 'overwrite' nothing is renamed onto a field that is set."""
    fields = changed(rename={"extra.b": "source.asn"}, overwrite=False)

    assert fields["source.asn"] == 64496
    assert fields["extra.b"] == 2


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["extra.*"], {"id", "source.ip", "source.asn"}),
        (["extra.a", "*.asn"], {"id", "source.ip", "extra.b", "extra.tags"}),
        (["*"], {"id"}),
    ],
)
def test_drop(patterns, left):
    """Fields are dropped by name or pattern; the id always stays."""
    assert set(changed(drop=patterns)) == left


def test_only_events_that_meet_the_condition():
    """With 'when' the others pass unchanged."""
    params = {"when": "source.asn == 64496", "assign": {"comment": "ours"}}

    first, second = run(Set, [EVENT, {"id": "b-1"}], params=params).sent

    assert first["comment"] == "ours"
    assert second.fields == {"id": "b-1"}


def test_value_that_does_not_fit_sets_its_event_aside():
    """A made value that doesn't fit fails its event alone, which is kept as it came."""
    events = [EVENT, {**EVENT, "id": "b-1", "extra.a": "1.1"}, {**EVENT, "id": "c-1", "extra.a": "192.0.2.9"}]

    result = run(Set, events, params={"rename": {"extra.a": "destination.ip"}, "drop": ["extra.b"]})

    assert [event.id for event in result.sent] == ["c-1"]
    assert [failure.item.id for failure in result.failed] == ["a-1", "b-1"]
    assert result.failed[0].item["extra.b"] == 2
    assert "destination.ip" in str(result.failed[0].error)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, "nothing to do"),
        ({"assign": {"sorce.ip": "192.0.2.1"}}, "did you mean 'source.ip'"),
        ({"assign": {"source.port": 99999}}, "source.port: 99999"),
        ({"assign": {"comment": "{sorce.ip}"}}, "did you mean 'source.ip'"),
        ({"assign": {"comment": "a } b"}}, "a lone"),
        ({"assign": {"id": "x"}}, "'id' names the event"),
        ({"rename": {"id": "comment"}}, "'id' names the event"),
        ({"drop": ["id"]}, "'id' names the event"),
        ({"drop": ["x"], "when": "source.asn = 1"}, "when: '=' has no meaning"),
    ],
)
def test_mistakes_are_found_by_the_check(params, reason):
    """What can't work is refused with the parameters."""
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(params, SetParams)
