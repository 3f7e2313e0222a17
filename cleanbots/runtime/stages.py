"""The worker of a group of parsers, experts and outputs: take an entry, bring it through in slices, commit each."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..bot import Stage
from ..broker.protocol import Answer, Commit, Entry, EntryGuard, TickGuard
from ..clock import iso
from ..config.model import WorkerSettings
from ..errors import BrokerUnavailable, FrameError, NewerFrame, Retry, lightened
from ..event import Event, Origin
from ..frame import Frame, decode
from ..report import Chunk
from .assembly import Assembly
from .commits import FAILED_IS_FULL, Commits
from .faults import Backoff, world_at_fault
from .group import Group, Node, PoisonError, Yield
from .heart import Heart
from .mark import Mark, read_mark
from .schedule import Schedule, tick_guard
from .stop import InterruptedWork, Stop
from .units import Placed, Units
from .watchdog import Watchdog

log = logging.getLogger("cleanbots.worker")

_FULL = Backoff(0.02, 1.0)

_APART = "/"  # in a mark, in place of a bot: the reader that takes items apart


class _LostError(Exception):
    """Somebody else works on the entry now; whatever was made of it here is void."""


class _StoppedError(Exception):
    """A bot's error policy says stop."""


@dataclass(slots=True)
class _Work:
    """An entry at work: its frame, the last mark that was committed, and that mark as read."""

    entry: Entry
    frame: Frame
    text: str
    mark: Mark
    origins: Mapping[str, Origin]


