"""The books balance from outside: every row of the inputs lies in exactly one place, also when workers are killed."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.samples import shadowserver_csv

HERE = Path(__file__).parent
CLEANBOTS = Path(sys.executable).with_name("cleanbots")

CONFIG = """
name: audit
state: state
bots:
  api: {use: collector/file, every: 1m, params: {path: inputs, pattern: "*.csv", settle: 0s}, to: parse}
  mail: {use: collector/file, every: 1m, params: {path: inputs, pattern: "*.gz", settle: 0s}, to: parse}
  parse: {use: parser/shadowserver, params: {schema: schema.json}, to: dedup}
  dedup: {use: expert/deduplicate, to: {default: taxonomy, duplicate: duplicates}}
  taxonomy: {use: expert/taxonomy, to: route}
  route:
    use: expert/filter
    params: {rules: {retail: "extra.sector == 'Retail Trade'", low: "severity in ['medium', 'low']"}}
    to: {low: low, default: rest}
  rest: {use: output/file, params: {path: outputs/rest.jsonl}}
  low: {use: output/file, params: {path: outputs/low.jsonl}}
  duplicates: {use: output/file, params: {path: outputs/duplicate.jsonl}}
"""


def _prepare(folder: Path, repository: Path, rows: int, seed: int) -> None:
    inputs = folder / "inputs"
    inputs.mkdir()
    mixed = {"newlines": 0.05, "broken": 0.02, "duplicates": 0.05}
    shadowserver_csv(inputs / "2026-11-20-scan_redis-one.csv", rows // 2, seed, **mixed)
    shadowserver_csv(inputs / "2026-11-20-scan_redis-two.csv", rows // 4, seed + 1000, **mixed)
    with gzip.open(inputs / "2026-11-20-scan_redis-three.csv.gz", "wb", compresslevel=1) as again:
        shadowserver_csv(folder / "three.csv", rows // 4, seed, **mixed)
        again.write((folder / "three.csv").read_bytes())
    (folder / "cleanbots.yaml").write_text(CONFIG)
    (folder / "schema.json").write_bytes((repository / "config" / "shadowserver-schema.json").read_bytes())
    (folder / "rule.json").write_text(json.dumps({"rule": "retail", "column": "sector", "value": "Retail Trade"}))


def _workers(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    found = []
    for child in children:
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except FileNotFoundError:
            continue
        if b"cleanbots.runtime.worker" in command:
            found.append(int(child))
    return found


def _run(folder: Path, kills: int, chance: random.Random) -> tuple[dict[str, dict[str, int]], int]:
    """Run the graph until it is drained, killing workers at random; give its books and how many were killed."""
    with (folder / "run.log").open("wb") as log:
        command = [CLEANBOTS, "run", "--drain", "--json", "--log-level", "WARNING"]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log)
        killed = 0
        while process.poll() is None:
            time.sleep(chance.uniform(0.02, 0.4))
            workers = _workers(process.pid) if process.poll() is None else []
            if killed < kills and workers:
                os.kill(chance.choice(workers), signal.SIGKILL)
                killed += 1
        out, _ = process.communicate()
    assert process.returncode == 0, (folder / "run.log").read_text()[-4000:]
    return {row["bot"]: row for row in json.loads(out)}, killed


def _collect_evidence(folder: Path, books: dict[str, dict[str, int]]) -> None:
    facts = [(path.stem, json.loads(path.read_text())) for path in (folder / "state" / "archive").glob("*/*.json")]
    by_name = {path.name.removesuffix(".gz"): path.name for path in (folder / "inputs").iterdir()}
    (folder / "reports.json").write_text(json.dumps({by_name[fact["name"]]: report for report, fact in facts}))
    (folder / "dropped.json").write_text(json.dumps({"route retail": books["route"]["dropped"]}))
    subprocess.run([CLEANBOTS, "failed", "export", "-o", "failed.jsonl"], cwd=folder, check=True)


@pytest.mark.parametrize("seed", range(5))
def test_every_row_lies_in_exactly_one_place(seed: int, tmp_path: Path, repository: Path, long_form: bool) -> None:
    """Written, duplicate, dropped by a rule, or failed: each row once, whoever is killed in the middle."""
    if seed and not long_form:
        pytest.skip("four more seeds belong to the long form")
    rows, kills = (100_000, 30) if long_form else (20_000, 8)
    _prepare(tmp_path, repository, rows, seed)
    books, killed = _run(tmp_path, kills, random.Random(seed))
    _collect_evidence(tmp_path, books)
    audited = subprocess.run([sys.executable, HERE / "books.py", tmp_path], capture_output=True, text=True, check=False)
    assert audited.returncode == 0, audited.stderr[-2000:]
    counts = json.loads(audited.stdout)
    print(f"seed {seed}: {killed} killed, {counts}")  # noqa: T201  # the figures of the bar
    assert counts["rows"] == rows
    assert min(counts[place] for place in ("rest", "low", "duplicate", "dropped", "failed parse")) > 0
