"""What is due is closed, rendered once and handed over."""

import msgspec
from outbox_world import member_yaml

from cleanbots.clearinghouse.model import Attachment


def test_a_daily_digest_leaves_once_after_its_slot(world):
    """A finding is told at the first slot after it was recorded, once."""
    world.member()
    world.record()

    world.run(hours=26)

    assert world.postman.recipients == ["desk@acme.example"]
    assert [row.state for row in world.store.rows()] == ["given"]


def test_a_digest_waits_until_the_feeds_have_settled(world):
    """While findings for the member keep coming, a due digest waits; then all of them are in it."""
    world.member()
    world.at("2026-11-20T06:25")
    world.record("198.51.100.1")
    world.at("2026-11-20T06:40")
    world.record("198.51.100.2")

    world.at("2026-11-20T06:50")
    assert not world.step().made
    world.at("2026-11-20T06:56")
    (reference,) = world.step().made

    assert len(world.store.closed(reference).findings) == 2


def test_feeds_that_never_settle_are_not_waited_for(world):
    """After settle_max a due digest is closed, whatever still comes."""
    world.member()
    world.record()
    world.step()
    for minute in range(30, 90, 5):
        world.at(f"2026-11-20T{6 + minute // 60:02}:{minute % 60:02}")
        world.record(f"198.51.100.{minute}")
        assert not world.step().made, minute

    world.at("2026-11-20T07:30")
    assert len(world.step().made) == 1


def test_a_missed_run_is_made_once_and_late(world):
    """After three days of standstill there is one digest, not three."""
    world.member(max_age="30d")
    world.record()
    world.pass_(days=3)

    world.run(hours=4)

    assert len(world.references()) == 1


def test_an_immediate_delivery_gathers_what_comes_together(world):
    """The first finding leaves at once, what follows within the group leaves together at its end."""
    world.member(when="immediately", group="15m")
    for number in range(3):
        world.record(f"198.51.100.{number}", urgent=True)
    world.run(hours=0.1, minutes=0.5)
    assert len(world.references()) == 1

    for number in range(10, 15):
        world.record(f"198.51.100.{number}", urgent=True)
        world.run(hours=0.02, minutes=0.5)
    assert len(world.references()) == 1
    world.run(hours=0.5, minutes=1)

    sizes = [len(world.store.closed(reference).findings) for reference in reversed(world.references())]
    assert sizes == [3, 5]


def test_a_long_burst_never_makes_more_mails_than_the_day_has(world):
    """mails_per_day holds, and the last mails of the day are spread over it, so that it is not silent."""
    world.hub = msgspec.structs.replace(world.hub, growth=1000.0)
    world.member(when="immediately", group="5m", member={"limits": {"mails_per_day": 6}})
    world.at("2026-11-20T00:00")
    for number in range(23 * 4):
        world.record(f"198.51.100.{number % 250}", urgent=True, source__port=1000 + number)
        world.run(hours=0.25, minutes=5)

    midnight = world.clock.now().replace(hour=23, minute=0, second=0)  # where the member is
    today = [row.created for row in world.store.rows(member="acme") if row.created < midnight]
    assert len(today) == 6
    assert max(today).hour >= 15


def test_urgent_things_pass_a_digest_that_takes_long(world):
    """Between two parts of a big digest, an urgent finding is made, frozen and handed over."""
    deliveries = [
        {"id": "daily", "to": ["desk"], "channel": "mail", "format": ["text"], "when": "daily 07:30"},
        {"id": "urgent", "to": ["desk"], "channel": "mail", "format": ["text"], "when": "immediately"},
    ]
    world.member(member={"deliveries": deliveries, "limits": {"findings_per_mail": 2}})
    for number in range(6):
        world.record(f"198.51.100.{number}")
    world.at("2026-11-20T07:00")
    renderer = world.renderer()
    inner = renderer.parts
    seen = []

    def parts(digest, findings):
        for number, (part, messages) in enumerate(inner(digest, findings)):
            seen.append((digest.delivery.id, len(world.postman.given)))
            if digest.delivery.id == "daily" and number == 0:
                world.record("198.51.100.99", delivery="urgent", urgent=True)
                world.pass_(seconds=10)
            yield part, messages

    renderer.parts = parts
    box = world.outbox(renderer=renderer)
    world.pass_(seconds=10)
    box.step()

    assert [name for name, _ in seen] == ["daily", "urgent", "daily", "daily"]
    assert seen[2][1] == 1


