"""Shadowserver's reports as IntelMQ 3.5.0 parses them: equal, or different for a listed reason."""

import json
from typing import Any

import pytest
from corpus import Message, Record, Tally, corpus_file, records, unknown_fields

from bots.parsers._shadowserver_convert import CONVERSIONS, ROW_CONVERSIONS
from bots.parsers._shadowserver_schema import INVENTORY, PORTS, read_schema
from bots.parsers.shadowserver import Shadowserver, ShadowserverParams
from cleanbots import Chunk, Outlet
from cleanbots.harmonization import catalogue

MOST_DIFFERENT = 0.02
SCHEMAS = {
    "shadowserver-current-schema": "shadowserver-schema-2026-03-24.json",
    "shadowserver": "shadowserver-schema.json.test",
}


def parsed(parser: Shadowserver, report: Message) -> list[dict[str, Any] | Exception]:
    """Parse a report row by row: for each of its rows the event's fields, or why there is none."""
    fields = {name: value for name, value in report.fields.items() if name != "extra.file_name"}
    results: list[dict[str, Any] | Exception] = []
    for _, row in parser.units(Chunk(id="report", payload=report.raw, name=report.name, fields=fields, final=True)):
        out = Outlet()
        parser.process_batch([row], out)
        results += [event.fields for event in out.sent.get("default", [])]
        results += [failure.error for failure in out.failed]
    return results


def compare(parser: Shadowserver, record: Record, tally: Tally, seen: list[dict[str, Any]]) -> None:
    """Compare all reports of a run."""
    for number, report in enumerate(record.inputs):
        theirs, ours = record.events_of(number), parsed(parser, report)
        seen += [one for one in ours if isinstance(one, dict)]
        if not theirs:
            for one in ours:
                if isinstance(one, dict):
                    tally.surplus(report.name, one)
            continue
        assert len(theirs) == len(ours), f"{report.name}: {len(theirs)} rows there, {len(ours)} here"
        for row, (event, one) in enumerate(zip(theirs, ours, strict=True), 1):
            where = f"{report.name} row {row}"
            if isinstance(one, dict):
                tally.compare(where, event.fields, one)
            else:
                tally.missing(where, event.fields, one)


@pytest.mark.parametrize("bot", SCHEMAS)
def test_events_are_the_peers_or_differ_for_a_listed_reason(bot, capsys):
    """At most 2 % of the fields differ from IntelMQ's, each for a reason in the list."""
    schema = corpus_file("files", SCHEMAS[bot])
    parser = Shadowserver(ShadowserverParams(schema=str(schema)))
    parser.open()
    tally = Tally(bot)
    seen: list[dict[str, Any]] = []

    for record in records("parsers", bot):
        compare(parser, record, tally, seen)

    with capsys.disabled():
        print(f"\n{tally.report()}")  # noqa: T201  # the figures are what one wants to see
    assert not tally.unlisted
    assert tally.equal
    assert tally.share <= MOST_DIFFERENT
    assert not unknown_fields(seen)


def converted(function: str, args: list[Any]) -> Any:
    """Call our conversion of that name; what it raises is given as its text."""
    text = args[0]
    row = args[1] if len(args) > 1 else {}
    try:
        if function in ROW_CONVERSIONS:
            return ROW_CONVERSIONS[function](text, row)
        return CONVERSIONS[function](text)
    except ValueError as error:
        return f"ValueError: {error}"


def test_conversions_are_the_peers_or_differ_for_a_listed_reason(capsys):
    """All 18 conversions of the schema are there and give what the peer's give, or differ for a reason in the list."""
    calls = json.loads(corpus_file("parsers", "shadowserver-functions.json").read_bytes())["calls"]
    tally = Tally("shadowserver-functions")

    for call in calls:
        name = call["function"]
        theirs = call["error"] or call["result"]
        where = f"{name}({', '.join(map(repr, call['args']))[:120]})"
        tally.compare(where, {name: theirs}, {name: converted(name, call["args"])})

    with capsys.disabled():
        print(f"\n{tally.report()}")  # noqa: T201  # the figures are what one wants to see
    assert {call["function"] for call in calls} == CONVERSIONS.keys() | ROW_CONVERSIONS.keys()
    assert not tally.unlisted


def test_every_published_type_can_be_laid_out():
    """The published schema has no field and no conversion that is unknown here, and its ports are told apart."""
    types = read_schema(corpus_file("files", "shadowserver-schema-2026-03-24.json").read_bytes())
    known = catalogue().__contains__
    ports = [one.column for kind in types.values() for one in kind.mapped if one.field == "source.port"]

    assert len(types) == 170
    assert [problem for kind in types.values() for problem in kind.problems(known)] == []
    assert [ports.count(column) for column in PORTS] == [143, 21]
    assert types.keys() >= INVENTORY
    assert len(INVENTORY) >= 22
