"""Frozen deliveries: bytes, attempts, states, approval, leases, and the books that go with them."""

from datetime import timedelta

import pytest
from store_world import START, infection, mail, service, weight

from cleanbots.errors import CleanbotsError


@pytest.fixture
def closed(desk):
    """A closed delivery of two findings."""
    desk.record([service(1), infection(2)])
    return desk.close()


def states(desk, reference):
    """Give the state of a delivery and of its messages."""
    row = desk.store.row(reference)
    return row.state, [message["state"] for message in row.messages]


def test_a_frozen_delivery_gives_its_bytes_until_they_are_accepted(desk, closed):
    """The same bytes and id on every attempt."""
    message = mail(1)
    desk.freeze(closed, message)
    assert desk.store.waiting("mail", START, 10) == [(closed.reference, message)]
    assert desk.store.waiting("webhook", START, 10) == []

    again = START + timedelta(minutes=10)
    desk.attempt(closed.reference, message.id, "later", again, code=451, answer="try later")
    assert desk.store.waiting("mail", START, 10) == []
    assert desk.store.waiting("mail", again, 10) == [(closed.reference, message)]

    desk.attempt(closed.reference, message.id, "accepted")
    assert desk.store.waiting("mail", again, 10) == []
    row = desk.store.row(closed.reference)
    assert (row.state, row.messages[0]["attempts"], row.messages[0]["answer"]) == ("given", 2, "250 ok")
    assert desk.store.messages(closed.reference) == [message]


def test_a_held_delivery_waits_for_an_operator(desk, closed):
    """Nothing of it is given before it is approved."""
    desk.freeze(closed, mail(1), hold="first delivery")
    assert states(desk, closed.reference) == ("held", ["waiting"])
    assert desk.store.row(closed.reference).why == "first delivery"
    assert desk.store.waiting("mail", START, 10) == []
    assert desk.book()["held"] == 2

    desk.store.approve(closed.reference, "alice")
    assert len(desk.store.waiting("mail", START, 10)) == 1
    assert desk.book()["mentioned"] == 2
    with pytest.raises(CleanbotsError, match="frozen, not held"):
        desk.store.approve(closed.reference, "alice")


def test_a_frozen_delivery_can_be_held_until_somebody_has_it(desk, closed):
    """What was accepted can't be held back any more."""
    desk.freeze(closed, mail(1), mail(2, "second@example.net"))
    desk.store.hold(closed.reference, "wrong text")
    assert desk.store.waiting("mail", START, 10) == []
    desk.store.approve(closed.reference, "alice")
    desk.attempt(closed.reference, mail(1).id, "accepted")
    with pytest.raises(CleanbotsError, match="can't be held"):
        desk.store.hold(closed.reference, "too late")


def test_a_preview_is_kept_and_never_given(desk, closed):
    """Its bytes can be looked at."""
    desk.freeze(closed, mail(1), mode="preview")
    assert desk.store.waiting("mail", START + timedelta(days=3), 10) == []
    assert desk.store.messages(closed.reference) == [mail(1)]
    assert desk.store.row(closed.reference).mode == "preview"


def test_freezing_again_adds_only_what_is_missing(desk, closed):
    """After a crash the same parts come again; a fallback recipient is added."""
    desk.freeze(closed, mail(1))
    desk.freeze(closed, mail(1), mail(1, "fallback@example.net"), mail(2))
    assert [m.recipient for m in desk.store.messages(closed.reference)] == [
        "abuse@example.net",
        "fallback@example.net",
        "abuse@example.net",
    ]


def test_recipients_may_share_a_message_id(desk, closed):
    """An attempt names the recipient then."""
    one, two = mail(1), mail(1, "second@example.net")
    desk.freeze(closed, one, two)
    desk.attempt(closed.reference, one.id, "refused", recipient=one.recipient, code=550)
    assert desk.store.waiting("mail", START, 10) == [(closed.reference, two)]
    desk.attempt(closed.reference, two.id, "accepted", recipient=two.recipient)
    assert states(desk, closed.reference) == ("given", ["refused", "accepted"])