def test_a_digest_is_split_by_the_number_of_findings(world):
    """More findings than findings_per_mail make parts that say so, under one reference."""
    world.member(member={"limits": {"findings_per_mail": 4}})
    for number in range(10):
        world.record(f"198.51.100.{number}")

    world.run(hours=3)

    assert len(world.references()) == 1
    assert len({message.id for message in world.postman.given}) == 3
    assert [b"part=%d/3" % part in m.data for part, m in enumerate(world.postman.given, 1)] == [True] * 3


class Bulky:
    """A format whose attachment has a thousand bytes for each finding."""

    def render(self, digest):
        rows = len(digest.findings)
        return [Attachment(name="a.bin", content_type="application/octet-stream", data=b"x" * 1000 * rows, rows=rows)]


def test_a_digest_is_split_by_the_size_of_its_attachments(world):
    """Where an attachment would be larger than the delivery allows, the digest has more parts."""
    world.member(format=["text", "csv"], member={"limits": {"attachment": "5000B"}})
    for number in range(20):
        world.record(f"198.51.100.{number}")
    renderer = world.renderer()
    renderer._formats = lambda name: Bulky()
    box = world.outbox(renderer=renderer)
    world.at("2026-11-20T07:00")

    box.step()

    (reference,) = world.references()
    assert len(world.store.messages(reference)) in (4, 5)


def test_rows_above_amber_travel_in_a_digest_of_their_own(world):
    """One strict row does not gag the others."""
    world.member()
    world.record("198.51.100.1")
    world.record("198.51.100.2", tlp="AMBER+STRICT")

    world.run(hours=3)

    labels = sorted(
        message.data.split(b"X-Cleanbots-TLP: TLP:")[1].split(b"\r\n")[0] for message in world.postman.given
    )
    assert labels == [b"AMBER", b"AMBER+STRICT"]


def test_a_finding_whose_holder_changed_is_sent_to_nobody(world):
    """A claim that ended before the freeze takes its findings off the books, with the reason."""
    world.member()
    world.record()
    world.members(member_yaml(prefix="203.0.113.0/24"))

    world.run(hours=3)

    assert not world.postman.given
    (book,) = world.store.balance()["deliveries"]
    assert book["changed_holder"] == 1


def test_what_waited_for_the_end_of_a_pause_is_no_news(world):
    """After a pause, observations older than max_age are counted, and the fresh ones are told."""
    world.member(state="paused", member={"paused_until": "2026-12-05"})
    world.record("198.51.100.1")
    world.run(hours=24 * 14, minutes=120)
    assert not world.references()
    world.record("198.51.100.2")

    world.run(hours=30, minutes=10)

    (reference,) = world.references()
    assert [finding.event["source.ip"] for finding in world.store.closed(reference).findings] == ["198.51.100.2"]


def test_a_weekly_sign_of_life_is_sent_when_there_is_nothing_to_say(world):
    """A delivery with empty: weekly says once a week that there is nothing."""
    world.member(empty="weekly")

    world.run(hours=24 * 15, minutes=60)

    rows = world.store.rows()
    assert [row.kind for row in rows] == ["empty"] * 3
    assert [row.created.date().isoformat() for row in rows] == ["2026-12-04", "2026-11-27", "2026-11-20"]


def test_no_findings_no_mail(world):
    """Without findings and without a wish for signs of life, nothing is made."""
    world.member()

    world.run(hours=24 * 9, minutes=60)

    assert not world.references()


