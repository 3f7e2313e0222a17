"""Tests of the formats on real events: those of the corpus beside the repository."""

import csv
import io
import json
from pathlib import Path

import pytest
from format_digests import digest, finding, referee

from cleanbots.clearinghouse.formats.delimited import COLUMNS, Csv
from cleanbots.clearinghouse.formats.jsonl import JsonLines
from cleanbots.clearinghouse.formats.xarf import Xarf
from cleanbots.harmonization.exchange import from_intelmq


@pytest.fixture(scope="module")
def real():
    """A digest of all events that the corpus has."""
    folder = next((p / "shared" / "corpus" for p in Path(__file__).parents if (p / "shared" / "corpus").is_dir()), None)
    if folder is None:
        pytest.skip("no corpus beside this repository: shared/corpus")
    findings = []
    for path in sorted(folder.glob("parsers/*.json")):
        for record in json.loads(path.read_text()).get("records", ()):
            for message in record.get("output_messages", {}).get("_default", []):
                fields = from_intelmq(message["fields"])
                fields.pop("raw", None)
                original = str((message.get("raw") or {}).get("text", ""))
                bare = finding(original=original, without=tuple(finding().event))
                bare.event.update({**fields, "tlp": "AMBER", "id": f"corpus-{len(findings)}"})
                findings.append(bare)
    assert findings
    return digest(*findings, delivery={"attachment": 2**30})


def test_real_events_are_valid_xarf_or_counted(real, caplog):
    """Every real event is a valid report by the specification, or is left out by rule; none is found invalid."""
    (file,) = Xarf().render(real)

    for line in file.data.splitlines():
        referee().validate(json.loads(line))
    assert file.rows + file.unexpressed == len(real.findings)
    assert not [record for record in caplog.records if "left out" in record.message]


def test_real_events_are_rows(real):
    """Every real event is one row of ``csv`` and one line of ``jsonl``."""
    (table,) = Csv().render(real)
    (lines,) = JsonLines().render(real)

    rows = list(csv.reader(io.StringIO(table.data.decode(), newline="")))
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert len(rows) - 1 == len(lines.data.splitlines()) == len(real.findings)
