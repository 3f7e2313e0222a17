"""The outbox of one channel: one step makes what is due, and hands over what waits."""

import logging
from collections.abc import Callable
from datetime import datetime

import msgspec

from ..clock import Clock
from .crew import Crew
from .freezing import BreakOff
from .giving import Hands
from .kit import Kit
from .making import Maker
from .notices import Notices

log = logging.getLogger("cleanbots.courier")

LEASE = 300.0
"""Seconds for which one instance may send, longer than a hand-over takes; then another one may take over."""
RENEW_EVERY = 20.0
"""Seconds between two renewals of the lease."""
MAKE_EVERY = 5.0
"""Seconds between two looks for what is due."""
CHECK_EVERY = 1.0
"""Seconds between two looks whether the store is the right one."""


class Step(msgspec.Struct, frozen=True):
    """What a step did.

    Args:
        made: references of the deliveries that were frozen.
        offered: how many messages were offered to couriers, or came back from them.
        away: how many messages couriers still have.
        shut: why nothing was done, or "".
    """

    made: tuple[str, ...] = ()
    offered: int = 0
    away: int = 0
    shut: str = ""


class Outbox:
    """Makes and hands over the deliveries of one channel, as long as this instance holds its lease.

    Whatever happens in between, a message that was frozen is handed over with the same bytes and the same id, or not at
    all: a crash before the freeze makes it again from what was closed, a crash after it changes nothing.

    Args:
        kit: store, hub, members and renderer.
        crew: takes messages to the outside.
        channel: the couriers' name.
        owner: names this installation, so that a person can find it; the same after a restart.
        clock: what time it is.
        stopping: tells whether the process is asked to stop.
    """

    def __init__(
        self,
        kit: Kit,
        crew: Crew,
        *,
        channel: str,
        owner: str,
        clock: Clock,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = kit.store
        self._channel = channel
        self._owner = owner
        self._clock = clock
        self._stopping = stopping
        notices, now = Notices(kit), clock.now()
        self._maker = Maker(kit, notices, channel=channel, awake=now, breathe=self._breathe)
        self._hands = Hands(kit, notices, crew, channel, now)
        # Durations are measured by the monotonic clock: the time of day may jump.
        self._leased: float | None = None
        self._made: float | None = None
        self._checked: float | None = None
        self._wrong = ""
        self._woken = False

    def wake(self) -> None:
        """Let the next step look for what is to be delivered at once: something was recorded."""
        self._woken = True

    def step(self) -> Step:
        """Renew the lease, make what is due, hand over a handful of what waits.

        Raises:
            Retry: if the store is away.
        """
        now = self._clock.now()
        if shut := self._shut(now):
            return Step(shut=shut)
        made: list[str] = []
        try:
            if self._is_over(self._made, MAKE_EVERY):
                self._made = self._clock.monotonic()
                made = self._maker.make(now)
            elif self._woken:
                made = self._maker.make(now, only_immediate=True)
            self._woken = False
            offered = self._hands.hand_over(self._clock.now, self._may_go_on)
        except BreakOff:
            return Step(made=tuple(made), shut="broken off")
        return Step(made=tuple(made), offered=offered, away=self._hands.away)

    def release(self) -> None:
        """Give the lease back, so that another instance need not wait for its end.

        It is kept while a courier is away that can't be waited for: another one must not go there, too.
        """
        if self._hands.finish(self._clock.now) and self._leased is not None:
            self._store.lease(self._channel, self._owner, self._clock.now(), 0.0)
            self._leased = None

    def _shut(self, now: datetime) -> str:
        """Tell why this instance may do nothing: another one sends, or the store is not what it was."""
        if self._is_over(self._checked, CHECK_EVERY):
            self._checked = self._clock.monotonic()
            self._wrong = self._store.check() or ""
            if self._wrong:
                log.error("%s", self._wrong)
        if self._wrong or self._lease(now):
            return self._wrong
        return f"{self._store.holder(self._channel)} sends for channel {self._channel}; this instance does nothing"

    def _lease(self, now: datetime) -> bool:
        """Tell whether this instance may send; what the store says counts, not what was so when it was renewed."""
        if not self._is_over(self._leased, RENEW_EVERY) and self._store.holder(self._channel) == self._owner:
            return True
        self._leased = self._clock.monotonic() if self._store.lease(self._channel, self._owner, now, LEASE) else None
        return self._leased is not None

    def _is_over(self, since: float | None, span: float) -> bool:
        return since is None or self._clock.monotonic() - since >= span

    def _may_go_on(self) -> bool:
        return not self._stopping() and self._lease(self._clock.now())

    def _breathe(self) -> None:
        """Between two parts of big work: keep the lease, and let urgent things through."""
        if self._stopping() or self._shut(self._clock.now()):
            raise BreakOff
        if self._is_over(self._made, MAKE_EVERY):
            self._made = self._clock.monotonic()
            self._maker.make(self._clock.now(), only_immediate=True)
        self._hands.hand_over(self._clock.now, self._may_go_on)
