"""The findings that a digest lists, read as they are walked through."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import overload

import msgspec
from sqlalchemy import Connection

from ...clock import iso
from ..findings import finding_text
from ..model import STATES, Finding, Match
from .database import Database, moment, run, select_in
from .payload import Payload, unpack

_PAGE = 1000
_KEPT = 5000

_QUERY = """
SELECT t.finding, t.state, t.match, t.first_seen, t.last_seen, t.times_seen, e.id, e.payload, b.reference AS before
FROM entries t JOIN events e ON e.n = t.event LEFT JOIN digests b ON b.n = t.before
WHERE t.digest = :digest AND t.position > :after AND t.position <= :until ORDER BY t.position
"""


class Findings(Sequence[Finding]):
    """What a digest lists, in its order, or a stretch of it; only a few thousand are kept once they were read.

    Args:
        database: where it is.
        digest: its number.
        places: which of its findings, from 0.
    """

    def __init__(self, database: Database, digest: int, places: range) -> None:
        self._database = database
        self._digest = digest
        self._places = places
        self._kept: list[Finding] | None = None

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Finding]:
        if len(self) <= _KEPT:
            yield from self._all()
            return
        for start in range(self._places.start, self._places.stop, _PAGE):
            yield from self._read(start, min(start + _PAGE, self._places.stop))

    @overload
    def __getitem__(self, index: int) -> Finding: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Finding]: ...

    def __getitem__(self, index: int | slice) -> Finding | Sequence[Finding]:
        if isinstance(index, slice):
            places = self._places[index]
            if places.step == 1:
                return Findings(self._database, self._digest, places)
            return [self._read(place, place + 1)[0] for place in places]
        place = self._places[index]
        return self._all()[index] if len(self) <= _KEPT else self._read(place, place + 1)[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return f"<{len(self)} findings>"

    def within(self, connection: Connection) -> list[Finding]:
        """Read all of them within a transaction that is still open."""
        return _read(connection, self._digest, self._places.start, self._places.stop)

    def _all(self) -> list[Finding]:
        if self._kept is None:
            self._kept = self._read(self._places.start, self._places.stop)
        return self._kept

    def _read(self, start: int, stop: int) -> list[Finding]:
        with self._database.reading() as connection:
            return _read(connection, self._digest, start, stop)


def _read(connection: Connection, digest: int, start: int, stop: int) -> list[Finding]:
    rows = run(connection, _QUERY, digest=digest, after=start, until=stop).all()
    payloads = [_payload(row.id, row.payload) for row in rows]
    numbers = sorted({row.match for row in rows} | {payload.header for payload in payloads})
    shared = {
        row.n: bytes(row.data) for row in select_in(connection, "SELECT n, data FROM shared WHERE n IN :keys", numbers)
    }
    return [
        Finding(
            id=finding_text(row.finding),
            state=STATES[row.state],
            event=payload.event,
            match=read_match(shared.get(row.match)),
            first_seen=_time(row.first_seen),
            last_seen=_time(row.last_seen),
            times_seen=row.times_seen,
            original=shared.get(payload.header, b"").decode() + payload.row,
            report=payload.report,
            mentioned=row.before or "",
        )
        for row, payload in zip(rows, payloads, strict=True)
    ]


@lru_cache(4096)
def _decode_match(data: bytes) -> Match:
    return msgspec.json.decode(data, type=Match)


def read_match(data: bytes | None) -> Match:
    """Give a stored match; after its retention it names nobody."""
    return Match(member="") if data is None else _decode_match(data)


def _payload(id_: str, data: bytes | None) -> Payload:
    return Payload({"id": id_}) if data is None else unpack(data)


@lru_cache(4096)
def _time(value: int) -> str:
    return iso(moment(value))
