"""The door: shut until told, to whom it opens, what an operator must approve, and the stop."""

import pytest
from outbox_world import ACCEPTED, START, Postman

from cleanbots.clearinghouse import door
from cleanbots.clearinghouse.model import Delivery, Hub, Member
from cleanbots.errors import CleanbotsError


@pytest.mark.parametrize(
    ("hub", "state", "expected"),
    [
        ("preview", "live", "preview"),
        ("preview", "test", "preview"),
        ("test", "live", "test"),
        ("test", "test", "test"),
        ("live", "live", "live"),
        ("live", "test", "test"),
        ("live", "invited", None),
        ("live", "left", None),
        ("live", "paused", None),
        ("preview", "invited", None),
    ],
)
def test_the_mode_of_a_member(hub, state, expected):
    """The hub's mode is the most that happens; a member's state may lower it or shut it out."""
    member = Member(id="m", name="M", state=state)

    assert door.mode_of(Hub(mode=hub, test_to="t@hub.example"), member, Delivery(id="d"), START.date()) == expected


def test_a_test_without_testers_is_a_preview():
    """A webhook in mode test goes to test_url, never to test_to; without test_url nothing leaves."""
    hub = Hub(mode="test", test_to="t@hub.example")
    hook = Delivery(id="d", channel="webhook", url="https://hooks.example.net/")

    assert door.mode_of(hub, Member(id="m", name="M", state="live"), hook, START.date()) == "preview"


def test_a_pause_ends_on_its_day():
    """paused_until is the first day of deliveries again."""
    member = Member(id="m", name="M", state="paused", paused_until="2026-11-20")

    assert not door.is_paused(member, START.date())
    assert door.is_paused(member, START.date().replace(day=19))


def test_preview_makes_everything_and_hands_over_nothing(world):
    """In preview a digest is rendered, frozen and counted, and the courier is not even asked."""
    world.hub = world.replace(mode="preview")
    world.member()
    world.record()

    world.run(hours=3)

    assert not world.postman.given
    (row,) = world.store.rows()
    assert (row.mode, row.counts["new"], len(world.store.messages(row.reference))) == ("preview", 1, 1)


def test_what_was_frozen_in_preview_never_leaves(world):
    """Opening the door later sends what comes later, not what was looked at."""
    world.hub = world.replace(mode="preview")
    world.member()
    world.record()
    world.run(hours=3)
    world.hub = world.replace(mode="live")
    world.restart()

    world.run(hours=26, minutes=30)
    assert not world.postman.given

    world.record()
    world.run(hours=26, minutes=30)
    (message,) = world.postman.given
    assert b"new=1" in message.data  # for the member it is news


def test_what_was_frozen_live_stays_when_the_door_closes(world):
    """A waiting live mail does not leave once the hub is back in mode test."""
    world.member()
    world.record()
    world.at("2026-11-20T07:00")
    refusing = Postman()
    refusing.answers = lambda _: (_ for _ in ()).throw(CleanbotsError("the line is cut"))
    world.outbox(courier=refusing).step()
    world.hub = world.replace(mode="test")

    world.run(hours=5)

    assert "desk@acme.example" not in world.postman.recipients


def test_mode_test_sends_to_the_testers_only_and_says_so(world):
    """In mode test every mail goes to test_to and is marked; the member's address is in the subject only."""
    world.hub = world.replace(mode="test")
    world.member()
    world.record()

    world.run(hours=3)

    assert world.postman.recipients == ["testers@hub.example.net"]
    assert b"X-Cleanbots-Mode: test" in world.postman.given[0].data
    assert b"[TEST for desk@acme.example]" in world.postman.given[0].data.replace(b"\r\n ", b" ")


def test_the_first_delivery_waits_for_an_operator(world):
    """The first live delivery is a baseline and held; nothing piles up behind it; approval lets all later ones pass."""
    world.hub = world.replace(approve_first=True)
    world.member()
    for _ in range(3):
        world.record()
        world.record(f"198.51.100.{world.clock.now().day}")
        world.run(hours=24, minutes=30)
    assert not world.postman.to("desk@acme.example")
    (row,) = world.store.rows(member="acme")
    assert (row.kind, row.state, row.why) == ("baseline", "held", "first delivery to this member")

    world.handling().approve([row], world.clock.now())
    world.run(hours=24, minutes=30)

    assert [row.kind for row in world.store.rows(member="acme")] == ["digest", "baseline"]
    assert len(world.postman.to("desk@acme.example")) == 2


