"""Freezing: what was closed is rendered part by part and stored; after that nothing of it ever changes."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from ..errors import Retry
from . import door
from .copies import delivery_of
from .kit import Kit
from .model import TELLING, Delivery, Digest, Member, Message, Mode
from .notices import Notices
from .rendering import digest_of, recipients_of
from .store.protocol import Closed, Row

log = logging.getLogger("cleanbots.courier")

UNFINISHED = "rendering"
"""Why a delivery is held while its parts are being stored, or can't be made; only whoever freezes lets it go."""

_RENDER_AGAIN = timedelta(minutes=10)


def is_unfinished(row: Row) -> bool:
    """Tell whether a delivery is held because its bytes are not there; that can't be approved."""
    return row.state == "held" and row.why.partition(":")[0] == UNFINISHED


class BreakOff(Exception):
    """Work is to be broken off between two parts: the lease was lost, or the process is asked to stop."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is to be frozen.

    Args:
        member, delivery: whose.
        kind: of the digest.
        mode: in which it was closed.
        closed: what is told.
        until: where its period ends.
        hold: why an operator must approve it first, or "".
    """

    member: Member
    delivery: Delivery
    kind: str
    mode: Mode
    closed: Closed
    until: datetime
    hold: str = ""

    def held(self, why: str) -> "Job":
        """Give the job with a reason why an operator must approve it first."""
        return msgspec.structs.replace(self, hold=why)


class Freezer:
    """Freezes the deliveries of one channel.

    Args:
        kit: store, hub, members and renderer.
        notices: tells people.
        approvals: remembers which members were reached.
        channel: whose deliveries.
        breathe: called between two parts; raises `BreakOff` to stop there.
    """

    def __init__(
        self, kit: Kit, notices: Notices, approvals: door.Approvals, channel: str, breathe: Callable[[], None]
    ) -> None:
        self._kit = kit
        self._store = kit.store
        self._notices = notices
        self._approvals = approvals
        self._channel = channel
        self._breathe = breathe
        self._render_after: dict[str, datetime] = {}

    def freeze(self, job: Job, now: datetime) -> None:
        """Render part by part; until the last part is stored, the delivery is held as unfinished."""
        reference, member, delivery = job.closed.reference, job.member, job.delivery
        digest = digest_of(
            job.closed,
            kind=job.kind,
            hub=self._kit.hub,
            member=member,
            delivery=delivery,
            mode=job.mode,
            recipients=recipients_of(member, delivery, job.mode, door.tester(self._kit.hub, delivery)),
            until=job.until,
            now=now,
            feeds=self._kit.feeds(now),
        )
        if job.hold:
            self._note_hold(reference, job.hold)
        speaks = False
        try:
            for part, messages in self._kit.renderer.parts(digest, job.closed.findings):
                speaks = speaks or bool(messages)
                self._part(part, messages, job.hold, job.mode)
        except (BreakOff, Retry):
            raise
        except Exception as error:  # a format's code, or a key: this delivery waits, the others go on
            self._render_after[reference] = now + _RENDER_AGAIN
            log.exception("%s can't be rendered", reference)
            self._store.hold(reference, f"{UNFINISHED}: {error}", unrendered=True)
            text = f"{reference} for {member.id} can't be rendered, so it is kept and tried again: {error}"
            command = f"cleanbots deliveries show {reference}"
            self._notices.operator("rendering", "a delivery can't be rendered", text, command, now)
            return
        if job.hold:
            self._note_hold(reference, "")
        if job.mode == "live":
            self._approvals.reach(member.id, now)
            if not self._store.flag(live := f"live:{member.id}/{delivery.id}"):
                self._store.flag(live, reference)
        if job.hold and speaks:
            text = f"{reference} for {member.id} is held: {job.hold}."
            command = f"cleanbots deliveries list --held\ncleanbots deliveries approve {reference}"
            self._notices.operator("held", "deliveries wait for you", text, command, now)

    def finish(self, reason_to_hold: Callable[[Job], str], now: datetime) -> list[str]:
        """Freeze what was closed, but not frozen, when this process or another one died; give the references.

        Args:
            reason_to_hold: tells again why a live delivery is held, if that was not noted.
            now: the time.
        """
        unfinished = [row for row in self._store.rows(state="closed") if row.channel == self._channel]
        unfinished += [
            row for row in self._store.rows(state="held") if row.channel == self._channel and is_unfinished(row)
        ]
        finished = []
        for row in unfinished:
            if self._render_after.get(row.reference, now) > now:
                continue
            if (job := self._job(row)) is None:
                self._abandon(row, now)
                continue
            if job.mode == "live":
                hold = self._noted_holds().get(row.reference) or reason_to_hold(job)
                job = job.held(hold)
            self.freeze(job, now)
            finished.append(row.reference)
        return finished

    def _job(self, row: Row) -> Job | None:
        member = self._kit.members().members.get(row.member)
        delivery = delivery_of(member, row.delivery) if member else None
        if row.kind not in TELLING or member is None or delivery is None:
            return None
        mode: Mode = row.mode  # type: ignore[assignment]  # the store has what was given to it
        closed = self._store.closed(row.reference)
        return Job(member=member, delivery=delivery, kind=row.kind, mode=mode, closed=closed, until=row.created)

    def _part(self, part: Digest, messages: list[Message], hold: str, mode: Mode) -> None:
        last = part.part == part.parts
        self._store.freeze(part, messages, hold=hold if last else UNFINISHED, mode=mode, files={})
        if not last:
            self._breathe()

    def _note_hold(self, reference: str, hold: str) -> None:
        """Remember beside the store's states why a delivery that is being rendered is to be held, for after a crash."""
        noted = self._noted_holds()
        if noted.get(reference, "") != hold:
            noted = {**noted, reference: hold} if hold else {r: why for r, why in noted.items() if r != reference}
            self._store.flag(f"holds:{self._channel}", msgspec.json.encode(noted).decode() if noted else "")

    def _noted_holds(self) -> dict[str, str]:
        text = self._store.flag(f"holds:{self._channel}")
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}

    def _abandon(self, row: Row, now: datetime) -> None:
        """Take a delivery off the list whose text, member or delivery is gone: it is kept as a preview without bytes."""
        log.warning("%s (%s of %s) was never rendered and can't be any more", row.reference, row.kind, row.member)
        digest = digest_of(
            self._store.closed(row.reference),
            kind=row.kind,
            hub=self._kit.hub,
            member=Member(id=row.member, name=row.member),
            delivery=Delivery(id=row.delivery, channel=row.channel),
            mode="preview",
            recipients=(),
            until=row.created,
            now=now,
        )
        self._store.freeze(digest, [], hold="", mode="preview", files={})
