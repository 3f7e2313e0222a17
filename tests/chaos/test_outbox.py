"""The outbox under faults: a crash at each point, two instances, clocks that jump, another rule of identity."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from outbox_world import ACCEPTED, LATER, REFUSED, World, member_yaml
from sqlalchemy import event

from cleanbots.clearinghouse.findings import finding_id, finding_number
from cleanbots.clearinghouse.model import TELLING
from cleanbots.clearinghouse.outbox import LEASE, Outbox
from cleanbots.clearinghouse.store import store as module
from cleanbots.message import Message, Outcome

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A hub in miniature, of this test's own."""
    made = World(tmp_path)
    yield made
    made.store.close_connections()


class CrashError(BaseException):
    """The process dies here; no handler may run."""


class Fate:
    """Lets the process die at the *number*-th point: before a transaction, before its commit, around a hand-over.

    Before a commit the journal has the change, and the database has not.
    """

    def __init__(self, number: int = -1) -> None:
        self._left = number
        self.met = 0
        self.where = ""

    def meet(self, where: str) -> None:
        """Come to a point."""
        self.met += 1
        if self._left == 0:
            self.where = where
            self._left = -1
            raise CrashError
        self._left -= 1

    def watch(self, world: World) -> None:
        """Count the points of the world's store and courier."""
        engine = world.store._database.engine
        event.listen(engine, "commit", lambda _: self.meet("before a commit"))
        event.listen(engine, "begin", self._begin)

    def _begin(self, connection: Any) -> None:
        if not connection.get_execution_options().get("reading"):
            self.meet("before a transaction")

    def answer(self, outcome: Outcome, taken: Callable[[], None]) -> Outcome:
        """Hand over, or die before or after it."""
        self.meet("before a hand-over")
        taken()
        self.meet("after a hand-over")
        return outcome


