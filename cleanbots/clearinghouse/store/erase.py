"""Remove everything about an address, a domain, a member or a mail address, wherever the store has it."""

# ruff: noqa: S608  # the statements are put together of constants of this module

import re
from collections.abc import Callable, Iterator, Sequence

import zstandard
from sqlalchemy import Connection

from .database import Database, many, run, select_in
from .payload import packed_address
from .retention import settle

_PAGE = 5000

_decompress = zstandard.ZstdDecompressor().decompress

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
    and not told yet is dropped with the reason ``erased``. The ledger keeps numbers and references.

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
    with database.writing() as connection:
        for pattern, findings in _subjects(connection, address, domain, mail):
            _add(removed, _erase_text(connection, pattern, findings))
        if mail:
            _add(removed, _erase_messages(connection, _digests_to(connection, mail)))
        if member:
            _add(removed, _erase_member(connection, member))
    settle(database, rewrite=True)
    return {name: count for name, count in removed.items() if count}


def _subjects(
    connection: Connection, address: str, domain: str, mail: str
) -> Iterator[tuple[re.Pattern[bytes], list[int]]]:
    if address:
        found = run(connection, "SELECT n FROM findings WHERE address = :address", address=packed_address(address))
        yield (
            re.compile(rb"(?<![\w.:])" + re.escape(address.encode()) + rb"(?![\w:]|\.\d)", re.IGNORECASE),
            list(found.scalars()),
        )
    if domain:
        domain = domain.lower().strip(".")
        found = run(
            connection,
            "SELECT n FROM findings WHERE host = :host OR host LIKE :below",
            host=domain,
            below=f"%.{domain}",
        )
        yield (
            re.compile(rb"(?<![\w-])" + re.escape(domain.encode()) + rb"(?![\w-]|\.\w)", re.IGNORECASE),
            list(found.scalars()),
        )
    if mail:
        yield re.compile(rb"(?<![\w.+-])" + re.escape(mail.encode()) + rb"(?![\w-]|\.\w)", re.IGNORECASE), []


def _erase_text(connection: Connection, pattern: re.Pattern[bytes], findings: Sequence[int]) -> dict[str, int]:
    events = list(_events(connection, pattern))
    digests = {row.digest for row in select_in(connection, "SELECT digest FROM entries WHERE event IN :keys", events)}
    digests |= set(_files(connection, pattern))
    return {
        "events": many(connection, "UPDATE events SET payload = NULL WHERE n = ?", [(n,) for n in events]),
        "findings": many(
            connection, "UPDATE findings SET address = NULL, host = NULL WHERE n = ?", [(n,) for n in findings]
        ),
        "owed": _drop(connection, events),
        "shared": _erase_shared(connection, lambda data: pattern.search(data) is not None),
        "answers": _erase_answers(connection, pattern),
        **_erase_messages(connection, digests),
    }


def _events(connection: Connection, pattern: re.Pattern[bytes]) -> Iterator[int]:
    after = 0
    while True:
        rows = run(
            connection,
            "SELECT n, payload FROM events WHERE n > :after AND payload IS NOT NULL ORDER BY n LIMIT :most",
            after=after,
            most=_PAGE,
        ).all()
        if not rows:
            return
        yield from (row.n for row in rows if pattern.search(_decompress(row.payload)))
        after = rows[-1].n


def _files(connection: Connection, pattern: re.Pattern[bytes]) -> Iterator[int]:
    for row in run(connection, "SELECT digest, data FROM files"):
        if pattern.search(bytes(row.data)):
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


def _erase_answers(connection: Connection, pattern: re.Pattern[bytes]) -> int:
    numbers = [
        (row.attempt,)
        for row in run(connection, "SELECT attempt, text FROM answers")
        if pattern.search(row.text.encode())
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


def _erase_member(connection: Connection, member: str) -> dict[str, int]:
    events = list(
        run(connection, f"SELECT DISTINCT event FROM dues WHERE delivery IN ({_OF_MEMBER})", member=member).scalars()
    )
    removed = {name: run(connection, statement, member=member).rowcount for name, statement in _MEMBER.items()}
    about = re.compile(rf"flag:[^:]*:{re.escape(member)}(?:[/:].*)?")
    flags = [(row.name,) for row in run(connection, "SELECT name FROM facts") if about.fullmatch(row.name)]
    removed["flags"] = many(connection, "DELETE FROM facts WHERE name = ?", flags)
    others = {row.event for row in select_in(connection, "SELECT event FROM dues WHERE event IN :keys", events)}
    own = [(n,) for n in events if n not in others]
    removed["events"] = many(connection, "UPDATE events SET payload = NULL WHERE n = ?", own)
    removed["findings"] = many(
        connection,
        "UPDATE findings SET address = NULL, host = NULL WHERE n = (SELECT finding FROM events WHERE n = ?)",
        own,
    )
    quoted = b'"member":"' + member.encode() + b'"'
    removed["shared"] = _erase_shared(connection, lambda data: quoted in data)
    return removed


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count
