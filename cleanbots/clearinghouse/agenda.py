"""What of one channel is due: owed findings whose time has come, and signs of life."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from .copies import delivery_of, every_delivery
from .kit import Kit, Members
from .model import TELLING, Delivery, Member
from .schedule import Owed, blacked_out, budget_gap, is_due, is_sign_of_life_due, midnight_after, slots_of
from .store.protocol import Due

_LOOK_AGAIN = timedelta(hours=1)


class Agenda:
    """Tells what is due, and remembers what was looked at.

    Args:
        kit: store, hub, members and renderer.
        channel: whose deliveries.
        awake: since when this process works.
    """

    def __init__(self, kit: Kit, channel: str, awake: datetime) -> None:
        self._store = kit.store
        self._hub = kit.hub
        self._channel = channel
        self._awake = awake
        self._last: dict[tuple[str, str], datetime | None] = {}
        self._looked: dict[tuple[str, str], datetime] = {}
        self._immediate: tuple[Members, set[tuple[str, str]]] | None = None

    def looked(self, member: Member, delivery: Delivery, now: datetime) -> None:
        """Remember that what a delivery owes was looked at, whether it had something to tell or not."""
        self._looked[member.id, delivery.id] = now

    def closed(self, member: Member, delivery: Delivery, now: datetime) -> None:
        """Remember that a delivery was closed."""
        self._last[member.id, delivery.id] = now

    def immediate(self, registry: Members) -> set[tuple[str, str]]:
        """Give the (member, delivery) of those that keep no time slots."""
        if self._immediate is None or self._immediate[0] is not registry:
            found = {
                (member.id, delivery.id)
                for member in registry.members.values()
                for delivery in every_delivery(member)
                if delivery.channel == self._channel and slots_of(delivery) is None
            }
            self._immediate = registry, found
        return self._immediate[1]

    def due(
        self, dues: list[Due], registry: Members, now: datetime, *, only_immediate: bool
    ) -> Iterator[tuple[Member, Delivery, Due]]:
        """Give what is due, immediate deliveries first."""
        found = []
        for due in dues:
            member = registry.members.get(due.member)
            delivery = delivery_of(member, due.delivery) if member else None
            if member is None or delivery is None or delivery.channel != self._channel:
                continue
            immediate = slots_of(delivery) is None
            if (immediate or not only_immediate) and self._is_due(member, delivery, due, now):
                found.append((not immediate, due.oldest, member, delivery, due))
        for _, _, member, delivery, due in sorted(found, key=lambda each: each[:2]):
            yield member, delivery, due

    def silent(
        self, registry: Members, owing: set[tuple[str, str]], now: datetime
    ) -> Iterator[tuple[Member, Delivery]]:
        """Give the deliveries that are to say that there is nothing to say.

        Args:
            registry: has them.
            owing: (member, delivery) of those that owe something; they tell it at their own time.
            now: the time.
        """
        for member in registry.members.values():
            for delivery in member.deliveries.values():
                key = (member.id, delivery.id)
                if delivery.channel != self._channel or delivery.empty == "never" or delivery.url:
                    continue
                last = self._last_closed(key)
                if key in owing and self._looked.get(key, self._awake) < (last or self._awake):
                    continue
                due = is_sign_of_life_due(delivery, last, now, self._awake)
                if due and blacked_out(delivery, self._hub, now, urgent=False) is None:
                    yield member, delivery

    def _is_due(self, member: Member, delivery: Delivery, due: Due, now: datetime) -> bool:
        key = (member.id, delivery.id)
        last = self._last_closed(key)
        looked = self._looked.get(key)
        if slots_of(delivery) is None:
            if looked is not None and due.newest <= looked and now - looked < _LOOK_AGAIN:
                return False  # what is owed had nothing to tell, and nothing was added to it
        elif looked is not None:
            last = max(last or looked, looked)
        if not is_due(delivery, self._hub, Owed(due.oldest, due.newest), last, now, self._awake):
            return False
        if blacked_out(delivery, self._hub, now, urgent=due.urgent > 0):
            return False
        return self._has_budget(member, delivery, last, now)

    def _has_budget(self, member: Member, delivery: Delivery, last: datetime | None, now: datetime) -> bool:
        if delivery.url or last is None:
            return True
        begin = midnight_after(delivery.timezone, now) - timedelta(days=1)
        if last < begin:
            return True
        rows = self._store.rows(member=member.id, since=begin)
        today = sum(row.delivery == delivery.id and row.kind in TELLING for row in rows)
        return (now - last).total_seconds() >= budget_gap(delivery, today, now)

    def _last_closed(self, key: tuple[str, str]) -> datetime | None:
        if key not in self._last:
            self._last[key] = self._store.last_closed(*key)
        return self._last[key]
