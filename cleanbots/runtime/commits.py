"""Commits of what came of work: frames for queues, dead letters for failed, counters, staged state."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..broker.protocol import Commit, EntryGuard, Output, ReportGuard, TickGuard
from ..clock import iso
from ..errors import FrameError
from ..event import Event, Origin
from ..frame import FailedItem, encode_events, encode_failed
from ..report import Chunk
from .assembly import Assembly
from .group import Yield

FAILED_IS_FULL = (
    "%s has too many failed items and stands still: look at 'cleanbots failed list %s', then retry or drop them"
)
"""What a worker says, again and again, while it waits for room in a failed queue."""

Guard = EntryGuard | ReportGuard | TickGuard


class Commits:
    """Makes commits.

    Args:
        assembly: the graph's; gives limits and time.
    """

    def __init__(self, assembly: Assembly) -> None:
        bots = assembly.settings.bots
        self._clock = assembly.clock
        self._limits = assembly.limits(bots)
        self._failed_limits = assembly.failed_limits(bots)

    def make(
        self,
        guard: Guard,
        outputs: Sequence[Output] = (),
        failed: Sequence[Output] = (),
        counters: Mapping[str, int] | None = None,
        state: Mapping[str, Mapping[str, bytes | None]] | None = None,
    ) -> Commit:
        """Make a commit with the limits of all that it appends to."""
        return Commit(
            guard=guard,
            outputs=outputs,
            failed=failed,
            limits={output.queue: self._limits[output.queue] for output in outputs},
            failed_limits={output.queue: self._failed_limits[output.queue] for output in failed},
            counters=counters or {},
            state=state or {},
        )

    def of(
        self,
        guard: Guard,
        result: Yield,
        origins: Mapping[str, Origin],
        state: Mapping[str, Mapping[str, bytes | None]],
    ) -> Commit:
        """Make the commit of a slice or a tick.

        Args:
            guard: of the work.
            result: what came of it.
            origins: what is kept once per report for its events.
            state: what the bots staged.
        """
        outputs = [
            Output(bot, self._encode(bot, events, origins, result), len(events))
            for bot, events in result.queues.items()
            if events
        ]
        failed = [self.letters(bot, items, origins) for bot, items in result.failed.items()]
        return self.make(guard, [output for output in outputs if output.count], failed, result.counters, state)

    def failure(self, guard: Guard, bot: str, item: Event | Chunk, error: Exception) -> Commit:
        """Make the commit that sets one item aside for *bot*, and nothing else."""
        return self.make(guard, failed=[self.letters(bot, [(item, error)])], counters={f"{bot}:failed": 1})

    def letters(
        self, bot: str, items: Sequence[tuple[Event | Chunk, Exception]], origins: Mapping[str, Origin] | None = None
    ) -> Output:
        """Give a frame of dead letters for *bot*: items with the errors that it could not work them off for."""
        at = iso(self._clock.now().replace(microsecond=0))
        letters = [_letter(bot, item, error, at, origins or {}) for item, error in items]
        return Output(bot, encode_failed(letters), len(letters))

    @staticmethod
    def _encode(bot: str, events: list[Event], origins: Mapping[str, Origin], result: Yield) -> bytes:
        """Encode the events for *bot*; those that can't be written as JSON are taken out and fail there."""
        try:
            return encode_events([event.fields for event in events], origins)
        except FrameError:
            good = []
            for event in events:
                try:
                    encode_events([event.fields], {})
                    good.append(event)
                except FrameError as error:
                    plain: dict[str, Any] = {name: event.fields[name] for name in ("id", "raw") if name in event.fields}
                    result.fail(bot, Event(plain), error)
            events[:] = good
            return encode_events([event.fields for event in events], origins)


def _letter(bot: str, item: Event | Chunk, error: Exception, at: str, origins: Mapping[str, Origin]) -> FailedItem:
    notes = (f"({note})" for note in getattr(error, "__notes__", ()))
    sentence = " ".join([str(error) or type(error).__name__, *notes])
    if isinstance(item, Chunk):
        return FailedItem(bot, sentence, type(error).__name__, at, chunk=item)
    report = item.id.partition("-")[0]
    kept = {report: origins[report]} if report in origins else {}
    return FailedItem(bot, sentence, type(error).__name__, at, event=item.fields, origins=kept)
