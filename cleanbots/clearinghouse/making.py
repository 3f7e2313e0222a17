"""Making deliveries: what is due is closed and frozen; what is told no more is taken off the books."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from . import door
from .agenda import Agenda
from .alarms import Alarms
from .freezing import Freezer, Job
from .kit import Kit, Members
from .model import Delivery, Match, Member, Mode
from .notices import Notices
from .pings import Pings
from .schedule import no_news_before, slots_of
from .store.protocol import Closing, Due
from .webhook import tells

_SCANS_MAX_AGE = 7 * 86400.0
_MAIL_MOST, _WEBHOOK_MOST = 200_000, 5_000
_DROP_AT_ONCE = 1000


class Maker:
    """Makes the deliveries of one channel.

    Args:
        kit: store, hub, members and renderer.
        notices: tells people.
        channel: whose deliveries.
        awake: since when this process works.
        breathe: called between two parts and two deliveries, so that urgent things and the lease don't wait for a big
            digest; raises `BreakOff` to stop there.
    """

    def __init__(
        self,
        kit: Kit,
        notices: Notices,
        *,
        channel: str,
        awake: datetime,
        breathe: Callable[[], None] = lambda: None,
    ) -> None:
        self._kit = kit
        self._store = kit.store
        self._hub = kit.hub
        self._channel = channel
        self._breathe = breathe
        self._approvals = door.Approvals(kit.store)
        self._agenda = Agenda(kit, channel, awake)
        self._alarms = Alarms(kit, notices, channel)
        self._freezer = Freezer(kit, notices, self._approvals, channel, breathe)
        self._pings = Pings(kit, channel)
        self._waiting: set[str] = set()

    def make(self, now: datetime, *, only_immediate: bool = False) -> list[str]:
        """Close and freeze what is due now; give the references.

        Args:
            now: the time.
            only_immediate: leave everything else for later; nothing is breathed in between.
        """
        made: list[str] = []
        if not only_immediate:
            made += self._freezer.finish(self._hold_again, now)
        stops = door.stops(self._store)
        registry = self._kit.members()
        dues = self._store.due(now, self._agenda.immediate(registry) if only_immediate else None)
        if not only_immediate:
            self._alarms.look(dues, registry, now)
        newcomers = self._newcomers(dues, registry, now, only_immediate=only_immediate)
        for member, delivery, due in self._agenda.due(dues, registry, now, only_immediate=only_immediate):
            if stops.why(member.id, delivery.id) or self._is_shut(member, delivery):
                continue
            made += self._one(member, delivery, due, registry, newcomers, now)
            if not only_immediate:
                self._breathe()
                stops = door.stops(self._store)
        if not only_immediate:
            made += self._signs_of_life(registry, {(due.member, due.delivery) for due in dues}, stops, newcomers, now)
        return made

    def _newcomers(self, dues: list[Due], registry: Members, now: datetime, *, only_immediate: bool) -> int:
        """Count the members that are, or would be, reached for the first time today."""
        if self._hub.mode != "live":
            return 0
        waiting = {due.member for due in dues if (m := registry.members.get(due.member)) and m.state == "live"}
        # A look at the immediate ones alone sees few of those who wait: the others are still to be reached, too.
        self._waiting = self._waiting | waiting if only_immediate else waiting
        return self._approvals.reached_today(now) + sum(not self._approvals.reached(member) for member in self._waiting)

    def _is_shut(self, member: Member, delivery: Delivery) -> bool:
        """Tell whether its endpoint wanted no more."""
        return bool(delivery.url and self._store.flag(f"disabled:{member.id}/{delivery.id}"))

    def _signs_of_life(
        self, registry: Members, owing: set[tuple[str, str]], stops: door.Stops, newcomers: int, now: datetime
    ) -> list[str]:
        made = []
        for member, delivery in self._agenda.silent(registry, owing, now):
            mode = door.mode_of(self._hub, member, delivery, door.today_of(delivery, now))
            shut = stops.why(member.id, delivery.id)
            if mode is None or shut or self._waits_for_approval(member, delivery, mode):
                continue
            made += self._make(member, delivery, "empty", mode, newcomers, now)
            self._breathe()
        return made

    # -- one delivery

    def _one(
        self, member: Member, delivery: Delivery, due: Due, registry: Members, newcomers: int, now: datetime
    ) -> list[str]:
        if member.state == "left":
            self._drop(member, delivery, lambda *_: "given_up")
            return []
        mode = door.mode_of(self._hub, member, delivery, door.today_of(delivery, now))
        if mode is None or self._waits_for_approval(member, delivery, mode):
            self._agenda.looked(member, delivery, now)
            return []
        if mode == "live" and delivery.url and not self._pings.answered(member, delivery, now):
            return []
        self._drop(member, delivery, _Stale(delivery, registry, now))
        # Rows above TLP:AMBER travel in a digest of their own, so that the others may be passed on.
        apart = 0 < due.strict < due.owed
        made = self._make(member, delivery, self._kind(member, delivery, due, mode), mode, newcomers, now, apart=apart)
        self._agenda.looked(member, delivery, now)
        return made

    def _kind(self, member: Member, delivery: Delivery, due: Due, mode: Mode) -> str:
        if slots_of(delivery) is None:
            return "urgent" if due.urgent else "digest"
        first = mode == "live" and not self._store.flag(f"live:{member.id}/{delivery.id}")
        return "baseline" if first else "digest"

    def _waits_for_approval(self, member: Member, delivery: Delivery, mode: Mode) -> bool:
        """Tell whether the first delivery is still held: what comes meanwhile stays owed, and nothing piles up."""
        if mode != "live" or not self._hub.approve_first or self._approvals.approved(member.id, delivery.id):
            return False
        held = self._store.rows(member=member.id, state="held")
        return any(row.delivery == delivery.id and row.mode == "live" for row in held)

    def _drop(self, member: Member, delivery: Delivery, judge: Callable[[dict[str, Any], Match], str]) -> None:
        reasons: dict[str, list[str]] = {}
        for event_id, event, match in self._store.owed(member.id, delivery.id):
            if reason := judge(event, match):
                reasons.setdefault(reason, []).append(event_id)
        for reason, ids in reasons.items():
            for start in range(0, len(ids), _DROP_AT_ONCE):
                self._store.drop(member.id, ids[start : start + _DROP_AT_ONCE], reason, delivery.id)

    def _make(
        self,
        member: Member,
        delivery: Delivery,
        kind: str,
        mode: Mode,
        newcomers: int,
        now: datetime,
        *,
        apart: bool = False,
    ) -> list[str]:
        """Close, render and freeze; *apart* makes two digests of it. Give the references."""
        median = self._store.median_size(member.id, delivery.id)
        closing = closing_of(self._kit, member, delivery, kind, mode, now)
        if apart:
            made = self._store.close_apart(closing)
        else:
            closed = self._store.close(closing)
            made = [] if closed is None else [closed]
        if made:
            self._agenda.closed(member, delivery, now)
        for closed in made:
            job = Job(member=member, delivery=delivery, kind=kind, mode=mode, closed=closed, until=now)
            if mode == "live":
                job = job.held(self._reason_to_hold(job, median, newcomers))
            self._freezer.freeze(job, now)
        return [closed.reference for closed in made]

    def _hold_again(self, job: Job) -> str:
        median = self._store.median_size(job.member.id, job.delivery.id)
        return self._reason_to_hold(job, median, self._approvals.reached_today(job.until))

    def _reason_to_hold(self, job: Job, median: float | None, newcomers: int) -> str:
        row = self._store.row(job.closed.reference)
        counts = row.counts if row else {}
        return door.reason_to_hold(
            self._hub,
            job.member,
            job.delivery,
            new=counts.get("new", 0) + counts.get("back", 0),
            median=median,
            approvals=self._approvals,
            newcomers=newcomers,
        )


def closing_of(kit: Kit, member: Member, delivery: Delivery, kind: str, mode: Mode, now: datetime) -> Closing:
    """Say how a member's delivery is closed now."""
    return Closing(
        member=member.id,
        delivery=delivery.id,
        channel=delivery.channel,
        kind=kind,
        until=now,
        now=now,
        prefix=kit.hub.reference,
        quiet=delivery.quiet,
        repeat=delivery.repeat,
        excepted=delivery.except_,
        members_version=kit.members().version,
        config_version=kit.config_version,
        most=_WEBHOOK_MOST if delivery.url else _MAIL_MOST,
        mode=mode,
        tells=tells(delivery),
    )


class _Stale:
    """Tells why something owed is not to be told any more: its holder changed, or it waited until it was no news."""

    def __init__(self, delivery: Delivery, registry: Members, now: datetime) -> None:
        self._delivery = delivery
        self._registry = registry
        self._now = now
        self._customer = delivery.customer.mail if delivery.customer else ""
        self._could_be_told = no_news_before(delivery, now)

    def __call__(self, event: dict[str, Any], match: Match) -> str:
        if not self._registry.still_holds(event, match, self._now, self._customer):
            return "changed-holder"
        seen = event.get("time.source") or event.get("time.observation")
        scan = event.get("classification.taxonomy") == "vulnerable"
        most = max(self._delivery.max_age, _SCANS_MAX_AGE) if scan else self._delivery.max_age
        if seen and (self._could_be_told - datetime.fromisoformat(seen)).total_seconds() > most:
            return "too_old"
        return ""
