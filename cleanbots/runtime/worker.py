"""The entry of a worker's process: ``python -m cleanbots.runtime.worker SNAPSHOT WORKER NUMBER``.

It takes its slot lock (so that no second supervisor doubles it), limits its memory, and works until SIGTERM.
"""

import argparse
import fcntl
import gc
import logging
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..clock import clock_at
from ..config.model import Settings
from ..errors import CleanbotsError
from ..services.logs import setup
from .assembly import Assembly, load_settings
from .collecting import CollectorWorker
from .stages import StageWorker
from .stop import InterruptedWork, Stop

log = logging.getLogger("cleanbots.worker")

EXIT_OK, EXIT_FAILED, EXIT_LOCKED = 0, 1, 75


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one worker; give the exit code (0 clean, 1 failed, 75 another process has this slot)."""
    args = _parse(arguments)
    setup(args.log_level, sys.stderr)
    stop = Stop()
    stop.install()
    try:
        settings = load_settings(args.snapshot)
        with slot_lock(settings, args.host, args.worker, args.number):
            _limit_memory(settings.memory)
            _run(settings, args, stop)
    except InterruptedWork:
        return EXIT_OK
    except SlotTakenError as error:
        log.error("%s", error)  # noqa: TRY400  # a sentence, no traceback
        stop.wait(_PAUSE)  # whoever starts this process again shall not spin
        return EXIT_LOCKED
    except CleanbotsError as error:
        log.error("%s", error)  # noqa: TRY400
        stop.wait(_PAUSE)
        return EXIT_FAILED
    except Exception:
        log.exception("%s: ended by an unexpected error", args.worker)
        stop.wait(_PAUSE)
        return EXIT_FAILED
    return EXIT_OK


_PAUSE = 1.0


class SlotTakenError(CleanbotsError):
    """Another process runs this worker on this host."""


@contextmanager
def slot_lock(settings: Settings, host: str, worker: str, number: int) -> Iterator[None]:
    """Hold the lock of a worker's slot on this host.

    Raises:
        SlotTakenError: if another process holds it.
    """
    folder = Path(settings.state) / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{host}.{worker}.{number}.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SlotTakenError(
                f"{worker} number {number} runs already on {host} ({path} is locked); is there a second supervisor?"
            ) from None
        yield


def _run(settings: Settings, args: argparse.Namespace, stop: Stop) -> None:
    assembly = Assembly(settings, clock_at(args.at))
    worker = settings.workers[args.worker]
    bound = {"worker": args.worker, "number": str(args.number)}
    setup(args.log_level, sys.stderr, secrets=assembly.secrets(worker.bots), bound=bound)
    head = settings.bots[worker.bots[0]]
    # The objects of start-up live as long as the process, and events hold no cycles: collecting seldom is safe.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    if head.kind == "collector":
        CollectorWorker(assembly, head.id, stop).run(args.slot, once=args.once or not head.continuous, wait=args.wait)
    else:
        StageWorker(assembly, worker, f"{args.host}/{args.worker}/{args.number}", stop).run()


def _limit_memory(most: int) -> None:
    """Turn endless allocation into MemoryError, which fails one item, instead of a machine without memory."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cleanbots.runtime.worker", description="Run one worker of a snapshot.")
    parser.add_argument("snapshot", type=Path, help="the snapshot's file")
    parser.add_argument("worker", help="the worker's name")
    parser.add_argument("number", type=int, help="which of its processes on this host, from 0")
    parser.add_argument("--host", default="main", help="this host's name in the configuration")
    parser.add_argument("--slot", default="", help="collectors: the time slot that this run is for")
    parser.add_argument("--once", action="store_true", help="collectors: end when nothing is there")
    parser.add_argument("--wait", action="store_true", help="collectors: with --once, wait for what is about to come")
    parser.add_argument("--at", default="", help="pretend that it is this time now")
    parser.add_argument("--log-level", default="INFO", help="DEBUG, INFO, WARNING or ERROR")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
