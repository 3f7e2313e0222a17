"""Customers of a member are told in its name, each by itself, up to TLP:AMBER, and the books count it."""

import csv
from email import message_from_bytes
from email.policy import default
from itertools import count

import msgspec
import pytest
from outbox_world import ACCEPTED, REFUSED, World, member_yaml

from cleanbots.clearinghouse.recorder import Recorder
from cleanbots.clock import iso
from cleanbots.event import Event

BLOCKS = [
    {"ref": "c-1", "prefix": "198.51.100.64/26", "contact": "one@customer.example", "share": "both"},
    {"ref": "c-11", "prefix": "198.51.100.96/28", "contact": "sub@customer.example", "share": "both"},
    {"ref": "c-2", "prefix": "198.51.100.128/26", "contact": "two@customer.example", "share": "customer"},
    {"ref": "c-3", "prefix": "198.51.100.192/26", "contact": "three@customer.example", "share": "member"},
]
OWN, FIRST, NESTED, ALONE, SILENT = (f"198.51.100.{host}" for host in (1, 70, 100, 130, 200))

_NUMBERS = count()


@pytest.fixture
def hub(world: World) -> World:
    """A world with a member that has customers."""
    world.member(member={"customers": BLOCKS}, format=["text", "csv"])
    for delivery in ("daily", "daily/c-1"):
        world.store.flag(f"live:acme/{delivery}", "no baseline")
    return world


def record(world: World, *addresses: str, **fields: str) -> list[str]:
    """Match and record an observation for each address, as expert and output do; give the events' ids."""
    events = []
    for address in addresses:
        event = {
            "id": f"e{next(_NUMBERS)}-1",
            "source.ip": address,
            "classification.taxonomy": "vulnerable",
            "classification.type": "vulnerable-system",
            "classification.identifier": "open-redis",
            "severity": "high",
            "time.source": iso(world.clock.now()),
            "tlp": "AMBER",
            **{name.replace("__", "."): value for name, value in fields.items()},
        }
        event["matches"] = msgspec.to_builtins(list(world.registry.match(event).matches))
        events.append(event)
    Recorder(world.store, lambda: world.registry, world.clock).record([Event(event) for event in events])
    return [event["id"] for event in events]


def mails(world: World) -> dict[str, str]:
    """Give the text of the mail that each recipient got; each got one at most."""
    found = {}
    for message in world.postman.given:
        assert message.recipient not in found
        body = message_from_bytes(message.data, policy=default).get_body(("plain",))
        found[message.recipient] = body.get_content()
    return found


def listed(world: World) -> dict[str, set[str]]:
    """Give the addresses in the list that is attached to each recipient's mail."""
    found = {}
    for message in world.postman.given:
        (attached,) = message_from_bytes(message.data, policy=default).iter_attachments()
        found[message.recipient] = {row["ip"] for row in csv.DictReader(attached.get_content().splitlines())}
    return found


def test_each_customer_gets_its_own_block_and_nothing_else(hub):
    """No customer sees what concerns another, its member alone, or the block beside it."""
    record(hub, OWN, FIRST, NESTED, ALONE, SILENT)

    hub.run(hours=26)

    assert listed(hub) == {
        "desk@acme.example": {OWN, FIRST, NESTED, SILENT},
        "one@customer.example": {FIRST, NESTED},
        "sub@customer.example": {NESTED},
        "two@customer.example": {ALONE},
    }


def test_a_copy_says_in_whose_name_it_comes(hub):
    """From the hub, answered by the member's desk, in words that say who asked for it and why it is the right one."""
    record(hub, FIRST)

    hub.run(hours=26)

    (message,) = hub.postman.to("one@customer.example")
    mail = message_from_bytes(message.data, policy=default)
    text = " ".join(mail.get_body(("plain",)).get_content().split())
    assert mail["To"] == "one@customer.example"
    assert "hub@hub.example.net" in mail["From"]
    assert mail["Reply-To"] == "desk@acme.example"
    assert mail["List-Unsubscribe"] == "<mailto:desk@acme.example?subject=pause%20c-1>"
    assert "To: customer c-1 of Acme" in text
    assert "Acme has asked us to tell you, too" in text
    assert "in the part that you administer (c-1)" in text
    assert "Replies are read: desk@acme.example" in text


def test_what_is_above_amber_is_the_members_alone(hub):
    """AMBER+STRICT goes to no customer, not even where only the customer is told."""
    record(hub, FIRST, ALONE, tlp="AMBER+STRICT")

    hub.run(hours=26)

    assert set(mails(hub)) == {"desk@acme.example"}


def test_the_books_count_members_and_customers_apart(hub):
    """Each observation is in one place of each ledger, also where the customer is told instead of the member."""
    record(hub, OWN, FIRST, ALONE)

    hub.run(hours=26)

    books = {book["delivery"]: book for book in hub.store.balance()["deliveries"]}
    assert (books["daily"]["matched"], books["daily"]["mentioned"]) == (3, 2)
    assert books["daily"]["suppressed"] == {"customer": 1}
    assert (books["daily/c-1"]["matched"], books["daily/c-1"]["mentioned"]) == (1, 1)
    assert (books["daily/c-2"]["matched"], books["daily/c-2"]["mentioned"]) == (1, 1)
    assert "1 that went to your customer only" in mails(hub)["desk@acme.example"]


def test_a_customer_has_a_ledger_of_its_own(hub):
    """What the member knows already is new to a customer that is told from now on."""
    hub.member()
    record(hub, FIRST)
    hub.run(hours=26)
    hub.postman.given.clear()
    hub.member(member={"customers": BLOCKS})
    record(hub, FIRST)

    hub.run(hours=26)

    assert "1 new" in mails(hub)["one@customer.example"]
    assert "desk@acme.example" not in mails(hub)