class Slow:
    """A courier that notes what the other side took, refuses one contact, and takes a busy one at the second try."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.taken: list[Message] = []
        self._tried: set[str] = set()

    def give(self, message: Message) -> Outcome:
        if message.recipient.startswith("gone@"):
            return self.fate.answer(REFUSED, lambda: None)
        if message.recipient.startswith("busy@") and message.id not in self._tried:
            return self.fate.answer(LATER, lambda: self._tried.add(message.id))
        return self.fate.answer(ACCEPTED, lambda: self.taken.append(message))


MEMBERS = [
    member_yaml("acme", member={"limits": {"findings_per_mail": 2}, "tlp": "AMBER+STRICT"}),
    member_yaml(
        "busy",
        prefix="203.0.113.0/24",
        fallback=["second"],
        to=["gone", "desk"],
        contacts=[{"id": name, "mail": f"{mail}@busy.example"} for name, mail in
                  (("desk", "busy"), ("gone", "gone"), ("second", "second"))],
    ),
]  # fmt: skip


def a_morning(folder: Path, fate: Fate) -> tuple[World, Slow]:
    """Live through a morning: reports come, digests are made in parts and apart, mails wait, a contact is dead.

    Who dies is started again, and goes on with what was at hand, as a queue gives it again.
    """
    world = World(folder)
    world.members(
        msgspec.json.encode({"members": [m for t in MEMBERS for m in msgspec.json.decode(t)["members"]]}).decode()
    )
    world.postman = courier = Slow(fate)  # type: ignore[assignment]
    fate.watch(world)
    for do in _deeds(world):
        while True:
            try:
                do()
                break
            except CrashError:
                world.restart()
                fate.watch(world)
    return world, courier


def _deeds(world: World) -> Iterator[Callable[[], object]]:
    events = [
        *({"address": f"198.51.100.{n}"} for n in range(5)),
        {"address": "198.51.100.9", "tlp": "AMBER+STRICT"},
        *({"address": f"203.0.113.{n}", "member": "busy"} for n in range(2)),
    ]
    for number, fields in enumerate(events):
        yield lambda fields=fields, number=number: world.record(**fields, id=f"r{number}-1")
    yield lambda: world.at("2026-11-20T07:00")
    yield lambda: _until_idle(world)
    yield lambda: world.record("198.51.100.200", id="r99-1")
    yield lambda: world.at("2026-11-20T09:00")
    yield lambda: _until_idle(world)
    yield lambda: world.at("2026-11-21T07:00")
    yield lambda: _until_idle(world)


def _until_idle(world: World) -> None:
    while (step := world.step()).made or step.offered:
        assert not step.shut


def books(world: World) -> dict[str, Any]:
    """Give the books, and what became of each delivery."""
    rows = [row for row in world.store.rows() if row.kind in TELLING or row.messages]
    told = sorted((row.reference, row.member, row.kind, row.state) for row in rows if row.kind in TELLING)
    notices = sorted((row.member, row.kind, row.state) for row in rows if row.kind not in TELLING)
    return {**world.store.balance(), "told": told, "notices": notices}


def arrived(world: World, courier: Slow) -> dict[tuple[str, str], list[bytes]]:
    """Give what the other side took, by id and recipient; notices by their kind, for a crash may cost a reference."""
    kinds = {row.reference.lower(): row.kind for row in world.store.rows()}
    found: dict[tuple[str, str], list[bytes]] = {}
    for message in courier.taken:
        kind = kinds[message.id.partition(".")[0]]
        found.setdefault((message.id if kind in TELLING else kind, message.recipient), []).append(message.data)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, set[tuple[str, str]], dict[str, Any]]:
    """How many points there are, what arrives, and the books, if nobody dies."""
    fate = Fate()
    world, courier = a_morning(tmp_path_factory.mktemp("undisturbed"), fate)
    mails = set(arrived(world, courier))
    found = fate.met, mails, books(world)
    assert len(courier.taken) == len(mails) >= 7
    world.store.close_connections()
    return found


@pytest.mark.parametrize("part", range(8))
def test_a_crash_at_any_point_loses_nothing(part, undisturbed, tmp_path, long_form):
    """Killed at each point in turn: the same mails arrive, the books are the same, and a repeat has the same bytes."""
    points, mails, expected = undisturbed
    numbers = list(range(part, points, 8))
    for number in numbers if long_form else random.Random(part).sample(numbers, 3):
        fate = Fate(number)
        (tmp_path / str(number)).mkdir()
        world, courier = a_morning(tmp_path / str(number), fate)
        what = f"point {number} of {points}, {fate.where}"

        assert fate.where, what
        assert books(world) == expected, what
        assert world.store.check() is None, what
        copies = arrived(world, courier)
        assert set(copies) == mails, what
        assert all(len(set(data)) == 1 for data in copies.values()), what
        # Only a hand-over that nobody could note any more is repeated.
        repeats = sum(len(data) - 1 for data in copies.values())
        assert repeats <= (fate.where in {"after a hand-over", "before a transaction"}), what
        world.store.close_connections()


# -- one sender


def _days_of_two(world: World, chance: random.Random, hours: int) -> int:
    """Let two instances work in turns, each asleep now and then, one with a clock of its own; give how many events."""
    skew = timedelta(seconds=chance.uniform(-LEASE / 2, LEASE / 2))
    boxes = {name: world.outbox(owner=name) for name in ("one", "two")}
    asleep: dict[str, datetime] = {}
    events, end = 0, world.clock.now() + timedelta(hours=hours)
    while world.clock.now() < end:
        world.pass_(seconds=chance.choice((1.0, 5.0, 40.0, 200.0)))
        if chance.random() < 0.2:
            events += 1
            world.record(source__port=1000 + events, delivery="urgent")
        name = chance.choice(("one", "two"))
        now = world.clock.now()
        if asleep.get(name, now) > now:
            continue
        if chance.random() < 0.02:
            asleep[name] = now + timedelta(seconds=chance.uniform(1, 3 * LEASE))
            continue
        if chance.random() < 0.02:
            boxes[name] = world.outbox(owner=name)  # it died and was started again
        with _skewed(world, skew if name == "two" else timedelta()):
            boxes[name].step()
    world.pass_(hours=1)
    for _ in range(20):
        world.pass_(seconds=6)
        for box in boxes.values():
            box.step()
    return events


@contextmanager
def _skewed(world: World, by: timedelta) -> Iterator[None]:
    now = world.clock.now
    world.clock.now = lambda: now() + by  # type: ignore[method-assign]
    try:
        yield
    finally:
        del world.clock.now


@pytest.mark.parametrize("seed", range(4))
def test_two_instances_double_nothing(seed, world, long_form):
    """Whoever sleeps, dies, or has a wrong clock: each mail is handed over once, by one of the two."""
    world.hub = world.replace(over=10**6, growth=10.0**6)
    world.member(id="urgent", when="immediately", group="1s", member={"limits": {"mails_per_day": 1000}})

    events = _days_of_two(world, random.Random(seed), 40 if long_form else 6)

    (book,) = world.store.balance()["deliveries"]
    assert book["mentioned"] == events > 5
    ids = [message.id for message in world.postman.given]
    assert len(ids) == len(set(ids)) == len(world.references(state="given"))


def test_a_courier_that_lost_its_lease_hands_nothing_over(world):
    """It asks before each hand-over: what another instance took over meanwhile, the other one sends."""
    world.many(3)
    world.record_all(3)
    world.at("2026-11-20T07:00")
    boxes: dict[str, Outbox] = {"one": world.outbox(owner="one"), "two": world.outbox(owner="two")}
    world.postman.answers = lambda _: LATER
    boxes["one"].step()
    world.pass_(minutes=20)  # now all three wait
    world.postman.given.clear()

    def takes_over(_: Message) -> Outcome:
        if world.store.holder("mail") == "one":
            world.pass_(seconds=LEASE + 1)  # the first one sleeps in its hand-over
            boxes["two"].step()
        return ACCEPTED

    world.postman.answers = takes_over
    boxes["one"].step()

    recipients = [recipient for recipient in world.postman.recipients if recipient != world.hub.operator]
    assert world.store.holder("mail") == "two"
    assert sorted(set(recipients)) == [f"desk@m{n:03}.example" for n in range(3)]
    assert len(recipients) - 3 <= 1  # what the first one was just handing over


# -- time


@pytest.mark.parametrize("seed", range(3))
def test_each_missed_slot_is_made_up_once(seed, world, long_form):
    """Down for hours or days, its clock put back and on, and over both changes of the clocks: never two in a day."""
    chance = random.Random(seed)
    world.member(when=chance.choice(("daily 02:30", "daily 07:30", "daily 00:00")))
    days: dict[str, list[str]] = {}
    for begin in ("2026-03-24T12:00", "2026-10-20T12:00") * (4 if long_form else 1):
        year = chance.randrange(2026, 2034) if long_form else 2026
        world.clock.move(max(world.clock.now(), datetime.fromisoformat(f"{year}{begin[4:]}:00+00:00")))
        _days_with_outages(world, chance)
    for row in world.store.rows():
        days.setdefault(f"{row.created.astimezone(AMSTERDAM):%Y-%m-%d}", []).append(row.reference)

    (book,) = world.store.balance()["deliveries"]
    assert book["mentioned"] == book["matched"] > 30, book
    ids = [message.id for message in world.postman.given]
    assert len(ids) == len(set(ids)) == len(world.references())
    # A slot that was missed is made up late, and the day's own follows at its time: two at most, of two slots.
    assert all(len(references) <= 2 for references in days.values())
    assert len(ids) <= len(days) + sum(len(references) == 2 for references in days.values())


def _days_with_outages(world: World, chance: random.Random) -> None:
    box = world.outbox()
    for number in range(10 * 24):
        if number % 12 == 0:
            world.record(f"198.51.100.{chance.randrange(250)}", source__port=chance.randrange(1024, 65536))
        if chance.random() < 0.05:
            world.pass_(hours=chance.uniform(1, 40))
            box = world.outbox()
        if chance.random() < 0.03:
            world.pass_(seconds=-chance.uniform(1, 3 * 3600))
        world.pass_(hours=1)
        box.step()
    world.pass_(days=2)
    for _ in range(3):
        world.pass_(seconds=6)
        box.step()


def test_a_clock_that_is_put_back_stops_nothing(world):
    """An hour back: what is due is made at its slot, not an hour after everything else was looked at."""
    world.member(id="urgent", when="immediately", group="1s")
    box = world.outbox()
    box.step()
    world.pass_(hours=-1)
    world.record(delivery="urgent")

    for _ in range(8):
        world.pass_(seconds=6)
        box.step()

    assert len(world.postman.given) == 1


# -- another rule of identity


def test_another_rule_of_identity_makes_nothing_new(world, monkeypatch, long_form):
    """An upgrade that tells findings apart by a new rule takes all over, also if it dies in between: none is new."""
    number = 100_000 if long_form else 1_500
    world.hub = world.replace(over=10**6)
    world.members(member_yaml(prefix="2001:db8::/32"))
    addresses = [f"2001:db8::{n >> 16:x}:{n & 0xFFFF:x}" for n in range(number)]
    _record_many(world, addresses, finding_id, 1)
    world.at("2026-11-20T07:00")
    _until_idle(world)
    (row,) = world.store.rows()
    assert row.counts["new"] == number

    monkeypatch.setattr(module, "VERSION", 2)
    monkeypatch.setattr(module, "finding_id", _by_another_rule)
    fate = Fate(1)
    monkeypatch.setattr(module, "rekey", lambda database, *rule: _dying(database, fate, *rule))
    with pytest.raises(CrashError):
        world.restart()
    monkeypatch.undo()
    monkeypatch.setattr(module, "VERSION", 2)
    monkeypatch.setattr(module, "finding_id", _by_another_rule)
    world.restart()
    world.at("2026-11-20T12:00")
    _record_many(world, addresses, _by_another_rule, 2)
    world.at("2026-11-27T07:00")
    _until_idle(world)

    (later, _) = world.store.rows()
    assert {name: later.counts[name] for name in ("new", "back", "still")} == {"new": 0, "back": 0, "still": number}


def _by_another_rule(fields: dict[str, Any]) -> str:
    return finding_id({**fields, "malware.name": "rule 2"})


def _dying(database: Any, fate: Fate, identify: Callable[..., int], version: int) -> int:
    from cleanbots.clearinghouse.store.rekey import rekey

    event.listen(database.engine, "commit", lambda _: fate.meet("before a commit"))
    fate._left = 0
    return rekey(database, identify, version)


def _record_many(world: World, addresses: list[str], rule: Callable[..., str], version: int) -> None:
    from cleanbots.clearinghouse.store.protocol import Recorded

    assert world.registry is not None
    for start in range(0, len(addresses), 1000):
        rows = []
        for address in addresses[start : start + 1000]:
            fields = world.event(address)
            match = world.registry.match(fields).matches[0]
            finding = rule(fields)
            assert finding_number(finding)
            rows.append(
                Recorded(event=fields, finding=finding, version=version, member="acme", delivery="daily", match=match)
            )
        world.store.record(rows, world.clock.now())
