"""Remove everything about an address, a domain, a member or a mail address, wherever the store has it."""

# ruff: noqa: S608  # the statements are put together of constants of this module

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import zstandard
from sqlalchemy import Connection

from .database import Database, change_in, many, run, select_in
from .payload import packed_address
from .retention import settle

_PAGE = 5000

_decompress = zstandard.ZstdDecompressor().decompress

_EVENTS = "SELECT n, payload FROM events WHERE n > :after AND payload IS NOT NULL ORDER BY n LIMIT :most"
_DIGESTS_OF_EVENTS = (
    "SELECT t.digest FROM events e JOIN entries t ON t.finding = e.finding AND t.event = e.n WHERE e.n IN :keys"
)
_FORGET_EVENTS = "UPDATE events SET payload = NULL WHERE n IN :keys AND payload IS NOT NULL"
_FORGET_FINDINGS = "UPDATE findings SET address = NULL, host = NULL WHERE n IN :keys"
_FORGET_FINDINGS_OF_EVENTS = (
    "UPDATE findings SET address = NULL, host = NULL WHERE n IN (SELECT finding FROM events WHERE n IN :keys)"
)
_OF_MEMBER = "SELECT n FROM deliveries WHERE member = :member"
_DIGESTS_OF_MEMBER = f"SELECT n FROM digests WHERE delivery IN ({_OF_MEMBER})"
_MESSAGES_OF_MEMBER = f"SELECT n FROM messages WHERE digest IN ({_DIGESTS_OF_MEMBER})"

_MEMBER = {
    "answers": f"DELETE FROM answers WHERE attempt IN (SELECT n FROM attempts WHERE message IN ({_MESSAGES_OF_MEMBER}))",
    "attempts": f"DELETE FROM attempts WHERE message IN ({_MESSAGES_OF_MEMBER})",
    "envelopes": f"DELETE FROM envelopes WHERE message IN ({_MESSAGES_OF_MEMBER})",
    "messages": f"DELETE FROM messages WHERE digest IN ({_DIGESTS_OF_MEMBER})",
    "files": f"DELETE FROM files WHERE digest IN ({_DIGESTS_OF_MEMBER})",
    "entries": f"DELETE FROM entries WHERE digest IN ({_DIGESTS_OF_MEMBER})",
    "digests": f"DELETE FROM digests WHERE delivery IN ({_OF_MEMBER})",
    "mentions": f"DELETE FROM mentions WHERE delivery IN ({_OF_MEMBER})",
    "observations": f"DELETE FROM dues WHERE delivery IN ({_OF_MEMBER})",
}


def erase(
    database: Database, *, address: str = "", domain: str = "", member: str = "", mail: str = ""
) -> dict[str, int]:
    """Erase; each argument that is given is erased by itself.

    Bytes that were sent can't be edited: a message or file that tells of what is erased goes as a whole. What is owed
    and not told yet is dropped with the reason ``erased``. The ledger keeps numbers and references. It works piece by
    piece, so that others can write in between; broken off and called again, it goes on.

    Args:
        database: where.
        address: an IP address.
        domain: a host name; with everything below it.
        member: a member's id: all its deliveries, their ledger too. That they existed stays: recorders know their numbers.
        mail: a mail address: of a recipient, of a customer, or within an event.

    Returns:
        how much was removed, by kind.
    """
    removed: dict[str, int] = {}
    for subject in _subjects(database, address, domain, mail):
        _add(removed, _erase_subject(database, subject))
    if mail:
        with database.writing() as connection:
            _add(removed, _erase_messages(connection, _digests_to(connection, mail)))
    if member:
        _add(removed, _erase_member(database, member))
    settle(database, rewrite=True)
    return {name: count for name, count in removed.items() if count}


class _Subject(NamedTuple):
    """What is erased.

    Args:
        text: in lower case.
        before, after: patterns of what may not stand beside it, so that what only looks alike is left.
        findings: numbers of those that are found by it.
    """

    text: bytes
    before: bytes
    after: bytes
    findings: Sequence[int] = ()

    def finder(self) -> Callable[[bytes], bool]:
        """Give what tells whether a text tells of it."""
        text = self.text
        search = re.compile(self.before + re.escape(text) + self.after, re.IGNORECASE).search
        return lambda data: text in data.lower() and search(data) is not None


def _subjects(database: Database, address: str, domain: str, mail: str) -> Iterator[_Subject]:
    with database.reading() as connection:
        if address:
            found = run(connection, "SELECT n FROM findings WHERE address = :address", address=packed_address(address))
            yield _Subject(address.lower().encode(), rb"(?<![\w.:])", rb"(?![\w:]|\.\d)", list(found.scalars()))
        if domain:
            domain = domain.lower().strip(".")
            found = run(
                connection,
                "SELECT n FROM findings WHERE host = :host OR host LIKE :below",
                host=domain,
                below=f"%.{domain}",
            )
            yield _Subject(domain.encode(), rb"(?<![\w-])", rb"(?![\w-]|\.\w)", list(found.scalars()))
    if mail:
        yield _Subject(mail.lower().encode(), rb"(?<![\w.+-])", rb"(?![\w-]|\.\w)")


