"""``python -m benchmarks.members``: what the digests of a morning cost, at the size of a country.

Three measurements on a made-up hub (`benchmarks.hub`): all digests of a morning, made by a courier's process while urgent
findings come in; one large digest in each format; ``purge`` and ``erase``. ``--keep FOLDER`` keeps the store, whose making
takes minutes, for the next run.
"""

import argparse
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from benchmarks.figures import Figure, markdown, save
from benchmarks.hub import MORNING, Hub, Size, event, row
from benchmarks.processes import cpu_seconds
from cleanbots.clearinghouse.equipment import Equipment
from cleanbots.clearinghouse.members import RegistryFile
from cleanbots.clearinghouse.outbox import Outbox
from cleanbots.clearinghouse.store import open_store
from cleanbots.clock import FixedClock
from cleanbots.config import snapshot
from cleanbots.config.check import check
from cleanbots.config.model import Settings
from cleanbots.plugins import discover

LARGE = 200_000
"""Findings of the large digest."""
FORMATS = ("csv", "csv-excel-nl", "csv-intelmq", "jsonl", "xarf", "shadowserver", "abusehub")

_URGENT_EVERY = 10.0
_URGENT_NUMBER = 0xFFFF
_MIB = 2**20
_PATIENCE = 1800.0


def morning(hub: Hub) -> Iterator[Figure]:
    """Let a courier's process make all digests, and an urgent finding come in every ten seconds."""
    settings = check(hub.config).require()
    with _courier(settings) as process:
        started = time.perf_counter()
        lanes = _Urgent(hub)
        lane = hub.folder / "maildir" / "new"
        while (made := _made(hub)) < hub.size.members and process.poll() is None:
            if time.perf_counter() - started > _PATIENCE:
                raise SystemExit(f"after {_PATIENCE:.0f} s {made} of {hub.size.members} digests were made")
            lanes.go_on(lane)
        wall = time.perf_counter() - started
        cpu, peak = cpu_seconds([process.pid]), _peak(process.pid)
    if made < hub.size.members:
        raise SystemExit(f"the courier ended after {made} digests")
    yield Figure("all digests of a morning frozen", "s", [wall], "≤ 600")
    yield Figure("  CPU of the courier", "s", [cpu])
    yield Figure("  peak memory of the courier", "MiB", [peak], "≤ 600")
    yield Figure("urgent mail meanwhile, from recording to accepted, longest", "s", [max(lanes.waits)], "≤ 60")
    yield Figure("  how many", "", [len(lanes.waits)])


class _Urgent:
    """Records an urgent finding from time to time and waits for its mail."""

    def __init__(self, hub: Hub) -> None:
        self._began, self._monotonic = MORNING, time.perf_counter()
        self._clock = FixedClock(MORNING)
        self._store = open_store(hub.database, self._clock)
        folder = hub.folder / "state" / "members"
        self._members = RegistryFile(hub.folder / "members.yaml", folder, self._clock).get()
        self._next = 0.0
        self._since: float | None = None
        self._number = 0
        self._seen: set[str] = set()
        self.waits: list[float] = []

    def go_on(self, lane: Path) -> None:
        """Look for the mail that is waited for, or record the next finding."""
        now = time.perf_counter()
        if self._since is None and now >= self._next:
            self._next, self._since = now + _URGENT_EVERY, now
            self._record(self._began + timedelta(seconds=now - self._monotonic))
        elif self._since is not None and self._arrived(lane):
            self.waits.append(time.perf_counter() - self._since)
            self._since = None
        time.sleep(0.1)

    def _record(self, at: datetime) -> None:
        self._number += 1
        fields = {**event(_URGENT_NUMBER, self._number, at), "priority": "urgent"}
        match = self._members.match(fields).matches[0]
        self._store.record([row(fields, match, "now", urgent=True)], at)

    def _arrived(self, lane: Path) -> bool:
        names = {path.name for path in lane.glob("*")} - self._seen if lane.exists() else set()
        self._seen |= names
        to = f"To: abuse@m{_URGENT_NUMBER}.example.net".encode()
        return any(to in (lane / name).read_bytes()[:4096] for name in names)


@contextmanager
def _courier(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "cleanbots.runtime.courier", str(snapshot.publish(settings)), "mail"]
    process = subprocess.Popen([*command, "--at", MORNING.isoformat(), "--log-level", "WARNING"])
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _made(hub: Hub) -> int:
    with sqlite3.connect(f"file:{hub.database}?mode=ro", uri=True) as database:
        count: int = database.execute(
            "SELECT COUNT(*) FROM digests WHERE kind <> 'urgent' AND reference NOT LIKE 'PAST%'"
            " AND state IN ('frozen', 'given')"
        ).fetchone()[0]
    database.close()
    return count


