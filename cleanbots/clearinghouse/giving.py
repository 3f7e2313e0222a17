"""Handing deliveries over: what waits is offered to the courier, each attempt is noted, and failures stay where they are."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from ..errors import CleanbotsError
from . import door, retry
from .making import TELLING, Members
from .model import Delivery, Hub, Member, Message, Mode, Outcome
from .notices import Notices
from .rendering import Renderer, addresses, digest_of
from .schedule import blacked_out
from .store.protocol import Row, Store

log = logging.getLogger("cleanbots.courier")

AT_ONCE = 16
"""Messages that are read from the store at a time: their bytes are large."""

_STOPPED = timedelta(seconds=30)
_SHUT = timedelta(hours=1)
_EXEMPT = frozenset({"test", "operator", "dead-contact", "dead-endpoint", "correction"})
"""Kinds that don't wait for a member's state or a blackout."""


class Giver(Protocol):
    """What is asked of a courier."""

    def give(self, message: Message) -> Outcome:
        """Try once to hand a message over."""
        ...


class Hands:
    """Hands the frozen deliveries of one channel over.

    Args:
        store: has them.
        hub: says what may leave.
        members: gives the registry in use.
        renderer: renders for fallback contacts.
        notices: tells people.
        courier: takes messages to the outside.
        channel: whose.
        now: the time at the start.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        members: Callable[[], Members],
        renderer: Renderer,
        notices: Notices,
        courier: Giver,
        channel: str,
        now: datetime,
    ) -> None:
        self._store = store
        self._hub = hub
        self._members = members
        self._renderer = renderer
        self._notices = notices
        self._courier = courier
        self._channel = channel
        self._destinations = retry.Destinations(store, channel)
        self._rates = door.Rates(hub, store.handed_over(channel, now - timedelta(hours=1)))

    def hand_over(self, time: Callable[[], datetime], may_go_on: Callable[[], bool] = lambda: True) -> int:
        """Offer a handful of waiting messages to the courier, destinations taking turns.

        Args:
            time: gives the time; asked before each hand-over, because one may take long.
            may_go_on: asked before each hand-over; False breaks off.

        Returns:
            how many were offered; 0 means that nothing can be done now.
        """
        now = time()
        if self._hub.mode == "preview" or self._rates.is_spent(now):
            return 0
        skip = [*self._rates.full(now), *self._destinations.blocked(now)]
        offered = 0
        for reference, message in door.interleaved(self._store.waiting(self._channel, now, AT_ONCE, skip)):
            now = time()
            if not may_go_on() or self._rates.is_spent(now):
                break
            where = door.destination(message.recipient)
            if where in self._rates.full(now) or where in self._destinations.blocked(now):
                continue
            offered += self._offer(reference, message, now, time)
        return offered

    def _offer(self, reference: str, message: Message, now: datetime, time: Callable[[], datetime]) -> int:
        row = self._store.row(reference)
        if row is None:
            return 0
        until = self._shut_until(row, message, now)
        if until is not None:
            self._store.postpone(reference, until)
            return 1
        self._rates.count(message.recipient, now)
        outcome = self._give(message)
        self._settle(row, message, outcome, time())
        return 1

    def _shut_until(self, row: Row, message: Message, now: datetime) -> datetime | None:
        """Give until when a message must wait because the door is shut for it, or None. Asked before every hand-over."""
        if door.stops(self._store).why(row.member, row.delivery):
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

    def _give(self, message: Message) -> Outcome:
        try:
            return self._courier.give(message)
        except CleanbotsError as error:
            return Outcome(verdict="later", answer=str(error), after=getattr(error, "after", None))
        except Exception as error:
            log.exception("the courier failed with %s", message.id)
            return Outcome(verdict="later", answer=f"{type(error).__name__}: {error}")

    # -- what became of it

    def _settle(self, row: Row, message: Message, outcome: Outcome, now: datetime) -> None:
        """Note the attempt before anything else, then draw the conclusions."""
        again = None
        if outcome.verdict == "later":
            again = retry.try_again(message, outcome, _tries(row, message) + 1, now)
            failing = self._destinations.failing(message.recipient)
            if failing is not None and failing.age(now) >= retry.lifetime(message.recipient):
                again = None
        self._store.attempt(row.reference, message.id, outcome, now, again, message.recipient)
        log.info("%s %s: %s %d", row.reference, message.id, outcome.verdict, outcome.code)
        if outcome.verdict == "later" and retry.blames_destination(message.recipient, outcome):
            self._failed(row, message, outcome, now)
        else:
            self._destinations.worked(message.recipient)
        if outcome.verdict == "refused" or (outcome.verdict == "later" and again is None):
            self._refused(row, message, outcome, now)
        elif outcome.verdict == "gone":
            self._gone(row, message, outcome, now)

    def _failed(self, row: Row, message: Message, outcome: Outcome, now: datetime) -> None:
        state = self._destinations.failed(message, outcome, now)
        if state.age(now) < retry.DEAD_AFTER or state.told:
            return
        where = door.destination(message.recipient)
        text = (
            f"nothing can be delivered to {where} since {state.since} ({outcome.answer or outcome.code}); "
            f"it is tried for {retry.lifetime(message.recipient) / 86400:.0f} days. "
            f"'cleanbots deliveries list --member {row.member}' shows what waits"
        )
        self._notices.operator(f"dead:{where}", text, now)
        member, delivery = self._whose(row)
        if member and delivery and delivery.url and delivery.on_dead:
            to = addresses(member, [delivery.on_dead])
            about = f"{delivery.url}\nsince {state.since}\nlast answer: {outcome.code or outcome.answer or 'none'}"
            self._notices.member("dead-endpoint", member, delivery, to, about, f"{where}:{state.since}", now)
        self._destinations.told(message.recipient)

    def _gone(self, row: Row, message: Message, outcome: Outcome, now: datetime) -> None:
        member, delivery = self._whose(row)
        if member is None or delivery is None or not delivery.url:
            return
        name = f"{member.id}/{delivery.id}"
        self._store.flag(f"disabled:{name}", now.isoformat())
        text = (
            f"the endpoint of {name} wants no more (HTTP {outcome.code}); its findings stay owed. "
            f"'cleanbots deliveries start --member {member.id} --delivery {delivery.id}' tries it again"
        )
        self._notices.operator(f"gone:{name}", text, now)
        if delivery.on_dead:
            about = f"{delivery.url}\nsince {now.isoformat(timespec='seconds')}\nlast answer: {outcome.code}"
            to = addresses(member, [delivery.on_dead])
            self._notices.member("dead-endpoint", member, delivery, to, about, f"gone:{name}:{now:%Y-%m-%d}", now)

    def _refused(self, row: Row, message: Message, outcome: Outcome, now: datetime) -> None:
        """Tell somebody else of the member, and the operator, that a recipient takes nothing."""
        if row.kind not in TELLING or row.mode != "live":
            return
        member, delivery = self._whose(row)
        if member is None or delivery is None:
            return
        said = outcome.answer or str(outcome.code)
        text = (
            f"{row.reference}: {message.recipient} of {member.id} takes nothing for good: {said}. Correct members.yaml"
        )
        if delivery.url:
            self._notices.operator(f"refused:{member.id}/{delivery.id}", text, now)
            return
        others = self._fall_back(row, member, delivery, message, now)
        dead = {message.recipient, *(each["recipient"] for each in row.messages if each["state"] == "refused")}
        alive = [c.mail for c in member.contacts.values() if c.mail and c.mail not in dead]
        self._notices.member("dead-contact", member, delivery, alive, message.recipient, message.recipient, now)
        if not alive and not others:
            text = f"no contact of {member.id} takes mail any more, so {row.reference} reached nobody. Correct members.yaml"
        self._notices.operator(f"refused:{member.id}", text, now)

    def _fall_back(
        self, row: Row, member: Member, delivery: Delivery, message: Message, now: datetime
    ) -> tuple[str, ...]:
        """Render the same delivery for its fallback contacts, unless they have it; give their addresses."""
        known = {each["recipient"] for each in row.messages}
        to = tuple(mail for mail in addresses(member, delivery.fallback) if mail not in known)
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
        return member, member.deliveries.get(row.delivery) if member else None


def _tries(row: Row, message: Message) -> int:
    return sum(
        int(each["attempts"])
        for each in row.messages
        if each["id"] == message.id and each["recipient"] == message.recipient
    )
