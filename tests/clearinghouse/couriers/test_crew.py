"""Couriers that work beside each other: who waits for an endpoint holds nobody else up, and nothing is lost between."""

import select
import threading
from datetime import UTC, datetime

import pytest

from cleanbots.clearinghouse.crew import Parcel, Team
from cleanbots.clearinghouse.store.protocol import Row
from cleanbots.message import Message, Outcome

ROW = Row(
    reference="MP-20261120-0001",
    member="acme",
    delivery="hook",
    channel="webhook",
    kind="digest",
    state="frozen",
    why="",
    mode="live",
    created=datetime(2026, 11, 20, tzinfo=UTC),
    counts={},
    messages=[],
)


class Hired:
    """A courier that hangs with messages to ``dead``, and takes all others."""

    at_once = 3

    def __init__(self) -> None:
        self.closed = False
        self.free = threading.Event()

    def give(self, message: Message) -> Outcome:
        if "dead" in message.recipient:
            assert self.free.wait(60)
        if "bad" in message.recipient:
            raise RuntimeError("what nobody thought of")
        return Outcome(verdict="accepted", answer=message.recipient)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def hired():
    """Those who were hired so far."""
    return []


@pytest.fixture
def team(hired):
    """A team of up to three, whose dead endpoints come back to life in the end."""

    def hire():
        hired.append(Hired())
        return hired[-1]

    team = Team(hire)
    yield team
    for each in hired:
        each.free.set()
    while team.away():
        team.back(60)
    team.close()
    assert all(each.closed for each in hired)


def send(team, name):
    team.send(Parcel(ROW, Message(id=name, recipient=f"https://{name}.example.net/", data=b"{}")))


def test_who_hangs_holds_nobody_up(team):
    """While one waits for a dead endpoint, messages to others come back, and only the dead one counts as away."""
    send(team, "dead")
    for name in ("one", "two"):
        send(team, name)
        assert [each.parcel.message.id for each in team.back(60)] == [name]

    assert team.away() == {"https://dead.example.net/"}


def test_only_as_many_are_hired_as_are_needed(team, hired):
    """A courier that is here is sent again; another one is hired only while all are away, up to what they allow."""
    send(team, "one")
    team.back(60)
    send(team, "two")
    team.back(60)
    assert len(hired) == 1
    for name in ("dead", "dead-too", "dead-as-well"):
        assert team.is_free()
        send(team, name)

    assert len(hired) == 3
    assert not team.is_free()


def test_the_bell_rings_until_everybody_was_welcomed(team):
    """The descriptor can be read exactly while somebody is back and was not asked for."""
    assert not select.select([team.bell], [], [], 0)[0]
    send(team, "one")
    assert select.select([team.bell], [], [], 60)[0]
    team.back()

    assert not select.select([team.bell], [], [], 0)[0]


def test_an_error_nobody_thought_of_is_for_later(team):
    """A courier that fails in an unexpected way has its message tried again, and goes on."""
    send(team, "bad")
    (failed,) = team.back(60)
    send(team, "one")
    (fine,) = team.back(60)

    assert (failed.outcome.verdict, fine.outcome.verdict) == ("later", "accepted")
    assert failed.outcome.answer == "RuntimeError: what nobody thought of"
