"""Couriers that work beside each other: one that waits for a dead endpoint holds none of the others up."""

import logging
import os
import select
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from ..errors import CleanbotsError
from .door import destination
from .model import Message, Outcome
from .store.protocol import Row

log = logging.getLogger("cleanbots.courier")


class Giver(Protocol):
    """What is asked of a courier."""

    def give(self, message: Message) -> Outcome:
        """Try once to hand a message over."""
        ...


class Parcel(NamedTuple):
    """A message that a courier has, and the delivery that it belongs to."""

    row: Row
    message: Message


class Return(NamedTuple):
    """What became of a parcel."""

    parcel: Parcel
    outcome: Outcome


class Crew(Protocol):
    """What is asked of those who hand over. It is used by one thread."""

    def is_free(self) -> bool:
        """Tell whether somebody can go now."""
        ...

    def send(self, parcel: Parcel) -> None:
        """Let a free courier hand a message over; it is asked for by `back`."""
        ...

    def away(self) -> frozenset[str]:
        """Give the destinations to which somebody is on the way."""
        ...

    def back(self, wait: float = 0.0) -> list[Return]:
        """Give what came back; if nothing has, the next that does within *wait* seconds."""
        ...


class Alone:
    """A single courier that goes at once, while everything else waits: for tests and measurements."""

    def __init__(self, courier: Giver) -> None:
        self._courier = courier
        self._returned: list[Return] = []

    def is_free(self) -> bool:
        """Tell whether somebody can go now: always."""
        return True

    def send(self, parcel: Parcel) -> None:
        """Hand a message over."""
        self._returned.append(Return(parcel, _give(self._courier, parcel.message)))

    def away(self) -> frozenset[str]:
        """Give the destinations to which somebody is on the way: none."""
        return frozenset()

    def back(self, wait: float = 0.0) -> list[Return]:
        """Give what came back."""
        returned, self._returned = self._returned, []
        return returned


class Hired(Giver, Protocol):
    """A courier of a team."""

    @property
    def at_once(self) -> int:
        """How many such couriers may be at work beside each other."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Team:
    """Couriers in threads of their own, one more whenever the others are all away, as far as they allow it.

    Args:
        hire: gives another courier, ready to work; only one thread uses it.

    Raises:
        CleanbotsError: if the first one can't be made.
    """

    def __init__(self, hire: Callable[[], Hired]) -> None:
        first = hire()
        self._hire = hire
        self._most = first.at_once
        self._done = _Hall()
        self._idle = [_Worker(first, self._done)]
        self._away: dict[_Worker, str] = {}

    @property
    def bell(self) -> int:
        """A descriptor that can be read while somebody is back and was not welcomed."""
        return self._done.bell

    def is_free(self) -> bool:
        """Tell whether somebody can go now."""
        return len(self._away) < self._most

    def send(self, parcel: Parcel) -> None:
        """Let a free courier hand a message over, rather one that went lately: it may have a connection."""
        worker = self._idle.pop() if self._idle else _Worker(self._hire(), self._done)
        self._away[worker] = destination(parcel.message.recipient)
        worker.inbox.put(parcel)

    def away(self) -> frozenset[str]:
        """Give the destinations to which somebody is on the way."""
        return frozenset(self._away.values())

    def back(self, wait: float = 0.0) -> list[Return]:
        """Give what came back; if nothing has, the next that does within *wait* seconds."""
        found = self._done.leave(wait) if self._away else []
        for worker, _ in found:
            del self._away[worker]
            self._idle.append(worker)
        return [outcome for _, outcome in found]

    def close(self) -> None:
        """Let go of those who are here; one that still waits for an answer ends with the process."""
        for worker in self._idle:
            worker.inbox.put(None)
            worker.join()
        self._idle.clear()
        if not self._away:
            self._done.close()


class _Hall:
    """Where those who are back wait until they are asked; whoever comes in rings."""

    def __init__(self) -> None:
        self._inside: SimpleQueue[tuple[_Worker, Return]] = SimpleQueue()
        self.bell, self._rope = os.pipe()

    def enter(self, worker: "_Worker", returned: Return) -> None:
        self._inside.put((worker, returned))
        os.write(self._rope, b".")

    def leave(self, wait: float) -> "list[tuple[_Worker, Return]]":
        """Give all who are there, or the first who comes within *wait* seconds."""
        if not select.select([self.bell], [], [], wait)[0]:
            return []
        return [self._inside.get() for _ in os.read(self.bell, 1024)]

    def close(self) -> None:
        os.close(self.bell)
        os.close(self._rope)


class _Worker(threading.Thread):
    """A courier and its thread, which the process does not wait for."""

    def __init__(self, courier: Hired, done: _Hall) -> None:
        super().__init__(name="courier", daemon=True)
        self.inbox: SimpleQueue[Parcel | None] = SimpleQueue()
        self._courier = courier
        self._done = done
        self.start()

    def run(self) -> None:
        """Hand over what comes in, until None does."""
        while (parcel := self.inbox.get()) is not None:
            self._done.enter(self, Return(parcel, _give(self._courier, parcel.message)))
        self._courier.close()


def _give(courier: Giver, message: Message) -> Outcome:
    try:
        return courier.give(message)
    except CleanbotsError as error:
        return Outcome(verdict="later", answer=str(error), after=getattr(error, "after", None))
    except Exception as error:
        log.exception("the courier failed with %s", message.id)
        return Outcome(verdict="later", answer=f"{type(error).__name__}: {error}")
