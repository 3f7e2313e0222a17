"""Decide for each event which deliveries want it, and record that: what output/members does."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ..clock import Clock
from ..event import Event
from ..expression import compile_expression
from .copies import copies
from .findings import VERSION, finding_id
from .members import Registry
from .model import Delivery, Match, Member
from .store.protocol import Recorded, Store

SCAN_AGE = 7 * 86400.0
"""Seconds after which what a scan saw is no news, unless the delivery allows more: scans reach us days later."""

_TLP = ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED")
_WITHOUT_LABEL = "AMBER+STRICT"
_RANK = {label: rank for rank, label in enumerate(_TLP)}
_AMBER = _RANK["AMBER"]
_RED = _RANK["RED"]
_ROLES = ("act", "relay", "inform")


class Recorder:
    """Records events for the deliveries of the members that they match.

    Args:
        store: where to.
        members: gives the registry in use, for example ``RegistryFile(…).get``; asked once a batch.
        clock: what time it is.
    """

    def __init__(self, store: Store, members: Callable[[], Registry], clock: Clock) -> None:
        self._store = store
        self._members = members
        self._clock = clock
        self._version: Registry | None = None
        self._lanes: dict[str, list[_Lane]] = {}
        self._copies: dict[str, _Copies] = {}

    def record(self, events: Sequence[Event]) -> Mapping[str, int]:
        """Record *events*; an event that was recorded before changes nothing.

        Returns:
            counts: ``recorded`` and ``known`` (observations for deliveries), ``new`` (findings), ``nobody`` (events
            that no delivery hears of).

        Raises:
            Retry: if the store is away.
        """
        self._refresh()
        now = self._clock.now()
        rows: list[Recorded] = []
        nobody: dict[str, str] = {}
        for event in events:
            made = self._rows(event, now)
            rows += made
            if not made:
                nobody[event.id] = "undelivered" if event.get("matches") else "unmatched"
        return self._store.record(rows, now, nobody)

    def _refresh(self) -> None:
        registry = self._members()
        if registry is not self._version:
            self._version = registry
            self._lanes = {
                member.id: [_Lane(member, delivery) for delivery in member.deliveries.values()]
                for member in registry.members.values()
            }
            self._copies = {}

    def _rows(self, event: Event, now: datetime) -> list[Recorded]:
        fields = event.fields
        matches = best_matches(fields.get("matches") or ())
        if not matches:
            return []
        finding = finding_id(fields)
        label = _RANK.get(fields.get("tlp", _WITHOUT_LABEL), _RED)
        age = _age(fields, now)
        original, report = _original(event)
        urgent = fields.get("priority") == "urgent"
        return [
            Recorded(
                event=fields,
                finding=finding,
                version=VERSION,
                member=match.member,
                delivery=lane.delivery,
                match=match,
                suppressed=why or lane.suppressed(fields, match, label, age),
                urgent=urgent,
                original=original,
                report=report,
            )
            for match in matches
            for lane, why in self._told(match)
        ]

    def _told(self, match: Match) -> Iterator[tuple["_Lane", str]]:
        """Give the lanes of a match: the member's own, or why these are not told, and those of its customers."""
        addresses = filter(None, (match.customer_contact, *match.other_contacts))
        customers = [lane for address in addresses for lane in self._copies_for(match.member, address)]
        instead = "customer" if customers and match.share == "customer" else ""
        for lane in self._lanes.get(match.member, ()):
            yield lane, instead
        for lane in customers:
            yield lane, ""

    def _copies_for(self, member: str, address: str) -> list["_Lane"]:
        known = self._version.members.get(member) if self._version is not None else None
        if known is None:
            return []
        if member not in self._copies:
            self._copies[member] = _Copies(known)
        return self._copies[member].lanes(address)


class _Lane:
    """A delivery, ready to decide for many events."""

    def __init__(self, member: Member, delivery: Delivery) -> None:
        self.delivery = delivery.id
        self._relay = member.kind == "relay"
        self._roles = frozenset({"act", "relay", *delivery.also})
        self._ceiling = _RANK.get(delivery.tlp, _AMBER)
        self._inventory = delivery.inventory
        self._wanted = compile_expression(delivery.filter) if delivery.filter else None
        self._max_age = delivery.max_age
        self._scan_age = max(delivery.max_age, SCAN_AGE)

    def suppressed(self, fields: Mapping[str, Any], match: Match, label: int, age: float) -> str:
        """Say why an event is not told here, or "" if it is."""
        if match.role not in self._roles:
            return "role"
        if label > self._ceiling or label >= _RED or (label > _AMBER and (self._relay or match.role == "relay")):
            return "tlp"
        if not self._inventory and fields.get("kind") == "inventory":
            return "inventory"
        if self._wanted is not None and not self._wanted(fields):
            return "filter"
        scan = fields.get("classification.taxonomy") == "vulnerable"
        return "too_old" if age > (self._scan_age if scan else self._max_age) else ""


class _Copies:
    """The copies to a member's customers, made ready when one is first told of something."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._refs = {address: ref for ref, address in member.customers.items()}
        self._lanes: dict[str, list[_Lane]] = {}

    def lanes(self, address: str) -> list[_Lane]:
        """Give the lanes of a customer; none, if the member has no such customer."""
        if address not in self._lanes:
            ref = self._refs.get(address, "")
            self._lanes[address] = [_Lane(self._member, copy) for copy in copies(self._member, ref)]
        return self._lanes[address]


def best_matches(matches: Sequence[Mapping[str, Any]]) -> list[Match]:
    """Give one match for each member: the one by which it is to act, else to pass on, else to know; the first of them."""
    best: dict[str, Match] = {}
    for found in matches:
        match = msgspec.convert(found, Match)
        known = best.get(match.member)
        if known is None or _ROLES.index(match.role) < _ROLES.index(known.role):
            best[match.member] = match
    return list(best.values())


def _age(fields: Mapping[str, Any], now: datetime) -> float:
    text = fields.get("time.source") or fields.get("time.observation")
    return (now - datetime.fromisoformat(text)) / timedelta(seconds=1) if text else 0.0


def _original(event: Event) -> tuple[str, str]:
    """Give the original if the notifier lets it be shared, and the report's file name."""
    original = event.original() if event.get("feed.share_raw") else None
    origin = event.origins.get(event.id.partition("-")[0], {})
    return original or "", str(origin.get("name", ""))