def _peak(process: int) -> float:
    """Give the most memory that a process ever had resident, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


# -- one large digest


def large(folder: Path, rows: int, format_: str) -> Iterator[Figure]:
    """Make one digest in a process of its own."""
    hub = Hub(folder, Size(members=1, rows=rows, findings=rows, formats=("text", format_), per_mail=rows))
    hub.write()
    hub.fill()
    with get_context("spawn").Pool(1) as pool:
        seconds, cpu, peak = pool.apply(_digest, (folder,))
    yield Figure(f"a digest of {rows} findings, {format_}", "s", [seconds], "≤ 30")
    yield Figure("  CPU", "s", [cpu])
    yield Figure("  peak memory", "MiB", [peak], "≤ 300")


def _digest(folder: Path) -> tuple[float, float, float]:
    """Make what is due; give seconds by the clock and of CPU, and MiB."""
    clock = FixedClock(MORNING)
    equipment = Equipment(check(folder / "cleanbots.yaml").require(), discover(), clock)
    crew = equipment.crew("mail")
    outbox = Outbox(equipment.kit, crew, channel="mail", owner="benchmark", clock=clock)
    started, cpu = time.perf_counter(), time.process_time()
    made = outbox.step().made
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    crew.close()
    if len(made) != 1:
        raise SystemExit(f"one digest was due, and {len(made)} were made")
    return seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# -- keeping house


def housekeeping(hub: Hub) -> Iterator[Figure]:
    """Erase an address and a member, then remove what is past its retention: a third of the history."""
    store = open_store(hub.database, FixedClock(MORNING))
    address = str(event(hub.size.members // 2, 1)["source.ip"])
    yield _timed("erase an address", partial(store.erase, address=address))
    yield _timed("erase a member", partial(store.erase, member=f"m{hub.size.members // 2:04}"))
    yield _timed("purge a third of the payload", partial(store.purge, MORNING, 20 * 86400.0, 700 * 86400.0))
    yield _timed("purge a third of the ledger", partial(store.purge, MORNING, 20 * 86400.0, 20 * 86400.0))
    store.close_connections()


def _timed(what: str, work: Callable[[], dict[str, int]]) -> Figure:
    started = time.perf_counter()
    removed = work()
    seconds = time.perf_counter() - started
    print(f"{what}: {seconds:.1f} s, {removed}", flush=True)
    return Figure(what, "s", [seconds])


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.members", description=__doc__)
    parser.add_argument("what", nargs="*", help="of morning, large, housekeeping; all unless said")
    parser.add_argument("--members", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=2_000_000, help="owed this morning")
    parser.add_argument("--findings", type=int, default=10_000_000, help="in the store")
    parser.add_argument("--large", type=int, default=LARGE, help="findings of the large digest")
    parser.add_argument("--formats", nargs="*", default=FORMATS, help="of the large digest")
    parser.add_argument("--keep", type=Path, help="folder of the store; it is made unless it is there")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    wanted = args.what or ["morning", "large", "housekeeping"]
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = Size(args.members, args.rows, args.findings)
        if {"morning", "housekeeping"} & set(wanted):
            hub = Hub(folder / "hub", size)
            _prepare(hub, args.keep)
            figures += morning(hub) if "morning" in wanted else ()
            figures += housekeeping(hub) if "housekeeping" in wanted else ()
        if "large" in wanted:
            for format_ in args.formats:
                place = folder / format_
                place.mkdir()
                figures += large(place, args.large, format_)
                shutil.rmtree(place)
    print(markdown("Digests of a morning", figures))
    if args.json is not None:
        save(args.json, "Digests of a morning", figures)


def _prepare(hub: Hub, keep: Path | None) -> None:
    """Make the hub, or a copy of the one that is kept, so that each run begins with the same."""
    if keep is None:
        hub.folder.mkdir()
        hub.write()
        hub.fill()
        return
    if not keep.exists():
        keep.mkdir(parents=True)
        kept = Hub(keep, hub.size)
        kept.write()
        kept.fill()
    shutil.copytree(keep, hub.folder)
    store = open_store(hub.database, FixedClock(MORNING))
    store.adopt("benchmark")  # it is a copy
    store.close_connections()


if __name__ == "__main__":
    main()
