"""An end to endless work: a slice that takes longer than its limit ends the process, also inside C."""

import faulthandler

from ..clock import Clock
from .faults import threads_needed


class Watchdog:
    """Ends the process, with a traceback of every thread, unless it is heard of in time.

    Setting the alarm costs a thread, so it is set for longer than asked and moved seldom: whoever works gets at least
    *limit* seconds after each `watch`, and at most half as long again.

    Args:
        clock: measures the time.
        limit: in seconds.
    """

    def __init__(self, clock: Clock, limit: float) -> None:
        self._clock = clock
        self._limit = limit
        self._move = 0.0

    def watch(self) -> None:
        """Say that new work begins."""
        now = self._clock.monotonic()
        if now >= self._move:
            with threads_needed():
                faulthandler.dump_traceback_later(self._limit * 1.5, exit=True)
            self._move = now + self._limit / 2

    def rest(self) -> None:
        """Say that nothing is worked on: waiting is not endless work."""
        if self._move:
            faulthandler.cancel_dump_traceback_later()
            self._move = 0.0
