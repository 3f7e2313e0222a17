"""The yardstick: a plain script that does to a report what the pipeline does, with no queue, no bots and no promise.

One loop over the `csv` module: the same converters of the harmonisation, one call per value; the same ids and raw rows;
duplicates looked up in a set; the same prefix table; the taxonomy; JSON lines out. What stops halfway is begun anew.
``python -m benchmarks.plain REPORT TABLE OUT`` runs it.
"""

import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import maxminddb
import orjson

from benchmarks.samples import networks, report
from bots.parsers._shadowserver_convert import CONVERSIONS
from cleanbots.clock import SystemClock, iso
from cleanbots.data import data_path
from cleanbots.harmonization import catalogue
from cleanbots.harmonization.taxonomy import taxonomy_of
from cleanbots.report import report_id
from cleanbots.services.mmdb import build_tables

_ROOT = Path(__file__).resolve().parents[1]

_KIND = "scan_redis"
_FACTS = (
    ("source.geolocation.cc", ("country", "iso_code")),
    ("source.geolocation.city", ("city", "names", "en")),
    ("source.geolocation.latitude", ("location", "latitude")),
    ("source.geolocation.longitude", ("location", "longitude")),
)

Column = tuple[int, str, Callable[[str], Any] | None, Callable[[Any], Any]]


def convert(made: Path, table: Path, out: Path) -> int:
    """Make events of a ``scan_redis`` report and append them to *out*; give how many those were."""
    schema = orjson.loads(data_path("config", "shadowserver-schema.json").read_bytes())[_KIND]
    stat = made.stat()
    name = report_id(f"{made}:{stat.st_size}:{stat.st_mtime_ns}")
    base = {
        "feed.name": schema["feed_name"],
        "feed.code": _KIND,
        "feed.documentation": schema["url"],
        "time.observation": iso(SystemClock().now().replace(microsecond=0)),
        "time_precision": "second",
        "port_is": "service",
        **schema["constant_fields"],
    }
    seen: set[tuple[str, str, str]] = set()
    written = 0
    with (
        made.open(encoding="utf-8", newline="") as file,
        out.open("ab") as lines,
        maxminddb.open_database(table) as places,
    ):
        header = next(csv.reader([file.readline()]))
        columns = list(_columns(schema, header))
        source = _Lines(file)
        for number, row in enumerate(csv.reader(source), 2):
            event: dict[str, Any] = {"id": f"{name}-{number}", **base, "raw": source.last.rstrip("\r\n")}
            for index, field, meaning, canonical in columns:
                value: Any = row[index]
                if not value:
                    continue
                if meaning is not None:
                    value = meaning(value)
                    if value is None:
                        continue
                event[field] = canonical(value)
            key = (event["raw"], event["feed.name"], event["feed.code"])
            if key in seen:
                continue
            seen.add(key)
            _place(event, places.get(event["source.ip"]))
            event.setdefault("classification.taxonomy", taxonomy_of(event["classification.type"]))
            lines.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            written += 1
    return written


class _Lines:
    """Lines of a file of which each is a row; *last* is the one that was given last."""

    def __init__(self, file: Iterator[str]) -> None:
        self._file = file
        self.last = ""

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.last = line
            yield line


def _columns(schema: dict[str, Any], header: list[str]) -> Iterator[Column]:
    """Give of each mapped column its place, its field, what the report means by it, and the field's own converter."""
    for field, column, *more in schema["required_fields"] + schema["optional_fields"]:
        name = field + column if field == "extra." else field
        yield header.index(column), name, CONVERSIONS[more[0]] if more else None, catalogue().converter(name)


def _place(event: dict[str, Any], record: Any) -> None:
    """Set what the table says of an address."""
    if not isinstance(record, dict):
        return
    for field, path in _FACTS:
        found: Any = record
        for step in path:
            found = found.get(step)
            if found is None:
                break
        else:
            event[field] = found


def measure(rows: int) -> float:
    """Convert a report of *rows* rows in a process of its own; give the CPU seconds of a million events."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = report(folder, rows)
        networks(folder / "networks.txt")
        table, _ = build_tables(folder / "networks.txt", folder, SystemClock().now())
        command = [sys.executable, "-m", "benchmarks.plain", str(made), str(table), str(folder / "out.jsonl")]
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[2])


def main() -> None:
    """Convert one report; print how many events, and the CPU time of each."""
    made, table, out = map(Path, sys.argv[1:])
    before = time.process_time()
    written = convert(made, table, out)
    print(f"{written} events, {(time.process_time() - before) / written * 1e6:.1f} µs of CPU each")


if __name__ == "__main__":
    main()
