"""What an operator does to deliveries: approve, repeat, correct, try out, look at what would be sent."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from ..clock import iso
from ..errors import CleanbotsError
from . import door
from .copies import delivery_of
from .freezing import is_unfinished
from .kit import Kit
from .making import closing_of
from .model import TELLING, Delivery, Digest, Finding, Match, Member, Message, Mode
from .rendering import addresses, digest_of, recipients_of
from .store.protocol import Closed, Closing, Row


class Preview(NamedTuple):
    """A part of what would be delivered.

    Args:
        digest: what it tells.
        messages: as they would leave.
        hold: why it would wait for an operator in mode live, or "".
    """

    digest: Digest
    messages: list[Message]
    hold: str


class Handling:
    """Carries out what an operator asks for.

    Args:
        kit: store, hub, members and renderer.
        who: names the operator.
    """

    def __init__(self, kit: Kit, who: str = "") -> None:
        self._kit = kit
        self._store = kit.store
        self._hub = kit.hub
        self._members = kit.members
        self._renderer = kit.renderer
        self._who = who
        self._approvals = door.Approvals(kit.store)

    # -- what is held

    def held(self, member: str = "") -> list[Row]:
        """List what an operator may approve."""
        return [row for row in self._store.rows(member=member, state="held", most=100_000) if not is_unfinished(row)]

    def approve(self, rows: Sequence[Row], now: datetime) -> list[str]:
        """Let held deliveries go; their members' later ones of the same delivery are not first ones any more.

        Returns:
            the references.

        Raises:
            CleanbotsError: if one of them is not held, or not rendered yet.
        """
        for row in rows:
            if row.state != "held" or is_unfinished(row):
                raise CleanbotsError(f"{row.reference} is {row.why or row.state}: there is nothing to approve")
        for row in rows:
            self._store.approve(row.reference, self._who)
            if row.mode == "live":
                self._approvals.approve(row.member, row.delivery, now)
        return [row.reference for row in rows]

    def approve_member(self, member: str, now: datetime) -> list[str]:
        """Let all that is held for a member go, and its later first deliveries, too."""
        self._member(member)
        self._approvals.approve(member, "", now)
        return self.approve(self.held(member), now)

    def start(self, member: str, delivery: str) -> list[str]:
        """Take back stops, and let an endpoint that wanted no more be tried again; give the names of both."""
        names = door.start(self._store, member, delivery)
        for known in self._members().members.values() if member or delivery else ():
            for each in known.deliveries.values():
                flag = f"disabled:{known.id}/{each.id}"
                if member in ("", known.id) and delivery in ("", each.id) and self._store.flag(flag):
                    self._store.flag(flag, "")
                    names.append(f"{known.id}/{each.id} (its endpoint)")
        return names

    # -- what was delivered

    def row(self, reference: str) -> Row:
        """Give a delivery.

        Raises:
            CleanbotsError: if there is none of that reference.
        """
        row = self._store.row(reference.strip().upper())
        if row is None:
            raise CleanbotsError(f"{reference}: there is no such delivery; 'cleanbots deliveries list' shows them")
        return row

    def resend(self, reference: str, contacts: Sequence[str], now: datetime) -> list[Message]:
        """Render a delivery again, marked as sent again on request; it waits for the courier like any other.

        Args:
            reference: which.
            contacts: ids of the member's contacts; none: those who had it.
            now: the time.

        Raises:
            CleanbotsError: if it was never delivered, its details are gone, or a contact is unknown.
        """
        row = self.row(reference)
        if row.mode == "preview" or row.state not in ("frozen", "given", "expired"):
            raise CleanbotsError(f"{row.reference} is {row.state} in mode {row.mode}: it was never delivered")
        if row.kind not in TELLING:
            raise CleanbotsError(f"{row.reference} is a mail of kind {row.kind}; only findings can be sent again")
        member, delivery = self._whose(row)
        if delivery.url:
            raise CleanbotsError(f"{row.reference} went to a webhook; 'cleanbots deliveries replay' repeats it")
        to = self._contacts(member, contacts) if contacts else _recipients(row)
        if row.mode == "test":
            to = (door.tester(self._hub, delivery),)
        closed = self._store.closed(row.reference)
        flag = f"resends:{row.reference}"
        number = int(self._store.flag(flag) or 0) + 1
        mode: Mode = row.mode  # type: ignore[assignment]  # the store has what was given to it
        digest = digest_of(
            closed,
            kind=row.kind,
            hub=self._hub,
            member=member,
            delivery=delivery,
            mode=mode,
            recipients=to,
            until=row.created,
            now=now,
            resend=number,
        )
        self._store.flag(flag, str(number))
        made = []
        for part, messages in self._renderer.parts(digest, closed.findings):
            self._store.freeze(part, messages, hold="", mode=mode, files={})
            made += messages
        return made

    def replay(self, member: str, delivery: str, since: datetime, now: datetime) -> dict[str, int]:
        """Let the messages of a delivery since a time wait again, with the same bytes and ids.

        Returns:
            reference to number of messages; those of which nothing is kept any more are left out.
        """
        rows = self._store.rows(member=member, since=since, most=100_000)
        chosen = [
            row
            for row in reversed(rows)
            if row.delivery == delivery and row.mode != "preview" and row.state in ("frozen", "given", "expired")
        ]
        numbers = {row.reference: self._store.requeue(row.reference, now) for row in chosen}
        return {reference: number for reference, number in numbers.items() if number}

    def correct(self, reference: str, text: str, now: datetime) -> str:
        """Mail a correction to exactly those who had a delivery; give the correction's own reference.

        Raises:
            CleanbotsError: if nobody had it, or it was no mail.
        """
        row = self.row(reference)
        member, delivery = self._whose(row)
        to = tuple(each["recipient"] for each in row.messages if each["state"] == "accepted" and each["recipient"])
        to = tuple(dict.fromkeys(to))
        if delivery.url:
            raise CleanbotsError(f"{row.reference} went to a webhook, which reads no letters; tell its member by mail")
        if not to:
            raise CleanbotsError(f"nobody accepted {row.reference}, so there is nobody to correct it to")
        return self._letter("correction", "correction", member, delivery, to, now, row, text)

    # -- trying out

    def test(self, member: str, now: datetime) -> list[str]:
        """Send each of a member's deliveries a test with invented findings; give the references.

        In mode live it goes to the member itself, whatever its state: that is what a test before going live is for.
        In mode test it goes to the testers, in mode preview it is only rendered.
        """
        known = self._member(member)
        return [self._test(known, delivery, now) for delivery in known.deliveries.values()]

    def _test(self, member: Member, delivery: Delivery, now: datetime) -> str:
        mode = self._hub.mode
        to = recipients_of(member, delivery, mode, door.tester(self._hub, delivery))
        return self._letter("test", "test", member, delivery, to, now, findings=_invented(member, now))

    def _letter(
        self,
        kind: str,
        name: str,
        member: Member,
        delivery: Delivery,
        to: Sequence[str],
        now: datetime,
        about: Row | None = None,
        text: str = "",
        findings: tuple[Finding, ...] = (),
    ) -> str:
        mode: Mode = about.mode if about else self._hub.mode  # type: ignore[assignment]  # as the store was given it
        closed = self._store.close(
            Closing(
                member=member.id,
                delivery=name,
                channel=delivery.channel,
                kind=kind,
                until=now,
                now=now,
                prefix=self._hub.reference,
                members_version=self._members().version,
                mode=mode,
            )
        )
        if closed is None:
            raise CleanbotsError(f"the store gave no reference for a mail of kind {kind}; please report this")
        elsewhere = [{"reference": about.reference, "time": iso(about.created)}] if about else []
        digest = digest_of(
            msgspec.structs.replace(closed, elsewhere=elsewhere, findings=findings),
            kind=kind,
            hub=self._hub,
            member=member,
            delivery=delivery,
            mode="test" if kind == "test" else mode,
            recipients=to,
            until=now,
            now=now,
            text=text,
            facts={"corrects": about.reference} if about else None,
        )
        digest = msgspec.structs.replace(digest, findings=findings)
        self._store.freeze(digest, self._renderer.messages(digest), hold="", mode=mode, files={})
        return closed.reference

    def preview(self, member: str, delivery: str, now: datetime) -> list[Preview]:
        """Render what would be delivered now, of one delivery or of all of a member's; nothing is changed."""
        known = self._member(member)
        if delivery and delivery_of(known, delivery) is None:
            raise CleanbotsError(f"{member} has no delivery {delivery!r}; it has {', '.join(known.deliveries)}")
        owing = {due.delivery: None for due in self._store.due(now) if due.member == member}
        names = (
            [delivery] if delivery else [*known.deliveries, *(name for name in owing if name not in known.deliveries)]
        )
        found = []
        for name in names:
            if (each := delivery_of(known, name)) is not None:
                found += self._preview(known, each, now)
        return found

    def _preview(self, member: Member, delivery: Delivery, now: datetime) -> list[Preview]:
        mode = door.mode_of(self._hub, member, delivery, door.today_of(delivery, now)) or "preview"
        closed = self._store.peek(closing_of(self._kit, member, delivery, "digest", mode, now))
        if closed is None:
            return []
        closed = msgspec.structs.replace(closed, reference=f"{self._hub.reference}-PREVIEW")
        digest = digest_of(
            closed,
            kind="digest",
            hub=self._hub,
            member=member,
            delivery=delivery,
            mode="preview",
            recipients=recipients_of(member, delivery, "preview", ""),
            until=now,
            now=now,
        )
        hold = self._would_be_held(member, delivery, closed, now)
        return [Preview(part, messages, hold) for part, messages in self._renderer.parts(digest, closed.findings)]

    def _would_be_held(self, member: Member, delivery: Delivery, closed: Closed, now: datetime) -> str:
        """Tell why it would wait for an operator if it went to the member now, or ""."""
        reached = self._approvals.reached(member.id)
        return door.reason_to_hold(
            self._hub,
            member,
            delivery,
            new=sum(finding.state in ("new", "back") for finding in closed.findings),
            median=self._store.median_size(member.id, delivery.id),
            approvals=self._approvals,
            newcomers=self._approvals.reached_today(now) + (not reached),
        )

    # -- who

    def _member(self, member: str) -> Member:
        members = self._members().members
        if member not in members:
            raise CleanbotsError(f"{member}: there is no such member; 'cleanbots members list' shows them")
        return members[member]

    def _whose(self, row: Row) -> tuple[Member, Delivery]:
        member = self._member(row.member)
        delivery = delivery_of(member, row.delivery)
        if delivery is None:
            raise CleanbotsError(f"{row.reference}: {member.id} has no delivery {row.delivery!r} any more")
        return member, delivery

    def _contacts(self, member: Member, contacts: Sequence[str]) -> tuple[str, ...]:
        unknown = [name for name in contacts if name not in member.contacts or not member.contacts[name].mail]
        if unknown:
            known = ", ".join(name for name, contact in member.contacts.items() if contact.mail)
            raise CleanbotsError(f"{member.id} has no contact {unknown[0]!r} with a mail address; it has {known}")
        return addresses(member, contacts)


