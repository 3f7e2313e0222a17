"""parser/json: objects by a mapping from paths, or events of another system."""

from typing import Any

import msgspec
import orjson
import pytest

from bots.parsers.json import Json, JsonParams
from cleanbots.testing import Result, run


def parse(document: Any, **params: Any) -> Result:
    """Run the parser on one report."""
    return run(Json, [document if isinstance(document, (str, bytes)) else orjson.dumps(document)], params=params)


def fields(result: Result) -> list[dict[str, Any]]:
    """Give the fields of the events without what every event has."""
    known = {"id", "raw", "time.observation"}
    return [{name: event[name] for name in event if name not in known} for event in result.sent]


def test_paths_to_fields():
    """A path goes through objects and lists; what isn't there is no value."""
    item = {"host": {"addresses": [{"ip": "192.0.2.1"}], "a.b": "x"}, "port": 80, "none": None, "tags": ["a"]}
    result = parse(
        {"data": {"items": [item, {"host": [], "port": 81}]}},
        records="data.items",
        fields={
            "host.addresses[0].ip": "source.ip",
            'host["a.b"]': "extra.name",
            "port": "source.port",
            "none": "extra.none",
            "tags": "extra.tags",
        },
    )

    assert fields(result) == [
        {"source.ip": "192.0.2.1", "extra.name": "x", "source.port": 80, "extra.tags": ["a"]},
        {"source.port": 81},
    ]
    assert [event.id.rpartition("-")[2] for event in result.sent] == ["1", "2"]
    assert orjson.loads(result.sent[0]["raw"]) == item


def test_the_shared_parameters():
    """Types, times, templates, filters and required fields work as in tables."""
    result = parse(
        [
            {"t": 1795000000, "kind": "bot", "host": "www.example.net", "ip": "192.0.2.1"},
            {"t": 1795000000, "kind": "spam", "host": "www.example.net", "ip": "192.0.2.2"},
            {"t": 1795000000, "kind": "bot", "host": None, "ip": "nope"},
        ],
        fields={"t": "time.source", "kind": "classification.type", "ip": ["source.ip", "source.fqdn"]},
        time_format="epoch",
        type_translation={"bot": "infected-system"},
        compose={"source.url": "http://{host}/"},
        skip={"kind": "spam"},
        required=["source.url"],
        constants={"protocol.transport": "tcp"},
    )

    (event,) = fields(result)
    assert event == {
        "time.source": "2026-11-18T11:06:40+00:00",
        "classification.type": "infected-system",
        "source.ip": "192.0.2.1",
        "source.url": "http://www.example.net/",
        "protocol.transport": "tcp",
    }
    assert result.dropped == {"skipped": 1}
    assert [str(failure.error) for failure in result.failed] == ["element 3: source.url: no value, and it is required"]


def test_lines():
    """Lines are documents of their own, with their line as id; a broken one fails alone."""
    result = parse('{"ip": "192.0.2.1"}\n\n{"ip"\n{"ip": "192.0.2.4"}', lines=True, fields={"ip": "source.ip"})

    assert [event.id.rpartition("-")[2] for event in result.sent] == ["1", "4"]
    ((item, error),) = result.failed
    assert str(error).startswith("line 3: no JSON that can be read")
    assert (item.payload, item.line) == (b'{"ip"', 3)


def test_a_failed_object_can_be_tried_again():
    """What is kept of an object keeps its number, however deep in the document it was."""
    params = {"records": "data", "fields": {"ip": "source.ip"}, "required": ["source.ip"]}
    ((item, _),) = parse({"data": [{"ip": "192.0.2.1"}, {"ip": "nope"}]}, **params).failed

    (event,) = run(Json, [item], params={"records": "data", "fields": {"ip": "extra.ip"}}).sent

    assert event.id == f"{item.id}-2"
    assert event["extra.ip"] == "nope"


@pytest.mark.parametrize("nested", [False, True])
def test_our_own_events(nested):
    """Events of another cleanbots come in flat or nested; what doesn't fit is kept, its id is remembered."""
    flat = {"id": "r-1", "source.ip": "192.0.2.1", "source.port": 0, "feed.name": "theirs", "extra.a": {"b": 1}}
    deep = {
        "id": "r-1",
        "source": {"ip": "192.0.2.1", "port": 0},
        "feed": {"name": "theirs"},
        "extra": {"a": {"b": 1}},
    }
    ((event,),) = [fields(parse([deep if nested else flat], format="events"))]

    rejected = event.pop("extra.rejected.source.port")
    assert rejected["value"] == 0
    assert event == {
        "source.ip": "192.0.2.1",
        "feed.name": "theirs",
        "extra.a": {"b": 1},
        "extra.event_id": "r-1",
    }


def test_events_of_intelmq():
    """Events of IntelMQ come in with its spelling turned to ours."""
    row = {"__type": "Event", "source.ip": "192.0.2.1", "tlp": "WHITE", "extra": '{"a": 1}', "raw": "aGVsbG8="}
    result = parse([row], format="intelmq", constants={"protocol.transport": "tcp"})

    assert fields(result) == [{"source.ip": "192.0.2.1", "tlp": "CLEAR", "extra.a": 1, "protocol.transport": "tcp"}]
    assert result.sent[0]["raw"] == "hello"


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, "is needed for `format: mapped`"),
        ({"format": "events", "fields": {"a": "source.ip"}}, "and only there"),
        ({"fields": {"a": "source.ipp"}}, "did you mean 'source.ip'"),
        ({"fields": {"a[x]": "source.ip"}}, "not a path at character 2"),
        ({"fields": {"a": "source.ip"}, "compose": {"extra.x": "{a[}"}}, "not a path"),
        ({"fields": {"a": "source.ip"}, "lines": True, "records": "x"}, "has no meaning with `lines`"),
        ({"fields": {"a": "source.ip"}, "encoding": "latin-99"}, "no such character set"),
    ],
)
def test_mistakes_are_found_before_anything_runs(params, reason):
    """Wrong parameters are refused with a sentence."""
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(params, JsonParams)


def test_the_cut_follows_the_parameters():
    """Lines may be parted, documents not."""
    assert Json.cut(JsonParams(lines=True, fields={"a": "source.ip"})).unit == "lines"
    assert Json.cut(JsonParams(format="events", encoding="cp1252")).unit == "whole"
