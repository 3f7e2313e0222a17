"""Handing over: what is tried again and when, what is told to whom, and that nobody delays anybody else."""

from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest
from outbox_world import ACCEPTED, DOWN, GONE, LATER, REFUSED

from cleanbots.clearinghouse import retry
from cleanbots.message import Message, Outcome

HOOK = {"id": "hook", "channel": "webhook", "url": "https://hooks.acme.example/abuse", "when": "immediately"}


def _hooked(world, **changes):
    delivery = {**HOOK, "secrets": ["file:secret"], "group": "1s", "on_dead": "desk", **changes}
    world.member(member={"deliveries": [delivery]})
    world.step("webhook")


def test_every_attempt_sends_the_same_bytes(world):
    """A mail that is put off is tried again later, with the same id and the same bytes."""
    world.member()
    world.record()
    world.postman.answers = lambda _: LATER if len(world.postman.given) < 4 else ACCEPTED

    world.run(hours=12)

    assert len(world.postman.given) == 4
    assert len({(message.id, message.data) for message in world.postman.given}) == 1
    (row,) = world.store.rows(member="acme")
    assert (row.state, row.messages[0]["attempts"]) == ("given", 4)


def test_the_waits_follow_the_table(world):
    """A mail is tried after 15 minutes, then 30, an hour, two, and every four hours, a tenth more or less."""
    world.member()
    world.record()
    times = []

    def answer(message):
        if message.recipient == "desk@acme.example":
            times.append(world.clock.now())
        return LATER

    world.postman.answers = answer
    world.run(hours=14, minutes=1)

    waits = [(after - before).total_seconds() / 60 for before, after in pairwise(times)]
    assert [round(wait / 15) for wait in waits[:3]] == [1, 2, 4]
    assert [round(wait / 60) for wait in waits[3:5]] == [2, 4]


def test_a_mail_is_given_up_after_five_days(world):
    """When nobody took it for its lifetime, the delivery is expired, and the operator is told."""
    world.member()
    world.record()
    world.postman.answers = lambda m: ACCEPTED if "operator" in m.recipient else LATER

    world.run(hours=24 * 6, minutes=60)

    (row,) = world.store.rows(member="acme", state="expired")
    assert row.messages[0]["state"] == "expired"
    assert world.postman.to("operator@hub.example.net")


@pytest.mark.parametrize(("recipient", "days"), [("a@b.example", 5), ("https://b.example/", 14)])
def test_attempts_last_as_long_as_the_lifetime(recipient, days):
    """The number of attempts follows from the table and the lifetime."""
    message = Message(id="x", recipient=recipient, data=b"")

    total = sum(retry.delay(message, tries) for tries in range(1, retry.most_tries(recipient)))

    assert days * 86400 * 0.9 < total < (days + 1) * 86400 * 1.1


def test_webhooks_wait_as_standard_webhooks_says():
    """The delays after each failure are those of Standard Webhooks: 5 s, 5 m, 30 m, 2, 5, 10, 14, 20 and 24 h."""
    message = Message(id="x", recipient="https://b.example/", data=b"")

    hours = [retry.delay(message, tries) / 3600 for tries in range(1, 11)]

    wanted = [5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24, 24]
    assert all(0.9 * want <= hour <= 1.1 * want for hour, want in zip(hours, wanted, strict=True))


def test_a_wait_that_is_asked_for_is_kept(world):
    """Retry-After is honoured, up to a day."""
    message = Message(id="x", recipient="https://b.example/", data=b"")
    now = world.clock.now()

    asked = retry.try_again(message, Outcome(verdict="later", after=1234.0), 1, now)
    endless = retry.try_again(message, Outcome(verdict="later", after=1e9), 1, now)

    assert asked == now + timedelta(seconds=1234)
    assert endless == now + timedelta(days=1)


