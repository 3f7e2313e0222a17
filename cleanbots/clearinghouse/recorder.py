"""Decide for each event which deliveries want it, and record that: what output/members does."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ..clock import Clock
from ..event import Event
from ..expression import compile_expression
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
                suppressed=lane.suppressed(fields, match, label, age),
                urgent=urgent,
                original=original,
                report=report,
            )
            for match in matches
            for lane in self._lanes.get(match.member, ())
        ]


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
