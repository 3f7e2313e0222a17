"""Faults by seed: a plan says what happens when, and an injector does it to whatever runs at that moment."""

import heapq
import random
import signal
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from processes import Process, signalled

if TYPE_CHECKING:
    from campaign import Campaign

KILLED = ("busy", "busy", "worker", "collector", "scheduler", "courier")
"""What is killed, each as often as another: workers at work, any worker, and the other roles."""
_LONG = 1.8, 3.0
"""Frozen for so many leases; those who take over look every half of one."""
_TRIES = 20


@dataclass(frozen=True, order=True)
class Fault:
    """One fault.

    Args:
        at: when this share of the work is done, from 0 to 1.
        kind: ``kill`` (-9) or ``freeze`` (SIGSTOP beyond the lease) of a process; ``supervisord`` (kill -9, then
            ``up``); ``machine`` (everything at once, then a start).
        pick: decides which process, and how long; from 0 to 1.
    """

    at: float
    kind: str
    pick: float


def plan(seed: int, kinds: Mapping[str, int], until: float = 0.9) -> list[Fault]:
    """Give the faults of a seed: so many of each kind, spread at random over the work."""
    chance = random.Random(seed)
    return sorted(
        Fault(chance.uniform(0.02, until), kind, chance.random()) for kind in kinds for _ in range(kinds[kind])
    )


class Injector:
    """Does a plan's faults to a campaign.

    Args:
        campaign: that runs.
    """

    def __init__(self, campaign: "Campaign") -> None:
        self._campaign = campaign
        self._lease = float(campaign.settings["lease"].removesuffix("s"))
        self._frozen: list[tuple[float, int]] = []  # when to wake, who
        self._done: Counter[str] = Counter()

    def run(self, plan: Iterable[Fault]) -> dict[str, int]:
        """Inject all, in order, each as soon as its share is done; at the end nobody is frozen any more."""
        for fault in plan:
            self._campaign.wait(partial(self._is_due, fault.at))
            self._campaign.wait(partial(self._do, fault))
            self._done[fault.kind] += 1
        while self._frozen:
            self._wake()
            time.sleep(0.02)
        return dict(self._done)

    def _is_due(self, share: float) -> bool:
        self._wake()
        return self._campaign.progress() >= share or self._campaign.drained()

    def _wake(self) -> None:
        while self._frozen and self._frozen[0][0] <= time.monotonic():
            signalled(heapq.heappop(self._frozen)[1], signal.SIGCONT)

    def _do(self, fault: Fault) -> bool:
        """Inject one; False if nobody was there for it now."""
        match fault.kind:
            case "supervisord":
                for process in self._campaign.processes("supervisord"):
                    signalled(process.pid, signal.SIGKILL)
                self._campaign.up()
                return True
            case "machine":
                self._frozen.clear()
                self._campaign.restart_machine()
                return True
            case "freeze":
                return self._freeze(fault)
            case _:
                return self._kill(fault)

    def _kill(self, fault: Fault) -> bool:
        """Kill a process of the role that was picked; where none is, a worker."""
        place = fault.pick * len(KILLED)
        role = KILLED[int(place)]
        running = self._busy() if role == "busy" else self._awake(role)
        running = running or self._awake("worker")
        return bool(running) and signalled(running[int((place % 1) * len(running))].pid, signal.SIGKILL)

    def _freeze(self, fault: Fault) -> bool:
        """Freeze a worker in the middle of its work; at the end of all work, any."""
        for _ in range(_TRIES):
            running = self._busy() or self._awake("worker")
            if not running:
                return False
            process = running[int(fault.pick * len(running))]
            signalled(process.pid, signal.SIGSTOP)
            if process.consumer in self._campaign.holders() or self._campaign.drained():
                low, high = _LONG
                until = time.monotonic() + self._lease * (low + (high - low) * fault.pick)
                heapq.heappush(self._frozen, (until, process.pid))
                return True
            signalled(process.pid, signal.SIGCONT)  # it was done just now
        return False

    def _busy(self) -> list[Process]:
        """Give the workers that hold work now: those with a twin that can take it over, if there are any."""
        running = self._awake("worker")
        holders = self._campaign.holders()
        twins = Counter(process.name for process in running)
        busy = [process for process in running if process.consumer in holders]
        return [process for process in busy if twins[process.name] > 1] or busy

    def _awake(self, role: str) -> list[Process]:
        frozen = {pid for _, pid in self._frozen}
        return [process for process in self._campaign.processes(role) if process.pid not in frozen]
