"""The kinds of bots: what an author extends and what a worker calls.

A bot knows events. It never sees a queue, a frame or another bot: whatever it needs is lent to it as its `Context`.
"""

import select
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar, get_args

from .context import Context
from .errors import lightened
from .event import Event, Origin
from .message import Message, Outcome
from .params import Params
from .report import Chunk, Cut, Report

if TYPE_CHECKING:
    pass

P = TypeVar("P", bound=Params)
U = TypeVar("U")

DEFAULT = "default"


class Failure(NamedTuple):
    """An item set aside: the item as the bot received it, and why."""

    item: Event | Chunk
    error: Exception


class Outlet:
    """Where a stage puts what it has to say about the items at hand; the worker empties it."""

    __slots__ = ("dropped", "failed", "sent")

    def __init__(self) -> None:
        self.sent: dict[str, list[Event]] = {}
        self.failed: list[Failure] = []
        self.dropped: dict[str, int] = {}

    def send(self, event: Event, path: str = DEFAULT) -> None:
        """Send *event* out by *path*."""
        try:
            self.sent[path].append(event)
        except KeyError:
            self.sent[path] = [event]

    def send_all(self, events: list[Event], path: str = DEFAULT) -> None:
        """Send all *events* out by *path*, in their order."""
        if path in self.sent:
            self.sent[path].extend(events)
        elif events:
            self.sent[path] = list(events)

    def fail(self, item: Event | Chunk, error: Exception) -> None:
        """Set *item* aside: it goes to the bot's *failed* with *error* and can be retried from there."""
        self.failed.append(Failure(item, lightened(error)))

    def drop(self, reason: str, count: int = 1) -> None:
        """Count *count* items that go no further, by *reason* (a word or the name of a rule)."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count


class Bot(ABC, Generic[P]):
    """One configured instance of a bot class.

    Class attributes:
        isolate: waits for the network, so it gets a worker of its own.
        single: keeps state that needs one instance.
    """

    isolate: ClassVar[bool] = False
    single: ClassVar[bool] = False

    def __init__(self, params: P, context: Context | None = None) -> None:
        self.params = params
        self.context = context or Context()

    @classmethod
    def params_type(cls) -> type[Params]:
        """Give the struct that ``Bot[P]`` was subclassed with (`Params` itself if none was named)."""
        for klass in cls.__mro__:
            for base in getattr(klass, "__orig_bases__", ()):
                for arg in get_args(base):
                    if isinstance(arg, type) and issubclass(arg, Params):
                        return arg
        return Params

    @classmethod
    def paths(cls, params: P) -> tuple[str, ...]:
        """Name the exits of an instance with these parameters."""
        return (DEFAULT,)

    def open(self) -> None:
        """Get ready: called once before the first item, in the worker's process."""

    def close(self) -> None:
        """Let go of what `open` took; called once, also after a failure."""


class Collector(Bot[P]):
    """Fetches reports from outside.

    Class attributes:
        continuous: a stream that keeps its process, instead of one that is started for each time slot.
    """

    continuous: ClassVar[bool] = False

    @abstractmethod
    def collect(self) -> Iterator[Report | None]:
        """Yield the reports that are there, and None for "not yet".

        A continuous collector says so when there is nothing now, any other when something is about to be there soon:
        `run --drain` then looks again.
        """

    def wait(self, seconds: float) -> None:
        """Wait until something may be there, *seconds* at most; a continuous collector that is told of it overrides this."""
        select.select([], [], [], seconds)

    def done(self, report: Report) -> None:
        """Tell the source (delete, move, acknowledge): called once the report's commit is durable, perhaps twice."""


class Stage(Bot[P], Generic[P, U]):
    """A bot that items pass through: all that a worker knows of parsers, experts and outputs.

    ``U`` is the unit it works on: an `Event`, or a row of a report.
    """

    def units(self, item: Any) -> Iterator[tuple[int, U]]:
        """Take an item of a queue apart into units with rising positions (for a report: its physical lines)."""
        yield 0, item

    @abstractmethod
    def process_batch(self, items: list[U], out: Outlet) -> None:
        """Work on *items*: each of them is sent on, dropped or failed by *out*.

        Raising fails nobody yet: the worker then calls again with fresh copies, one item at a time.
        """

    def restore(self, unit: U) -> Event | Chunk:
        """Give the item to keep in *failed* for a unit: a queue's item that holds this unit alone."""
        return unit  # type: ignore[return-value]  # true for events; parsers of rows override it

    def tick(self, now: datetime, out: Outlet) -> None:
        """Do what is due at *now* (the start of a time slot); events made here are sent by *out*."""


