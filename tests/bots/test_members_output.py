"""output/members: the end of a graph that tells members."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import sqlalchemy

from bots.outputs.members import Members
from cleanbots import Context, Event, Outlet, Params, Retry
from cleanbots.clearinghouse.members import Registry
from cleanbots.clearinghouse.recorder import Recorder
from cleanbots.clearinghouse.store import open_store
from cleanbots.clock import FixedClock
from cleanbots.testing import run

START = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)
MEMBERS = """
members:
  - id: m
    name: M
    resources: {networks: [{prefix: 192.0.2.0/24}]}
    contacts: [{id: desk, role: abuse, mail: desk@example.net}]
    deliveries: [{id: daily, channel: mail, to: [desk]}]
"""


@dataclass
class Lent:
    """What the bot is lent here: a recorder."""

    recorder: Recorder


@pytest.fixture
def store(tmp_path):
    """A store in a file."""
    made = open_store(tmp_path / "cleanbots.db", FixedClock(START))
    yield made
    made.close_connections()


@pytest.fixture
def bot(store, tmp_path):
    """The bot with a real recorder."""
    (tmp_path / "members.yaml").write_text(MEMBERS)
    registry = Registry.load(tmp_path / "members.yaml")
    made = Members(Params(), Context(services=Lent(Recorder(store, lambda: registry, FixedClock(START)))))
    made.open()
    return made


def event(number):
    """Give an event that concerns the member."""
    return Event({"id": f"r-{number}", "source.ip": f"192.0.2.{number}", "tlp": "GREEN", "matches": [{"member": "m"}]})


def test_a_batch_becomes_due(bot, store):
    """Each event in each delivery that wants it; a batch that comes again changes nothing; it sends nothing on."""
    out = Outlet()
    for _ in range(2):
        bot.process_batch([event(number) for number in range(3)], out)

    assert [(due.member, due.delivery, due.owed) for due in store.due(START)] == [("m", "daily", 3)]
    assert (out.sent, out.failed) == ({}, [])


def test_a_store_that_is_away_keeps_the_work(bot, store):
    """The world is at fault, so the batch waits."""
    engine = store._database.engine
    sqlalchemy.event.listen(engine, "checkout", lambda c, *_: c.execute("PRAGMA busy_timeout = 1").close())
    with store._database.writing(), pytest.raises(Retry, match="can't be used for now"):
        bot.process_batch([event(1)], Outlet())
    bot.process_batch([event(1)], Outlet())
    assert [due.owed for due in store.due(START)] == [1]


def test_it_is_an_output_like_others():
    """It is found by its name and runs in `testing.run`."""
    result = run(Members, [{"id": "r-1", "source.ip": "192.0.2.1"}])
    assert (result.paths, result.failed) == ({}, [])
