"""The six-stage pipeline, all processes counted: events a second, and CPU time an event.

File collector → Shadowserver parser → deduplicate → geoip → taxonomy → file output, on the embedded server with
``appendfsync always``. What starting and stopping costs is measured with an empty inbox and told apart.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from benchmarks.samples import shadowserver_csv
from cleanbots.services.mmdb import build_tables

ROOT = Path(__file__).resolve().parents[1]

CONFIG = """
name: pipeline
state: state
bots:
  inbox: {use: collector/file, every: 1d, params: {path: inbox, settle: 0s}, to: parse}
  parse: {use: parser/shadowserver, params: {schema: schema.json}, to: dedup}
  dedup: {use: expert/deduplicate, to: geoip}
  geoip: {use: expert/geoip, params: {database: geo.mmdb, overwrite: true}, to: taxonomy}
  taxonomy: {use: expert/taxonomy, to: out}
  out: {use: output/file, params: {path: out.jsonl}}
"""


class Figures(NamedTuple):
    """One run: seconds by the clock, and seconds of CPU of every process."""

    wall: float
    cpu: float


def measure(rows: int) -> Figures:
    """Run the pipeline over a report of *rows* rows, in a folder of its own; checks that all came out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "inbox").mkdir()
        if rows:
            shadowserver_csv(folder / "inbox" / "2026-11-20-scan_redis-bench.csv", rows)
        (folder / "cleanbots.yaml").write_text(CONFIG)
        (folder / "schema.json").write_bytes((ROOT / "config" / "shadowserver-schema.json").read_bytes())
        build_tables(ROOT / "config" / "demo" / "networks.txt", folder, datetime.now(UTC))
        before, started = _cpu(), time.perf_counter()
        command = [Path(sys.executable).with_name("cleanbots"), "run", "--drain", "--json", "--log-level", "WARNING"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        figures = Figures(time.perf_counter() - started, _cpu() - before)
        written = {row["bot"]: row["in"] for row in json.loads(done.stdout)}["out"]
        if written != rows:
            raise SystemExit(f"{rows} rows went in and {written} events came out")
    return figures


def main(rows: int = 200_000, runs: int = 3) -> None:
    """Print the median and the spread of several runs."""
    idle = measure(0)
    print(f"starting and stopping: {idle.wall:.1f} s, {idle.cpu:.1f} s of CPU", flush=True)
    rates, costs = [], []
    for _ in range(runs):
        run = measure(rows)
        rates.append(rows / (run.wall - idle.wall))
        costs.append((run.cpu - idle.cpu) / rows * 1e6)
        print(f"  {rows} rows: {run.wall:.1f} s, {run.cpu:.1f} s of CPU", flush=True)
    print(f"events a second: {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})")
    print(f"CPU an event:    {statistics.median(costs):.1f} µs ({min(costs):.1f} to {max(costs):.1f})")


def _cpu() -> float:
    """Give the CPU seconds of all ended children, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