def test_a_refused_contact_makes_the_fallback_be_told(world):
    """On a permanent refusal the fallback gets the delivery; other contacts and the operator hear of the dead one."""
    contacts = [{"id": name, "mail": f"{name}@acme.example"} for name in ("desk", "boss", "noc")]
    world.member(contacts=contacts, fallback=["boss"])
    world.record()
    world.postman.answers = lambda m: REFUSED if m.recipient == "desk@acme.example" else ACCEPTED

    world.run(hours=3)

    (row,) = world.store.rows(member="acme", state="given")[-1:]
    assert {m["recipient"]: m["state"] for m in row.messages} == {
        "desk@acme.example": "refused",
        "boss@acme.example": "accepted",
    }
    letters = [row for row in world.store.rows(member="acme") if row.kind == "dead-contact"]
    assert sorted(m["recipient"] for m in letters[0].messages) == ["boss@acme.example", "noc@acme.example"]
    assert len(world.postman.to("operator@hub.example.net")) == 1


def test_a_restart_goes_on_with_the_retries(world):
    """Attempts so far, waits, and destinations that fail are remembered across a crash."""
    _hooked(world)
    world.postman.answers = lambda _: DOWN
    world.record(delivery="hook")
    world.run(hours=2, minutes=1, channel="webhook")
    before = len(world.postman.given)

    world.restart()
    world.run(hours=1, minutes=1, channel="webhook")

    assert before >= 3
    assert len(world.postman.given) - before <= 1


def test_an_endpoint_answers_a_ping_before_its_first_data(world):
    """Nothing but a ping goes to a new endpoint until it has answered one."""
    _hooked(world)
    world.postman.answers = lambda _: DOWN
    world.record(delivery="hook")
    world.run(hours=0.2, minutes=0.5, channel="webhook")
    assert all(b"test.ping" in message.data for message in world.postman.given)

    world.postman.answers = lambda _: ACCEPTED
    world.run(hours=2, minutes=0.5, channel="webhook")

    assert b"finding.new" in world.postman.given[-1].data


def test_a_dead_endpoint_is_told_after_a_day_and_gets_all_in_the_end(world):
    """After 24 hours of failure the contact and the operator hear of it; what waited is delivered when it lives again."""
    _hooked(world)
    world.record("198.51.100.1", delivery="hook")
    world.run(hours=0.5, minutes=1, channel="webhook")
    world.postman.given.clear()
    world.postman.answers = lambda m: DOWN if "://" in m.recipient else ACCEPTED
    for number in range(2, 12):
        world.record(f"198.51.100.{number}", delivery="hook")
        world.run(hours=5, minutes=10, channel="webhook")
    tried = len(world.postman.given)
    world.run(hours=0.1, channel="mail")

    assert tried <= 12
    assert sorted(world.postman.recipients[tried:]) == ["desk@acme.example", "operator@hub.example.net"]

    world.postman.answers = lambda _: ACCEPTED
    world.run(hours=26, minutes=10, channel="webhook")
    done = {message.id for message in world.postman.given[tried:] if "://" in message.recipient}
    assert len(done) == 10


def test_a_gone_endpoint_is_disabled_until_it_is_started_again(world):
    """410 ends hand-overs to the endpoint; its findings stay owed until an operator starts it again."""
    _hooked(world)
    world.record("198.51.100.1", delivery="hook")
    world.run(hours=0.5, minutes=1, channel="webhook")
    world.postman.answers = lambda _: GONE
    world.record("198.51.100.2", delivery="hook")
    world.run(hours=0.5, minutes=1, channel="webhook")
    world.postman.given.clear()
    world.postman.answers = lambda _: ACCEPTED
    world.record("198.51.100.3", delivery="hook")
    world.run(hours=2, minutes=1, channel="webhook")
    assert not world.postman.given

    world.handling().start("acme", "hook")
    world.run(hours=2, minutes=1, channel="webhook")

    assert any(b"198.51.100.3" in message.data for message in world.postman.given)


def test_a_domain_that_is_down_delays_no_other(world):
    """Mails to other domains leave in the first step, and the dead domain is spared after its first failure."""
    world.many(40)
    world.record_all(40)
    world.postman.answers = lambda m: DOWN if m.recipient.endswith("m000.example") else ACCEPTED

    world.run(hours=3)

    assert {r for r in world.postman.recipients if "@m" in r} == {f"desk@m{n:03}.example" for n in range(40)}
    assert len(world.postman.to("desk@m000.example")) <= 4
    assert len(world.store.rows(state="given")) == 39


