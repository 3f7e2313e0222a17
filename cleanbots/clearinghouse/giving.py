"""Handing deliveries over: what waits is offered to the courier, each attempt is noted, and failures stay where they are."""

import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from ..clock import iso
from . import door, retry
from .copies import delivery_of
from .crew import Crew, Parcel, Return
from .kit import Kit
from .model import TELLING, Delivery, Member, Message, Mode, Outcome
from .notices import Notices
from .rendering import addresses, digest_of
from .schedule import blacked_out
from .store.protocol import Row

log = logging.getLogger("cleanbots.courier")

AT_ONCE = 16
"""Messages that are read from the store at a time: their bytes are large."""

_MOMENT = 0.05
"""Seconds to wait for one who is away before others are looked after: most answer at once."""
_FAREWELL = 5.0
"""Seconds without anybody coming back after which those who are away are given up."""
_STOPPED = timedelta(seconds=30)
_SHUT = timedelta(hours=1)
_EXEMPT = frozenset({"test", "operator", "dead-contact", "dead-endpoint", "correction"})
"""Kinds that don't wait for a member's state or a blackout."""


class Hands:
    """Hands the frozen deliveries of one channel over.

    Args:
        kit: has them, says what may leave, renders for fallback contacts.
        notices: tells people.
        crew: takes messages to the outside.
        channel: whose.
        now: the time at the start.
    """

    def __init__(self, kit: Kit, notices: Notices, crew: Crew, channel: str, now: datetime) -> None:
        self._store = kit.store
        self._hub = kit.hub
        self._members = kit.members
        self._renderer = kit.renderer
        self._notices = notices
        self._crew = crew
        self._returned: deque[Return] = deque()
        self._channel = channel
        self._destinations = retry.Destinations(kit.store, channel)
        self._rates = door.Rates(kit.hub, kit.store.handed_over(channel, now - door.DAY))

    def hand_over(self, time: Callable[[], datetime], may_go_on: Callable[[], bool] = lambda: True) -> int:
        """Note what became of what was sent out, and send a handful of waiting messages out, destinations taking turns.

        Args:
            time: gives the time; asked before each hand-over, because one may take long.
            may_go_on: asked before each hand-over; False breaks off.

        Returns:
            how many were offered or came back; 0 means that nothing can be done now.
        """
        done = self._welcome(time)
        if self._hub.mode != "preview" and not self._rates.is_spent(time()):
            done += self._send_out(time, may_go_on)
        return done

    def finish(self, time: Callable[[], datetime]) -> bool:
        """Wait a while for those who are still away; tell whether all came back."""
        while self._crew.away() and self._welcome(time, _FAREWELL):
            pass
        return not self._crew.away()

    @property
    def away(self) -> int:
        """How many messages were sent out and did not come back yet."""
        return len(self._crew.away())

    def _send_out(self, time: Callable[[], datetime], may_go_on: Callable[[], bool]) -> int:
        now = time()
        skip = {*self._rates.full(now), *self._destinations.blocked(now), *self._crew.away()}
        offered = 0
        for reference, message in door.interleaved(self._store.waiting(self._channel, now, AT_ONCE, sorted(skip))):
            self._welcome(time, 0.0 if self._crew.is_free() else _MOMENT)
            now, stops = time(), door.stops(self._store)
            if stops.why("", "") or not may_go_on() or self._rates.is_spent(now) or not self._crew.is_free():
                break
            where = door.destination(message.recipient)
            if where in skip or not self._takes(where, time):
                skip.add(where)
                continue
            offered += self._offer(reference, message, stops, now)
        self._welcome(time)
        return offered

    def _takes(self, where: str, time: Callable[[], datetime]) -> bool:
        """Tell whether a destination takes another message now: one at a time goes there."""
        if where in self._crew.away():
            self._welcome(time, _MOMENT)
        now = time()
        closed = (*self._rates.full(now), *self._destinations.blocked(now), *self._crew.away())
        return where not in closed

    def _offer(self, reference: str, message: Message, stops: door.Stops, now: datetime) -> int:
        row = self._store.row(reference)
        if row is None:
            return 0
        until = self._shut_until(row, message, stops, now)
        if until is not None:
            self._store.postpone(reference, until)
            return 1
        if (free := self._rates.contact_free(message.recipient, now)) is not None:
            log.info("%s: %d mails went to one address within a day", reference, self._hub.mails_per_contact)
            self._store.postpone(reference, free, message.recipient)
            return 1
        self._rates.count(message.recipient, now)
        self._crew.send(Parcel(row, message))
        return 1

    def _shut_until(self, row: Row, message: Message, stops: door.Stops, now: datetime) -> datetime | None:
        """Give until when a message must wait because the door is shut for it, or None. Asked before every hand-over."""
        if stops.why(row.member, row.delivery):
            return now + _STOPPED
        if why := door.may_be_handed_over(self._hub, row, message.recipient):
            log.info("%s stays: %s", row.reference, why)
            return now + _SHUT
        return None if row.kind in _EXEMPT else self._unwanted_until(row, now)

    def _unwanted_until(self, row: Row, now: datetime) -> datetime | None:
        """Give until when the member wants nothing of this delivery, or None."""
        member, delivery = self._whose(row)
        if member is None or delivery is None:
            return now + _SHUT  # no member any more: nobody is told in its name
        paused = door.mode_of(self._hub, member, delivery, door.today_of(delivery, now)) != row.mode
        if paused or (delivery.url and self._store.flag(f"disabled:{member.id}/{delivery.id}")):
            return now + _SHUT
        return blacked_out(delivery, self._hub, now, urgent=row.kind == "urgent")

    # -- what became of it

    def _welcome(self, time: Callable[[], datetime], wait: float = 0.0) -> int:
        """Settle what those who are back say; give how many there are."""
        self._returned.extend(self._crew.back(wait))
        number = len(self._returned)
        while self._returned:
            (row, message), outcome = self._returned[0]
            self._settle(row, message, outcome, time())
            self._returned.popleft()
        return number

    def _settle(self, row: Row, message: Message, outcome: Outcome, now: datetime) -> None:
        """Note an attempt and draw the conclusions.

        Those of a refusal come before its note, and may be drawn twice: after a crash in between it is tried again.
        The other way round, nobody would be told instead. What was accepted is noted before anything else.
        """
        again = self._again(row, message, outcome, now)
        if outcome.verdict == "gone":
            self._gone(row, message, outcome, now)
        elif outcome.verdict == "refused" or (outcome.verdict == "later" and again is None):
            self._refused(row, message, outcome, now)
        self._store.attempt(row.reference, message.id, outcome, now, again, message.recipient)
        log.info("%s %s: %s %d", row.reference, message.id, outcome.verdict, outcome.code)
        if outcome.verdict == "later" and retry.blames_destination(message.recipient, outcome):
            self._failed(row, message, outcome, now)
        else:
            self._destinations.worked(message.recipient)

    def _again(self, row: Row, message: Message, outcome: Outcome, now: datetime) -> datetime | None:
        """Give when a message is tried next, or None."""
        if outcome.verdict != "later":
            return None
        failing = self._destinations.failing(message.recipient)
        if failing is not None and failing.age(now) >= retry.lifetime(message.recipient):
            return None
        return retry.try_again(message, outcome, _tries(row, message) + 1, now)

    def _failed(self, row: Row, message: Message, outcome: Outcome, now: datetime) -> None:
        state = self._destinations.failed(message, outcome, now)
        if state.age(now) < retry.DEAD_AFTER or state.told:
            return
        where = door.destination(message.recipient)
        text = (
            f"Nothing can be delivered to {where} since {state.since} ({outcome.answer or outcome.code}); "
            f"it is tried for {retry.lifetime(message.recipient) / 86400:.0f} days."
        )
        command = f"cleanbots deliveries list --member {row.member}"
        self._notices.operator(f"dead:{where}", "a destination is dead", text, command, now)
        member, delivery = self._whose(row)
        if member and delivery and delivery.url and delivery.on_dead:
            kept = datetime.fromisoformat(state.since) + timedelta(seconds=retry.lifetime(message.recipient))
            answer = str(outcome.code or outcome.answer)
            self._dead_endpoint(member, delivery, state.since, answer, f"{where}:{state.since}", now, until=iso(kept))
        self._destinations.told(message.recipient)

    def _gone(self, row: Row, message: Message, outcome: Outcome, now: datetime) -> None:
        member, delivery = self._whose(row)
        if member is None or delivery is None or not delivery.url:
            return
        name = f"{member.id}/{delivery.id}"
        self._store.flag(f"disabled:{name}", now.isoformat())
        text = f"The endpoint of {name} wants no more (HTTP {outcome.code}); its findings stay owed."
        command = f"cleanbots deliveries start --member {member.id} --delivery {delivery.id}"
        self._notices.operator(f"gone:{name}", "an endpoint wants no more", text, command, now)
        if delivery.on_dead:
            cause = f"gone:{name}:{now:%Y-%m-%d}"
            self._dead_endpoint(member, delivery, iso(now.replace(microsecond=0)), str(outcome.code), cause, now)

    def _dead_endpoint(
        self, member: Member, delivery: Delivery, since: str, answer: str, cause: str, now: datetime, until: str = ""
    ) -> None:
        facts = {
            "delivery": delivery.id,
            "url": delivery.url,
            "since": since,
            "answer": answer,
            "waiting": str(self._findings_waiting(member, delivery, now)),
            "until": until,
        }
        to = addresses(member, [delivery.on_dead])
        self._notices.member("dead-endpoint", member, delivery, to, facts, cause, now)

    def _findings_waiting(self, member: Member, delivery: Delivery, now: datetime) -> int:
        """Count what a delivery did not get: what is owed, and what was made and waits."""
        owed = sum(due.owed for due in self._store.due(now, {(member.id, delivery.id)}))
        frozen = self._store.rows(member=member.id, state="frozen", most=100_000)
        return owed + sum(row.counts.get("listed", 0) for row in frozen if row.delivery == delivery.id)

    def _refused(self, row: Row, message: Message, outcome: Outcome, now: datetime) -> None:
        """Tell somebody else of the member, and the operator, that a recipient takes nothing."""
        if row.kind not in TELLING or row.mode != "live":
            return
        row = self._store.row(row.reference) or row  # others of its recipients may have refused meanwhile
        member, delivery = self._whose(row)
        if member is None or delivery is None:
            return
        said = outcome.answer or str(outcome.code)
        text = (
            f"{row.reference}: {message.recipient} of {member.id} takes nothing for good: {said}. Correct members.yaml."
        )
        command = f"cleanbots members show {member.id}\ncleanbots deliveries resend {row.reference}"
        if delivery.url:
            command = f"cleanbots members show {member.id}"
            self._notices.operator(f"refused:{member.id}/{delivery.id}", "an endpoint refuses", text, command, now)
            return
        others = self._fall_back(row, member, delivery, message, now)
        dead = {message.recipient, *(each["recipient"] for each in row.messages if each["state"] == "refused")}
        alive = [c.mail for c in member.contacts.values() if c.mail and c.mail not in dead]
        facts = {"address": message.recipient, "since": iso(now.replace(microsecond=0)), "answer": said}
        self._notices.member("dead-contact", member, delivery, alive, facts, message.recipient, now)
        if not alive and not others:
            text = f"No contact of {member.id} takes mail any more, so {row.reference} reached nobody. Correct members.yaml."
        self._notices.operator(f"refused:{member.id}", "a contact is dead", text, command, now)

    def _fall_back(
        self, row: Row, member: Member, delivery: Delivery, message: Message, now: datetime
    ) -> tuple[str, ...]:
        """Render the same delivery for its fallback contacts, unless they have all of it; give their addresses."""
        parts = _ids(row, message.recipient)
        to = tuple(mail for mail in addresses(member, delivery.fallback) if not parts <= _ids(row, mail))
        if not to:
            return ()
        closed = self._store.closed(row.reference)
        mode: Mode = row.mode  # type: ignore[assignment]  # the store has what was given to it
        digest = digest_of(
            closed,
            kind=row.kind,
            hub=self._hub,
            member=member,
            delivery=msgspec.structs.replace(delivery, to=delivery.fallback),
            mode=mode,
            recipients=to,
            until=row.created,
            now=row.created,
        )
        for part, messages in self._renderer.parts(digest, closed.findings):
            self._store.freeze(part, messages, hold="", mode=mode, files={})
        log.warning("%s: %s is told instead of %s", row.reference, ", ".join(delivery.fallback), message.id)
        return to

    def _whose(self, row: Row) -> tuple[Member | None, Delivery | None]:
        member = self._members().members.get(row.member)
        return member, delivery_of(member, row.delivery) if member else None


def _ids(row: Row, recipient: str) -> set[str]:
    return {each["id"] for each in row.messages if each["recipient"] == recipient}


def _tries(row: Row, message: Message) -> int:
    return sum(
        int(each["attempts"])
        for each in row.messages
        if each["id"] == message.id and each["recipient"] == message.recipient
    )
