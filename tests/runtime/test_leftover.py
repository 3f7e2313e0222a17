"""What a bot that is configured no more has left can be given to another one, but only what nobody has begun with."""

import pytest

from cleanbots.broker import RedisBroker
from cleanbots.broker.protocol import Commit, EntryGuard, Output, TickGuard
from cleanbots.config.model import BotSettings, Settings
from cleanbots.errors import CleanbotsError
from cleanbots.frame import encode_events
from cleanbots.runtime.leftover import move
from cleanbots.runtime.mark import Mark

SETTINGS = Settings(
    name="small",
    base="/",
    state="/",
    bots={
        "other": BotSettings("other", "output/file", "output"),
        "parse": BotSettings("parse", "parser/csv", "parser"),
        "fetch": BotSettings("fetch", "collector/file", "collector"),
    },
)


@pytest.fixture
def left(broker: RedisBroker) -> RedisBroker:
    """The queue ``former`` with four entries: never handed out, handed out, let go of at once, and begun."""
    for number in range(4):
        data = encode_events([{"id": f"r-{number}-{item}"} for item in range(number + 1)], {})
        broker.commit(Commit(TickGuard("tick", f"{number}"), [Output("former", data, number + 1)]))
    for mark in (None, Mark().released(), Mark(item=1, position=0)):
        entry = broker.take(["former"], "main/former/0", 0)
        assert entry is not None
        if mark is not None:
            broker.commit(Commit(EntryGuard(entry, "", mark.text())))
    return broker


def test_what_nobody_has_begun_with_is_moved(left: RedisBroker) -> None:
    """Entries that were begun with stay where they are, with their marks; all others are the other bot's, once."""
    moved, stay = move(left, SETTINGS, "former", "other")
    again = move(left, SETTINGS, "former", "other")

    assert (moved, stay) == (1 + 2 + 4, 3)
    assert again == (0, 3)
    depths = left.depths(["former", "other"])
    assert (depths["former"].events, depths["other"].events) == (3, 7)
    (entry,) = [each for each in left.mine(["former"], "main/former/0") if each.mark]
    assert entry.count == 3


@pytest.mark.parametrize("to", ["parse", "fetch", "nobody"])
def test_a_bot_that_can_not_take_them_is_refused(left: RedisBroker, to: str) -> None:
    """Events go to no parser, and nothing goes to a collector or to nobody; nothing is changed."""
    with pytest.raises(CleanbotsError, match=to):
        move(left, SETTINGS, "former", to)
    assert left.depths(["former"])["former"].events == 10
