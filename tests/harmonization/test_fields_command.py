"""``cleanbots fields`` and ``cleanbots schema events``."""

import json

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from cleanbots.cli.fields_command import command as fields
from cleanbots.cli.schema_command import command as schema
from cleanbots.errors import UnknownField
from cleanbots.harmonization import catalogue
from cleanbots.harmonization.docs import fields_markdown
from cleanbots.harmonization.schema import event_schema


def output(command, *arguments):
    """Run a command that must succeed and give what it prints."""
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_listing_has_a_line_for_each_field():
    """The table has a head and a line for each field."""
    assert len(output(fields).splitlines()) == len(catalogue().fields) + 1


def test_listing_as_json():
    """The JSON listing has the facts of each field, by field name."""
    rows = {row["field"]: row for row in json.loads(output(fields, "--json"))}

    assert rows.keys() == catalogue().fields.keys()
    assert rows["severity"]["enum"][0] == "critical"
    assert rows["kind"]["own"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("source.ip", ["type ip", "RFC 5952", "the same in IntelMQ"]),
        ("protocol.transport", ["one of 131 words", "udp"]),
        ("kind", ["inventory", "own:"]),
        ("extra.os.name", ["extra.<name>", "64 KiB"]),
    ],
)
def test_detail_of_a_field(name, words):
    """One field is described with type, limits and how it leaves."""
    text = output(fields, name)

    assert [word for word in words if word not in text] == []


def test_detail_as_json():
    """One field as JSON is a list of one."""
    (row,) = json.loads(output(fields, "tlp", "--json"))

    assert row["type"] == "tlp"


def test_unknown_field_is_one_sentence_with_a_hint():
    """An unknown name is refused with the closest one."""
    with pytest.raises(UnknownField, match=r"did you mean 'source\.port'"):
        CliRunner().invoke(fields, ["source.pot"], catch_exceptions=False)


def test_markdown_is_the_page():
    """``--markdown`` prints the page of fields, and goes with nothing else."""
    assert output(fields, "--markdown") == fields_markdown()
    assert CliRunner().invoke(fields, ["--markdown", "tlp"]).exit_code == 2


def test_schema_of_events():
    """``schema events`` prints the published schema."""
    assert json.loads(output(schema, "events")) == event_schema()


def test_schema_of_configurations():
    """``schema config`` prints a valid JSON Schema that knows the installed bots."""
    text = output(schema, "config")
    Draft202012Validator.check_schema(json.loads(text))

    assert '"parser/csv"' in text
