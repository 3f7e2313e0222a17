"""What the clearinghouse's store promises: findings, what is due of them, and deliveries with their books.

States of a delivery: ``closed`` (its findings are fixed, it has its reference; not rendered yet) → ``held`` (an operator
must approve) or ``frozen`` (rendered, its bytes stored) → ``given`` (every recipient accepted or refused, one at least
accepted; or there is no message that it wants), ``expired`` (nobody accepted and nothing is tried any more: what it lists was not told, and the next sighting
is *new* again). Each message (one recipient) is ``waiting``, ``accepted``, ``refused``, ``gone`` or ``expired``.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from ..model import STATES, Digest, Finding, FindingState, Match, Message, Mode, Outcome


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one delivery of one member.

    Args:
        event: canonical fields, ``id`` included.
        finding: the finding's id.
        version: of the rule that made the finding's id.
        member, delivery: whose.
        match: why.
        suppressed: why it is not to be told (``tlp``, ``filter``, ``too_old``, ``inventory``), or "" if it is owed.
        urgent: whether an immediate delivery should not wait for it to gather.
        original: the notifier's row with its header if it may be shared, or "".
        report: the report's file name, or "".
    """

    event: dict[str, Any]
    finding: str
    version: int = 1
    member: str
    delivery: str
    match: Match
    suppressed: str = ""
    urgent: bool = False
    original: str = ""
    report: str = ""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery has to tell.

    Args:
        member, delivery: whose.
        owed: how many observations are owed (a finding may be seen several times).
        oldest, newest: when the first and the last of them were recorded.
        urgent: how many of them should not wait to be gathered.
        strict: how many of them are above TLP:AMBER, for a digest of their own (`Closing.strict`).
    """

    member: str
    delivery: str
    owed: int
    oldest: datetime
    newest: datetime
    urgent: int = 0
    strict: int = 0


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """How a delivery is closed.

    Args:
        member, delivery: which.
        channel: its courier.
        kind: of the digest, see `Digest`.
        until: what was recorded until then is in.
        now: the time of closing.
        prefix: of the reference; the number counts per prefix and day (UTC).
        quiet: seconds without a sighting that make a finding *back*.
        repeat: RSIT taxonomy (or ``other``) to seconds between two mentions.
        excepted: ids of deliveries of the member whose findings are only named.
        members_version: hash of the registry; config_version: hash of the configuration.
        most: the most findings that one reference lists; the rest stays owed.
        mode: what was mentioned in ``preview`` or ``test`` does not count as mentioned in ``live``.
        strict: True takes only observations above TLP:AMBER, False only the others, None all of them.
        tells: the states in which findings are ever listed; those in another one are counted, with a reference or
            without one, and are not mentioned by that.
    """

    member: str
    delivery: str
    channel: str
    kind: str = "digest"
    until: datetime
    now: datetime
    prefix: str = "CB"
    quiet: float = 14 * 86400.0
    repeat: Mapping[str, float] = {}
    excepted: Sequence[str] = ()
    members_version: str = ""
    config_version: str = ""
    most: int = 200_000
    mode: Mode = "live"
    strict: bool | None = None
    tells: frozenset[FindingState] = frozenset(STATES)


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was closed: what its digest is made of.

    Args:
        reference: its name.
        findings: new, back, and still where listed, sorted by state, severity, address. They are read from the store as
            they are walked through, and slices of them, too, so that 200 000 don't have to fit into memory.
        still: identifier (or type) to ``(count, oldest first_seen)`` of findings that are only counted.
        suppressed: reason to the number of observations left out since the last digest.
        elsewhere: ``reference``, ``type``, ``count`` and ``time`` of what other deliveries told instead.
        since: where its period begins.
    """

    reference: str
    findings: Sequence[Finding]
    still: dict[str, tuple[int, str]]
    suppressed: dict[str, int]
    elsewhere: list[dict[str, str]]
    since: datetime


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery in the ledger.

    Args:
        state: see the module.
        counts: ``new``, ``back``, ``still``, ``listed`` and the suppressed by reason.
        messages: recipients with their state, attempts and last answer.
    """

    reference: str
    member: str
    delivery: str
    channel: str
    kind: str
    state: str
    why: str
    mode: str
    created: datetime
    counts: dict[str, int]
    messages: list[dict[str, Any]]


class Store(Protocol):
    """Findings, dues and deliveries. Every method is one transaction; `Retry` is raised when the database is away."""

    def check(self) -> str | None:
        """Tell why nothing may leave: the file was restored, copied or moved since it was last used; None if all is well."""
        ...

    def age(self) -> tuple[str, int]:
        """Give which store this is, and how many changes it has seen; "" and 0 if a server keeps it."""
        ...

    def suspect(self, why: str) -> None:
        """Hold everything, for somebody knows that the store was further once: `check` says *why* until `adopt`."""
        ...

    def missing(self) -> int | None:
        """Tell how many changes are in the journal and not in the store; None if it can't catch up."""
        ...

    def adopt(self, who: str, *, sent: bool = False) -> int:
        """Say that the store is the right one (``deliveries reconcile``): `check` is content from now on.

        Args:
            who: says so.
            sent: if it can't catch up, take what waits or is owed for sent.

        Returns:
            how many changes it caught up with from its journal.
        """
        ...

    def record(
        self, rows: Sequence[Recorded], now: datetime, nobody: Mapping[str, str] | None = None
    ) -> dict[str, int]:
        """Record events for deliveries, each (delivery, event id) once for ever.

        Args:
            rows: an event once for each delivery.
            now: the time of recording.
            nobody: events that concern nobody: id to ``unmatched``, ``guarded``, ``excluded`` or ``ambiguous``. They
                are counted once, too.

        Returns:
            counts: ``recorded``, ``known`` (was there already), ``new`` findings.
        """
        ...

    def count_events(self, counts: Mapping[str, int]) -> None:
        """Add to the books of events that concern nobody: ``unmatched``, ``guarded``, ``excluded``, ``ambiguous``."""
        ...

    def due(self, now: datetime, only: Collection[tuple[str, str]] | None = None) -> list[Due]:
        """List the deliveries that owe something, the longest waiting first.

        Args:
            now: what was recorded until then counts.
            only: (member, delivery) of those to look at; None is all. All costs about a fifth of a microsecond for each
                observation that is owed.
        """
        ...

    def last_closed(self, member: str, delivery: str) -> datetime | None:
        """Give when the delivery was closed last; None if never."""
        ...

    def median_size(self, member: str, delivery: str) -> float | None:
        """Give the median number of listed findings of the delivery's former digests; None if there are none."""
        ...

    def close(self, closing: Closing) -> Closed | None:
        """Fix what the delivery tells and give it its reference; None if there is nothing to tell.

        Findings that would only be counted as *still* are nothing to tell by themselves: they stay owed until there is
        more, or until `Closing.repeat` lets them be listed. The kind ``empty`` gets a reference in any case; the kinds
        ``test``, ``correction``, ``dead-endpoint``, ``dead-contact`` and ``operator`` get one and tell no findings.
        Findings of a holder that changed (the caller says so by `drop`) are not in it.
        """
        ...

    def close_apart(self, closing: Closing) -> list[Closed]:
        """Close twice in one transaction: what may be passed on, then what is above TLP:AMBER.

        Either has its own reference, and none if there is nothing to tell in it; a crash leaves both or neither.
        """
        ...

    def peek(self, closing: Closing) -> Closed | None:
        """Give what `close` would give, and change nothing; its reference is "" (for ``deliveries preview``)."""
        ...

    def closed(self, reference: str) -> Closed:
        """Give again what `close` gave: for rendering after a crash."""
        ...

    def drop(self, member: str, event_ids: Sequence[str], reason: str, delivery: str = "") -> None:
        """Take owed observations off the books with a reason: ``changed-holder``, ``given_up``.

        Args:
            member: whose.
            event_ids: which.
            reason: why.
            delivery: in this delivery only; "" is all of the member's.
        """
        ...

    def owed(self, member: str, delivery: str) -> Iterator[tuple[str, dict[str, Any], Match]]:
        """Walk through what is owed: event id, event, match."""
        ...

    def freeze(
        self, digest: Digest, messages: Sequence[Message], *, hold: str, mode: str, files: Mapping[str, bytes]
    ) -> None:
        """Store the rendered bytes; *hold* says why an operator must approve first, or "".

        Called again for the same reference it adds what is not there yet: further parts, or fallback recipients. A
        delivery without any message waits for nothing: it is ``given`` if it has recipients, who want nothing of it,
        else ``expired``; its reason says so.
        """
        ...

    def approve(self, reference: str, who: str) -> None:
        """Let a held delivery go."""
        ...

    def hold(self, reference: str, why: str, *, unrendered: bool = False) -> None:
        """Hold a frozen delivery that nobody was given yet; *unrendered* one that is closed only."""
        ...

    def lease(self, channel: str, owner: str, now: datetime, seconds: float) -> bool:
        """Take or renew the lease of a channel; False if another instance has it."""
        ...

    def holder(self, channel: str) -> str:
        """Give whose the lease of a channel is, or was last; "" if nobody ever had it."""
        ...

    def waiting(self, channel: str, now: datetime, most: int, skip: Collection[str] = ()) -> list[tuple[str, Message]]:
        """Give messages of frozen deliveries whose next attempt is due: reference and message, oldest first.

        Those frozen in mode ``preview`` never wait. The outbox asks for few at a time, because their bytes are large.

        Args:
            channel: whose.
            now: the time.
            most: how many at most.
            skip: destinations that can take nothing now: the domain of a mail address (what follows its last ``@``, in
                lower case), or a whole URL.
        """
        ...

    def postpone(self, reference: str, until: datetime, recipient: str = "") -> None:
        """Let the waiting messages of a delivery wait until *until*, all or one recipient's; that is no attempt."""
        ...

    def handed_over(self, channel: str, since: datetime) -> list[tuple[datetime, str]]:
        """Give time and recipient of every attempt since *since*, oldest first: what the rates count after a restart."""
        ...

    def requeue(self, reference: str, now: datetime) -> int:
        """Let every stored message of a delivery wait again, with the same bytes and ids; give how many."""
        ...

    def attempt(
        self,
        reference: str,
        message: str,
        outcome: Outcome,
        now: datetime,
        again: datetime | None,
        recipient: str = "",
    ) -> None:
        """Note an attempt before anything else is done: outcome, and when to try again (None: never).

        Args:
            reference: the delivery.
            message: the message's id.
            outcome: what became of it.
            now: the time of the attempt.
            again: when to try next, after ``later``.
            recipient: whose, where recipients share a message id; "" is all of them.
        """
        ...

    def rows(self, *, member: str = "", state: str = "", since: datetime | None = None, most: int = 1000) -> list[Row]:
        """List deliveries, newest first."""
        ...

    def row(self, reference: str) -> Row | None:
        """Give one delivery."""
        ...

    def messages(self, reference: str) -> list[Message]:
        """Give the stored bytes; [] after their retention."""
        ...

    def search(self, text: str, since: datetime | None = None) -> list[dict[str, Any]]:
        """Find deliveries that mention an address, a name, a finding, an event or a mail address."""
        ...

    def flag(self, name: str, value: str | None = None) -> str:
        """Read or set a small durable fact, such as ``stop`` or ``approved:<member>``."""
        ...

    def balance(self, since: datetime | None = None, until: datetime | None = None) -> dict[str, Any]:
        """Give the books: per member and delivery each matched event in exactly one place, with its reason."""
        ...

    def purge(self, now: datetime, keep_sent: float, keep_ledger: float) -> dict[str, int]:
        """Remove what is past its retention; give how much of what."""
        ...

    def erase(self, *, address: str = "", domain: str = "", member: str = "", mail: str = "") -> dict[str, int]:
        """Remove everything about somebody; give how much of what."""
        ...

    def close_connections(self) -> None:
        """Let go of the database."""
        ...
