"""Tables and JSON as IntelMQ's generic parsers read them: equal, or different for a listed reason."""

import re
from typing import Any

import msgspec
import pytest
from corpus import Record, Tally, records, unknown_fields

from bots.parsers.csv import Csv, CsvParams
from bots.parsers.json import Json, JsonParams
from cleanbots import Chunk, Outlet, Params, RowParser


def table(record: Record) -> Csv:
    """Make our parser of the peer's parameters; times, which the peer guesses, need their notation."""
    theirs = record.parameters
    numbered = {
        field: re.sub(r"\{(\d+)\}", lambda place: f"{{{int(place[1]) + 1}}}", template)
        for field, template in theirs.get("compose_fields", {}).items()
    }
    guessed = {"time_format": "%d/%b/%Y:%H:%M:%S %z"} if "/Aug/" in record.inputs[0].raw.decode() else {}
    params = {
        "columns": [None if name == "__IGNORE__" else name for name in theirs["columns"]],
        "header": bool(theirs.get("skip_header")),
        "delimiter": theirs.get("delimiter", ","),
        "comments": ["#"],
        "type": theirs.get("type", ""),
        "type_translation": theirs.get("type_translation", {}),
        "default_url_scheme": theirs.get("default_url_protocol", "").removesuffix("://"),
        "compose": numbered,
        "json_fields": ["extra.tags"] if "data_type" in theirs else [],
        "constants": theirs.get("default_fields", {}),
        "time_zone": "UTC",
        **guessed,
    }
    return Csv(msgspec.convert(params, CsvParams))


def objects(record: Record) -> Json:
    """Make our parser of the peer's parameters."""
    return Json(JsonParams(format="intelmq", lines=bool(record.parameters.get("splitlines"))))


PARSERS = {"generic": table, "json": objects}


def parsed(parser: RowParser[Params], record: Record) -> list[dict[str, Any]]:
    """Give the fields of the events that we make of a run's reports."""
    out = Outlet()
    for report in record.inputs:
        chunk = Chunk("report", report.raw, fields=dict(report.fields), final=True)
        parser.process_batch([row for _, row in parser.units(chunk)], out)
    assert not out.failed
    return [event.fields for event in out.sent.get("default", [])]


@pytest.mark.parametrize("bot", PARSERS)
def test_generic_parsers_agree_with_the_peer(bot, capsys):
    """Every field is the peer's, or differs for a reason in the list."""
    tally = Tally(bot)
    seen: list[dict[str, Any]] = []
    for record in records("parsers", bot):
        ours = parsed(PARSERS[bot](record), record)
        assert len(ours) == len(record.outputs), record.id
        for number, (event, one) in enumerate(zip(record.outputs, ours, strict=True), 1):
            tally.compare(f"{record.id} event {number}", event.fields, one)
        seen += ours

    with capsys.disabled():
        print(f"\n{tally.report()}")  # noqa: T201  # the figures are the point
    assert tally.fields > 0
    assert not tally.unlisted
    assert not unknown_fields(seen)
