"""The queue server as a witness of how far the store had come: one that went back with its journal is noticed, too."""

import logging

from ..broker.protocol import Broker
from ..clock import Clock
from ..errors import BrokerRefused, BrokerUnavailable
from .store.protocol import Store

log = logging.getLogger("cleanbots.courier")

EVERY = 10.0
"""Seconds between two looks."""


class Witness:
    """Tells the queue server how far the store is, and the store if it was further once.

    Deliveries don't wait for a queue server that is away.

    Args:
        store: may have been restored, together with its journal.
        broker: remembers.
        clock: measures the time between two looks.
    """

    def __init__(self, store: Store, broker: Broker, clock: Clock) -> None:
        self._store = store
        self._broker = broker
        self._clock = clock
        self._looked: float | None = None

    def look(self) -> None:
        """Compare, if it is time; a store that was further once holds everything from now on."""
        now = self._clock.monotonic()
        if self._looked is not None and now - self._looked < EVERY:
            return
        self._looked = now
        epoch, number = self._store.age()
        if not epoch:
            return
        try:
            known = self._broker.witness(f"store:{epoch}", number)
        except (BrokerUnavailable, BrokerRefused) as error:
            log.debug("the store's age can't be compared: %s", error)
            return
        if known > number:
            self._store.suspect(
                f"it was restored together with its journal: the queue server knows of {known - number} later changes"
            )
