"""The door to the outside: what may leave, to whom, how fast, and what waits until an operator has looked at it.

It is shut until told otherwise. Everything that shuts or opens it is a durable fact in the store, so that it holds
across restarts and for every process; it is asked before every single hand-over.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from ..clock import iso
from .copies import base_of
from .model import Delivery, Hub, Member, Mode
from .schedule import zone_of
from .store.protocol import Row, Store

GROWTH_FROM = 20
"""New findings below which growth is no reason to hold a digest: from 2 to 11 is a bad day, not an accident."""

_LEVEL = {"preview": 0, "test": 1, "live": 2}
_STOP = "stop"
_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
DAY = timedelta(days=1)
"""How far back the rates count."""


# -- who is told at all


def mode_of(hub: Hub, member: Member, delivery: Delivery, today: date) -> Mode | None:
    """Give the mode in which a member's delivery is made now, or None if nothing is made for it.

    The hub's mode is the most that may happen. A member that is invited, paused or gone gets nothing; one in state
    ``test`` goes to the testers. Where there is no tester to go to, a test is a preview.
    """
    if member.state in ("invited", "left") or is_paused(member, today):
        return None
    wanted: Mode = "test" if member.state == "test" else "live"
    mode = min(hub.mode, wanted, key=_LEVEL.__getitem__)
    if mode == "test" and not tester(hub, delivery):
        return "preview"
    return mode


def is_paused(member: Member, today: date) -> bool:
    """Tell whether a member is paused today; ``paused_until`` is the first day on which it is not."""
    return member.state == "paused" and (not member.paused_until or today < date.fromisoformat(member.paused_until))


def tester(hub: Hub, delivery: Delivery) -> str:
    """Give where a test of this delivery goes: the testers' URL or mail address; "" if there is none."""
    return hub.test_url if delivery.url else hub.test_to


def may_be_handed_over(hub: Hub, row: Row, recipient: str) -> str:
    """Tell why a frozen message must not leave in the hub's present mode; "" if it may.

    What was frozen in one mode never leaves in a lower one, and what was frozen as a test only goes to the testers.
    """
    if row.mode == "preview" or _LEVEL[hub.mode] < _LEVEL[row.mode]:
        return f"frozen in mode {row.mode}, and the hub is in mode {hub.mode}"
    if row.mode == "test" and recipient not in (hub.test_to, hub.test_url):
        return "a test goes to the testers only"
    return ""


# -- stop and start


class Stops(msgspec.Struct, frozen=True):
    """What is stopped: ``*`` for all, a member's id, ``<member>/<delivery>``, or ``*/<delivery>``."""

    names: frozenset[str] = frozenset()

    def why(self, member: str, delivery: str) -> str:
        """Tell by which stop a delivery is stopped, or ""."""
        own = base_of(delivery)  # what stops a delivery stops the copies of it
        candidates = ("*", member, f"{member}/{delivery}", f"*/{delivery}", f"{member}/{own}", f"*/{own}")
        return next((name for name in candidates if name in self.names), "")


def stops(store: Store) -> Stops:
    """Read what is stopped."""
    text = store.flag(_STOP)
    return msgspec.json.decode(text, type=Stops) if text else Stops()


def stop_name(member: str = "", delivery: str = "") -> str:
    """Give the name of a stop: of everything, of a member, of a delivery, or of a member's delivery."""
    return f"{member or '*'}/{delivery}" if delivery else member or "*"


def stop(store: Store, member: str = "", delivery: str = "") -> str:
    """Stop everything, a member, or a delivery; it takes effect before the next hand-over. Give the stop's name."""
    name = stop_name(member, delivery)
    _write_stops(store, stops(store).names | {name})
    return name


def start(store: Store, member: str = "", delivery: str = "") -> list[str]:
    """Take back stops: all of them, or those of a member or a delivery. Give the names of those that were taken back."""
    present = stops(store).names
    if member or delivery:
        gone = {name for name in present if _covers(stop_name(member, delivery), name)}
    else:
        gone = set(present)
    _write_stops(store, present - gone)
    return sorted(gone)


def _covers(name: str, stopped: str) -> bool:
    return stopped == name or ("/" not in name and stopped.startswith(f"{name}/"))


def _write_stops(store: Store, names: frozenset[str]) -> None:
    store.flag(_STOP, msgspec.json.encode({"names": sorted(names)}).decode() if names else "")


# -- what waits for an operator


