"""The outbox of one channel: one step makes what is due, and hands over what waits."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from ..clock import Clock
from . import door
from .giving import Giver, Hands
from .making import BreakOff, Maker, Members
from .model import Feed, Hub
from .notices import Notices
from .rendering import Renderer
from .store.protocol import Store

log = logging.getLogger("cleanbots.courier")

LEASE = 60.0
"""Seconds for which one instance may send; another one takes over when they have passed."""
MAKE_EVERY = 5.0
"""Seconds between two looks for what is due."""
CHECK_EVERY = 1.0
"""Seconds between two looks whether the store is the right one."""


class Step(msgspec.Struct, frozen=True):
    """What a step did.

    Args:
        made: references of the deliveries that were frozen.
        offered: how many messages were offered to the courier.
        shut: why nothing was done, or "".
    """

    made: tuple[str, ...] = ()
    offered: int = 0
    shut: str = ""


class Outbox:
    """Makes and hands over the deliveries of one channel, as long as this instance holds its lease.

    Whatever happens in between, a message that was frozen is handed over with the same bytes and the same id, or not at
    all: a crash before the freeze makes it again from what was closed, a crash after it changes nothing.

    Args:
        store: findings, dues and deliveries.
        hub: the compiled ``delivery:`` section.
        members: gives the registry in use.
        renderer: renders digests.
        courier: takes messages to the outside.
        channel: the courier's name.
        owner: names this installation, so that a person can find it; the same after a restart.
        clock: what time it is.
        config_version: hash of the configuration.
        feeds: gives the health of the feeds.
        stopping: tells whether the process is asked to stop.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        members: Callable[[], Members],
        renderer: Renderer,
        courier: Giver,
        *,
        channel: str,
        owner: str,
        clock: Clock,
        config_version: str = "",
        feeds: Callable[[], tuple[Feed, ...]] = tuple,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._channel = channel
        self._owner = owner
        self._clock = clock
        self._stopping = stopping
        self._notices = Notices(store, hub, renderer)
        now = clock.now()
        self._maker = Maker(
            store,
            hub,
            members,
            renderer,
            self._notices,
            channel=channel,
            awake=now,
            config_version=config_version,
            feeds=feeds,
            breathe=self._breathe,
        )
        self._hands = Hands(store, hub, members, renderer, self._notices, courier, channel, now)
        self._leased_until: datetime | None = None
        self._make_after = now
        self._checked = now - timedelta(seconds=CHECK_EVERY)
        self._wrong = ""

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
            if now >= self._make_after:
                self._make_after = now + timedelta(seconds=MAKE_EVERY)
                made = self._maker.make(now)
            offered = self._hands.hand_over(self._clock.now, self._may_go_on)
        except BreakOff:
            return Step(made=tuple(made), shut="broken off")
        return Step(made=tuple(made), offered=offered)

    def release(self) -> None:
        """Give the lease back, so that another instance need not wait for its end."""
        if self._leased_until is not None:
            self._store.lease(self._channel, self._owner, self._clock.now(), 0.0)
            self._leased_until = None

    def _shut(self, now: datetime) -> str:
        """Tell why this instance may do nothing: another one sends, or the store is not what it was."""
        if not self._lease(now):
            holder = self._store.flag(f"sender:{self._channel}") or "another instance"
            return f"{holder} sends for channel {self._channel}; this instance does nothing"
        if (now - self._checked).total_seconds() >= CHECK_EVERY:
            self._checked = now
            self._wrong = self._store.check() or ""
            if self._wrong:
                log.error("%s", self._wrong)
        return self._wrong

    def _lease(self, now: datetime) -> bool:
        if self._leased_until is not None and (self._leased_until - now).total_seconds() > LEASE * 2 / 3:
            return True
        if not self._store.lease(self._channel, self._owner, now, LEASE):
            self._leased_until = None
            return False
        if self._leased_until is None:
            self._store.flag(f"sender:{self._channel}", self._owner)
        self._leased_until = now + timedelta(seconds=LEASE)
        return True

    def _may_go_on(self) -> bool:
        now = self._clock.now()
        return not self._stopping() and not door.stops(self._store).why("", "") and self._lease(now)

    def _breathe(self) -> None:
        """Between two parts of big work: keep the lease, and let urgent things through."""
        if self._stopping() or self._shut(self._clock.now()):
            raise BreakOff
        self._maker.make(self._clock.now(), only_immediate=True)
        self._hands.hand_over(self._clock.now, self._may_go_on)