def test_the_rates_are_kept(world):
    """No more mails leave in an hour, and to one domain in a minute, than the hub allows; a restart forgets nothing."""
    world.many(30)
    world.record_all(30)
    world.hub = msgspec.structs.replace(world.hub, mails_per_hour=12)
    times = []
    world.postman.answers = lambda _: times.append(world.clock.now()) or ACCEPTED
    world.at("2026-11-20T07:00")

    for minute in range(0, 180, 10):
        if minute % 30 == 0:
            world.restart()
        world.run(hours=1 / 6, minutes=5)

    assert len(times) == 30
    assert max(sum(t <= other < t + timedelta(hours=1) for other in times) for t in times) <= 12


def test_one_domain_gets_a_few_mails_a_minute(world):
    """Twenty mails to one domain are spread over minutes."""
    contacts = [{"id": f"c{n}", "mail": f"c{n}@acme.example"} for n in range(20)]
    world.member(contacts=contacts, to=[f"c{n}" for n in range(20)])
    world.hub = msgspec.structs.replace(world.hub, per_domain_per_minute=5)
    world.record()
    times = []
    world.postman.answers = lambda _: times.append(world.clock.now()) or ACCEPTED

    world.run(hours=3, minutes=0.25)

    assert len(times) == 20
    assert max(sum(t <= other < t + timedelta(minutes=1) for other in times) for t in times) <= 5


def test_a_courier_that_raises_is_later(world):
    """A courier's own fault is an attempt that failed, and the others' turn comes."""
    world.member()
    world.record()

    def answer(message):
        if len(world.postman.given) == 1:
            raise RuntimeError("a bug")
        return ACCEPTED

    world.postman.answers = answer
    world.run(hours=3)

    assert len(world.postman.given) == 2
    assert world.store.rows()[0].state == "given"


def test_a_webhook_that_wants_no_still_is_not_told_of_it_in_vain(world):
    """Without finding.still in its events a finding that is still there is counted: no reference, nothing mentioned."""
    hook = {**HOOK, "events": ["finding.new", "finding.back"], "secrets": ["file:secret"]}
    world.member(member={"deliveries": [hook], "repeat": {"vulnerable": "1d"}})
    for _ in range(20):
        world.record(delivery="hook")
        world.run(hours=1, channel="webhook")
        world.pass_(hours=23)

    assert [row.state for row in world.store.rows() if row.kind != "test"] == ["given"]
    (book,) = (book for book in world.store.balance()["deliveries"] if book["delivery"] == "hook")
    assert (book["mentioned"], book["still"], book["owed"]) == (1, 19, 0)
    assert [message.id for message in world.postman.given][1:] == ["r000000-1"]


def test_what_an_endpoint_wants_no_event_of_is_counted(world):
    """Findings in a state that an endpoint doesn't want make no delivery that would wait for ever, or for approval."""
    world.hub = world.replace(approve_first=True)
    world.member(member={"deliveries": [{**HOOK, "events": ["finding.back"], "secrets": ["file:secret"]}]})
    world.record(delivery="hook")

    world.run(hours=1, channel="webhook")

    assert not [row for row in world.store.rows() if row.kind != "test"]
    (book,) = (book for book in world.store.balance()["deliveries"] if book["delivery"] == "hook")
    assert (book["mentioned"], book["still"], book["owed"]) == (0, 1, 0)


def test_what_is_back_is_told_to_an_endpoint_that_wants_only_that(world):
    """A finding that was not told as new is told when it is back."""
    world.member(member={"deliveries": [{**HOOK, "events": ["finding.back"], "secrets": ["file:secret"]}]})
    for _ in range(2):
        world.record(delivery="hook")
        world.run(hours=1, channel="webhook")
        world.pass_(days=20)

    (row,) = (row for row in world.store.rows() if row.kind != "test")
    assert (row.state, row.counts["back"]) == ("given", 1)


def test_who_is_woken_delivers_at_once(world):
    """Between two looks at everything, a finding for an immediate webhook leaves with the next step after a wake-up."""
    _hooked(world, group="0s")
    box = world.outbox("webhook")
    world.record(delivery="hook")
    for _ in range(4):  # the ping, which the endpoint answers, then the finding
        world.pass_(seconds=10)
        box.step()
    given = len(world.postman.given)
    world.record("198.51.100.8", delivery="hook")

    box.step()
    assert len(world.postman.given) == given
    box.wake()
    box.step()
    assert len(world.postman.given) == given + 1
