"""Run a graph in the foreground: the same processes that supervisor would run, as children of this one."""

import logging
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from ..broker import EmbeddedServer
from ..broker.protocol import Broker
from ..clock import clock_at
from ..config.model import Settings
from ..errors import BrokerUnavailable
from .assembly import Assembly
from .faults import Backoff
from .scheduler import Scheduler, courier_command, worker_command
from .stop import Stop

log = logging.getLogger("cleanbots.run")

_STEP = 0.05
_QUICK = 5.0  # a worker that lived longer than this is started anew at once


class _Child:
    """A worker's process, started anew when it ends."""

    def __init__(self, command: list[str], name: str) -> None:
        self.command = command
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.not_before = 0.0
        self.backoff = Backoff(0.05, 30.0)


class Foreground:
    """Runs a snapshot until it is stopped, or until everything that is there is worked off.

    Args:
        settings: the snapshot.
        snapshot: its file.
        host: which host's workers.
        log_level: of the workers.
        at: pretend that it is this time now (ISO, with offset); "" for the machine's own.
    """

    def __init__(self, settings: Settings, snapshot: Path, host: str, log_level: str = "INFO", at: str = "") -> None:
        self._settings = settings
        self._assembly = Assembly(settings, clock_at(at))
        more = ["--log-level", log_level, *(["--at", at] if at else [])]
        self._clock = self._assembly.clock
        self._stop = Stop()
        self._server: EmbeddedServer | None = None
        self._host = host
        self._snapshot = snapshot
        self._more = more
        self._children = [
            _Child(worker_command(snapshot, name, number, host, *more), f"{name}-{number}")
            for name, worker in settings.workers.items()
            if not worker.scheduled
            for number in range(worker.hosts.get(host, 0))
        ]
        delivery = settings.delivery
        self._couriers = [
            _Child(courier_command(snapshot, channel, host, *more), f"courier-{channel}")
            for channel in (delivery.couriers if host == (delivery.host or settings.hosts[0]) else ())
        ]

    def run(self, *, drain: bool, progress: Callable[[Broker], None] | None = None) -> dict[str, int]:
        """Run; give the statistics of this run.

        Args:
            drain: end when every scheduled collector ran once and all queues are empty.
            progress: told now and then, while draining.

        Raises:
            BrokerRefused: if the server is unfit.
        """
        self._stop.install()
        if self._settings.broker == "embedded":
            self._server = EmbeddedServer(Path(self._settings.state))
            self._server.start()
        broker = self._assembly.broker()
        try:
            for warning in broker.check():
                log.warning("%s", warning)
            scheduler = Scheduler(self._settings, self._snapshot, self._host, broker, self._clock, self._more)
            before = broker.statistics()
            try:
                self._until_drained(broker, scheduler, progress) if drain else self._until_stopped(scheduler)
            finally:
                scheduler.end()
                self._end_children()
            after = broker.statistics()
            return {key: number for key in after if (number := after[key] - before.get(key, 0))}
        finally:
            broker.close()
            if self._server is not None:
                self._server.stop()

    def _until_stopped(self, scheduler: Scheduler) -> None:
        self._children += self._couriers
        backoff = Backoff(1.0, 5.0)
        while not self._stop.wait(_STEP):
            self._look_after()
            try:
                scheduler.step()
                backoff.reset()
            except BrokerUnavailable as error:
                self._stop.wait(backoff.told(error, log))

    def _until_drained(self, broker: Broker, scheduler: Scheduler, progress: Callable[[Broker], None] | None) -> None:
        queues = list(self._settings.bots)
        ticking = [
            bot.id for bot in self._settings.bots.values() if bot.kind != "collector" and (bot.every or bot.cron)
        ]
        before = {bot: broker.last_slot(bot) for bot in ticking}
        closing = False
        while not self._stop.wait(_STEP):
            self._look_after()
            scheduler.step(once=True)
            if progress is not None:
                progress(broker)
            if not scheduler.idle or not broker.drained(queues):
                continue
            if closing or not ticking:
                self._deliver_what_is_due()
                return
            closing = self._closing_tick(broker, ticking, before)

    def _deliver_what_is_due(self) -> None:
        for courier in self._couriers:
            process = subprocess.Popen([*courier.command, "--once"], stdin=subprocess.DEVNULL)
            while process.poll() is None:
                if self._stop.wait(_STEP):
                    process.terminate()
                    process.wait()

    def _closing_tick(self, broker: Broker, ticking: list[str], before: dict[str, str]) -> bool:
        """Ask the workers for one last tick; True once every ticking bot has had it."""
        if all(broker.last_slot(bot) > before[bot] for bot in ticking):
            return True
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(signal.SIGUSR1)
        return False

    def _look_after(self) -> None:
        for child in self._children:
            now = self._clock.monotonic()
            if child.process is not None:
                code = child.process.poll()
                if code is None:
                    continue
                child.process = None
                if now - child.started > _QUICK:
                    child.backoff.reset()
                child.not_before = now + child.backoff.next()
                log.warning("%s ended with %s and is started again", child.name, code)
            if now >= child.not_before:
                child.started = now
                child.process = subprocess.Popen(child.command, stdin=subprocess.DEVNULL)

    def _end_children(self) -> None:
        longest = max((bot.time_limit for bot in self._settings.bots.values()), default=10.0) + 5.0
        running = [child for child in self._children if child.process is not None]
        for child in running:
            if child.process is not None:
                child.process.terminate()
        for child in running:
            if child.process is None:
                continue
            try:
                child.process.wait(longest)
            except subprocess.TimeoutExpired:
                log.warning("%s did not end within %.0f s and is killed", child.name, longest)
                child.process.kill()
                child.process.wait()
