"""Audit a run from outside: does each row of the inputs lie in exactly one place?

It imports nothing of the project. It reads what went in (CSV files), what came out (JSON lines), and what
``cleanbots failed export`` gives, and accounts for every row by its id ``<report id>-<line>``.

``python books.py FOLDER`` expects in FOLDER: ``inputs/*.csv`` or ``*.csv.gz`` with a header each, ``reports.json``
(file name to report id), ``outputs/**/*.jsonl``, ``failed.jsonl``, ``dropped.json`` (bot and rule to number) and
``rule.json`` (``{"rule": …, "column": …, "value": …}``: rows that the graph drops by that rule).
"""

import csv
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


def rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Walk through a CSV file: the physical line at which each row begins, and its cells."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        line = reader.line_num
        for cells in reader:
            if cells:
                yield line + 1, dict(zip(header, cells, strict=False))
            line = reader.line_num


def json_lines(path: Path) -> Iterator[dict[str, object]]:
    """Walk through a file of JSON lines; a torn line is an error."""
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def audit(folder: Path) -> dict[str, int]:
    """Account for every row.

    Returns:
        counts by place: rows, written (by output file's stem), failed, dropped.

    Raises:
        AssertionError: if a row is nowhere or in two places, or something came from no row.
    """
    reports = json.loads((folder / "reports.json").read_text())
    rule = json.loads((folder / "rule.json").read_text())
    places: dict[str, list[str]] = {}
    ruled = set()
    for path in sorted((folder / "inputs").iterdir()):
        for line, cells in rows(path):
            event = f"{reports[path.name]}-{line}"
            places[event] = []
            if cells.get(rule["column"]) == rule["value"]:
                ruled.add(event)
    strangers = []
    for path in sorted((folder / "outputs").rglob("*.jsonl")):
        for event in json_lines(path):
            places.get(str(event["id"]), strangers).append(path.stem)
    for item in json_lines(folder / "failed.jsonl"):
        places.get(str(item["id"]), strangers).append(f"failed {item['bot']}")

    nowhere = {event for event, found in places.items() if not found}
    twice = {event: found for event, found in places.items() if len(found) > 1}
    dropped = sum(json.loads((folder / "dropped.json").read_text()).values())
    assert not strangers, f"{len(strangers)} items that no row became, for example in {strangers[0]}"
    assert not twice, f"{len(twice)} rows in two places, for example {next(iter(twice.items()))}"
    lost = nowhere - ruled
    assert not lost, f"{len(lost)} rows lost, for example {min(lost)}"
    assert len(nowhere) == dropped, f"{len(nowhere)} rows were dropped by rule, and the books say {dropped}"
    counts = Counter(found[0] for found in places.values() if found)
    return {"rows": len(places), "dropped": dropped, **counts}


if __name__ == "__main__":
    print(json.dumps(audit(Path(sys.argv[1])), indent=2, sort_keys=True))  # noqa: T201  # it is a program
