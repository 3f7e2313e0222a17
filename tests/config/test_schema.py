"""The published JSON Schema and the examples: what editors and newcomers are given is right."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from cleanbots.config.check import check
from cleanbots.config.schema import FILE, config_schema, encoded
from cleanbots.data import data_path
from cleanbots.plugins import discover

EXAMPLES = sorted(
    set(data_path("config", "examples").glob("*.yaml")) - {data_path("config", "examples", "members.yaml")}
)


def valid(schema, text: str) -> bool:
    """Tell whether a YAML text fits a schema."""
    return jsonschema.Draft202012Validator(schema).is_valid(yaml.safe_load(text))


def references(value):
    """Give every reference in a schema."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_schema_is_a_schema_and_refers_to_itself_only(bots):
    """The schema is valid JSON Schema; every reference leads to a definition of its own."""
    schema = json.loads(encoded(config_schema(bots)))

    jsonschema.Draft202012Validator.check_schema(schema)
    for reference in references(schema):
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("bots: {a: {use: parser/rows, params: {delimiter: ;}}}", True),
        ("bots: {a: {use: parser/rows, params: {delimiter: 5}}}", False),
        ("bots: {a: {use: expert/count, params: {delimiter: ;}}}", False),
        ("bots: {a: {use: collector/fetch}}", False),
        ("bots: {a: {use: collector/fetch, params: {url: 'https://x.example'}}}", True),
        ("bots: {a: {use: acme, every: 5}}", False),
        ("lease: 5s", True),
        ("laese: 5s", False),
    ],
)
def test_the_schema_knows_each_bots_parameters(bots, text, fits):
    """What stands below ``params`` is checked by the bot that ``use`` names; an included file may lack ``bots``."""
    assert valid(json.loads(encoded(config_schema(bots))), text) is fits


def test_the_published_schema_is_current():
    """``python -m cleanbots.config.schema`` was run after the last change of a bot's parameters."""
    assert data_path("config", FILE).read_bytes() == encoded(config_schema(discover([])))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_free_of_mistakes(example: Path):
    """Each example passes the check with the bots that are installed."""
    assert [str(finding) for finding in check(example).findings] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_fit_the_published_schema(example: Path):
    """Editors find nothing wrong with the examples either."""
    schema = json.loads(data_path("config", FILE).read_bytes())

    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(example.read_text("utf-8")))
