"""Record events for deliveries: many rows in one transaction, each (delivery, event id) once for ever."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from ...harmonization.taxonomy import taxonomy_of
from ..findings import finding_number
from .database import Database, many, micros, select_in, take_numbers
from .names import Names
from .payload import (
    Payload,
    event_address,
    event_host,
    pack,
    severity,
    split_original,
    strict,
    without_row,
)
from .protocol import Recorded

OWED, MENTIONED, SUPPRESSED, STILL, DROPPED = range(5)
"""Outcomes of an observation for a delivery."""

NO_DIGEST = 0
"""The digest of what no digest will ever tell."""

_COUNTER = "events"


class _Sighting(NamedTuple):
    row: Recorded
    finding: int
    seen: int


class Recording:
    """Writes what is recorded.

    Args:
        database: where to.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names = Names()

    def record(
        self, rows: Sequence[Recorded], now: datetime, nobody: Mapping[str, str] | None = None
    ) -> dict[str, int]:
        """Record *rows*; see `cleanbots.clearinghouse.store.protocol.Store.record`."""
        at = micros(now)
        by_event: dict[str, Recorded] = {}
        for row in rows:
            by_event.setdefault(row.event["id"], row)
        try:
            with self._database.writing() as connection:
                # Taking a number first puts all recorders in a queue: what is known here stays known until the commit.
                take_numbers(connection, _COUNTER, 0)
                concerning_nobody = _record_nobody(connection, nobody or {}, at)
                known = dict(_known(connection, list(by_event)))
                fresh = [
                    _Sighting(row, finding_number(row.finding), _seen(row, at))
                    for id_, row in by_event.items()
                    if id_ not in known
                ]
                new = self._record_findings(connection, fresh)
                known.update(self._record_events(connection, fresh, at))
                recorded = self._record_dues(connection, rows, known, at)
        except BaseException:
            self._names.forget()
            raise
        self._names.keep()
        return {"recorded": recorded, "known": len(rows) - recorded, "new": new, "nobody": concerning_nobody}

    def _record_findings(self, connection: Connection, fresh: Iterable[_Sighting]) -> int:
        gathered: dict[int, list[_Sighting]] = {}
        for sighting in fresh:
            gathered.setdefault(sighting.finding, []).append(sighting)
        numbers = sorted(gathered)  # the same order for all: PostgreSQL locks row by row
        before = sum(1 for _ in select_in(connection, "SELECT n FROM findings WHERE n IN :keys", numbers))
        kinds = self._names.kinds(connection, {_kind(sightings[0].row.event) for sightings in gathered.values()})
        many(
            connection,
            "INSERT INTO findings (n, version, kind, address, host, first_seen, last_seen, times_seen)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (n) DO UPDATE SET"
            " address = COALESCE(excluded.address, findings.address), host = COALESCE(excluded.host, findings.host),"
            " first_seen = CASE WHEN excluded.first_seen < findings.first_seen"
            " THEN excluded.first_seen ELSE findings.first_seen END,"
            " last_seen = CASE WHEN excluded.last_seen > findings.last_seen"
            " THEN excluded.last_seen ELSE findings.last_seen END,"
            " times_seen = findings.times_seen + excluded.times_seen",
            [_finding_row(number, gathered[number], kinds) for number in numbers],
        )
        return len(numbers) - before

    def _record_events(self, connection: Connection, fresh: Sequence[_Sighting], at: int) -> dict[str, int]:
        if not fresh:
            return {}
        originals = [split_original(s.row.original, s.row.event.get("raw")) for s in fresh]
        headers = self._names.shared(connection, {header.encode() for header, _ in originals if header}, at)
        first = take_numbers(connection, _COUNTER, len(fresh))
        made = []
        for number, (sighting, (header, row)) in enumerate(zip(fresh, originals, strict=True), first):
            event = sighting.row.event
            payload = Payload(without_row(event), row, headers[header.encode()] if header else 0, sighting.row.report)
            made.append(
                (
                    number,
                    event["id"],
                    sighting.finding,
                    sighting.seen,
                    at,
                    severity(event),
                    pack(payload),
                )
            )
        many(
            connection,
            "INSERT INTO events (n, id, finding, seen, recorded, severity, payload) VALUES (?, ?, ?, ?, ?, ?, ?)",
            made,
        )
        return {row[1]: row[0] for row in made}

    def _record_dues(self, connection: Connection, rows: Sequence[Recorded], events: Mapping[str, int], at: int) -> int:
        deliveries = self._names.deliveries(connection, {(row.member, row.delivery) for row in rows})
        encoded = [msgspec.json.encode(row.match) for row in rows]
        matches = self._names.shared(connection, set(encoded), at)
        dues = {
            (deliveries[row.member, row.delivery], events[row.event["id"]]): (
                matches[match],
                at,
                int(row.urgent),
                int(strict(row.event)),
                SUPPRESSED if row.suppressed else OWED,
                row.suppressed,
            )
            for row, match in zip(rows, encoded, strict=True)
        }
        return many(
            connection,
            "INSERT INTO dues (delivery, event, match, recorded, urgent, strict, outcome, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [(*key, *due) for key, due in sorted(dues.items())],
        )


def _record_nobody(connection: Connection, nobody: Mapping[str, str], at: int) -> int:
    return many(
        connection,
        "INSERT INTO nobody (id, why, recorded) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(id_, why, at) for id_, why in nobody.items()],
    )


def _known(connection: Connection, ids: Sequence[str]) -> Iterable[tuple[str, int]]:
    return ((row.id, row.n) for row in select_in(connection, "SELECT id, n FROM events WHERE id IN :keys", ids))


def _kind(event: Mapping[str, Any]) -> tuple[str, str, str]:
    type_ = event.get("classification.type", "")
    try:
        taxonomy = event.get("classification.taxonomy") or taxonomy_of(type_)
    except KeyError:
        taxonomy = "other"
    return taxonomy, type_, event.get("classification.identifier", "")


def _finding_row(
    number: int, sightings: Sequence[_Sighting], kinds: Mapping[tuple[str, str, str], int]
) -> tuple[Any, ...]:
    last = max(sightings, key=lambda sighting: sighting.seen)
    event = last.row.event
    return (
        number,
        last.row.version,
        kinds[_kind(sightings[0].row.event)],
        event_address(event),
        event_host(event),
        min(sighting.seen for sighting in sightings),
        last.seen,
        len(sightings),
    )


def _seen(row: Recorded, at: int) -> int:
    text = row.event.get("time.source") or row.event.get("time.observation")
    # A notifier's clock that is ahead must not make everything after it look old.
    return min(micros(datetime.fromisoformat(text)), at) if text else at
