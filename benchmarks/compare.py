"""``python -m benchmarks.compare``: IntelMQ, cleanbots and a plain script side by side.

Rate, CPU time, memory, and whether both made the same events. The plain script (`benchmarks.plain`) does the same to the
rows without any queue or bot.

Each pair runs the peer over a small report and cleanbots over a large one of the same kind (a report that takes the peer
twenty seconds is over here before a clock says anything), one after the other on the same machine.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks import peer, pipeline, plain
from benchmarks.figures import Figure, markdown, ratio, save

PEER_ROWS, ROWS, PAIRS = 5_000, 500_000, 5

_OURS_ALONE = ("extra.cleanbots.", "feed.code", "raw", "__type")
"""Fields that the peer does not have, or does not write here."""

_OTHERWISE = ("feed.url", "feed.accuracy", "time.observation")
"""Fields that differ: the peer names the file, takes a feed to be right by default, and runs at another time."""


def run(pairs: int = PAIRS, rows: int = ROWS) -> list[Figure]:
    """Measure; gives the figures and their ratios.

    Args:
        pairs: how often both are run.
        rows: of the report for cleanbots.

    Raises:
        SystemExit: both did not make the same events.
    """
    peer.install()
    _compare(peer.measure(1_000).events, pipeline.events(1_000))
    idle = pipeline.measure(0)
    theirs, durable, ours, apart, yardstick = [], [], [], [], []
    for _ in range(pairs):
        theirs.append(peer.measure(PEER_ROWS))
        ours.append(pipeline.measure(rows))
        apart.append(pipeline.measure(rows, pipeline.Shape(isolated=True)))
        durable.append(peer.measure(PEER_ROWS, durable=True))
        yardstick.append(plain.measure(rows))
    their_rate = Figure("IntelMQ, its default server", "events/s", [PEER_ROWS / one.wall for one in theirs])
    our_rate = Figure("cleanbots, durable (always)", "events/s", [rows / (one.wall - idle.wall) for one in ours])
    apart_rate = Figure("cleanbots, every bot isolated", "events/s", [rows / (one.wall - idle.wall) for one in apart])
    their_cpu = Figure("IntelMQ, CPU", "s per million events", [one.cpu / PEER_ROWS * 1e6 for one in theirs])
    our_cpu = Figure("cleanbots, CPU", "s per million events", [(one.cpu - idle.cpu) / rows * 1e6 for one in ours])
    return [
        their_rate,
        Figure(
            "IntelMQ, append-only file synced at every write", "events/s", [PEER_ROWS / one.wall for one in durable]
        ),
        our_rate,
        apart_rate,
        ratio("rate, cleanbots to IntelMQ", our_rate, their_rate, "≥ 100, aim at 200"),
        ratio("rate, every bot isolated, to IntelMQ", apart_rate, their_rate, "≥ 60"),
        their_cpu,
        our_cpu,
        ratio("CPU, IntelMQ to cleanbots, servers included", their_cpu, our_cpu, "≥ 100"),
        script := Figure("plain script, CPU", "s per million events", yardstick),
        ratio("CPU, cleanbots to the plain script", our_cpu, script, "≤ 2"),
        Figure("IntelMQ, all bots, highest PSS", "MB", [one.pss / 1e6 for one in theirs]),
        *_queued(),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="how often each is run")
    parser.add_argument("--rows", type=int, default=ROWS, help="of the report for cleanbots and the script")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    figures = run(args.pairs, args.rows)
    print(markdown("Beside IntelMQ", figures))
    if args.json is not None:
        save(args.json, "Beside IntelMQ", figures)


def _queued() -> list[Figure]:
    theirs = Figure("IntelMQ, server memory per queued event", "bytes", [peer.queued_bytes(5_000)])
    ours = Figure("cleanbots, server memory per queued event", "bytes", [pipeline.queued_bytes(100_000)])
    return [theirs, ours, ratio("memory per queued event, IntelMQ to cleanbots", theirs, ours, "≥ 20")]


def _compare(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> None:
    """Say whether both made the same events, apart from what differs on purpose.

    Raises:
        SystemExit: they did not; with the first difference.
    """
    for left, right in zip(sorted(map(_plain, theirs)), sorted(map(_plain, ours)), strict=True):
        if left != right:
            raise SystemExit(
                f"the events differ:\n  IntelMQ   {set(left) - set(right)}\n  cleanbots {set(right) - set(left)}"
            )


def _plain(event: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted(
        (field, str(value))
        for field, value in event.items()
        if not field.startswith(_OURS_ALONE) and field not in _OTHERWISE
    )


if __name__ == "__main__":
    main()
