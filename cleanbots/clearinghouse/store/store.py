"""The clearinghouse's store in SQL: each method is one transaction (see `protocol.Store`)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from ...clock import Clock
from ..findings import VERSION, finding_id, finding_number
from ..model import Digest, Finding, Match, Message, Outcome
from . import books, closing, ledger, retention, waiting
from .database import Database, change_in, micros, moment, run, select_in, tally
from .epoch import Epoch
from .erase import erase
from .findings import Findings, read_match
from .migrate import migrate
from .payload import unpack
from .protocol import Closed, Closing, Due, Recorded, Row
from .recording import Recording
from .rekey import rekey
from .search import search
from .server_epoch import ServerEpoch

_DUE = """
SELECT n.member, n.delivery, t.owed, t.oldest, t.newest, t.urgent, t.strict FROM deliveries n JOIN (
    SELECT delivery, COUNT(*) AS owed, MIN(recorded) AS oldest, MAX(recorded) AS newest, SUM(urgent) AS urgent,
        SUM(strict) AS strict
    FROM dues WHERE digest IS NULL AND outcome = 0 AND recorded <= :now{only} GROUP BY delivery
) t ON t.delivery = n.n ORDER BY t.oldest, n.member, n.delivery
"""

_DROP = """
UPDATE dues SET outcome = 4, reason = :reason, digest = 0
WHERE digest IS NULL AND outcome = 0
    AND delivery IN (SELECT n FROM deliveries WHERE member = :member AND (:delivery = '' OR delivery = :delivery))
    AND event IN (SELECT n FROM events WHERE id IN :keys)
"""

_OWED = """
SELECT d.event FROM dues d JOIN deliveries n ON n.n = d.delivery
WHERE n.member = :member AND n.delivery = :delivery AND d.digest IS NULL AND d.outcome = 0
"""

_OWED_EVENTS = """
SELECT e.id, e.payload, s.data FROM events e JOIN deliveries n ON n.member = :member AND n.delivery = :delivery
JOIN dues d ON d.delivery = n.n AND d.event = e.n LEFT JOIN shared s ON s.n = d.match
WHERE e.n IN :keys AND e.payload IS NOT NULL ORDER BY e.n
"""

KEEP_JOURNAL = 8 * 86400.0
"""Seconds that the journal is kept: a backup that is older than that can't catch up."""

_PAGE = 1000


