"""Describing bots: all that an operator needs to configure one."""

import json

import pytest
import yaml

from cleanbots.config.describe import describe


def test_parameters_are_described_with_type_default_and_limits(bots):
    """Each parameter has its type in words, its default or that it is required, its limits and its meaning."""
    found = {each.name: each for each in describe("collector/fetch", bots.load("collector/fetch")).parameters}

    assert found["url"].required
    assert (found["port"].type, found["port"].default) == ("whole number", 443)
    assert found["port"].limits == "at least 1, at most 65535"
    assert found["password"].type == "secret"
    assert found["password"].secret
    assert found["headers"].type == "mapping to secret"
    assert (found["pause"].type, found["pause"].default) == ("time span", "1s")


@pytest.mark.parametrize(
    ("use", "paths"),
    [
        ("parser/rows", ["default"]),
        ("collector/fetch", ["default"]),
        ("expert/split", ["rest"]),
        ("output/keep", []),
    ],
)
def test_paths_are_named(bots, use, paths):
    """The exits are those with default parameters."""
    assert describe(use, bots.load(use)).paths == paths


def test_traits_are_said(bots):
    """What is special about how a bot is run is said in words."""
    assert "keeps state" in describe("expert/count", bots.load("expert/count")).as_text()
    assert "waits for the network" in describe("expert/lookup", bots.load("expert/lookup")).as_text()


def test_all_forms_name_every_parameter(bots):
    """Text, Markdown and JSON leave no parameter out; JSON can be read by programs."""
    description = describe("collector/fetch", bots.load("collector/fetch"))

    for form in (description.as_text(), description.as_markdown(), description.as_json()):
        assert all(name in form for name in ("url", "port", "password", "headers", "pause", "Fetch something."))
    assert json.loads(description.as_json())["kind"] == "collector"


def test_the_example_has_what_is_required(bots):
    """The example is YAML of one bot with its required parameters."""
    example = yaml.safe_load(describe("collector/fetch", bots.load("collector/fetch")).example)

    assert example["bots"]["fetch"]["use"] == "collector/fetch"
    assert list(example["bots"]["fetch"]["params"]) == ["url"]
