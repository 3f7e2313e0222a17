"""Making deliveries: what is due is closed, rendered once and frozen; after that nothing of it ever changes."""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from ..errors import Retry
from . import door
from .model import Delivery, Digest, Feed, Hub, Match, Member, Message, Mode
from .notices import Notices
from .rendering import Renderer, digest_of, recipients_of
from .schedule import (
    Owed,
    blacked_out,
    budget_gap,
    is_due,
    is_sign_of_life_due,
    midnight_after,
    no_news_before,
    slots_of,
)
from .store.protocol import Closed, Closing, Due, Row, Store
from .webhook import tells_still

log = logging.getLogger("cleanbots.courier")

UNFINISHED = "rendering"
"""Why a delivery is held while its parts are being stored; only the maker lets it go."""
TELLING = frozenset({"digest", "urgent", "baseline", "empty"})
"""Kinds of deliveries that tell findings, or that there are none."""

_SCANS_MAX_AGE = 7 * 86400.0
_RENDER_AGAIN = timedelta(minutes=10)
_LOOK_AGAIN = timedelta(hours=1)
_MAIL_MOST, _WEBHOOK_MOST = 200_000, 5_000
_DROP_AT_ONCE = 1000


class BreakOff(Exception):
    """Making is to be broken off between two parts: the lease was lost, or the process is asked to stop."""


class Members(Protocol):
    """What is asked of `cleanbots.clearinghouse.members.Registry`."""

    @property
    def version(self) -> str:
        """Hash of the registry."""
        ...

    @property
    def members(self) -> Mapping[str, Member]:
        """Members by id."""
        ...

    def still_holds(self, fields: Mapping[str, Any], match: Match, now: datetime) -> bool:
        """Tell whether the claim that made *match* still holds."""
        ...