def test_what_only_still_is_there_waits_for_its_repeat(world):
    """An unchanging finding is told once and listed again a week later; in between there is no mail of it."""
    world.member()
    for _ in range(8):
        world.record()
        world.run(hours=24, minutes=30)

    assert [row.counts["listed"] for row in world.store.rows()] == [1, 1]


def test_one_delivery_that_can_t_be_rendered_delays_no_other(world):
    """A format that fails holds its own delivery, tells the operator, and is tried again."""
    broken = member_yaml("broken", prefix="203.0.113.0/24", format=["text", "jsonl"])
    fine = member_yaml("acme")
    merged = msgspec.json.decode(fine)
    merged["members"] += msgspec.json.decode(broken)["members"]
    world.members(msgspec.json.encode(merged).decode())
    world.record()
    world.record("203.0.113.9", member="broken")
    renderer = world.renderer()
    failing = [True]

    class Broken:
        def render(self, digest):
            if failing[0]:
                raise RuntimeError("a row too many")
            return []

    renderer._formats = lambda name: Broken()
    box = world.outbox(renderer=renderer)
    world.at("2026-11-20T07:00")
    box.step()
    while box.step().offered:
        pass
    assert sorted(world.postman.recipients) == ["desk@acme.example", "operator@hub.example.net"]

    failing[0] = False
    world.pass_(minutes=11)
    while box.step().offered:
        pass

    assert "desk@broken.example" in world.postman.recipients


def test_only_the_holder_of_the_lease_works(world):
    """A second instance does nothing and says who sends; it takes over when the first is gone."""
    world.member()
    world.record()
    first, second = world.outbox(owner="one"), world.outbox(owner="two")
    first.step()
    world.at("2026-11-20T06:28:30")
    first.step()
    world.at("2026-11-20T06:29")

    assert "one sends" in second.step().shut
    assert not world.references()

    world.pass_(seconds=400)
    assert second.step().made
    assert "two sends" in first.step().shut


def test_what_is_too_old_for_one_delivery_is_owed_in_the_others(world):
    """A reason that depends on a delivery takes nothing from the member's other deliveries."""
    common = {"to": ["desk"], "channel": "mail", "format": ["text"]}
    deliveries = [
        {"id": "daily", "when": "daily 07:30", "max_age": "1h", **common},
        {"id": "weekly", "when": "cron 0 9 * * 1", "max_age": "30d", **common},
    ]
    world.member(member={"deliveries": deliveries})
    malicious = {"classification__taxonomy": "malicious-code", "classification__type": "infected-system"}
    seen = "2026-11-18T06:00:00+00:00"
    world.record(delivery="daily", also=("weekly",), time__source=seen, **malicious)

    world.run(hours=24 * 4, minutes=30)

    books = {book["delivery"]: book for book in world.store.balance()["deliveries"]}
    assert books["daily"]["given_up"] == {"too_old": 1}
    assert books["weekly"]["mentioned"] == 1


def test_immediate_deliveries_are_looked_for_alone_between_two_parts(world):
    """While big work goes on, only what immediate deliveries owe is summed up, not all that is owed."""
    deliveries = [
        {"id": "daily", "to": ["desk"], "channel": "mail", "format": ["text"], "when": "daily 07:30"},
        {"id": "urgent", "to": ["desk"], "channel": "mail", "format": ["text"], "when": "immediately"},
    ]
    world.member(member={"deliveries": deliveries, "limits": {"findings_per_mail": 1}})
    for number in range(3):
        world.record(f"198.51.100.{number}")
    world.at("2026-11-20T07:00")
    asked = []
    due = world.store.due

    class Watched:
        def __getattr__(self, name):
            return getattr(world.store, name)

        def due(self, now, only=None):
            asked.append(only)
            return due(now, only)

        def freeze(self, *args, **kwargs):
            world.pass_(seconds=10)  # a part takes its time, and looking has a pace
            return world.store.freeze(*args, **kwargs)

    world.outbox(store=Watched()).step()

    assert asked[0] is None
    assert asked[1:]
    assert all(only == {("acme", "urgent")} for only in asked[1:])
