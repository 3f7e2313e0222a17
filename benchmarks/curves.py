"""``python -m benchmarks.curves``: whether cost and memory stay flat as the work grows.

Events from 10 000 to 10 million through the six-stage pipeline, and 1 to 100 experts in a row. Prefixes and rules have
curves of their own, in `benchmarks.tables` and `benchmarks.rules`.
"""

import argparse
from pathlib import Path

from benchmarks import pipeline
from benchmarks.figures import Figure, markdown, save

EVENTS = (10_000, 100_000, 1_000_000, 10_000_000)
BOTS = (1, 10, 100)
_BOT_ROWS = 50_000


def events(sizes: tuple[int, ...] = EVENTS, runs: int = 1) -> list[Figure]:
    """Measure CPU time per event, rate, and memory of all processes for reports of these sizes."""
    idle = pipeline.measure(0)
    figures = []
    for rows in sizes:
        made = [pipeline.measure(rows, watch=True) for _ in range(runs)]
        figures += [
            Figure(f"{rows:,} events, CPU", "µs per event", [(one.cpu - idle.cpu) / rows * 1e6 for one in made]),
            Figure(f"{rows:,} events, rate", "events/s", [rows / (one.wall - idle.wall) for one in made]),
            Figure(f"{rows:,} events, PSS of all processes", "MB", [one.pss / 1e6 for one in made]),
        ]
    return figures


def bots(counts: tuple[int, ...] = BOTS) -> list[Figure]:
    """Measure CPU time per event with so many more experts in the row."""
    figures = []
    for count in counts:
        idle, run = (pipeline.measure(rows, pipeline.Shape(more=count), watch=True) for rows in (0, _BOT_ROWS))
        cost = (run.cpu - idle.cpu) / _BOT_ROWS * 1e6
        figures += [
            Figure(f"{count} more experts, CPU", "µs per event", [cost]),
            Figure(f"{count} more experts, PSS of all processes", "MB", [run.pss / 1e6]),
        ]
    return figures


def main() -> None:
    """Print both curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--up-to", type=int, default=EVENTS[-1], help="the largest number of events")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    args = parser.parse_args()
    figures = [*events(tuple(size for size in EVENTS if size <= args.up_to)), *bots()]
    print(markdown("Curves", figures))
    if args.json:
        save(args.json, "Curves", figures)


if __name__ == "__main__":
    main()