class Maker:
    """Makes the deliveries of one channel.

    Args:
        store: findings, dues and deliveries.
        hub: who we are, and the limits.
        members: gives the registry in use.
        renderer: renders digests.
        notices: tells people.
        channel: whose deliveries.
        awake: since when this process works.
        config_version: hash of the configuration, for the ledger.
        feeds: gives the health of the feeds.
        breathe: called between two parts and two deliveries, so that urgent things and the lease don't wait for a big
            digest; raises `BreakOff` to stop there.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        members: Callable[[], Members],
        renderer: Renderer,
        notices: Notices,
        *,
        channel: str,
        awake: datetime,
        config_version: str = "",
        feeds: Callable[[], tuple[Feed, ...]] = tuple,
        breathe: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._hub = hub
        self._members = members
        self._renderer = renderer
        self._notices = notices
        self._channel = channel
        self._awake = awake
        self._config_version = config_version
        self._feeds = feeds
        self._breathe = breathe
        self._approvals = door.Approvals(store)
        self._last: dict[tuple[str, str], datetime | None] = {}
        self._looked: dict[tuple[str, str], datetime] = {}
        self._render_after: dict[str, datetime] = {}
        self._waiting: set[str] = set()

    def make(self, now: datetime, *, only_immediate: bool = False) -> list[str]:
        """Close and freeze what is due now; give the references.

        Args:
            now: the time.
            only_immediate: leave everything else for later; nothing is breathed in between.
        """
        made: list[str] = []
        if not only_immediate:
            made += self._finish(now)
        stops = door.stops(self._store)
        registry = self._members()
        dues = self._store.due(now, self._immediate(registry) if only_immediate else None)
        newcomers = self._newcomers(dues, registry, now, only_immediate=only_immediate)
        for member, delivery, due in self._due(dues, registry, now, only_immediate=only_immediate):
            if stops.why(member.id, delivery.id) or self._is_shut(member, delivery):
                continue
            made += self._one(member, delivery, due, registry, newcomers, now)
            if not only_immediate:
                self._breathe()
                stops = door.stops(self._store)
        if not only_immediate:
            made += self._signs_of_life(registry, {(due.member, due.delivery) for due in dues}, stops, newcomers, now)
        return made

    # -- what is due

    def _immediate(self, registry: Members) -> set[tuple[str, str]]:
        return {
            (member.id, delivery.id)
            for member in registry.members.values()
            for delivery in member.deliveries.values()
            if delivery.channel == self._channel and slots_of(delivery) is None
        }

    def _due(
        self, dues: list[Due], registry: Members, now: datetime, *, only_immediate: bool
    ) -> Iterator[tuple[Member, Delivery, Due]]:
        """Give what is due, immediate deliveries first."""
        found = []
        for due in dues:
            member = registry.members.get(due.member)
            delivery = member.deliveries.get(due.delivery) if member else None
            if member is None or delivery is None or delivery.channel != self._channel:
                continue
            immediate = slots_of(delivery) is None
            if (immediate or not only_immediate) and self._is_due(member, delivery, due, now):
                found.append((not immediate, due.oldest, member, delivery, due))
        for _, _, member, delivery, due in sorted(found, key=lambda each: each[:2]):
            yield member, delivery, due

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

    def _newcomers(self, dues: list[Due], registry: Members, now: datetime, *, only_immediate: bool) -> int:
        """Count the members that are, or would be, reached for the first time today."""
        if self._hub.mode != "live":
            return 0
        waiting = {due.member for due in dues if (m := registry.members.get(due.member)) and m.state == "live"}
        # A look at the immediate ones alone sees few of those who wait: the others are still to be reached, too.
        self._waiting = self._waiting | waiting if only_immediate else waiting
        return self._approvals.reached_today(now) + sum(not self._approvals.reached(member) for member in self._waiting)

    def _is_shut(self, member: Member, delivery: Delivery) -> bool:
        """Tell whether its endpoint is disabled, or has not answered a ping yet."""
        name = f"{member.id}/{delivery.id}"
        return bool(delivery.url and self._store.flag(f"disabled:{name}"))

    # -- one delivery

    def _one(
        self, member: Member, delivery: Delivery, due: Due, registry: Members, newcomers: int, now: datetime
    ) -> list[str]:
        key = (member.id, delivery.id)
        if member.state == "left":
            self._drop(member, delivery, lambda *_: "given_up")
            return []
        mode = door.mode_of(self._hub, member, delivery, door.today_of(delivery, now))
        if mode is None or self._waits_for_approval(member, delivery, mode):
            self._looked[key] = now
            return []
        if mode == "live" and delivery.url and not self._answers(member, delivery, registry, now):
            return []
        self._drop(member, delivery, _Stale(delivery, registry, now))
        # Rows above TLP:AMBER travel in a digest of their own, so that the others may be passed on.
        apart = 0 < due.strict < due.owed
        made = self._make(member, delivery, self._kind(member, delivery, due, mode), mode, newcomers, now, apart=apart)
        self._looked[key] = now
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
        closing = Closing(
            member=member.id,
            delivery=delivery.id,
            channel=self._channel,
            kind=kind,
            until=now,
            now=now,
            prefix=self._hub.reference,
            quiet=delivery.quiet,
            repeat=delivery.repeat,
            excepted=delivery.except_,
            members_version=self._members().version,
            config_version=self._config_version,
            most=_WEBHOOK_MOST if delivery.url else _MAIL_MOST,
            mode=mode,
            still=tells_still(delivery),
        )
        if apart:
            made = self._store.close_apart(closing)
        else:
            closed = self._store.close(closing)
            made = [] if closed is None else [closed]
        if made:
            self._last[member.id, delivery.id] = now
        for closed in made:
            hold = self._reason_to_hold(member, delivery, closed, median, newcomers) if mode == "live" else ""
            self._render(member, delivery, kind, mode, closed, hold, now, now)
        return [closed.reference for closed in made]

    def _reason_to_hold(
        self, member: Member, delivery: Delivery, closed: Closed, median: float | None, newcomers: int
    ) -> str:
        row = self._store.row(closed.reference)
        counts = row.counts if row else {}
        return door.reason_to_hold(
            self._hub,
            member,
            delivery,
            new=counts.get("new", 0) + counts.get("back", 0),
            median=median,
            approvals=self._approvals,
            newcomers=newcomers,
        )

    # -- rendering and freezing

    def _render(
        self,
        member: Member,
        delivery: Delivery,
        kind: str,
        mode: Mode,
        closed: Closed,
        hold: str,
        until: datetime,
        now: datetime,
    ) -> None:
        """Render part by part; until the last part is stored, the delivery is held as unfinished."""
        digest = digest_of(
            closed,
            kind=kind,
            hub=self._hub,
            member=member,
            delivery=delivery,
            mode=mode,
            recipients=recipients_of(member, delivery, mode, door.tester(self._hub, delivery)),
            until=until,
            now=now,
            feeds=self._feeds(),
        )
        self._note_hold(closed.reference, hold)
        speaks = False
        try:
            for part, messages in self._renderer.parts(digest, closed.findings):
                speaks = speaks or bool(messages)
                self._freeze(part, messages, hold, mode)
        except (BreakOff, Retry):
            raise
        except Exception as error:  # a format's code, or a key: this delivery waits, the others go on
            self._render_after[closed.reference] = now + _RENDER_AGAIN
            log.exception("%s can't be rendered", closed.reference)
            text = f"{closed.reference} for {member.id} can't be rendered, so it is kept and tried again: {error}"
            self._notices.operator("rendering", text, now)
            return
        self._note_hold(closed.reference, "")
        if mode == "live":
            self._approvals.reach(member.id, now)
            self._store.flag(f"live:{member.id}/{delivery.id}", closed.reference)
        if hold and speaks:
            text = f"{closed.reference} for {member.id} is held: {hold}. 'cleanbots deliveries list --held' shows what waits"
            self._notices.operator("held", text, now)

    def _freeze(self, part: Digest, messages: list[Message], hold: str, mode: Mode) -> None:
        last = part.part == part.parts
        self._store.freeze(part, messages, hold=hold if last else UNFINISHED, mode=mode, files={})
        if not last:
            self._breathe()

    def _finish(self, now: datetime) -> list[str]:
        """Render what was closed, but not frozen, when this process or another one died."""
        unfinished = [row for row in self._store.rows(state="closed") if row.channel == self._channel]
        unfinished += [
            row for row in self._store.rows(state="held") if row.channel == self._channel and row.why == UNFINISHED
        ]
        finished = []
        for row in unfinished:
            if self._render_after.get(row.reference, now) > now:
                continue
            member = self._members().members.get(row.member)
            delivery = member.deliveries.get(row.delivery) if member else None
            if row.kind not in TELLING or member is None or delivery is None:
                self._abandon(row, now)
                continue
            mode: Mode = row.mode  # type: ignore[assignment]  # the store has what was given to it
            closed = self._store.closed(row.reference)
            hold = self._hold_again(row, member, delivery, closed) if mode == "live" else ""
            self._render(member, delivery, row.kind, mode, closed, hold, row.created, now)
            finished.append(row.reference)
        return finished

    def _note_hold(self, reference: str, hold: str) -> None:
        """Remember beside the store's states why a delivery that is being rendered is to be held, for after a crash."""
        noted = self._noted_holds()
        if noted.get(reference, "") != hold:
            noted = {**noted, reference: hold} if hold else {r: why for r, why in noted.items() if r != reference}
            self._store.flag(f"holds:{self._channel}", msgspec.json.encode(noted).decode() if noted else "")

    def _noted_holds(self) -> dict[str, str]:
        text = self._store.flag(f"holds:{self._channel}")
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}

    def _hold_again(self, row: Row, member: Member, delivery: Delivery, closed: Closed) -> str:
        if noted := self._noted_holds().get(row.reference):
            return noted
        median = self._store.median_size(member.id, delivery.id)
        return self._reason_to_hold(member, delivery, closed, median, self._approvals.reached_today(row.created))

    def _abandon(self, row: Row, now: datetime) -> None:
        """Take a delivery off the list whose text, member or delivery is gone: it is kept as a preview without bytes."""
        log.warning("%s (%s of %s) was never rendered and can't be any more", row.reference, row.kind, row.member)
        digest = digest_of(
            self._store.closed(row.reference),
            kind=row.kind,
            hub=self._hub,
            member=Member(id=row.member, name=row.member),
            delivery=Delivery(id=row.delivery, channel=row.channel),
            mode="preview",
            recipients=(),
            until=row.created,
            now=now,
        )
        self._store.freeze(digest, [], hold="", mode="preview", files={})

    # -- pings and signs of life

    def _answers(self, member: Member, delivery: Delivery, registry: Members, now: datetime) -> bool:
        """Tell whether an endpoint answered a ping; send it one if it never got any."""
        flag = f"ping:{member.id}/{delivery.id}:{delivery.url}"
        known = self._store.flag(flag)
        if known == "answered":
            return True
        row = self._store.row(known) if known else None
        if row is not None and row.state == "given":
            self._store.flag(flag, "answered")
            return True
        if row is None or row.state == "expired":
            self._store.flag(flag, self._ping(member, delivery, registry, now))
        return False

    def _ping(self, member: Member, delivery: Delivery, registry: Members, now: datetime) -> str:
        closed = self._store.close(
            Closing(
                member=member.id,
                delivery="ping",
                channel=self._channel,
                kind="test",
                until=now,
                now=now,
                prefix=self._hub.reference,
                members_version=registry.version,
                config_version=self._config_version,
            )
        )
        if closed is None:
            return ""
        digest = digest_of(
            closed,
            kind="test",
            hub=self._hub,
            member=member,
            delivery=delivery,
            mode="live",
            recipients=(delivery.url,),
            until=now,
            now=now,
        )
        self._store.freeze(digest, self._renderer.messages(digest), hold="", mode="live", files={})
        return closed.reference

    def _signs_of_life(
        self, registry: Members, owing: set[tuple[str, str]], stops: door.Stops, newcomers: int, now: datetime
    ) -> list[str]:
        made = []
        for member in registry.members.values():
            for delivery in member.deliveries.values():
                key = (member.id, delivery.id)
                if delivery.channel != self._channel or delivery.empty == "never" or delivery.url:
                    continue
                last = self._last_closed(key)
                if key in owing and self._looked.get(key, self._awake) < (last or self._awake):
                    continue  # what it owes is told at its own time
                if not is_sign_of_life_due(delivery, last, now, self._awake):
                    continue
                mode = door.mode_of(self._hub, member, delivery, door.today_of(delivery, now))
                shut = stops.why(*key) or blacked_out(delivery, self._hub, now, urgent=False)
                if mode is None or shut or self._waits_for_approval(member, delivery, mode):
                    continue
                made += self._make(member, delivery, "empty", mode, newcomers, now)
                self._breathe()
        return made


class _Stale:
    """Tells why something owed is not to be told any more: its holder changed, or it waited until it was no news."""

    def __init__(self, delivery: Delivery, registry: Members, now: datetime) -> None:
        self._delivery = delivery
        self._registry = registry
        self._now = now
        self._could_be_told = no_news_before(delivery, now)

    def __call__(self, event: dict[str, Any], match: Match) -> str:
        if not self._registry.still_holds(event, match, self._now):
            return "changed-holder"
        seen = event.get("time.source") or event.get("time.observation")
        scan = event.get("classification.taxonomy") == "vulnerable"
        most = max(self._delivery.max_age, _SCANS_MAX_AGE) if scan else self._delivery.max_age
        if seen and (self._could_be_told - datetime.fromisoformat(seen)).total_seconds() > most:
            return "too_old"
        return ""