class Approvals:
    """Which deliveries an operator let reach their member, and which members were reached.

    Args:
        store: keeps it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reached: set[str] = set()

    def approved(self, member: str, delivery: str) -> bool:
        """Tell whether the first live delivery was approved."""
        return bool(self._store.flag(f"approved:{member}") or self._store.flag(f"approved:{member}/{delivery}"))

    def approve(self, member: str, delivery: str, now: datetime) -> None:
        """Let this delivery of the member be live from now on; with *delivery* "" all of the member's."""
        self._store.flag(f"approved:{member}/{delivery}" if delivery else f"approved:{member}", iso(now))

    def reached(self, member: str) -> bool:
        """Tell whether anything was made for the member in mode live."""
        if member not in self._reached and self._store.flag(f"reached:{member}"):
            self._reached.add(member)
        return member in self._reached

    def reach(self, member: str, now: datetime) -> None:
        """Remember that the member is reached, and that it was on this day."""
        if not self.reached(member):
            self._store.flag(f"reached:{member}", iso(now))
            self._store.flag(_reached_on(now), str(self.reached_today(now) + 1))
            self._reached.add(member)

    def reached_today(self, now: datetime) -> int:
        """Give how many members were reached for the first time today (UTC)."""
        return int(self._store.flag(_reached_on(now)) or 0)


def _reached_on(now: datetime) -> str:
    return f"reached-on:{now:%Y-%m-%d}"


def reason_to_hold(
    hub: Hub,
    member: Member,
    delivery: Delivery,
    *,
    new: int,
    median: float | None,
    approvals: Approvals,
    newcomers: int,
) -> str:
    """Tell why a live digest waits for an operator, or "".

    Args:
        hub: has the limits.
        member: whose.
        delivery: which.
        new: how many findings are new or back.
        median: of listed findings in the delivery's former digests; None if there are none.
        approvals: what was approved before.
        newcomers: how many members would be reached for the first time today.
    """
    if hub.approve_first and not approvals.approved(member.id, delivery.id):
        return "first delivery to this member"
    if newcomers > hub.members_at_once and not approvals.reached(member.id):
        return f"{newcomers} members would be reached for the first time (more than {hub.members_at_once})"
    if new > hub.over:
        return f"{new} new findings (more than {hub.over})"
    if median is not None and new >= GROWTH_FROM and new > hub.growth * max(median, 1.0):
        return f"{new} new findings (more than {hub.growth:g} times the median of {median:g})"
    return ""


def today_of(delivery: Delivery, now: datetime) -> date:
    """Give the date of *now* where the member is."""
    return now.astimezone(zone_of(delivery.timezone)).date()


# -- how fast


class Rates:
    """Counts hand-overs: all in an hour, those to one destination in a minute, and mails to one address in a day.

    Args:
        hub: has the limits.
        past: hand-overs of the last day, oldest first, as time and recipient: a restart forgets nothing.
    """

    def __init__(self, hub: Hub, past: Iterable[tuple[datetime, str]] = ()) -> None:
        self._hub = hub
        self._all: deque[datetime] = deque()
        self._by_destination: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self._by_contact: defaultdict[str, deque[datetime]] = defaultdict(deque)
        for moment, recipient in past:
            self.count(recipient, moment)

    def count(self, recipient: str, now: datetime) -> None:
        """Count a hand-over."""
        self._all.append(now)
        self._by_destination[destination(recipient)].append(now)
        if "://" not in recipient:
            self._by_contact[recipient].append(now)

    def is_spent(self, now: datetime) -> bool:
        """Tell whether this hour's hand-overs are used up."""
        _forget(self._all, now - _HOUR)
        return len(self._all) >= self._hub.mails_per_hour

    def contact_free(self, recipient: str, now: datetime) -> datetime | None:
        """Give when an address that got its mails of the day may get another one; None if it may now."""
        times = self._by_contact[recipient]
        _forget(times, now - DAY)
        if not times:
            del self._by_contact[recipient]
        return times[0] + DAY if len(times) >= self._hub.mails_per_contact else None

    def full(self, now: datetime) -> list[str]:
        """Give the destinations that can take nothing in this minute. Endpoints of webhooks have their own pace."""
        found = []
        for name, times in list(self._by_destination.items()):
            _forget(times, now - _MINUTE)
            if not times:
                del self._by_destination[name]
            elif "://" not in name and len(times) >= self._hub.per_domain_per_minute:
                found.append(name)
        return found


def _forget(times: deque[datetime], before: datetime) -> None:
    while times and times[0] <= before:
        times.popleft()


def destination(recipient: str) -> str:
    """Give what one breakdown takes down: the domain of a mail address, or a URL."""
    return recipient if "://" in recipient else recipient.rpartition("@")[2].lower()


def interleaved(waiting: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Give waiting messages so that destinations take turns, each in its own order."""
    lanes: dict[str, deque[tuple[str, Any]]] = {}
    for item in waiting:
        lanes.setdefault(destination(item[1].recipient), deque()).append(item)
    found = []
    while lanes:
        for name in list(lanes):
            found.append(lanes[name].popleft())
            if not lanes[name]:
                del lanes[name]
    return found