def test_what_is_no_customers_any_more_is_told_to_none(hub):
    """A block that another customer administers now gives what was seen before to nobody but the member."""
    record(hub, FIRST)
    hub.member(member={"customers": [{**BLOCKS[0], "ref": "c-9", "contact": "new@customer.example"}]})

    hub.run(hours=26)

    assert set(mails(hub)) == {"desk@acme.example"}


def test_what_a_block_lost_is_told_to_none(hub):
    """An address that left a customer's block is off its books with that reason."""
    record(hub, FIRST)
    hub.member(member={"customers": [{**BLOCKS[0], "prefix": "198.51.100.80/28"}]})

    hub.run(hours=26)

    (copy,) = (book for book in hub.store.balance()["deliveries"] if book["delivery"] == "daily/c-1")
    assert (copy["changed_holder"], copy["matched"]) == (1, 1)
    assert set(mails(hub)) == {"desk@acme.example"}


def test_a_corrected_address_gets_what_is_owed(hub):
    """A customer is known by its reference: a mistake in its address loses nothing."""
    record(hub, FIRST)
    hub.member(member={"customers": [{**BLOCKS[0], "contact": "right@customer.example"}]})

    hub.run(hours=26)

    assert set(mails(hub)) == {"desk@acme.example", "right@customer.example"}


def test_the_first_mail_to_a_customer_waits_for_an_operator(hub):
    """An approved delivery of the member approves no mail to somebody new."""
    hub.hub = hub.replace(approve_first=True, operator="")
    record(hub, FIRST)
    hub.run(hours=26)
    held = {row.delivery: row for row in hub.handling().held()}

    assert set(held) == {"daily", "daily/c-1"}
    hub.handling().approve([held["daily"]], hub.clock.now())
    hub.run(hours=1)
    assert set(mails(hub)) == {"desk@acme.example"}


def test_stopping_a_delivery_stops_its_copies(hub):
    """``stop --delivery daily`` is meant for whoever gets it."""
    from cleanbots.clearinghouse import door

    door.stop(hub.store, "acme", "daily")
    record(hub, FIRST)

    hub.run(hours=26)

    assert not hub.postman.given


def test_a_customer_that_takes_no_mail_is_told_of_to_its_member(hub):
    """The member hears which address is dead; its own mail is not touched by that."""
    hub.postman.answers = lambda message: REFUSED if message.recipient == "one@customer.example" else ACCEPTED
    record(hub, FIRST)

    hub.run(hours=26)

    to_desk = hub.postman.to("desk@acme.example")
    assert len(to_desk) == 2
    assert b"one@customer.example" in to_desk[1].data


def test_an_urgent_finding_is_a_customers_at_once_and_only_named_later(world):
    """Copies keep the times of the deliveries that they follow, and what one told the other only names."""
    urgent = {
        "id": "urgent",
        "to": ["desk"],
        "format": ["text"],
        "when": "immediately",
        "filter": "priority == 'urgent'",
    }
    daily = {"id": "daily", "to": ["desk"], "format": ["text"], "when": "daily 07:30", "except": ["urgent"]}
    world.member(member={"customers": BLOCKS, "deliveries": [urgent, daily]})
    record(world, FIRST, priority="urgent")
    record(world, NESTED)

    world.run(hours=26)

    to_customer = [row for row in world.store.rows() if row.delivery.endswith("/c-1")]
    assert [(row.delivery, row.kind) for row in reversed(to_customer)] == [
        ("urgent/c-1", "urgent"),
        ("daily/c-1", "baseline"),
    ]
    assert to_customer[0].counts["except"] == 1


def test_customers_of_a_member_without_mail_get_a_daily_one(world):
    """A member that reads webhooks has customers that read mail."""
    hook = {"id": "hook", "channel": "webhook", "url": "https://hooks.acme.example/a", "secrets": ["${env:HOOK}"]}
    world.member(member={"customers": BLOCKS, "deliveries": [hook]})
    record(world, FIRST)

    world.run(hours=26)

    assert list(mails(world)) == ["one@customer.example"]


def test_in_test_mode_nothing_reaches_a_customer(hub):
    """A member in test has its customers' copies sent to the testers."""
    hub.member(state="test", member={"customers": BLOCKS})
    record(hub, FIRST)

    hub.run(hours=26)

    assert set(hub.postman.recipients) == {"testers@hub.example.net"}
    assert any(b"[TEST for one@customer.example]" in message.data for message in hub.postman.given)


def test_trying_out_a_member_reaches_no_customer(hub):
    """``members test`` is for the member's own tools."""
    hub.handling().test("acme", hub.clock.now())

    hub.run(hours=1)

    assert set(hub.postman.recipients) == {"desk@acme.example"}


def test_a_preview_shows_what_a_customer_would_get(hub):
    """What is owed to customers is previewed with the rest, or by its own name."""
    record(hub, FIRST)
    handling = hub.handling()

    found = handling.preview("acme", "", hub.clock.now())
    assert [(each.digest.delivery.id, each.digest.recipients) for each in found] == [
        ("daily", ("desk@acme.example",)),
        ("daily/c-1", ("one@customer.example",)),
    ]
    assert len(handling.preview("acme", "daily/c-1", hub.clock.now())) == 1


def test_one_reference_is_one_customer(world):
    """Two contacts under one reference would share a ledger."""
    from cleanbots.errors import ConfigError

    twice = [BLOCKS[0], {**BLOCKS[1], "ref": "c-1"}]
    with pytest.raises(ConfigError, match="'c-1' has another contact above"):
        world.members(member_yaml(member={"customers": twice}))