def _recipients(row: Row) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each["recipient"] for each in row.messages if each["recipient"]))


_INVENTED = (
    ("203.0.113.25", 6379, "service", "vulnerable", "vulnerable-system", "open-redis", "critical"),
    ("203.0.113.77", 51234, "source", "malicious-code", "infected-system", "examplebot", "high"),
    ("203.0.113.53", 53, "service", "vulnerable", "ddos-amplifier", "open-resolver", "medium"),
)


def _invented(member: Member, now: datetime) -> tuple[Finding, ...]:
    """Give three findings on documentation addresses (RFC 5737), so that a desk can see what it will get."""
    seen = iso(now.replace(microsecond=0) - timedelta(hours=3))
    found = []
    for number, (address, port, port_is, taxonomy, type_, identifier, severity) in enumerate(_INVENTED, 1):
        event = {
            "id": f"test-{number}",
            "source.ip": address,
            "source.port": port,
            "port_is": port_is,
            "protocol.transport": "tcp",
            "classification.taxonomy": taxonomy,
            "classification.type": type_,
            "classification.identifier": identifier,
            "severity": severity,
            "time.source": seen,
            "time.observation": seen,
            "tlp": "GREEN",
            "feed.provider": "Test",
            "feed.name": "Test",
        }
        match = Match(member=member.id, value="203.0.113.0/24", reason="test")
        found.append(
            Finding(id=f"f-test{number}", state="new", event=event, match=match, first_seen=seen, last_seen=seen)
        )
    return tuple(found)