class SqlStore:
    """Findings, dues and deliveries in SQLite or PostgreSQL; implements `protocol.Store`.

    One instance serves one process; its threads may share it.

    Args:
        where: a path, or a ``postgresql://`` URL.
        clock: what time it is, for what an operator does.
        journal: the folder of a file's journal, beside the file unless said; of a server's database: where this host
            notes how much it knew.

    Raises:
        ConfigError: if *where* can't be a store, or a newer cleanbots made it.
        Retry: if the database is away.
    """

    def __init__(self, where: str | Path, clock: Clock, journal: Path | None = None) -> None:
        self._clock = clock
        self._database = Database(where)
        self._epoch = (Epoch if self._database.sqlite else ServerEpoch)(self._database, clock, journal)
        try:
            self._epoch.begin(self._bring_forward)
        except BaseException:
            self.close_connections()
            raise
        self._recording = Recording(self._database)

    @property
    def one_host(self) -> bool:
        """Whether all who use it must be on one host (SQLite)."""
        return self._database.sqlite

    def check(self) -> str | None:
        """Tell why nothing may leave, or None."""
        return self._epoch.check()

    def age(self) -> tuple[str, int]:
        """Give which store this is, and how many changes it has seen; "" and 0 if a server keeps it."""
        return self._epoch.age()

    def suspect(self, why: str) -> None:
        """Hold everything, for somebody knows that the store was further once."""
        self._epoch.suspect(why)

    def missing(self) -> int | None:
        """Tell how many changes are in the journal and not in the store; None if it can't catch up."""
        return self._epoch.missing()

    def adopt(self, who: str, *, sent: bool = False) -> int:
        """Say that the store is the right one; give how many changes of its journal it caught up with."""

        def settle(connection: Connection) -> None:
            ledger.skip_references(connection, self._now())
            if sent:
                ledger.take_as_sent(connection)

        caught_up = self._epoch.adopt(settle)
        self._bring_forward()
        with self._database.writing() as connection:
            ledger.note(connection, self._now(), who, "reconcile: taken as sent" if sent else "reconcile")
        return caught_up

    def back_up(self, to: Path) -> None:
        """Copy the file as it is now, consistent while others write.

        Raises:
            CleanbotsError: if the store is no file.
        """
        self._database.copy(to)

    def record(
        self, rows: Sequence[Recorded], now: datetime, nobody: Mapping[str, str] | None = None
    ) -> dict[str, int]:
        """Record events for deliveries, each (delivery, event id) once for ever."""
        return self._recording.record(rows, now, nobody)

    def count_events(self, counts: Mapping[str, int]) -> None:
        """Add to the books of events that concern nobody."""
        with self._database.writing() as connection:
            tally(connection, f"{self._clock.now():%Y-%m-%d}", counts)

    def due(self, now: datetime, only: Collection[tuple[str, str]] | None = None) -> list[Due]:
        """List the deliveries that owe something, the longest waiting first."""
        with self._database.reading() as connection:
            if only is None:
                rows = list(run(connection, _DUE.format(only=""), now=micros(now)))
            else:
                names = run(connection, "SELECT n, member, delivery FROM deliveries")
                numbers = [row.n for row in names if (row.member, row.delivery) in only]
                rows = list(select_in(connection, _DUE.format(only=" AND delivery IN :keys"), numbers, now=micros(now)))
            return [
                Due(
                    member=row.member,
                    delivery=row.delivery,
                    owed=row.owed,
                    oldest=moment(row.oldest),
                    newest=moment(row.newest),
                    urgent=int(row.urgent),
                    strict=int(row.strict),
                )
                for row in rows
            ]

    def last_closed(self, member: str, delivery: str) -> datetime | None:
        """Give when the delivery was closed last."""
        with self._database.reading() as connection:
            last = run(
                connection,
                "SELECT MAX(g.created) FROM digests g JOIN deliveries d ON d.n = g.delivery"
                " WHERE d.member = :member AND d.delivery = :delivery",
                member=member,
                delivery=delivery,
            ).scalar()
        return None if last is None else moment(last)

    def median_size(self, member: str, delivery: str) -> float | None:
        """Give the median number of listed findings of the delivery's former digests."""
        return ledger.median_size(self._database, member, delivery)

    def close(self, what: Closing) -> Closed | None:
        """Fix what the delivery tells and give it its reference; None if there is nothing to tell."""
        with self._database.writing() as connection:
            return closing.close(self._database, connection, what)

    def close_apart(self, what: Closing) -> list[Closed]:
        """Close what may be passed on and what is above TLP:AMBER, each with its own reference, or neither."""
        shares = [msgspec.structs.replace(what, strict=strict) for strict in (False, True)]
        with self._database.writing() as connection:
            both = [closing.close(self._database, connection, share) for share in shares]
        return [closed for closed in both if closed is not None]

    def peek(self, what: Closing) -> Closed | None:
        """Give what `close` would give, and change nothing."""
        made: Closed | None = None
        with suppress(_UndoError), self._database.writing() as connection:
            closed = closing.close(self._database, connection, what)
            if closed is not None:
                made = msgspec.structs.replace(closed, reference="", findings=_listed(closed, connection))
            raise _UndoError
        return made

    def closed(self, reference: str) -> Closed:
        """Give again what `close` gave; raises KeyError if there is no such delivery."""
        return closing.closed(self._database, reference)

    def drop(self, member: str, event_ids: Sequence[str], reason: str, delivery: str = "") -> None:
        """Take owed observations off the books with a reason."""
        with self._database.writing() as connection:
            change_in(connection, _DROP, event_ids, member=member, reason=reason, delivery=delivery)

    def owed(self, member: str, delivery: str) -> Iterator[tuple[str, dict[str, Any], Match]]:
        """Walk through what is owed: event id, event, match."""
        with self._database.reading() as connection:
            numbers = sorted(run(connection, _OWED, member=member, delivery=delivery).scalars())
        for start in range(0, len(numbers), _PAGE):
            page = numbers[start : start + _PAGE]
            with self._database.reading() as connection:
                rows = list(select_in(connection, _OWED_EVENTS, page, member=member, delivery=delivery))
            for row in rows:
                yield row.id, unpack(row.payload).event, read_match(row.data)

    def freeze(
        self, digest: Digest, messages: Sequence[Message], *, hold: str, mode: str, files: Mapping[str, bytes]
    ) -> None:
        """Store the rendered bytes; *hold* says why an operator must approve first, or ""."""
        with self._database.writing() as connection:
            ledger.freeze(connection, digest, messages, hold=hold, mode=mode, files=files)

    def approve(self, reference: str, who: str) -> None:
        """Let a held delivery go."""
        with self._database.writing() as connection:
            ledger.approve(connection, reference, who, self._now())

    def hold(self, reference: str, why: str, *, unrendered: bool = False) -> None:
        """Hold a frozen delivery that nobody was given yet; *unrendered* one that is closed only."""
        with self._database.writing() as connection:
            ledger.hold(connection, reference, why, self._now(), unrendered=unrendered)

    def lease(self, channel: str, owner: str, now: datetime, seconds: float) -> bool:
        """Take or renew the lease of a channel."""
        with self._database.writing() as connection:
            return ledger.lease(connection, channel, owner, now, seconds)

    def holder(self, channel: str) -> str:
        """Give whose the lease of a channel is, or was last."""
        with self._database.reading() as connection:
            return ledger.holder(connection, channel)

    def waiting(self, channel: str, now: datetime, most: int, skip: Collection[str] = ()) -> list[tuple[str, Message]]:
        """Give messages of frozen deliveries whose next attempt is due; none of a preview."""
        return waiting.waiting(self._database, channel, now, most, skip)

    def postpone(self, reference: str, until: datetime, recipient: str = "") -> None:
        """Let the waiting messages of a delivery wait until *until*, all or one recipient's."""
        with self._database.writing() as connection:
            waiting.postpone(connection, reference, until, recipient)

    def handed_over(self, channel: str, since: datetime) -> list[tuple[datetime, str]]:
        """Give time and recipient of every attempt since *since*."""
        return waiting.handed_over(self._database, channel, since)

    def requeue(self, reference: str, now: datetime) -> int:
        """Let every stored message of a delivery wait again, with the same bytes and ids; give how many."""
        with self._database.writing() as connection:
            return waiting.requeue(connection, reference, now)

    def attempt(
        self,
        reference: str,
        message: str,
        outcome: Outcome,
        now: datetime,
        again: datetime | None,
        recipient: str = "",
    ) -> None:
        """Note an attempt before anything else is done."""
        with self._database.writing() as connection:
            ledger.attempt(connection, reference, message, outcome, now, again, recipient)
        self._epoch.passed()

    def rows(self, *, member: str = "", state: str = "", since: datetime | None = None, most: int = 1000) -> list[Row]:
        """List deliveries, newest first."""
        return ledger.rows(self._database, member=member, state=state, since=since, most=most)

    def row(self, reference: str) -> Row | None:
        """Give one delivery."""
        return next(iter(ledger.rows(self._database, reference=reference)), None)

    def messages(self, reference: str) -> list[Message]:
        """Give the stored bytes; [] after their retention."""
        return ledger.messages(self._database, reference)

    def search(self, text: str, since: datetime | None = None) -> list[dict[str, Any]]:
        """Find deliveries that mention an address, a name, a finding, an event or a mail address."""
        return search(self._database, text, since)

    def flag(self, name: str, value: str | None = None) -> str:
        """Read or set a small durable fact; "" if it is not set."""
        name = f"flag:{name}"
        if value is None:
            with self._database.reading() as connection:
                return run(connection, "SELECT value FROM facts WHERE name = :name", name=name).scalar() or ""
        with self._database.writing() as connection:
            run(
                connection,
                "INSERT INTO facts (name, value) VALUES (:name, :value)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                name=name,
                value=value,
            )
        return value

    def balance(self, since: datetime | None = None, until: datetime | None = None) -> dict[str, Any]:
        """Give the books: per member and delivery each matched event in exactly one place, with its reason."""
        return books.balance(self._database, since, until)

    def purge(self, now: datetime, keep_sent: float, keep_ledger: float) -> dict[str, int]:
        """Remove what is past its retention; give how much of what."""
        removed = retention.purge(self._database, now, keep_sent, keep_ledger)
        self._epoch.rotate(now - timedelta(seconds=min(KEEP_JOURNAL, keep_sent)))
        return removed

    def erase(self, *, address: str = "", domain: str = "", member: str = "", mail: str = "") -> dict[str, int]:
        """Remove everything about somebody; give how much of what."""
        removed = erase(self._database, address=address, domain=domain, member=member, mail=mail)
        self._epoch.forget()
        return removed

    def close_connections(self) -> None:
        """Let go of the database."""
        self._epoch.close()
        self._database.close()

    def _bring_forward(self) -> None:
        migrate(self._database)
        rekey(self._database, lambda event: finding_number(finding_id(event)), VERSION)

    def _now(self) -> int:
        return micros(self._clock.now())


class _UndoError(Exception):
    """Ends a transaction that was only to be looked at."""


def _listed(closed: Closed, connection: Connection) -> Sequence[Finding]:
    return closed.findings.within(connection) if isinstance(closed.findings, Findings) else closed.findings
