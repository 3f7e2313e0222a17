"""Groups: how a slice goes through the bots of one worker."""

from collections.abc import Callable

import pytest

from cleanbots.bot import Expert, Outlet, Router, Stage
from cleanbots.errors import Retry
from cleanbots.event import Event
from cleanbots.params import Params
from cleanbots.runtime.group import Group, Node


class Tag(Expert[Params]):
    """Mark every event."""

    def process(self, event: Event) -> Event | None:
        event["comment"] = "seen"
        return event


class Picky(Expert[Params]):
    """Change an event, then fail if its number is odd, wait if it is 100, drop it if it is 0."""

    def process(self, event: Event) -> Event | None:
        event["comment"] = "half done"
        number = int(event["source.port"])
        if number == 100:
            raise Retry("the table is away")
        if number % 2:
            raise ValueError("odd")
        return None if number == 2 else event


class Split(Router[Params]):
    """Send high ports one way, low ports another, middle ones both."""

    def route(self, event: Event) -> list[str]:
        port = event["source.port"]
        return [path for path, chosen in (("low", port < 100), ("high", port > 50)) if chosen]


def _group(*nodes: tuple[str, Stage, dict[str, list[str]]]) -> Group:
    return Group({name: Node(name, stage, to) for name, stage, to in nodes})


def _events(*ports: int) -> list[Event]:
    return [Event({"id": f"r-{port}", "source.port": port}) for port in ports]


def test_events_are_handed_on_in_memory() -> None:
    """An event passes every bot of the group and leaves it for a queue."""
    group = _group(("a", Tag(Params()), {"default": ["b"]}), ("b", Tag(Params()), {"default": ["out"]}))
    result = group.process("a", _events(4, 6))
    assert [event["comment"] for event in result.queues["out"]] == ["seen", "seen"]
    assert result.counters == {"a:in": 2, "a:out:default": 2, "b:in": 2, "b:out:default": 2}


def test_two_receivers_get_events_of_their_own() -> None:
    """What one receiver changes, the other doesn't see."""
    group = _group(("a", Tag(Params()), {"default": ["b", "out"]}), ("b", Picky(Params()), {"default": ["far"]}))
    result = group.process("a", _events(4))
    assert result.queues["out"][0]["comment"] == "seen"
    assert result.queues["far"][0]["comment"] == "half done"


def test_a_path_that_leads_nowhere_is_counted() -> None:
    """Events that leave by an exit without receiver are dropped, by the name of the exit."""
    group = _group(("a", Split(Params()), {"low": ["out"]}))
    result = group.process("a", _events(1, 70, 200))
    assert len(result.queues["out"]) == 2
    assert result.counters["a:dropped:high"] == 2


def test_dropped_events_are_counted() -> None:
    """An expert that gives None back drops, and the books say so."""
    result = _group(("a", Picky(Params()), {"default": ["out"]})).process("a", _events(2, 4))
    assert result.counters["a:dropped:dropped"] == 1


def test_who_raises_fails_alone_and_unchanged() -> None:
    """One by one, the item at fault is set aside as the bot received it; the others pass."""
    group = _group(("a", Picky(Params()), {"default": ["out"]}))
    result = group.process_carefully("a", _events(4, 5, 6))
    assert [event.id for event in result.queues["out"]] == ["r-4", "r-6"]
    ((item, error),) = result.failed["a"]
    assert isinstance(item, Event)
    assert (item.id, item.get("comment"), str(error)) == ("r-5", None, "odd")
    assert result.counters["a:in"] == 3


def test_a_failing_bot_inside_the_group_sets_aside_what_it_received() -> None:
    """A failed item belongs to the bot that failed, with what the bots before it had added."""
    group = _group(("a", Tag(Params()), {"default": ["b"]}), ("b", Picky(Params()), {"default": ["out"]}))
    ((item, _),) = group.process_carefully("a", _events(5)).failed["b"]
    assert isinstance(item, Event)
    assert item["comment"] == "seen"


def test_the_world_fails_nobody() -> None:
    """An error of the world is raised, so that the slice waits."""
    group = _group(("a", Picky(Params()), {"default": ["out"]}))
    with pytest.raises(Retry):
        group.process_carefully("a", _events(100))
    assert group.calling == "a"


def test_the_world_fails_items_when_patience_ends() -> None:
    """With a policy that ends in failing, the waiting item fails like any other."""
    group = _group(("a", Picky(Params()), {"default": ["out"]}))
    result = group.process_carefully("a", _events(100, 4), world_fails=True)
    assert len(result.failed["a"]) == 1
    assert len(result.queues["out"]) == 1


def test_poison_is_not_given_to_the_bot_again() -> None:
    """A diverted bot isn't called: what arrives there fails, what doesn't is worked off."""
    called: list[str] = []
    watch: Callable[[str], None] = called.append
    group = _group(("a", Tag(Params()), {"default": ["b"]}), ("b", Tag(Params()), {"default": ["out"]}))
    result = group.process_carefully("a", _events(4), watch, divert="b")
    assert called == ["a"]
    ((item, error),) = result.failed["b"]
    assert item == Event({"id": "r-4", "source.port": 4, "comment": "seen"})
    assert "killed its worker twice" in str(error)


def test_an_outlet_keeps_the_order() -> None:
    """Events leave by a path in the order they were sent."""
    out = Outlet()
    first, second, third = _events(1, 2, 3)
    out.send(first)
    out.send_all([second, third])
    assert [event.id for event in out.sent["default"]] == ["r-1", "r-2", "r-3"]
