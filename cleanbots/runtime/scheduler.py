"""Start scheduled collectors as short-lived processes, one for each time slot.

``python -m cleanbots.runtime.scheduler SNAPSHOT --host HOST`` does so until SIGTERM; `run` does it in its own loop.
"""

import argparse
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..broker.protocol import Broker
from ..clock import Clock, iso
from ..config.model import Settings
from ..errors import BrokerUnavailable, CleanbotsError
from ..services.logs import setup
from .assembly import Assembly, load_settings
from .faults import Backoff
from .schedule import Schedule
from .stop import Stop

log = logging.getLogger("cleanbots.scheduler")

_STEP = 0.2
_LONGEST = 3600.0  # seconds between two tries of a collector that fails


def worker_command(snapshot: Path, worker: str, number: int, host: str, *more: str) -> list[str]:
    """Give the argument list that starts a worker's process."""
    return [
        sys.executable,
        "-P",
        "-m",
        "cleanbots.runtime.worker",
        str(snapshot),
        worker,
        str(number),
        "--host",
        host,
        *more,
    ]


def courier_command(snapshot: Path, channel: str, host: str, *more: str) -> list[str]:
    """Give the argument list that starts a courier's process."""
    return [sys.executable, "-P", "-m", "cleanbots.runtime.courier", str(snapshot), channel, "--host", host, *more]


class _Job:
    """A scheduled collector: its slots, and the process that works on the current one."""

    def __init__(self, worker: str, bot: str, schedule: Schedule | None) -> None:
        self.worker = worker
        self.bot = bot
        self.schedule = schedule
        self.process: subprocess.Popen[bytes] | None = None
        self.slot = ""
        self.started = 0.0
        self.not_before = 0.0
        self.runs = 0
        self.backoff = Backoff(1.0, _LONGEST)


class Scheduler:
    """Knows which scheduled collectors of a host are due, and runs them.

    Args:
        settings: the snapshot.
        snapshot: its file.
        host: whose collectors.
        broker: asked for the last slot that was worked off.
        clock: what time it is.
        more: further arguments for the processes it starts.
    """

    def __init__(
        self, settings: Settings, snapshot: Path, host: str, broker: Broker, clock: Clock, more: Sequence[str] = ()
    ) -> None:
        self._settings = settings
        self._snapshot = snapshot
        self._host = host
        self._broker = broker
        self._clock = clock
        self._more = more
        self._jobs = [
            _Job(name, worker.bots[0], Schedule.of(settings.bots[worker.bots[0]]))
            for name, worker in settings.workers.items()
            if worker.scheduled and host in worker.hosts
        ]

    @property
    def idle(self) -> bool:
        """Whether every collector ran to its end at least once, and none runs now."""
        return all(job.runs and job.process is None for job in self._jobs)

    def step(self, *, once: bool = False) -> None:
        """Look after processes that ended or take too long, and start what is due.

        Args:
            once: run each collector exactly once, due or not.
        """
        for job in self._jobs:
            if job.process is not None:
                self._watch(job)
            if job.process is None and self._clock.monotonic() >= job.not_before:
                self._start_if_due(job, once=once)

    def end(self, seconds: float = 10.0) -> None:
        """End the processes that still run."""
        running = [job.process for job in self._jobs if job.process is not None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start_if_due(self, job: _Job, *, once: bool) -> None:
        now = self._clock.now()
        wait = ["--wait"] if once else []
        if once or job.schedule is None:
            if job.runs:
                return
            slot = iso(now) if job.schedule is None else job.schedule.due(now, self._broker.last_slot) or iso(now)
        else:
            slot = job.schedule.due(now, self._broker.last_slot) or ""
        if slot:
            self._broker.verify()
            command = worker_command(
                self._snapshot,
                job.worker,
                0,
                self._host,
                "--once",
                "--slot",
                slot,
                *wait,
                *self._more,
            )
            job.slot, job.started = slot, self._clock.monotonic()
            job.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def _watch(self, job: _Job) -> None:
        process = job.process
        if process is None:
            return
        code = process.poll()
        if code is None:
            return
        job.process = None
        if code == 0:
            job.runs += 1
            job.backoff.reset()
            if job.schedule is not None:
                job.schedule.done(job.slot)
        else:
            wait = job.backoff.next()
            job.not_before = self._clock.monotonic() + wait
            log.warning("%s ended with %s; trying again in %.0f s", job.bot, code, wait)


def main(arguments: Sequence[str] | None = None) -> int:
    """Schedule until SIGTERM; give the exit code."""
    parser = argparse.ArgumentParser(prog="cleanbots.runtime.scheduler", description="Start scheduled collectors.")
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("--host", default="main")
    parser.add_argument("--log-level", default="INFO")
    args = parser.parse_args(arguments)
    setup(args.log_level, sys.stderr)
    stop = Stop()
    stop.install()
    try:
        assembly = Assembly(load_settings(args.snapshot))
        broker = assembly.broker()
    except CleanbotsError as error:
        log.error("%s", error)  # noqa: TRY400  # a sentence, no traceback
        stop.wait(1.0)
        return 1
    more = ["--log-level", args.log_level]
    scheduler = Scheduler(assembly.settings, args.snapshot, args.host, broker, assembly.clock, more)
    backoff = Backoff(1.0, 5.0)
    try:
        while not stop.wait(_STEP):
            try:
                scheduler.step()
                backoff.reset()
            except BrokerUnavailable as error:
                stop.wait(backoff.told(error, log))
    finally:
        scheduler.end()
        broker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
