"""The units of an entry: pulled lazily, from the mark on, a slice at a time."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice, repeat
from typing import Any

from ..bot import Parser, Stage
from ..errors import lightened
from ..event import Event, Origin
from .faults import world_at_fault
from .mark import Mark

Placed = tuple[int, int, Any]
"""A unit and its place: the index of its item in the frame, its position in that item, and itself."""


class Units:
    """Pulls units; knows one ahead whether there are more.

    Args:
        stage: the bot whose queue the frame lay in.
        items: of the frame: dicts of events, or chunks.
        origins: of the frame.
        mark: units up to it are passed over.
    """

    def __init__(self, stage: Stage[Any, Any], items: Sequence[Any], origins: Mapping[str, Origin], mark: Mark) -> None:
        self._stage = stage
        self._items = items
        self._origins = origins
        self.broken: list[tuple[Any, Exception]] = []
        self._source = self._pull(mark)
        self._ahead: Placed | None = None
        self._begun = False

    @property
    def more(self) -> bool:
        """Whether there is another unit."""
        if not self._begun:
            self._ahead = next(self._source, None)
            self._begun = True
        return self._ahead is not None

    def take(self, count: int) -> list[Placed]:
        """Give up to *count* units."""
        if not self.more or self._ahead is None:
            return []
        taken = [self._ahead, *islice(self._source, count - 1)]
        self._ahead = next(self._source, None)
        return taken

    def take_broken(self) -> list[tuple[Any, Exception]]:
        """Give (once) the items that could not be taken apart, with the reason."""
        broken, self.broken = self.broken, []
        return broken

    def _pull(self, mark: Mark) -> Iterator[Placed]:
        if isinstance(self._stage, Parser):
            return self._taken_apart(mark)
        start = mark.item + 1
        events = map(Event, self._items[start:], repeat(self._origins))
        return zip(count(start), repeat(0), events)

    def _taken_apart(self, mark: Mark) -> Iterator[Placed]:
        for number in range(max(mark.item, 0), len(self._items)):
            whole = self._items[number]
            passed = mark.position if number == mark.item else -1
            try:
                for position, unit in self._stage.units(whole):
                    if position > passed:
                        yield number, position, unit
            except MemoryError:  # may be the fault of whatever else this process holds
                raise
            except Exception as error:
                if world_at_fault(error):
                    raise
                self.broken.append((whole, lightened(error)))
