"""``python -m benchmarks.latency``: how long a single event takes from its file to the webhook of an immediate delivery.

A running graph: a folder that is watched, a parser, the constituency, the recorder, a courier. One file with one row is
moved in at a time; the clock stops when the endpoint, in this process, has the call.
"""

import argparse
import json
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.figures import Figure, markdown, save

CLEANBOTS = str(Path(sys.executable).with_name("cleanbots"))

_NOBODY = ("unmatched", "ambiguous", "guarded", "excluded")
_PATIENCE = 60.0


class Endpoint(ThreadingHTTPServer):
    """Takes webhooks and notes when each came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def wait_for(self, text: str) -> float:
        """Give when a call came whose body holds *text*."""
        while True:
            at, body = self.calls.get(timeout=_PATIENCE)
            if text.encode() in body:
                return at


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def do_POST(self) -> None:
        """Take a call."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.put((time.perf_counter(), body))
        self.send_response(204)
        self.end_headers()

    def log_request(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def running(folder: Path, port: int) -> Iterator[Path]:
    """Run the graph; give the folder that it watches."""
    (folder / "secret").write_text("whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    (folder / "secret").chmod(0o600)
    (folder / "inbox").mkdir()
    (folder / "cleanbots.yaml").write_text(json.dumps(_CONFIG))
    (folder / "members.yaml").write_text(json.dumps(_members(port)))
    subprocess.run([CLEANBOTS, "up"], cwd=folder, check=True, capture_output=True)
    try:
        yield folder / "inbox"
    finally:
        subprocess.run([CLEANBOTS, "down"], cwd=folder, check=True, capture_output=True)


_CONFIG = {
    "name": "latency",
    "state": "state",
    "members": "members.yaml",
    "delivery": {
        "mode": "live",
        "from": {"mail": "hub@hub.example.net"},
        "approve": {"first_to_member": False, "over": 1_000_000, "growth": "1000000x"},
        "couriers": {"webhook": {"allow": ["127.0.0.0/8"]}},
    },
    "bots": {
        "inbox": {
            "use": "collector/watch",
            "params": {"path": "inbox", "settle": "0s", "after": "delete"},
            "feed": {"provider": "Example", "name": "latency", "tlp": "AMBER"},
            "to": "parse",
        },
        "parse": {
            "use": "parser/csv",
            "params": {"columns": ["time.source", "source.ip", "classification.type"]},
            "to": "who",
        },
        "who": {"use": "expert/constituency", "to": {"default": "members", **{key: [] for key in _NOBODY}}},
        "members": {"use": "output/members"},
    },
}


def _members(port: int) -> dict[str, Any]:
    hook = {
        "id": "hook",
        "channel": "webhook",
        "url": f"http://127.0.0.1:{port}/",
        "secrets": ["file:secret"],
        "when": "immediately",
        "on_dead": "abuse",
    }
    member = {
        "id": "m",
        "name": "Member",
        "state": "live",
        "resources": {"networks": [{"prefix": "2001:db8:1::/48"}]},
        "contacts": [{"id": "abuse", "mail": "abuse@m.example.net"}],
        "deliveries": [hook],
    }
    return {"members": [member]}


def measure(events: int, seed: int = 1) -> list[float]:
    """Give the milliseconds that each event took."""
    random, endpoint = Random(seed), Endpoint()
    times = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder, endpoint.server_port) as inbox:
            for number in range(1, events + 2):
                address = f"2001:db8:1::{number:x}:1"
                draft = folder / "draft.csv"
                seen = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                draft.write_text(f"time,address,type\n{seen},{address},scanner\n")
                started = time.perf_counter()
                draft.rename(inbox / f"{number}.csv")
                times.append((endpoint.wait_for(address) - started) * 1e3)
                time.sleep(random.uniform(0.05, 0.3))
    endpoint.shutdown()
    return times[1:]  # the first one waited for the ping


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    times = measure(args.events)
    figures = [
        Figure("file to webhook, median", "ms", [statistics.median(times)], "≤ 50"),
        Figure("file to webhook, 99th percentile", "ms", [statistics.quantiles(times, n=100)[98]], "≤ 200"),
        Figure("file to webhook, all", "ms", times),
    ]
    print(markdown("Latency of a single event", figures))
    if args.json is not None:
        save(args.json, "Latency of a single event", figures)


if __name__ == "__main__":
    main()