class StageWorker:
    """Works for a group until it is asked to stop.

    Args:
        assembly: the graph's.
        worker: which bots it hosts.
        consumer: its name on the server; nobody else uses it at the same time.
        stop: the request to stop.
        wait: seconds that a take blocks on the server; a signal cuts it short.
    """

    def __init__(
        self, assembly: Assembly, worker: WorkerSettings, consumer: str, stop: Stop, wait: float = 5.0
    ) -> None:
        self._wait = wait
        self._assembly = assembly
        self._settings = assembly.settings
        self._name = worker.name
        self._consumer = consumer
        self._stop = stop
        self._broker = assembly.broker()
        self._lender = assembly.lender(self._broker)
        bots = self._settings.bots
        self._group = Group({bot: self._node(bot) for bot in worker.bots})
        self._queues = list(reversed(worker.bots))
        self._slice = min(bots[bot].slice for bot in worker.bots)
        self._watchdog = Watchdog(assembly.clock, max(bots[bot].time_limit for bot in worker.bots))
        self._commits = Commits(assembly)
        self._schedules = {bot: s for bot in worker.bots if (s := Schedule.of(bots[bot])) is not None}
        self._heart = Heart(assembly.broker, consumer, self._settings.lease)
        self._claim_after = 0.0

    def run(self) -> None:
        """Work until asked to stop. A server that is away is waited for."""
        backoff = Backoff(0.05, 5.0)
        self._open()
        self._assembly.registry.worker_changed(self._name, "started")
        died = True
        try:
            while not self._stop.requested:
                try:
                    self._recover(died=died)
                    died = False
                    self._loop(backoff)
                except Retry as error:  # of the server, or of this process itself
                    self._watchdog.rest()
                    self._lender.discard(forget=True)
                    self._stop.wait(backoff.told(error, log))
                except InterruptedWork:
                    continue
        finally:
            self._heart.stop()
            self._group.close()
            self._broker.close()
            self._assembly.registry.worker_changed(self._name, "stopped")

    def _node(self, bot: str) -> Node:
        stage = self._assembly.bot(bot, self._lender)
        if not isinstance(stage, Stage):
            raise TypeError(f"{bot}: {type(stage).__name__} is a collector and can't be in a group")
        return Node(bot, stage, self._settings.bots[bot].to)

    def _open(self) -> None:
        backoff = Backoff(1.0, 60.0)
        while True:
            try:
                self._group.open()
            except Exception as error:
                if not world_at_fault(error):
                    raise
                wait = backoff.next()
                log.warning("%s can't open: %s; trying again in %.0f s", self._group.calling, error, wait)
                if self._stop.wait(wait):
                    raise InterruptedWork from error
            else:
                return

    # -- taking

    def _recover(self, *, died: bool) -> None:
        """Go on with what this consumer held: after a death with suspicion, after a broken connection without."""
        self._broker.verify()
        for entry in self._broker.mine(self._queues, self._consumer):
            self._work_off(entry, died=died)

    def _loop(self, backoff: Backoff) -> None:
        while not self._stop.requested:
            self._tick()
            entry = self._next()
            backoff.reset()  # a take writes: the server works again
            if entry is not None:
                self._work_off(entry, died=entry.again)

    def _next(self) -> Entry | None:
        clock = self._assembly.clock
        if clock.monotonic() >= self._claim_after:
            self._claim_after = clock.monotonic() + self._settings.lease / 2
            self._broker.verify()
            entry = self._broker.claim(self._queues, self._consumer, self._settings.lease)
            if entry is not None:
                self._claim_after = 0.0
                return entry
        entry = self._broker.take(self._queues, self._consumer, 0.0)
        if entry is not None:
            return entry
        self._watchdog.rest()
        wait = min([self._wait, *(s.seconds_left(clock.now()) for s in self._schedules.values())])
        with self._stop.interruptible():
            return self._broker.take(self._queues, self._consumer, wait)

    # -- working off

    def _work_off(self, entry: Entry, *, died: bool) -> None:
        work: _Work | None = None
        self._heart.hold(entry)
        try:
            work = self._start(entry, died=died)
            if work is not None:
                self._slices(work)
        except _LostError:
            log.warning("%s: entry %s is somebody else's now", entry.queue, entry.id)
            self._lender.discard(forget=True)
        except _StoppedError as error:
            self._release(work)
            self._heart.release()  # so that others, a newer cleanbots perhaps, may take it over
            self._hold_still(str(error))
        except InterruptedWork:
            self._release(work)
            raise
        finally:
            self._heart.release()

    def _start(self, entry: Entry, *, died: bool) -> _Work | None:
        try:
            frame = decode(entry.data)
        except NewerFrame as error:
            raise _StoppedError(str(error)) from error
        except FrameError as error:
            self._bury(entry, error)
            return None
        mark = read_mark(entry.mark)
        origins = self._group.origins(entry.queue, frame.items, frame.origins)
        work = _Work(entry, frame, entry.mark, mark, origins)
        if died or mark.clean:
            self._set_mark(work, mark.after_death(self._slice))
        return work

    def _slices(self, work: _Work) -> None:
        bot = work.entry.queue
        units = self._units(work)
        while True:
            self._check_stop()
            if work.mark.poisoned == _APART:
                self._give_up(work)
                return
            self._watchdog.watch()
            if work.mark.slice == 1:
                self._set_mark(work, work.mark.call(_APART))
            batch = units.take(work.mark.slice or self._slice)
            result = self._bring_through(work, batch) if batch else Yield()
            for item, error in units.take_broken():
                result.count(bot, "in")
                result.fail(bot, item, error)
            finished = not units.more
            mark = work.mark if not batch else work.mark.advance(batch[-1][0], batch[-1][1], len(batch))
            guard = EntryGuard(work.entry, work.text, None if finished else mark.text())
            self._commit(self._commits.of(guard, result, work.origins, self._lender.staged()))
            self._tell(result)
            if finished:
                return
            work.mark, work.text = mark, mark.text()

    def _units(self, work: _Work) -> Units:
        stage = self._group.nodes[work.entry.queue].stage
        return Units(stage, work.frame.items, work.frame.origins, work.mark)

    def _fresh(self, work: _Work, count: int) -> list[Any]:
        """Give the next *count* units again, untouched by any bot.

        Raises:
            RuntimeError: if they are not the same number as before: going on would lose the others.
        """
        again = _Work(work.entry, decode(work.entry.data), work.text, work.mark, work.origins)
        units = [unit for _, _, unit in self._units(again).take(count)]
        if len(units) != count:
            raise RuntimeError(f"{work.entry.queue}: a report read again gave {len(units)} units instead of {count}")
        return units

    def _give_up(self, work: _Work) -> None:
        """Put what is left of an entry into failed, whole: taking it apart kills."""
        bot = work.entry.queue
        result = Yield()
        for item in work.frame.items[max(work.mark.item, 0) :]:
            whole = Event(item, work.origins) if isinstance(item, dict) else item
            result.fail(bot, whole, PoisonError(f"killed its worker twice while {bot} took it apart"))
        self._commit(
            self._commits.of(EntryGuard(work.entry, work.text, None), result, work.origins, self._lender.staged())
        )

    def _bring_through(self, work: _Work, batch: Sequence[Placed]) -> Yield:
        bot = work.entry.queue
        units = [unit for _, _, unit in batch]
        if work.mark.slice == 1:
            return self._patiently(work, len(batch))
        world: Exception | None = None
        try:
            return self._group.process(bot, units)
        except Exception as error:  # noqa: BLE001  # whose fault it is shows when the items go one by one
            log.debug("%s raised in a slice (%s); its items go one by one", self._group.calling, error)
            world = lightened(error) if world_at_fault(error) else None
        # Not in the handler: until it is left, the error keeps alive all that its frames hold.
        return self._patiently(work, len(batch), world)

    def _one_by_one(self, work: _Work, count: int, *, world_fails: bool = False) -> Yield:
        self._lender.discard()
        watch: Callable[[str], None] | None = None
        if work.mark.slice == 1:

            def watch(bot: str) -> None:
                self._set_mark(work, work.mark.call(bot))

        return self._group.process_carefully(
            work.entry.queue, self._fresh(work, count), watch, work.mark.poisoned, world_fails
        )

    def _patiently(self, work: _Work, count: int, error: Exception | None = None) -> Yield:
        """Bring *count* units through one by one, until the world lets them or the bot's policy has had enough."""
        backoff: Backoff | None = None
        while True:
            if error is not None:
                policy = self._settings.bots[self._group.calling].on_error
                backoff = backoff or Backoff(policy.delay, policy.max_delay)
                if policy.retries is not None and backoff.tries >= policy.retries:
                    if policy.then == "stop":
                        raise _StoppedError(f"{self._group.calling}: {error}")
                    return self._one_by_one(work, count, world_fails=True)
                wait = backoff.next(error.after if isinstance(error, Retry) else None)
                log.warning("%s: %s; trying again in %.1f s", self._group.calling, error, wait)
                self._watchdog.rest()
                if self._stop.wait(wait):
                    raise InterruptedWork
                self._watchdog.watch()
            try:
                return self._one_by_one(work, count)
            except BrokerUnavailable:
                raise
            except Exception as raised:
                if not world_at_fault(raised):
                    raise
                error = lightened(raised)

    # -- committing

    def _commit(self, commit: Commit) -> None:
        _FULL.reset()
        while True:
            result = self._broker.commit(commit)
            if result.answer is Answer.COMMITTED:
                self._lender.committed()
                return
            if result.answer is Answer.LOST:
                raise _LostError
            if result.answer is Answer.FAILED_FULL and _FULL.tries % 60 == 0:
                log.error(FAILED_IS_FULL, result.name, result.name)
            self._watchdog.rest()
            if self._stop.wait(_FULL.next()):
                raise InterruptedWork

    def _tell(self, result: Yield) -> None:
        """Tell the plugins that watch what each bot did in the batch."""
        counts: dict[str, dict[str, int]] = {}
        for key, number in result.counters.items():
            bot, _, what = key.partition(":")
            counts.setdefault(bot, {})[what] = number
        for bot, of_bot in counts.items():
            self._assembly.registry.batch_done(bot, of_bot)

    def _set_mark(self, work: _Work, mark: Mark) -> None:
        text = mark.text()
        result = self._broker.commit(Commit(EntryGuard(work.entry, work.text, text)))
        if result.answer is not Answer.COMMITTED:
            raise _LostError
        work.mark, work.text = mark, text

    def _release(self, work: _Work | None) -> None:
        """Let go of an entry so that nobody takes this stop for a death."""
        self._lender.discard(forget=True)
        if work is not None:
            guard = EntryGuard(work.entry, work.text, work.mark.released().text())
            self._broker.commit(Commit(guard))

    def _bury(self, entry: Entry, error: FrameError) -> None:
        """Put an entry that is no frame into failed: it would stop the queue for ever."""
        guard = EntryGuard(entry, entry.mark, None)
        self._commit(self._commits.failure(guard, entry.queue, Chunk("", entry.data), error))

    def _check_stop(self) -> None:
        if self._stop.requested:
            raise InterruptedWork

    def _hold_still(self, why: str) -> None:
        """Stand still, saying why, until somebody stops this process."""
        self._watchdog.rest()
        while not self._stop.requested:
            log.error("stopped: %s; mend it, then 'cleanbots restart'", why)
            self._stop.wait(60.0)

    # -- time slots

    def _tick(self) -> None:
        now = self._assembly.clock.now()
        closing = self._stop.drain.is_set()
        self._stop.drain.clear()
        for bot, schedule in self._schedules.items():
            slot = iso(now) if closing else schedule.due(now, self._broker.last_slot)
            if slot is None:
                continue
            result = self._group.tick(bot, now)
            self._commit_tick(tick_guard(bot, slot, now, self._broker.last_slot), result)
            schedule.done(slot)

    def _commit_tick(self, guard: TickGuard, result: Yield) -> None:
        try:
            self._commit(self._commits.of(guard, result, {}, self._lender.staged()))
        except _LostError:
            self._lender.discard(forget=True)
