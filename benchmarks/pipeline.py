"""``python -m benchmarks.pipeline``: the six-stage pipeline, all processes counted: events a second, CPU time an event.

File collector → Shadowserver parser → deduplicate → geoip → taxonomy → file output, on the embedded server with
``appendfsync always``. What starting and stopping costs is measured with an empty inbox and told apart.
"""

import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import redis

from benchmarks.processes import family, pss_bytes
from benchmarks.samples import networks, report
from cleanbots.broker import EmbeddedServer, RedisBroker
from cleanbots.services.mmdb import build_tables

ROOT = Path(__file__).resolve().parents[1]

_CLEANBOTS = str(Path(sys.executable).with_name("cleanbots"))
_LOOK_EVERY = 0.5


class Figures(NamedTuple):
    """One run.

    Args:
        wall: seconds by the clock.
        cpu: seconds of CPU of every process, the server's too.
        pss: the highest proportional set size of all processes together, in bytes; 0 if nobody looked.
    """

    wall: float
    cpu: float
    pss: int = 0


class Shape(NamedTuple):
    """How the pipeline differs from the plain one.

    Args:
        isolated: every bot in a process of its own.
        more: so many experts more, each of which sets one field.
        format: of the written events.
        broker: the server's address; with another host's name in *output_host* it must be one that hosts can share.
        output_host: the host that runs the output.
    """

    isolated: bool = False
    more: int = 0
    format: str = "jsonl"
    broker: str = "embedded"
    output_host: str = "main"


def measure(rows: int, shape: Shape | None = None, *, watch: bool = False, tree: Path = ROOT) -> Figures:
    """Run the pipeline over a report of *rows* rows, in a folder of its own; checks that all came out.

    Args:
        rows: how many rows the report has.
        shape: how the pipeline differs from the plain one.
        watch: look at the memory twice a second, which costs a little time.
        tree: the checkout whose code runs.

    Raises:
        SystemExit: not every row came out as an event.
    """
    with _folder(rows, shape or Shape()) as folder:
        return _drained(folder, rows, tree, watch=watch)


def events(rows: int) -> list[dict[str, Any]]:
    """Give what the pipeline makes of a report, as it leaves for IntelMQ."""
    with _folder(rows, Shape(format="intelmq")) as folder:
        _drained(folder, rows, ROOT, watch=False)
        return [json.loads(line) for line in (folder / "out.jsonl").read_text("utf-8").splitlines()]


def queued_bytes(rows: int) -> float:
    """Give the server's bytes per event, of *rows* events that wait in front of an output which runs nowhere."""
    port = _free_port()
    shape = Shape(broker=f"redis://127.0.0.1:{port}", output_host="b")
    with (
        _folder(rows, shape) as folder,
        EmbeddedServer(folder / "server", {"port": str(port), "bind": "127.0.0.1"}) as server,
        subprocess.Popen(
            [_CLEANBOTS, "run"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as running,
    ):
        try:
            return _queued(server, running, rows) / rows
        finally:
            running.terminate()


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


def _configuration(shape: Shape) -> dict[str, Any]:
    """Give the graph as a configuration file holds it."""
    experts: dict[str, dict[str, Any]] = {
        "parse": {"use": "parser/shadowserver", "params": {"schema": "schema.json"}},
        "dedup": {"use": "expert/deduplicate"},
        "geoip": {"use": "expert/geoip", "params": {"database": "geo.mmdb", "overwrite": True}},
        "taxonomy": {"use": "expert/taxonomy"},
    }
    for number in range(shape.more):
        experts[f"set{number}"] = {"use": "expert/set", "params": {"assign": {f"extra.set{number}": "x"}}}
    receivers = [*list(experts)[1:], "out"]
    for bot, receiver in zip(experts.values(), receivers, strict=True):
        bot["to"] = receiver
        if shape.isolated:
            bot["isolate"] = True
    inbox = {"use": "collector/file", "every": "1d", "params": {"path": "inbox", "settle": "0s"}, "to": "parse"}
    output = {"use": "output/file", "params": {"path": "out.jsonl", "format": shape.format}, "host": shape.output_host}
    return {
        "name": "pipeline",
        "state": "state",
        "broker": shape.broker,
        "hosts": list(dict.fromkeys(("main", shape.output_host))),
        "bots": {"inbox": inbox, **experts, "out": output},
    }


@contextmanager
def _folder(rows: int, shape: Shape) -> Iterator[Path]:
    """Give a folder with the configuration, its tables and the report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "inbox").mkdir()
        if rows:
            report(folder / "inbox", rows)
        (folder / "cleanbots.yaml").write_text(json.dumps(_configuration(shape)))
        (folder / "schema.json").write_bytes((ROOT / "config" / "shadowserver-schema.json").read_bytes())
        networks(folder / "networks.txt")
        build_tables(folder / "networks.txt", folder, datetime.now(UTC))
        yield folder


def _drained(folder: Path, rows: int, tree: Path, *, watch: bool) -> Figures:
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [_CLEANBOTS, "run", "--drain", "--json", "--log-level", "WARNING"]
    before, started = _cpu(), time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        peak = _watch(run) if watch else 0
        out, errors = run.communicate()
    figures = Figures(time.perf_counter() - started, _cpu() - before, peak)
    written = {row["bot"]: row["in"] for row in json.loads(out)}["out"] if run.returncode == 0 else 0
    if written != rows:
        raise SystemExit(f"{rows} rows went in and {written} events came out: {errors.decode()}")
    return figures


def _watch(run: subprocess.Popen[bytes]) -> int:
    peak = 0
    while True:
        try:
            run.wait(_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            peak = max(peak, pss_bytes(family(run.pid)))
        else:
            return peak


def _queued(server: EmbeddedServer, running: subprocess.Popen[bytes], rows: int) -> float:
    """Wait until *rows* events lie in the output's queue; give that queue's bytes in the server's memory."""
    broker = RedisBroker(server.address, "pipeline")
    try:
        while broker.depths(["out"])["out"].events < rows:
            if running.poll() is not None:
                raise SystemExit("cleanbots run ended before the events had queued up")
            time.sleep(0.2)
    finally:
        broker.close()
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        return float(client.memory_usage("{pipeline}:q:out", samples=0))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _cpu() -> float:
    """Give the CPU seconds of all ended children, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
