"""The demo: sample reports through a whole pipeline, by the commands that an operator types.

Everything it makes lies in ``demo-output/``; run it again and it starts anew.
"""

import gzip
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
ROWS = 4000

sys.path.insert(0, str(ROOT))


def main() -> int:
    """Run the demo; give the exit code."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output").resolve()
    _prepare(folder)
    command = [str(Path(sys.executable).with_name("cleanbots"))]
    for step in (["check"], ["test"], ["graph"]):
        if _show(command + step, folder):
            return 1
    books = _run(command, folder)
    _show([*command, "failed", "list"], folder)
    _tell(books, folder)
    return 0


def _prepare(folder: Path) -> None:
    from benchmarks.samples import blocklist_csv, shadowserver_csv
    from cleanbots.services.mmdb import build_tables

    shutil.rmtree(folder, ignore_errors=True)
    for inbox in ("api", "mail", "partner"):
        (folder / "inbox" / inbox).mkdir(parents=True)
    report = folder / "inbox" / "api" / "2026-11-20-scan_redis-example.csv"
    shadowserver_csv(report, ROWS, newlines=0.01, broken=0.005)
    with gzip.open(folder / "inbox" / "mail" / f"{report.name}.gz", "wb") as copy:
        copy.write(report.read_bytes())
    blocklist_csv(folder / "inbox" / "partner" / "blocklist.csv")
    build_tables(HERE / "networks.txt", folder, datetime.now(UTC))
    shutil.copy(HERE / "cleanbots.yaml", folder)
    shutil.copy(ROOT / "config" / "shadowserver-schema.json", folder)
    print(f"{ROWS} rows of a Shadowserver report, the same report again by mail, and a partner's list of 60 rows")
    print(f"are waiting in {folder / 'inbox'}.")


def _show(command: list[str], folder: Path) -> int:
    print(f"\n$ cleanbots {' '.join(command[1:])}", flush=True)
    return subprocess.run(command, cwd=folder, check=False).returncode


def _run(command: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    print("\n$ cleanbots run --drain", flush=True)
    run = [*command, "run", "--drain", "--json", "--log-level", "WARNING"]
    with (folder / "run.log").open("wb") as log:
        done = subprocess.run(run, cwd=folder, stdout=subprocess.PIPE, stderr=log, check=False)
    if done.returncode:
        print((folder / "run.log").read_text())
        sys.exit(done.returncode)
    return {row["bot"]: row for row in json.loads(done.stdout)}


def _tell(books: dict[str, dict[str, Any]], folder: Path) -> None:
    rows = books["shadowserver"]["in"] + books["blocklist"]["in"]
    failed = sum(row["failed"] for row in books.values())
    events = books["dedup"]["in"]
    duplicates = books["dedup"]["dropped"]
    written = books["networks"]["in"] + books["unknown"]["in"]
    abroad = books["route"]["dropped"]
    print("The books:")
    _account(
        ("rows collected, in 3 reports", rows),
        ("failed, each with its line and reason (above)", -failed),
        ("events", events),
        ("duplicates: the report that came twice", -duplicates),
        ("dropped by the rule 'abroad'", -abroad),
        ("told to networks", written),
    )
    print(f"\n{'they balance' if rows - failed == events == duplicates + abroad + written else 'THEY DO NOT BALANCE'}")
    print("\nA file for each network, with what it would be told:")
    for path in sorted((folder / "networks").glob("*.csv")):
        lines = path.read_text().splitlines()
        print(
            f"  {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}  {len(lines) - 1} findings"
        )
    print("\nNext: 'cleanbots explain ID' in that folder tells what became of an event (ids are the first column),")
    print("'cleanbots failed show' shows what failed, and README.md leads to a pipeline of your own.")


def _account(*lines: tuple[str, int]) -> None:
    for text, number in lines:
        print(f"  {number:>7}  {text}")


if __name__ == "__main__":
    sys.exit(main())
