"""A sign of life for entries that take long: while one is held, the server is told so by a thread of its own."""

import logging
import threading
from collections.abc import Callable

from ..broker.protocol import Broker, Entry
from ..errors import CleanbotsError
from .faults import threads_needed

log = logging.getLogger("cleanbots.worker")


class Heart:
    """Keeps the entry at hand alive; a stopped or paused process doesn't beat.

    Args:
        connect: makes a connection for the thread alone, when the first long entry needs one.
        consumer: whose entries.
        lease: seconds without a sign of life after which others may take over.
    """

    def __init__(self, connect: Callable[[], Broker], consumer: str, lease: float) -> None:
        self._connect = connect
        self._consumer = consumer
        self._every = lease / 4
        self._changed = threading.Condition()
        self._entry: Entry | None = None
        self._ended = False
        self._thread: threading.Thread | None = None

    def hold(self, entry: Entry) -> None:
        """Begin to keep *entry* alive."""
        with self._changed:
            self._entry = entry
            if self._thread is None:
                thread = threading.Thread(target=self._beat, name="heart", daemon=True)
                with threads_needed():
                    thread.start()
                self._thread = thread

    def release(self) -> None:
        """Stop keeping it alive."""
        self._entry = None

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _beat(self) -> None:
        broker: Broker | None = None
        held: Entry | None = None
        while True:
            with self._changed:
                self._changed.wait(self._every)
                if self._ended:
                    break
                before, held = held, self._entry
            if held is None or held is not before:
                continue  # not held for a whole beat yet
            try:
                broker = broker or self._connect()
                broker.alive(held, self._consumer)
            except CleanbotsError as error:
                log.debug("no sign of life for %s: %s", held.id, error)
        if broker is not None:
            broker.close()