def test_the_operator_hears_once_a_day_of_what_is_held(world):
    """However many digests are held, there is one mail about it in a day."""
    world.hub = world.replace(approve_first=True)
    world.many(5)
    world.record_all(5)

    world.run(hours=3)

    (message,) = world.postman.given
    assert message.recipient == "operator@hub.example.net"
    assert b"deliveries list --held" in message.data


def test_a_digest_that_grew_is_held(world):
    """More than five times the median is an accident until an operator says otherwise."""
    world.member()
    for day in range(4):
        for number in range(10):
            world.record(f"198.51.100.{day * 10 + number}")
        world.run(hours=24, minutes=30)
    for number in range(100, 160):
        world.record(f"198.51.100.{number}")
    world.run(hours=24, minutes=30)

    assert [row.state for row in world.store.rows(member="acme")] == ["held", "given", "given", "given", "given"]
    assert "median of 10" in world.store.rows(member="acme")[0].why


def test_too_many_members_at_once_are_held(world):
    """A day that would newly reach more members than allowed holds all of them."""
    world.hub = world.replace(members_at_once=10)
    world.many(12)
    world.record_all(12)

    world.run(hours=3)

    assert {row.state for row in world.store.rows() if row.kind == "baseline"} == {"held"}
    assert not [r for r in world.postman.recipients if "operator" not in r]


def test_a_stop_holds_at_once_and_across_restarts(world):
    """After a stop not one more message is handed over, whoever restarts; start lets the rest go."""
    world.many(30)
    world.record_all(30)

    def answer(message):
        if len(world.postman.given) == 5:
            door.stop(world.store)
        return ACCEPTED

    world.postman.answers = answer
    world.at("2026-11-20T07:00")
    world.run(hours=1)
    world.restart()
    world.run(hours=1)
    assert len(world.postman.given) == 5

    world.handling().start("", "")
    world.run(hours=1)
    assert len(world.postman.given) == 30


@pytest.mark.parametrize(("member", "delivery"), [("m001", ""), ("m001", "daily")])
def test_a_stop_of_one_stops_no_other(world, member, delivery):
    """A member, or one of its deliveries, can be stopped alone."""
    world.many(3)
    world.record_all(3)
    door.stop(world.store, member, delivery)

    world.run(hours=3)
    assert sorted(world.postman.recipients) == ["desk@m000.example", "desk@m002.example"]

    assert door.start(world.store, member) == [door.stop_name(member, delivery)]
    world.run(hours=2)
    assert "desk@m001.example" in world.postman.recipients


def test_a_blackout_holds_all_but_urgent_things(world):
    """In a blackout that excepts urgent things they leave; the rest goes out after it, once."""
    window = {"from": "2026-11-20T00:00", "until": "2026-11-22T12:00", "except": "urgent"}
    world.hub = world.replace(blackout=(window,))
    deliveries = [
        {"id": "daily", "to": ["desk"], "channel": "mail", "format": ["text"], "when": "daily 07:30"},
        {"id": "urgent", "to": ["desk"], "channel": "mail", "format": ["text"], "when": "immediately"},
    ]
    world.member(member={"deliveries": deliveries})
    world.record(delivery="daily")
    world.record(delivery="urgent", urgent=True)

    world.run(hours=48, minutes=30)
    assert [row.delivery for row in world.store.rows()] == ["urgent"]

    world.run(hours=30, minutes=30)
    assert [row.delivery for row in world.store.rows()] == ["daily", "urgent"]


