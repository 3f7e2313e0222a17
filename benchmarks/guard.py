"""``python -m benchmarks.guard``: whether this commit's pipeline costs more than that of the commit before.

Both run over the same report, by turns on the same machine, and the CPU time of each one's best run counts: other work on
the machine only ever adds to it. A difference above the limit is measured again with more turns before it is believed.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import pipeline

ROWS = 100_000
LIMIT = 1.25
"""A rate that falls by 20 % is a cost that rises by a quarter."""

_TURNS = (2, 3, 5)


def main(before: str = "HEAD~1") -> None:
    """Compare with another commit, by default the one before; ends with 1 if this one is more than 20 % slower."""
    with _checkout(before) as tree:
        if tree is None:
            print(f"guard: there is no commit {before} here to compare with")
            return
        theirs, ours = _cost(tree), _cost(pipeline.ROOT)
        for turns in _TURNS:
            for _ in range(turns):
                theirs, ours = min(theirs, _cost(tree)), min(ours, _cost(pipeline.ROOT))
            print(f"guard: {theirs:.1f} µs of CPU an event before, {ours:.1f} µs now", flush=True)
            if ours < theirs * LIMIT:
                return
    raise SystemExit(f"guard: this commit's pipeline costs {ours / theirs:.2f} times what that of {before} did")


def _cost(tree: Path) -> float:
    """Give the CPU time of the whole pipeline with a checkout's code, in µs an event."""
    return pipeline.measure(ROWS, tree=tree).cpu / ROWS * 1e6


@contextmanager
def _checkout(commit: str) -> Iterator[Path | None]:
    """Give a commit's files in a folder; None if it isn't there, as in a shallow clone."""
    with tempfile.TemporaryDirectory() as name:
        archive = subprocess.run(["git", "archive", commit], cwd=pipeline.ROOT, capture_output=True, check=False)  # noqa: S607
        if archive.returncode:
            yield None
            return
        subprocess.run(["tar", "-x", "-C", name], input=archive.stdout, check=True)  # noqa: S607
        yield Path(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