@pytest.mark.parametrize("verdict", ["refused", "gone", "later"])
def test_what_nobody_accepted_was_not_told(desk, closed, verdict):
    """It is given up in the books, and the next sighting is new again."""
    desk.freeze(closed, mail(1))
    desk.attempt(closed.reference, mail(1).id, verdict)
    assert desk.store.row(closed.reference).state == "expired"
    assert desk.book()["given_up"] == {"expired": 2}
    desk.record([service(1, desk.pass_time(days=1))])
    assert desk.told() == [("192.0.2.1", "new")]
    assert weight(desk.book()) == desk.book()["matched"] == 3


def test_a_fallback_that_accepts_makes_it_told(desk, closed):
    """A refusal is not the end while somebody can still be told."""
    desk.freeze(closed, mail(1))
    desk.attempt(closed.reference, mail(1).id, "refused")
    desk.freeze(closed, mail(2, "fallback@example.net"))
    desk.attempt(closed.reference, mail(2).id, "accepted")
    assert desk.store.row(closed.reference).state == "given"
    assert desk.book()["mentioned"] == 2


def test_one_instance_has_the_lease(desk):
    """Another one gets it when it has run out."""
    assert desk.store.lease("mail", "one", START, 60)
    assert not desk.store.lease("mail", "two", START + timedelta(seconds=59), 60)
    assert desk.store.lease("mail", "one", START + timedelta(seconds=59), 60)
    assert not desk.store.lease("mail", "two", START + timedelta(seconds=118), 60)
    assert desk.store.lease("mail", "two", START + timedelta(seconds=119), 60)
    assert desk.store.lease("webhook", "one", START, 60)


def test_deliveries_are_listed_newest_first(desk, closed):
    """By member, state and time."""
    desk.record([service(5)], member="n")
    later = desk.pass_time(days=1)
    other = desk.close(member="n")
    desk.freeze(other, mail(3))

    assert [row.reference for row in desk.store.rows()] == [other.reference, closed.reference]
    assert [row.reference for row in desk.store.rows(member="m")] == [closed.reference]
    assert [row.reference for row in desk.store.rows(state="frozen")] == [other.reference]
    assert [row.reference for row in desk.store.rows(since=later)] == [other.reference]
    assert len(desk.store.rows(most=1)) == 1
    assert desk.store.row(closed.reference).counts == {"new": 2, "back": 0, "still": 0, "listed": 2}
    assert desk.store.row("CB-1") is None


def test_an_unknown_reference_is_said_so(desk):
    """The sentence names it."""
    with pytest.raises(CleanbotsError, match="CB-1: there is no such delivery"):
        desk.store.approve("CB-1", "alice")
    with pytest.raises(KeyError):
        desk.store.closed("CB-1")


def test_a_mail_is_found_by_what_is_at_hand(desk):
    """An address, a name, a finding, an event or a mail address lead to the reference."""
    event = infection(7, source__fqdn="www.shop.example.org")
    desk.record([event])
    desk.record([event], deliveries=["hook"], suppressed="filter")
    closed = desk.close()
    desk.freeze(closed, mail(1))
    [finding] = closed.findings

    for text in (
        "192.0.2.7",
        "::ffff:192.0.2.7",
        "shop.example.org",
        "WWW.shop.example.org.",
        finding.id,
        mail(1).recipient,
    ):
        [found] = desk.store.search(text)
        assert (found["reference"], found["member"], found["delivery"]) == (closed.reference, "m", "daily")
    assert [(found["delivery"], found["outcome"], found["reason"]) for found in desk.store.search(event["id"])] == [
        ("daily", "mentioned", ""),
        ("hook", "suppressed", "filter"),
    ]
    for text in ("192.0.2.8", "op.example.org", "%", "f-aaaaaaaaaaaa", "other@example.net", "no-such-event"):
        assert desk.store.search(text) == []
    assert desk.store.search("192.0.2.7", since=desk.pass_time(days=1)) == []


def test_flags_last(desk):
    """Small facts such as a stop survive."""
    assert desk.store.flag("stop") == ""
    desk.store.flag("stop", "all")
    assert desk.store.flag("stop") == "all"
    desk.store.flag("stop", "")
    assert desk.store.flag("stop") == ""
