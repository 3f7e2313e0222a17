"""A hub in miniature: real members, store and renderer, a clock that is moved, and a courier that remembers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from cleanbots.clearinghouse.crew import Alone
from cleanbots.clearinghouse.findings import finding_id
from cleanbots.clearinghouse.handling import Handling
from cleanbots.clearinghouse.kit import Kit
from cleanbots.clearinghouse.mail import render_mail
from cleanbots.clearinghouse.members import Registry
from cleanbots.clearinghouse.model import Hub
from cleanbots.clearinghouse.outbox import Outbox, Step
from cleanbots.clearinghouse.rendering import Renderer
from cleanbots.clearinghouse.store import open_store
from cleanbots.clearinghouse.store.protocol import Recorded
from cleanbots.clearinghouse.webhook import render_webhook
from cleanbots.clock import FixedClock, iso
from cleanbots.message import Message, Outcome
from cleanbots.plugins import discover

START = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
ACCEPTED = Outcome(verdict="accepted", code=250)
LATER = Outcome(verdict="later", code=451, answer="try again")
DOWN = Outcome(verdict="later", answer="connection refused")
REFUSED = Outcome(verdict="refused", code=550, answer="no such user")
GONE = Outcome(verdict="gone", code=410)

HUB = Hub(
    mode="live",
    test_to="testers@hub.example.net",
    name="Meldpunt",
    mail="hub@hub.example.net",
    reply_to="desk@hub.example.net",
    bounces="bounces@hub.example.net",
    domain="hub.example.net",
    operator="operator@hub.example.net",
    reference="MP",
    subject="[Meldpunt]",
    approve_first=False,
    per_domain_per_minute=1000,
)


class Postman:
    """A courier that remembers what it was given; *answers* decides what becomes of it."""

    def __init__(self) -> None:
        self.given: list[Message] = []
        self.answers: Callable[[Message], Outcome] = lambda _: ACCEPTED

    def give(self, message: Message) -> Outcome:
        self.given.append(message)
        return self.answers(message)

    def to(self, recipient: str) -> list[Message]:
        return [message for message in self.given if message.recipient == recipient]

    @property
    def recipients(self) -> list[str]:
        return [message.recipient for message in self.given]


class World:
    """Everything around an outbox; `outbox` may be made anew, as after a crash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FixedClock(START)
        self.hub = HUB
        self.postman = Postman()
        self.where = folder / "store.db"
        self.store = open_store(self.where, self.clock)
        self.plugins = discover()
        self.registry: Registry | None = None
        self._numbers = iter(range(1_000_000))
        self._boxes: dict[str, Outbox] = {}

    def replace(self, **changes: Any) -> Hub:
        """Give the hub with *changes*."""
        return msgspec.structs.replace(self.hub, **changes)

    # -- who

    def members(self, text: str) -> None:
        """Write members.yaml and load it."""
        file = self.folder / "members.yaml"
        file.write_text(text, "utf-8")
        self.registry = Registry.load(file, self.clock)

    def member(self, id_: str = "acme", **changes: Any) -> None:
        """Have one member with 198.51.100.0/24, one contact, and one delivery."""
        self.members(member_yaml(id_, **changes))

    def many(self, count: int, **changes: Any) -> None:
        """Have *count* members, m000 and on, each with a documentation prefix of its own."""
        texts = [member_yaml(f"m{n:03}", prefix=f"2001:db8:{n:x}::/48", **changes) for n in range(count)]
        entries = [entry for text in texts for entry in msgspec.json.decode(text)["members"]]
        self.members(msgspec.json.encode({"members": entries}).decode())

    def record_all(self, count: int) -> None:
        """Record one event for each of *count* members."""
        for number in range(count):
            self.record(f"2001:db8:{number:x}::7", member=f"m{number:03}")

    # -- what

    def record(
        self,
        address: str = "198.51.100.7",
        *,
        member: str = "acme",
        delivery: str = "daily",
        also: tuple[str, ...] = (),
        urgent: bool = False,
        **fields: Any,
    ) -> str:
        """Record an event for a delivery, and *also* for others, now; give its id."""
        event = self.event(address, urgent=urgent, **fields)
        assert self.registry is not None
        match = next(match for match in self.registry.match(event).matches if match.member == member)
        rows = [
            Recorded(event=event, finding=finding_id(event), member=member, delivery=name, match=match, urgent=urgent)
            for name in (delivery, *also)
        ]
        self.store.record(rows, self.clock.now())
        return event["id"]

    def event(self, address: str = "198.51.100.7", *, urgent: bool = False, **fields: Any) -> dict[str, Any]:
        """Give an event that was seen now."""
        return {
            "id": f"r{next(self._numbers):06d}-1",
            "source.ip": address,
            "source.port": 6379,
            "protocol.transport": "tcp",
            "port_is": "service",
            "classification.taxonomy": "vulnerable",
            "classification.type": "vulnerable-system",
            "classification.identifier": "open-redis",
            "severity": "high",
            "time.source": iso(self.clock.now()),
            "time.observation": iso(self.clock.now()),
            "tlp": "AMBER",
            "feed.provider": "Example",
            **({"priority": "urgent"} if urgent else {}),
            **{name.replace("__", "."): value for name, value in fields.items()},
        }

    # -- when

    def at(self, text: str) -> None:
        """Set the clock to a time in UTC."""
        self.clock.move(datetime.fromisoformat(text).replace(tzinfo=UTC))

    def pass_(self, **span: float) -> None:
        """Let time go by."""
        self.clock.move(self.clock.now() + timedelta(**span))

    # -- the outbox

    def renderer(self) -> Renderer:
        return Renderer(lambda name: self.plugins.formats.load(name)(), render_mail, render_webhook)

    def kit(self, **changes: Any) -> Kit:
        given: dict[str, Any] = {"store": self.store, "renderer": self.renderer(), **changes}
        return Kit(hub=self.hub, members=lambda: self.registry, **given)  # type: ignore[arg-type,return-value]

    def outbox(self, channel: str = "mail", owner: str = "one", **changes: Any) -> Outbox:
        courier = changes.pop("courier", self.postman)
        return Outbox(self.kit(**changes), Alone(courier), channel=channel, owner=owner, clock=self.clock)

    def step(self, channel: str = "mail") -> Step:
        """One step of the outbox of a channel, a look for what is due included."""
        if channel not in self._boxes:
            self._boxes[channel] = self.outbox(channel)
        self.clock.move(self.clock.now() + timedelta(seconds=5))
        return self._boxes[channel].step()

    def restart(self) -> None:
        """Forget all that is in memory, as a crash does."""
        self._boxes.clear()
        self.store.close_connections()
        self.store = open_store(self.where, self.clock)

    def run(self, hours: float, minutes: float = 5.0, channel: str = "mail") -> None:
        """Let time go by in strides, with as many steps in each as there is something to do."""
        end = self.clock.now() + timedelta(hours=hours)
        while self.clock.now() < end:
            while self.step(channel).offered:
                pass
            self.pass_(minutes=minutes)

    def handling(self) -> Handling:
        return Handling(self.kit(), "tester")

    def references(self, **choice: Any) -> list[str]:
        return [row.reference for row in self.store.rows(**choice)]


def member_yaml(id_: str = "acme", *, prefix: str = "198.51.100.0/24", state: str = "live", **changes: Any) -> str:
    """Give a members.yaml with one member; *changes* are keys of its delivery, ``member`` those of the member."""
    delivery = {"id": "daily", "to": ["desk"], "channel": "mail", "format": ["text"], "when": "daily 07:30"}
    own = changes.pop("member", {})
    contacts = changes.pop("contacts", [{"id": "desk", "mail": f"desk@{id_}.example"}])
    delivery.update({name.rstrip("_"): value for name, value in changes.items()})
    entry = {
        "id": id_,
        "name": id_.title(),
        "kind": "provider",
        "state": state,
        "language": "en",
        "resources": {"networks": [{"prefix": prefix}]},
        "contacts": contacts,
        "deliveries": [delivery],
        **own,
    }
    return msgspec.json.encode({"members": [entry]}).decode()
