"""A small world for tests of the store: services and bots that are seen, days on which reports come."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cleanbots.clearinghouse.findings import finding_id
from cleanbots.clearinghouse.model import Delivery, Digest, Hub, Match, Member, Message, Outcome
from cleanbots.clearinghouse.store.protocol import Closed, Closing, Recorded, Store
from cleanbots.clock import FixedClock, iso

START = datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
DAY = timedelta(days=1)
MATCH = Match(member="m", value="192.0.2.0/24")


def service(host: int, seen: datetime = START, **fields: Any) -> dict[str, Any]:
    """Give an event: an open resolver at 192.0.2.*host* (and on from there)."""
    event = {
        "id": f"r{seen:%m%d%H%M}-{host}",
        "source.ip": f"192.0.{2 + host // 250}.{host % 250}",
        "source.port": 53,
        "protocol.transport": "udp",
        "port_is": "service",
        "classification.taxonomy": "vulnerable",
        "classification.type": "ddos-amplifier",
        "classification.identifier": "dns-open-resolver",
        "severity": "medium",
        "tlp": "AMBER",
        "time.source": iso(seen),
    }
    return {**event, **{name.replace("__", "."): value for name, value in fields.items()}}


def infection(host: int, seen: datetime = START, **fields: Any) -> dict[str, Any]:
    """Give an event: an infected client at 192.0.2.*host*."""
    return service(
        host,
        seen,
        **{
            "id": f"i{seen:%m%d%H%M}-{host}",
            "classification.taxonomy": "malicious-code",
            "classification.type": "infected-system",
            "classification.identifier": "examplebot",
            "malware.name": "examplebot",
            "port_is": "source",
            "severity": "high",
            **fields,
        },
    )


def recorded(event: Mapping[str, Any], delivery: str = "daily", member: str = "m", **more: Any) -> Recorded:
    """Give the event as what is recorded for one delivery."""
    given = {"match": Match(member=member, value="192.0.2.0/24"), **more}
    return Recorded(event=dict(event), finding=finding_id(event), member=member, delivery=delivery, **given)


class Desk:
    """Records into and closes from a store, on a clock."""

    def __init__(self, store: Store, clock: FixedClock) -> None:
        self.store = store
        self.clock = clock

    def record(
        self, events: Iterable[Mapping[str, Any]], deliveries: Sequence[str] = ("daily",), **more: Any
    ) -> dict[str, int]:
        """Record events for deliveries, now."""
        rows = [recorded(event, delivery, **more) for event in events for delivery in deliveries]
        return self.store.record(rows, self.clock.now())

    def close(self, delivery: str = "daily", **more: Any) -> Closed | None:
        """Close a delivery, now."""
        now = self.clock.now()
        given = {"member": "m", "channel": "mail", "until": now, "now": now, **more}
        return self.store.close(Closing(delivery=delivery, **given))

    def told(self, delivery: str = "daily", **more: Any) -> list[tuple[str, str]]:
        """Close a delivery and give address and state of what it lists."""
        closed = self.close(delivery, **more)
        return [] if closed is None else [(f.event["source.ip"], f.state) for f in closed.findings]

    def pass_time(self, **delta: float) -> datetime:
        """Move the clock."""
        self.clock.move(self.clock.now() + timedelta(**delta))
        return self.clock.now()

    def freeze(self, closed: Closed, *messages: Message, hold: str = "", mode: str = "live", **files: bytes) -> None:
        """Freeze what was closed."""
        self.store.freeze(digest(closed), messages, hold=hold, mode=mode, files=files)

    def attempt(self, reference: str, message: str, verdict: str, again: datetime | None = None, **more: Any) -> None:
        """Note an attempt, now."""
        outcome = Outcome(verdict=verdict, answer=more.pop("answer", "250 ok"), code=more.pop("code", 250))
        self.store.attempt(reference, message, outcome, self.clock.now(), again, **more)

    def book(self, delivery: str = "daily", member: str = "m") -> dict[str, Any]:
        """Give the books of a delivery."""
        return next(b for b in self.store.balance()["deliveries"] if (b["member"], b["delivery"]) == (member, delivery))


def digest(closed: Closed) -> Digest:
    """Give a digest as the outbox would make it."""
    return Digest(
        reference=closed.reference,
        hub=Hub(),
        member=Member(id="m", name="M"),
        delivery=Delivery(id="daily"),
        recipients=("abuse@example.net",),
        period=(iso(closed.since), iso(START)),
        frozen=iso(START),
    )


def mail(number: int = 1, recipient: str = "abuse@example.net", data: bytes = b"Subject: x\r\n\r\ntext\r\n") -> Message:
    """Give rendered bytes for one recipient."""
    return Message(id=f"mail{number}@hub.example.net", recipient=recipient, sender="b@hub.example.net", data=data)


def weight(book: Mapping[str, Any]) -> int:
    """Add up where the books say that a delivery's events are."""
    places = ("mentioned", "still", "held", "owed", "changed_holder")
    reasons = ("suppressed", "given_up")
    return sum(book[place] for place in places) + sum(sum(book[place].values()) for place in reasons)
