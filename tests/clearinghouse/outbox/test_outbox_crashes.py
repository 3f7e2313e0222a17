"""A crash at any point: what was frozen is handed over with the same bytes and id, what was not is made again."""

from datetime import timedelta

import pytest
from outbox_world import ACCEPTED, REFUSED

from cleanbots.clearinghouse.store.protocol import Store


class Crash(BaseException):
    """The process dies here; no handler may run."""


class Fragile:
    """A store that lets the process die before or after one of its methods, once.

    Args:
        store: the real one.
        method: which.
        after: whether the method still does its work.
        skip: how many calls go well first.
    """

    def __init__(self, store: Store, method: str, *, after: bool, skip: int = 0) -> None:
        self._store, self._method, self._after, self._skip = store, method, after, skip

    def __getattr__(self, name):
        real = getattr(self._store, name)
        if name != self._method:
            return real

        def dying(*args, **kwargs):
            self._skip -= 1
            if self._skip >= 0:
                return real(*args, **kwargs)
            if self._after:
                real(*args, **kwargs)
            raise Crash

        return dying


POINTS = [("close", False), ("close", True), ("freeze", False), ("freeze", True), ("attempt", False), ("attempt", True)]


@pytest.mark.parametrize(("method", "after"), POINTS)
@pytest.mark.parametrize("skip", [0, 1])
def test_a_crash_changes_no_bytes_and_loses_nothing(world, method, after, skip):
    """Killed before or after closing, freezing, or noting an attempt: each part arrives, always with the same bytes."""
    world.member(member={"limits": {"findings_per_mail": 2}})
    for number in range(5):
        world.record(f"198.51.100.{number}")
    world.at("2026-11-20T07:00")
    box = world.outbox(store=Fragile(world.store, method, after=after, skip=skip))

    try:
        for _ in range(10):
            world.pass_(seconds=6)
            box.step()
    except Crash:
        world.restart()
    world.run(hours=1)

    assert len(world.references()) == 1
    parts = {}
    for message in world.postman.given:
        parts.setdefault(message.id, set()).add(message.data)
    assert len(parts) == 3
    assert all(len(data) == 1 for data in parts.values())
    repeated = len(world.postman.given) - 3
    assert repeated == (1 if (method, after) == ("attempt", False) else 0)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_around_the_hand_over_repeats_the_same_mail(world, when):
    """Killed while handing over: the same message is offered again, and nothing else is."""
    world.member()
    world.record()
    world.at("2026-11-20T07:00")
    taken = []

    class Dying:
        def give(self, message):
            if when == "after":
                taken.append(message)
            raise Crash

    with pytest.raises(Crash):
        world.outbox(courier=Dying()).step()
    frozen = world.store.messages(world.references()[0])
    world.restart()
    world.run(hours=1)

    assert world.postman.given == frozen
    assert taken in ([], frozen)


@pytest.mark.parametrize(
    ("method", "after", "skip"),
    [
        ("freeze", False, 1),
        ("freeze", True, 1),
        ("freeze", True, 2),
        *(("attempt", after, 0) for after in (False, True)),
    ],
)
def test_a_crash_around_a_refusal_forgets_nobody_who_is_told_instead(world, method, after, skip):
    """Killed before, while or after the fallback's parts are made: the fallback gets all of them, each once."""
    contacts = [{"id": name, "mail": f"{name}@acme.example"} for name in ("desk", "boss")]
    world.member(contacts=contacts, fallback=["boss"], member={"limits": {"findings_per_mail": 2}})
    world.postman.answers = lambda m: REFUSED if m.recipient == "desk@acme.example" else ACCEPTED
    for number in range(3):
        world.record(f"198.51.100.{number}")
    world.at("2026-11-20T07:00")
    box = world.outbox(store=Fragile(world.store, method, after=after, skip=skip))

    try:
        for _ in range(10):
            world.pass_(seconds=6)
            box.step()
    except Crash:
        world.restart()
    world.run(hours=3)

    parts = [m.id for m in world.postman.given if m.recipient == "boss@acme.example" and ".p" in m.id]
    (row,) = [row for row in world.store.rows(member="acme") if row.kind == "baseline"]
    told = {m["id"] for m in row.messages if m["recipient"] == "boss@acme.example"}
    assert len(told) == 2
    assert sorted(id_ for id_ in parts if id_ in told) == sorted(told)


def test_a_held_digest_stays_held_after_a_crash_while_it_was_rendered(world):
    """A reason to hold that was known before the crash is not forgotten by it."""
    world.hub = world.replace(over=3)
    world.member()
    for number in range(5):
        world.record(f"198.51.100.{number}")
    world.at("2026-11-20T07:00")
    with pytest.raises(Crash):
        world.outbox(store=Fragile(world.store, "freeze", after=False)).step()
    world.restart()

    world.run(hours=1)

    (row,) = world.store.rows(member="acme")
    assert row.state == "held"
    assert "5 new findings" in row.why


def test_a_store_that_was_copied_sends_nothing(world, tmp_path):
    """A copy of the store holds everything until an operator says that it is the right one."""
    world.member()
    world.record()
    world.store.close_connections()
    copy = tmp_path / "copy.db"
    copy.write_bytes(world.where.read_bytes())
    world.where = copy
    world.restart()

    world.run(hours=3)
    assert not world.references()

    world.store.adopt("tester")
    world.run(hours=1)
    assert len(world.postman.given) == 1
    assert world.postman.answers(world.postman.given[0]) is ACCEPTED
    assert world.clock.now() - timedelta(hours=5) < world.store.rows()[0].created


APART = [("close_apart", False, 0), ("close_apart", True, 0)] + [
    ("freeze", after, skip) for after in (False, True) for skip in (0, 1)
]


@pytest.mark.parametrize(("method", "after", "skip"), APART)
def test_a_crash_delays_neither_of_the_two_digests_of_a_slot(world, method, after, skip):
    """Killed around the rows above TLP:AMBER: both digests of the slot leave after the restart, not a day later."""
    world.member(member={"tlp": "AMBER+STRICT"})
    world.record("198.51.100.1")
    world.record("198.51.100.2", tlp="AMBER+STRICT")
    world.at("2026-11-20T07:00")
    box = world.outbox(store=Fragile(world.store, method, after=after, skip=skip))
    with pytest.raises(Crash):
        box.step()
    world.restart()

    world.run(hours=1)

    rows = world.store.rows(member="acme")
    assert [(row.state, row.counts["listed"]) for row in rows] == [("given", 1)] * 2
    assert len({message.id for message in world.postman.given}) == len(world.postman.given) == 2