def _erase_subject(database: Database, subject: _Subject) -> dict[str, int]:
    concerned = subject.finder()
    removed: dict[str, int] = {}
    for events in _pieces(list(_events(database, concerned))):
        with database.writing() as connection:
            digests = {row.digest for row in select_in(connection, _DIGESTS_OF_EVENTS, events)}
            _add(removed, {"events": change_in(connection, _FORGET_EVENTS, events), "owed": _drop(connection, events)})
            _add(removed, _erase_messages(connection, digests))
    with database.writing() as connection:
        removed["findings"] = change_in(connection, _FORGET_FINDINGS, subject.findings)
        removed["shared"] = _erase_shared(connection, concerned)
        removed["answers"] = _erase_answers(connection, concerned)
        _add(removed, _erase_messages(connection, set(_files(connection, concerned))))
    return removed


def _events(database: Database, concerned: Callable[[bytes], bool]) -> Iterator[int]:
    """Walk through all events, without keeping others from writing; give the numbers of those concerned."""
    after = 0
    while True:
        with database.reading() as connection:
            rows = run(connection, _EVENTS, after=after, most=_PAGE).all()
        if not rows:
            return
        yield from (row.n for row in rows if concerned(_decompress(row.payload)))
        after = rows[-1].n


def _pieces(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), _PAGE):
        yield numbers[start : start + _PAGE]


def _files(connection: Connection, concerned: Callable[[bytes], bool]) -> Iterator[int]:
    for row in run(connection, "SELECT digest, data FROM files"):
        if concerned(bytes(row.data)):
            yield row.digest


def _drop(connection: Connection, events: Sequence[int]) -> int:
    owed = select_in(
        connection, "SELECT delivery, event FROM dues WHERE digest IS NULL AND outcome = 0 AND event IN :keys", events
    )
    return many(
        connection,
        "UPDATE dues SET outcome = 4, reason = 'erased', digest = 0 WHERE delivery = ? AND event = ?",
        [tuple(row) for row in owed],
    )


def _erase_shared(connection: Connection, concerned: Callable[[bytes], bool]) -> int:
    numbers = [(row.n,) for row in run(connection, "SELECT n, data FROM shared") if concerned(bytes(row.data))]
    return many(connection, "DELETE FROM shared WHERE n = ?", numbers)


def _erase_answers(connection: Connection, concerned: Callable[[bytes], bool]) -> int:
    numbers = [
        (row.attempt,) for row in run(connection, "SELECT attempt, text FROM answers") if concerned(row.text.encode())
    ]
    return many(connection, "DELETE FROM answers WHERE attempt = ?", numbers)


def _digests_to(connection: Connection, mail: str) -> set[int]:
    found = run(
        connection,
        "SELECT m.digest FROM messages m JOIN envelopes e ON e.message = m.n WHERE e.recipient = :mail",
        mail=mail,
    )
    return set(found.scalars())


def _erase_messages(connection: Connection, digests: set[int]) -> dict[str, int]:
    numbers = sorted(digests)
    messages = [row.n for row in select_in(connection, "SELECT n FROM messages WHERE digest IN :keys", numbers)]
    many(
        connection,
        "DELETE FROM answers WHERE attempt IN (SELECT n FROM attempts WHERE message = ?)",
        [(n,) for n in messages],
    )
    many(
        connection, "UPDATE messages SET state = 'expired' WHERE state = 'waiting' AND n = ?", [(n,) for n in messages]
    )
    many(
        connection,
        "UPDATE digests SET state = 'expired', why = 'erased' WHERE state IN ('closed', 'held', 'frozen') AND n = ?",
        [(n,) for n in numbers],
    )
    return {
        "messages": many(connection, "DELETE FROM envelopes WHERE message = ?", [(n,) for n in messages]),
        "files": many(connection, "DELETE FROM files WHERE digest = ?", [(n,) for n in numbers]),
    }


def _erase_member(database: Database, member: str) -> dict[str, int]:
    removed: dict[str, int] = {}
    for events in _pieces(_events_of_alone(database, member)):
        with database.writing() as connection:
            findings = change_in(connection, _FORGET_FINDINGS_OF_EVENTS, events)
            _add(removed, {"events": change_in(connection, _FORGET_EVENTS, events), "findings": findings})
    # What finds the events goes last: broken off and called again, it goes on.
    with database.writing() as connection:
        for name, statement in _MEMBER.items():
            removed[name] = run(connection, statement, member=member).rowcount
        about = re.compile(rf"flag:[^:]*:{re.escape(member)}(?:[/:].*)?")
        flags = [(row.name,) for row in run(connection, "SELECT name FROM facts") if about.fullmatch(row.name)]
        removed["flags"] = many(connection, "DELETE FROM facts WHERE name = ?", flags)
        quoted = b'"member":"' + member.encode() + b'"'
        removed["shared"] = _erase_shared(connection, lambda data: quoted in data)
    return removed


def _events_of_alone(database: Database, member: str) -> list[int]:
    """Give the events that concern a member and nobody else."""
    with database.reading() as connection:
        events = set(
            run(connection, f"SELECT event FROM dues WHERE delivery IN ({_OF_MEMBER})", member=member).scalars()
        )
        others = run(connection, f"SELECT event FROM dues WHERE delivery NOT IN ({_OF_MEMBER})", member=member)
        for page in others.scalars().partitions(_PAGE):
            events.difference_update(page)
    return sorted(events)


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count
