"""What the queues cost: CPU an event and hop, client and server, and bytes for what they keep.

Runs on the newest server program that is installed, or on the one that is named, with ``appendfsync always``. One hop is
a take of a frame and the commit that finishes it and hands a frame on, with counters, limits and staged state as a
worker has them. Frames are made beforehand, so what is measured is the broker's part alone.

``python -m benchmarks.broker [--server PATH] [--json FILE]``
"""

import argparse
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Figure, markdown, save
from benchmarks.processes import cpu_seconds
from benchmarks.samples import shadowserver_csv
from cleanbots.broker import EmbeddedServer, RedisBroker, embedded
from cleanbots.broker.client import Client
from cleanbots.broker.protocol import DONE, Answer, Commit, Entry, EntryGuard, Limit, Output, ReportGuard
from cleanbots.frame import encode_events
from cleanbots.testing import load, run

FRAME = 500
FRAMES = 400
DISTINCT = 20
SCHEMA = Path(__file__).resolve().parents[1] / "config" / "shadowserver-schema.json"
SEEN = 200_000
RUNS = 3
BARS = {"a hop: both": "at most 2"}
LIMITS = {"next": Limit(10_000_000, 2**32)}


def frames() -> list[bytes]:
    """Give frames of real events: what the Shadowserver parser makes of our sample, 19 columns a row."""
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "2026-11-20-scan_redis-bench.csv"
        shadowserver_csv(sample, FRAME * DISTINCT)
        parser = load("parser/shadowserver")
        made = run(parser, [sample.read_bytes()], params={"schema": str(SCHEMA)}, name=sample.name).sent
    batches = [made[start : start + FRAME] for start in range(0, len(made), FRAME)]
    return [encode_events([event.fields for event in batch], {}) for batch in batches] * (FRAMES // DISTINCT)


class Bench:
    """A server, a connection to it, and what both have used.

    Args:
        folder: for the server's data.
    """

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedServer(folder)
        self.server.start()
        self.broker = RedisBroker(self.server.address, "bench")
        self._client = Client(self.server.address)
        self.info = self._client.call("INFO", "server")

    def close(self) -> None:
        """Stop both."""
        self.broker.close()
        self._client.close()
        self.server.stop()

    @property
    def memory(self) -> int:
        """Bytes that the server uses."""
        return int(self._client.call("INFO", "memory")["used_memory"])

    @contextmanager
    def used(self, number: int) -> Iterator[list[float]]:
        """Measure µs of CPU for each of *number* things: the list holds the client's and the server's afterwards."""
        found: list[float] = []
        process = [self.info["process_id"]]
        client, server = _own_cpu(), cpu_seconds(process)
        yield found
        found += [(_own_cpu() - client) / number * 1e6, (cpu_seconds(process) - server) / number * 1e6]


def measure(frames: list[bytes]) -> dict[str, tuple[str, float]]:
    """Measure once; give name to unit and value."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            return {**_queues(bench, frames), **_seen(bench)}
        finally:
            bench.close()


def _queues(bench: Bench, frames: list[bytes]) -> dict[str, tuple[str, float]]:
    number = FRAME * len(frames)
    empty = bench.memory
    with bench.used(number) as collecting:
        for n, frame in enumerate(frames):
            _commit(bench, Commit(ReportGuard("in", f"r{n}", "", DONE), [Output("first", frame, FRAME)]))
    queued = (bench.memory - empty) / number
    with bench.used(number) as hop:
        while entry := bench.broker.take(["first"], "one", 0):
            _commit(bench, _hop(entry))
    if bench.broker.depths(["next"])["next"].events != number:
        raise SystemExit("not everything arrived in the next queue")
    return {
        "a hop: client": ("µs an event", hop[0]),
        "a hop: server": ("µs an event", hop[1]),
        "a hop: both": ("µs an event", sum(hop)),
        "collecting: both": ("µs an event", sum(collecting)),
        "a queued event on the server": ("bytes", queued),
        "its share of the frame": ("bytes", sum(map(len, frames)) / number),
    }


def _hop(entry: Entry) -> Commit:
    counters = {"first:in": FRAME, "first:out:default": FRAME, "second:in": FRAME, "second:out:default": FRAME}
    out = [Output("next", entry.data, FRAME)]
    return Commit(
        EntryGuard(entry, "", None), out, limits=LIMITS, counters=counters, state={"first": {"step": b"12345"}}
    )


def _commit(bench: Bench, commit: Commit) -> None:
    answer = bench.broker.commit(commit).answer
    if answer is not Answer.COMMITTED:
        raise SystemExit(f"a commit was {answer.value}")


def _seen(bench: Bench) -> dict[str, tuple[str, float]]:
    batches = [range(n, n + FRAME) for n in range(0, SEEN, FRAME)]
    empty = bench.memory
    found = {}
    for what in ("a new key", "a known key"):
        with bench.used(SEEN) as used:
            for batch in batches:
                bench.broker.claim_keys("dedup", [b"key %d" % n for n in batch], [f"r-{n}" for n in batch], 86_400.0)
        found[f"deduplication, {what}: both"] = ("µs", sum(used))
    found["deduplication, a key on the server"] = ("bytes", (bench.memory - empty) / SEEN)
    return found


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the queues cost.")
    parser.add_argument("--server", type=Path, help="a server program; the newest that is installed without it")
    parser.add_argument("--json", type=Path, help="where to write the figures, too")
    given = parser.parse_args()
    if given.server:
        embedded.server_program = lambda: given.server
    made = frames()
    runs = [measure(made) for _ in range(RUNS)]
    figures = [
        Figure(what, unit, [run[what][1] for run in runs], BARS.get(what, "")) for what, (unit, _) in runs[0].items()
    ]
    title = f"Queues on {version(embedded.server_program())}, frames of {FRAME}, appendfsync always"
    print(markdown(title, figures))
    if given.json:
        save(given.json, title, figures)


def version(program: Path) -> str:
    """Give the name and version of a server program."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return " ".join(said.split()[:3]).replace("server v=", "")


if __name__ == "__main__":
    main()