def test_a_fresh_installation_reaches_nobody_by_itself(world, long_form):
    """500 members and a backlog: nothing in preview, only the testers in test, nothing live until approved.

    And after a stop at most the one message that was at the courier.
    """
    count = 500 if long_form else 25
    world.many(count)
    world.hub = world.replace(mode="preview", approve_first=True, members_at_once=50, mails_per_hour=100_000)
    for _ in range(30 if long_form else 3):
        world.record_all(count)
        world.run(hours=24, minutes=240)
    assert not world.postman.given
    assert len(world.store.rows(most=100_000)) >= count

    world.hub = world.replace(mode="test")
    world.restart()
    world.record_all(count)
    world.run(hours=24, minutes=240)
    assert set(world.postman.recipients) == {"testers@hub.example.net"}

    world.hub = world.replace(mode="live")
    world.restart()
    world.postman.given.clear()
    world.record_all(count)
    world.run(hours=24, minutes=240)
    assert set(world.postman.recipients) == {"operator@hub.example.net"}

    held = world.handling().held()
    assert len(held) == count
    world.handling().approve(held, world.clock.now())
    world.postman.given.clear()
    world.postman.answers = lambda _: door.stop(world.store) and ACCEPTED
    world.run(hours=2, minutes=10)
    assert len(world.postman.given) == 1


def test_a_blackout_of_one_delivery_is_read_from_the_members(world):
    """What members.yaml says of one delivery holds it, and no other."""
    window = {"from": "2026-11-20T00:00", "until": "2026-11-21T12:00"}
    world.member(blackout=[window])
    world.record()

    world.run(hours=26)
    assert not world.postman.given

    world.run(hours=26)
    assert world.postman.recipients == ["desk@acme.example"]


def test_a_preview_tells_what_would_be_held(world):
    """The guards speak before anything is made: first delivery, growth, size."""
    world.hub = world.replace(approve_first=True, over=3)
    world.member()
    world.record()
    handling = world.handling()
    (found,) = handling.preview("acme", "", world.clock.now())
    assert found.hold == "first delivery to this member"

    handling.approve_member("acme", world.clock.now())
    (found,) = handling.preview("acme", "", world.clock.now())
    assert found.hold == ""
    for host in range(1, 5):
        world.record(f"198.51.100.{host}")
    (found,) = handling.preview("acme", "", world.clock.now())
    assert found.hold == "5 new findings (more than 3)"


def test_what_no_courier_serves_stays_owed_and_is_told(world):
    """Findings for a channel without a courier don't vanish: the books have them, and the operator hears of it daily."""
    world.member(channel="fax")
    world.record()
    outbox = world.outbox(channels=frozenset({"mail", "webhook"}))
    world.at("2026-11-20T07:00")

    for _ in range(3):
        outbox.step()
        world.pass_(seconds=10)

    (message,) = world.postman.given
    assert message.recipient == "operator@hub.example.net"
    assert b"no courier serves its channel 'fax'" in message.data.replace(b"=\r\n", b"").replace(b"\r\n", b" ")
    (book,) = world.store.balance()["deliveries"]
    assert book["owed"] == 1


def test_where_no_courier_takes_mail_the_log_alone_tells(world, caplog):
    """A hub with webhooks only makes no mails that could never leave."""
    world.hub = world.replace(approve_first=True)
    world.member(channel="fax")
    world.record()
    world.at("2026-11-20T07:00")

    world.outbox("fax", channels=frozenset({"fax"})).step()

    assert not [row for row in world.store.rows() if row.kind == "operator"]
    assert "is held: first delivery to this member" in caplog.text


def test_one_address_gets_so_many_mails_a_day(world):
    """A brake for each contact, which a restart doesn't release; others of the same delivery are not held up by it."""
    world.hub = world.replace(mails_per_contact=2)
    contacts = [{"id": "desk", "mail": "desk@acme.example"}, {"id": "noc", "mail": "noc@acme.example"}]
    fast = {
        "to": ["desk", "noc"],
        "format": ["text"],
        "when": "immediately",
        "group": "1s",
        "limits": {"mails_per_day": 99},
    }
    late = {**fast, "id": "late", "to": ["desk"], "filter": "source.port == 1"}
    world.member(contacts=contacts, member={"deliveries": [{**fast, "id": "fast"}, late]})
    world.record("198.51.100.1", delivery="late")
    world.run(hours=1)
    for host in (2, 3):
        world.record(f"198.51.100.{host}", delivery="fast")
        world.run(hours=1)
        world.restart()

    assert (len(world.postman.to("desk@acme.example")), len(world.postman.to("noc@acme.example"))) == (2, 2)
    world.run(hours=23)
    assert len(world.postman.to("desk@acme.example")) == 3
