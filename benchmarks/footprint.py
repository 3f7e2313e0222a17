"""``python -m benchmarks.footprint``: what cleanbots costs before the first event comes.

The help, checking a large configuration, starting and idling, and the memory of a hundred experts. Figures of CPU are those
of all processes; memory is proportional (PSS), so that what processes share is counted once.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, markdown, save
from benchmarks.processes import cpu_seconds, family, pss_bytes

CLEANBOTS = str(Path(sys.executable).with_name("cleanbots"))

_MIB = 2**20


def chain(bots: int, *, isolated: bool) -> dict[str, Any]:
    """Give the bots of a graph: a collector, a parser, experts in a row and an output.

    Args:
        bots: how many in all.
        isolated: each in a process of its own; else as few processes as may be.
    """
    isolate = {"isolate": True} if isolated else {}
    experts = {
        f"expert{number}": {"use": "expert/taxonomy", "to": f"expert{number + 1}", **isolate}
        for number in range(bots - 4)
    }
    return {
        "inbox": {"use": "collector/file", "every": "1d", "params": {"path": "inbox"}, "to": "parse"},
        "parse": {
            "use": "parser/csv",
            "params": {"columns": ["source.ip"]},
            "to": "expert0",
            **isolate,
        },
        **experts,
        f"expert{bots - 4}": {"use": "expert/taxonomy", "to": "out", **isolate},
        "out": {"use": "output/file", "params": {"path": "out.jsonl"}, **isolate},
    }


def branches(number: int, experts: int) -> dict[str, Any]:
    """Give the bots of a graph in which a filter sends events to branches of experts, each with its own output."""
    rules = {f"branch{each}": f"source.asn == {64496 + each}" for each in range(number)}
    found: dict[str, Any] = {
        "inbox": {"use": "collector/file", "every": "1d", "params": {"path": "inbox"}, "to": "parse"},
        "parse": {"use": "parser/csv", "params": {"columns": ["source.ip", "source.asn"]}, "to": "sort"},
        "sort": {
            "use": "expert/filter",
            "params": {"rules": rules},
            "to": {"default": [], **{each: f"{each}-expert0" for each in rules}},
        },
    }
    for each in rules:
        for place in range(experts):
            to = f"{each}-expert{place + 1}" if place + 1 < experts else f"{each}-out"
            found[f"{each}-expert{place}"] = {"use": "expert/taxonomy", "to": to}
        found[f"{each}-out"] = {"use": "output/file", "params": {"path": f"{each}.jsonl"}}
    return found


def configuration(folder: Path, bots: dict[str, Any]) -> None:
    """Write a configuration with these bots."""
    (folder / "inbox").mkdir()
    text = json.dumps({"name": "footprint", "state": "state", "bots": bots}, indent=1)
    (folder / "cleanbots.yaml").write_text(text)


@contextmanager
def running(folder: Path) -> Iterator[tuple[int, float, float]]:
    """Start the graph in *folder*; give supervisord's process, and the seconds by the clock and of CPU that it took."""
    started, before = time.perf_counter(), _children()
    subprocess.run([CLEANBOTS, "up"], cwd=folder, check=True, capture_output=True)
    wall, cpu = time.perf_counter() - started, _children() - before
    try:
        yield int((folder / "state" / "supervisor" / "supervisord.pid").read_text()), wall, cpu
    finally:
        subprocess.run([CLEANBOTS, "down"], cwd=folder, check=True, capture_output=True)


def help_() -> Iterator[Figure]:
    """Compare the help with a Python that does nothing, in pairs."""
    pairs = [(_cpu_of([sys.executable, "-c", "pass"]), _cpu_of([CLEANBOTS, "--help"])) for _ in range(21)]
    least, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    yield Figure("python -c pass, CPU", "ms", [least * 1e3])
    yield Figure("cleanbots --help, CPU", "ms", [ours * 1e3])
    yield Figure("  times as much", "", [ours / least], "≤ 5")


def checking(bots: int) -> Iterator[Figure]:
    """Check a configuration."""
    with tempfile.TemporaryDirectory() as name:
        configuration(Path(name), chain(bots, isolated=False))
        times, cpus = [], []
        for _ in range(3):
            started, before = time.perf_counter(), _children()
            subprocess.run([CLEANBOTS, "check"], cwd=name, check=True, capture_output=True)
            times.append(time.perf_counter() - started)
            cpus.append(_children() - before)
    yield Figure(f"check of {bots} bots", "s", times, "≤ 2")
    yield Figure("  CPU", "s", cpus)


def starting(bots: int, seconds: float) -> Iterator[Figure]:
    """Start a graph, each bot in a process of its own, and let it idle."""
    with tempfile.TemporaryDirectory() as name:
        configuration(Path(name), chain(bots, isolated=True))
        with running(Path(name)) as (process, wall, cpu):
            time.sleep(10)
            yield Figure(f"up of {bots} bots, each in its own process", "s", [wall], "≤ 10")
            yield Figure("  CPU of the command", "s", [cpu])
            yield Figure("  CPU of the graph until it idles", "s", [cpu_seconds(family(process))])
            yield Figure("  memory (PSS) in all", "MiB", [pss_bytes(family(process)) / _MIB])
            yield Figure(f"{bots} idle bots, each in its own process, of a core", "%", [_idle(process, seconds)])
    with tempfile.TemporaryDirectory() as name:
        configuration(Path(name), chain(bots, isolated=False))
        with running(Path(name)) as (process, wall, _):
            time.sleep(10)
            yield Figure(f"up of {bots} bots", "s", [wall], "≤ 10")
            yield Figure(f"{bots} idle bots, of a core", "%", [_idle(process, seconds)], "≤ 1")


def _idle(process: int, seconds: float) -> float:
    """Give the share of a core that a graph uses, in per cent."""
    before, started = cpu_seconds(family(process)), time.perf_counter()
    time.sleep(seconds)
    return (cpu_seconds(family(process)) - before) / (time.perf_counter() - started) * 100


def memory() -> Iterator[Figure]:
    """Run a hundred experts in ten branches behind one filter, and give all of them something to do."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        configuration(folder, branches(10, 10))
        with running(folder) as (process, _, _):
            rows = "".join(f"192.0.2.{number % 250},{64496 + number % 10}\n" for number in range(20_000))
            (folder / "inbox" / "list.csv").write_text(f"address,system\n{rows}")
            subprocess.run([CLEANBOTS, "restart", "scheduler"], cwd=folder, check=False, capture_output=True)
            time.sleep(15)
            processes = family(process)
            yield Figure(
                "100 experts in ten branches, memory (PSS) in all", "MiB", [pss_bytes(processes) / _MIB], "≤ 400"
            )
            yield Figure("  processes", "", [len(processes)])


def _cpu_of(command: list[str]) -> float:
    before = _children()
    subprocess.run(command, check=True, capture_output=True)
    return _children() - before


def _children() -> float:
    """Give the CPU seconds of all ended children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument("what", nargs="*", help="of help, check, up, memory; all unless said")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds to idle")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    measures: dict[str, Callable[[], Iterator[Figure]]] = {
        "help": help_,
        "check": lambda: checking(300),
        "up": lambda: starting(50, args.idle),
        "memory": memory,
    }
    figures = [figure for name in args.what or measures for figure in measures[name]()]
    print(markdown("Footprint", figures))
    if args.json is not None:
        save(args.json, "Footprint", figures)


if __name__ == "__main__":
    main()
