"""How a process is asked to stop, and how whatever it waits for is cut short."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class InterruptedWork(Exception):
    """The process was asked to stop while it waited."""


class Stop:
    """A request to stop; SIGTERM and SIGINT make it. Work goes on to the next safe point."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._blocking = False
        self.drain = threading.Event()

    @property
    def requested(self) -> bool:
        """Whether the process was asked to stop."""
        return self._event.is_set()

    def install(self) -> None:
        """Listen to SIGTERM and SIGINT (stop) and SIGUSR1 (closing tick)."""
        signal.signal(signal.SIGTERM, self._heard)
        signal.signal(signal.SIGINT, self._heard)
        signal.signal(signal.SIGUSR1, self._closing)

    def request(self) -> None:
        """Ask to stop."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait up to *seconds*; True at once if asked to stop."""
        return self._event.wait(seconds)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Mark a wait that a signal may break off by `InterruptedWork`: nothing is half done in it."""
        self._blocking = True
        try:
            if self.requested:
                raise InterruptedWork
            yield
        finally:
            self._blocking = False

    def _heard(self, signum: int, frame: FrameType | None) -> None:
        self._event.set()
        if self._blocking:
            self._blocking = False
            raise InterruptedWork

    def _closing(self, signum: int, frame: FrameType | None) -> None:
        self.drain.set()
        if self._blocking:
            self._blocking = False
            raise InterruptedWork