class Parser(Stage[P, Chunk]):
    """Makes events of reports. `parse` sees a piece of a report; see `formats` for rows made easy."""

    @classmethod
    def cut(cls, params: P) -> Cut:
        """Tell how payloads may be cut into chunks; by default not at all (64 MiB at most)."""
        return Cut(unit="whole")

    @abstractmethod
    def parse(self, report: Chunk) -> Iterator[Event]:
        """Yield the events of a report; make each with `event`. Raising fails the whole report."""

    def event(self, report: Chunk, line: int, raw: str | None = None, number: int = 0) -> Event:
        """Start an event: its id, what is known of the report, and the row as text.

        Args:
            report: the chunk it comes from.
            line: the row's physical line or the element's ordinal in the whole report.
            raw: the row's text.
            number: 1, 2, … for the second and further events of one row.
        """
        fields: dict[str, Any] = dict(report.fields)
        fields["id"] = f"{report.id}-{line}.{number}" if number else f"{report.id}-{line}"
        if raw is not None:
            fields["raw"] = raw
        return Event(fields)

    def origin(self, report: Chunk) -> Origin:
        """Give what is kept once for all events of a report: its name, and its header, for `Event.original`."""
        header = report.header.decode(report.encoding or "utf-8", "replace")
        return {name: text for name, text in (("name", report.name), ("header", header)) if text}

    def process_batch(self, items: list[Chunk], out: Outlet) -> None:
        """Parse each report whole."""
        for report in items:
            for event in self.parse(report):
                out.send(event)


class Expert(Stage[P, Event]):
    """Changes, adds to or drops events."""

    @abstractmethod
    def process(self, event: Event) -> Event | None:
        """Work on one event and give it back; None drops it. Raising fails this event alone."""

    def process_batch(self, items: list[Event], out: Outlet) -> None:
        """Call `process` for each event."""
        process = self.process
        kept = [result for event in items if (result := process(event)) is not None]
        out.send_all(kept)
        if len(kept) < len(items):
            out.drop("dropped", len(items) - len(kept))


class BatchExpert(Stage[P, Event]):
    """An expert that works on many events at once, for example because one look-up can serve all."""


class Router(Stage[P, Event]):
    """Sends events out by named paths without changing them."""

    @abstractmethod
    def route(self, event: Event) -> Iterable[str]:
        """Name the paths for *event*; none drops it."""

    def process_batch(self, items: list[Event], out: Outlet) -> None:
        """Call `route` for each event."""
        for event in items:
            copy = False
            for path in self.route(event):
                out.send(event.copy() if copy else event, path)
                copy = True
            if not copy:
                out.drop("unrouted")


class Output(Stage[P, Event]):
    """Hands events to the outside, one at a time."""

    @classmethod
    def paths(cls, params: P) -> tuple[str, ...]:
        """An output has no exits."""
        return ()

    @abstractmethod
    def write(self, event: Event) -> None:
        """Write one event; raising fails it alone, `Retry` keeps it."""

    def process_batch(self, items: list[Event], out: Outlet) -> None:
        """Call `write` for each event."""
        for event in items:
            self.write(event)


class BatchOutput(Stage[P, Event]):
    """An output that writes many events at once; it is done when `process_batch` returns."""

    @classmethod
    def paths(cls, params: P) -> tuple[str, ...]:
        """An output has no exits."""
        return ()


class Courier(Bot[P]):
    """An output whose input is due deliveries: it hands frozen messages over to the outside.

    The channel that members' deliveries name is the bot's name: ``output/mail`` serves ``channel: mail``. One process
    runs each channel; it calls `give` for one message at a time, and may make `at_once` instances, each with a thread of
    its own, so that one that waits for an answer holds nobody else up.
    """

    isolate: ClassVar[bool] = True
    single: ClassVar[bool] = True

    @classmethod
    def paths(cls, params: P) -> tuple[str, ...]:
        """A courier has no exits."""
        return ()

    @property
    def at_once(self) -> int:
        """How many instances may be at work beside each other."""
        return 1

    @abstractmethod
    def give(self, message: Message) -> Outcome:
        """Try once to hand *message* over, byte for byte as it is, and tell what became of it.

        It may be called again with the same message: after ``later``, and after a crash. Raising counts as ``later``.
        """


KINDS: dict[str, tuple[type[Any], ...]] = {
    "collector": (Collector,),
    "parser": (Parser,),
    "expert": (Expert, BatchExpert, Router),
    "output": (Output, BatchOutput, Courier),
}
"""Kind of bot to the classes that make it one."""


def kind_of(cls: type[Any]) -> str:
    """Give the kind of a bot class: ``collector``, ``parser``, ``expert`` or ``output``.

    Raises:
        TypeError: if the class is none of them.
    """
    for kind, bases in KINDS.items():
        if issubclass(cls, bases):
            return kind
    raise TypeError(f"{cls.__name__} is no bot: extend Collector, a Parser, Expert, BatchExpert, Router or Output")
