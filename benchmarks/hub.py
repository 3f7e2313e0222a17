"""A made-up hub for the benchmarks of members: its configuration, its members, and a store with a long history.

The same seed gives the same hub. Addresses are of the documentation prefix 2001:db8::/32 (RFC 3849): each member holds a
/48 of it.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

import msgspec

from cleanbots.clearinghouse.findings import finding_id, finding_number
from cleanbots.clearinghouse.members import RegistryFile
from cleanbots.clearinghouse.model import Match
from cleanbots.clearinghouse.store import open_store
from cleanbots.clearinghouse.store.database import micros
from cleanbots.clearinghouse.store.payload import Payload, pack, packed_address, without_row
from cleanbots.clearinghouse.store.protocol import Recorded, Store
from cleanbots.clock import FixedClock, iso

RECORDED = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
"""When the morning's reports were recorded."""
MORNING = datetime(2026, 11, 20, 6, 31, tzinfo=UTC)
"""When the digests of 07:30 in Amsterdam are due."""
URGENT = "urgent"
"""The member whose findings are delivered at once."""

_CONFIG = """
name: hub
state: state
members: members.yaml
bots:
  inbox: {use: collector/file, every: 1d, params: {path: inbox}, to: parse}
  parse: {use: parser/csv, params: {columns: [source.ip]}, to: out}
  out: {use: output/file, params: {path: out.jsonl}}
delivery:
  mode: live
  from: {mail: hub@hub.example.net, name: Hub}
  couriers: {mail: {transport: maildir, path: maildir}}
  approve: {first_to_member: false, growth: 1000000x, over: 100000000, members_at_once: 1000000}
  limits: {mails_per_hour: 1000000, per_domain: 1000000/min}
"""

_HEADER = "timestamp,severity,ip,protocol,port,hostname,asn,geo,region,city,version,os\n"
_CHUNK = 200_000
_FIRST_DAY = 30
_OTHER = 0xFFFF_FFFF

T = TypeVar("T")


class Size(NamedTuple):
    """How large a hub is.

    Args:
        members: how many; the first ones have most of the rows.
        rows: observations that are owed this morning, each of another finding.
        findings: in the store this morning, all told; half of the rows are of findings that were told eight days ago.
        formats: of the digests.
        per_mail: the most findings of one mail.
    """

    members: int = 1_000
    rows: int = 2_000_000
    findings: int = 10_000_000
    formats: tuple[str, ...] = ("text", "csv")
    per_mail: int = 2_000


class Hub:
    """A hub in a folder.

    Args:
        folder: of its configuration and its store.
        size: how large.
    """

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder, self.size = folder, size
        self.config = folder / "cleanbots.yaml"
        self.database = folder / "state" / "clearinghouse.db"
        self.shares = _shares(size.rows, size.members)

    def write(self) -> None:
        """Write the configuration and the members."""
        self.config.write_text(_CONFIG)
        members = [_member(number, self.size) for number in range(self.size.members)]
        daily = members[0]["deliveries"][0]
        at_once = {**daily, "id": "now", "when": "immediately", "group": "1s", "format": ["text"]}
        urgent = {**_member(0xFFFF, self.size), "id": URGENT, "deliveries": [at_once]}
        (self.folder / "members.yaml").write_bytes(msgspec.json.encode({"members": [*members, urgent]}))

    def fill(self, seed: int = 1) -> None:
        """Make the history and record the morning's rows."""
        clock = FixedClock(RECORDED)
        store = open_store(self.database, clock)
        members = RegistryFile(self.folder / "members.yaml", self.folder / "state" / "members", clock).get()
        matches = [members.match(event(number, 0)).matches[0] for number in range(self.size.members)]
        known = [share // 2 for share in self.shares]
        self._history(store, matches, known, Random(seed))
        rows = self._rows(matches, known)
        for batch in _batches(rows, 5_000):
            store.record(batch, RECORDED)
        store.close_connections()

    def _rows(self, matches: list[Match], known: list[int]) -> Iterator[Recorded]:
        """Give the morning's rows: of each member first those that are known, then as many that are new."""
        past = self._past(known)
        for number, share in enumerate(self.shares):
            hosts = (*range(known[number]), *range(past[number], past[number] + share - known[number]))
            for host in hosts:
                yield row(event(number, host), matches[number])

    def _past(self, known: list[int]) -> list[int]:
        """Give how many findings of each member were told before."""
        spread = (self.size.findings - self.size.rows + sum(known)) // self.size.members
        return [max(spread, each) for each in known]

    def _history(self, store: Store, matches: list[Match], known: list[int], random: Random) -> None:
        before = RECORDED - timedelta(days=60)
        first = [row(event(number, _OTHER, before), match) for number, match in enumerate(matches)]
        store.record(first, before)  # makes the members' numbers, the matches and the kinds
        with sqlite3.connect(self.database) as database:
            database.execute("PRAGMA synchronous = OFF")
            database.execute("UPDATE dues SET outcome = 4, reason = 'given_up', digest = 0")
            _Past(database, random).write(self._past(known), known)
        database.close()


class _Past:
    """Writes what was told on the days before, as the store would have after a month of recording and closing."""

    def __init__(self, database: sqlite3.Connection, random: Random) -> None:
        self._database, self._random = database, random
        self._event = database.execute("SELECT MAX(n) FROM events").fetchone()[0]
        self._kind = database.execute("SELECT kind FROM findings LIMIT 1").fetchone()[0]

    def write(self, past: list[int], known: list[int]) -> None:
        numbers = self._database.execute(
            "SELECT d.n, u.match FROM deliveries d JOIN dues u ON u.delivery = d.n ORDER BY u.event"
        ).fetchall()
        digest = 0
        for number, (delivery, match) in enumerate(numbers):
            days = list(range(_FIRST_DAY, 0, -1))
            told = {day: digest + place for place, day in enumerate(days, 1)}
            digest += len(days)
            self._many("digests", (self._digest(told[day], delivery, day) for day in days))
            hosts = ((host, 8 if host < known[number] else self._random.choice(days)) for host in range(past[number]))
            for chunk in _batches(hosts, _CHUNK):
                self._write(number, delivery, match, chunk, told)
        for name, last in (("digests", digest), ("events", self._event)):
            self._database.execute("INSERT OR REPLACE INTO numbers (name, last) VALUES (?, ?)", (name, last))

    def _write(
        self, number: int, delivery: int, match: int, hosts: list[tuple[int, int]], told: dict[int, int]
    ) -> None:
        example = event(number, 1)
        payload = pack(Payload(without_row(example), example["raw"], 0, "report.csv"))
        findings, events, dues, mentions, entries = [], [], [], [], []
        for host, day in hosts:
            seen = micros(RECORDED - timedelta(days=day))
            last = micros(RECORDED - timedelta(days=1)) if day == 8 else seen
            fields = event(number, host)
            finding, digest = finding_number(finding_id(fields)), told[day]
            self._event += 1
            findings.append((finding, 1, self._kind, packed_address(fields["source.ip"]), None, seen, last, 2))
            events.append((self._event, f"past-{self._event}", finding, seen, seen, 3, payload))
            dues.append((delivery, self._event, match, seen, 0, 0, 1, "", digest))
            mentions.append((delivery, 2, finding, digest, seen, last))
            entries.append((digest, host, finding, self._event, match, 0, seen, seen, 1, None))
        for table, rows in (
            *(("findings", findings), ("events", events), ("dues", dues)),
            *(("mentions", mentions), ("entries", entries)),
        ):
            self._many(table, iter(sorted(rows)))

    def _digest(self, number: int, delivery: int, day: int) -> tuple[Any, ...]:
        at = micros(RECORDED - timedelta(days=day))
        summary = '{"counts":{},"still":{},"suppressed":{},"elsewhere":[]}'
        reference = f"PAST-{number}"
        return (
            *(number, reference, delivery, "mail", "digest", "live", "given", ""),
            *(at, at, at, 1, summary, "", ""),
        )

    def _many(self, table: str, rows: Iterator[tuple[Any, ...]]) -> None:
        first = next(rows, None)
        if first is None:
            return
        marks = ", ".join("?" * len(first))
        insert = f"INSERT INTO {table} VALUES ({marks})"  # noqa: S608  # names of ours
        self._database.execute(insert, first)
        self._database.executemany(insert, rows)
        self._database.commit()


def event(member: int, host: int, seen: datetime = RECORDED) -> dict[str, Any]:
    """Give the fields of an observation: an open service of a member, as a scan's report tells it."""
    address = (
        f"2001:db8:{member:x}::{host >> 16:x}:{host & 0xFFFF:x}" if host >> 16 else f"2001:db8:{member:x}::{host:x}"
    )
    name, time = f"host{host}.example.net", iso(seen - timedelta(hours=5))
    return {
        "id": f"report{member:04}{seen:%m%d}-{host}",
        "source.ip": address,
        "source.port": 6379,
        "source.asn": 64496 + member % 16,
        "source.reverse_dns": name,
        "source.geolocation.cc": "NL",
        "source.geolocation.city": "AMSTERDAM",
        "protocol.transport": "tcp",
        "protocol.application": "redis",
        "port_is": "service",
        "classification.taxonomy": "vulnerable",
        "classification.type": "potentially-unwanted-accessible",
        "classification.identifier": "open-redis",
        "severity": "medium",
        "tlp": "AMBER",
        "time.source": time,
        "time.observation": iso(seen),
        "feed.provider": "Shadowserver",
        "feed.name": "Accessible Redis",
        "feed.code": "scan_redis",
        "feed.documentation": "https://notifier.example/redis",
        "extra.version": "7.0.15",
        "extra.os": "Linux 6.1.0-18-amd64 x86_64",
        "raw": f"{time},medium,{address},tcp,6379,{name},64500,NL,NOORD-HOLLAND,AMSTERDAM,7.0.15,Linux 6.1.0-18-amd64\n",
    }


def row(fields: dict[str, Any], match: Match, delivery: str = "daily", *, urgent: bool = False) -> Recorded:
    """Give an observation as it is recorded for a member's delivery."""
    return Recorded(
        event=fields,
        finding=finding_id(fields),
        member=match.member,
        delivery=delivery,
        match=match,
        urgent=urgent,
        original=_HEADER + fields["raw"],
        report="2026-11-19-scan_redis-hub.csv",
    )


def _member(number: int, size: Size) -> dict[str, Any]:
    delivery = {
        "id": "daily",
        "channel": "mail",
        "to": ["abuse"],
        "when": "daily 07:30",
        "format": list(size.formats),
    }
    return {
        "id": f"m{number:04}",
        "name": f"Member {number}",
        "kind": "provider",
        "state": "live",
        "resources": {"networks": [{"prefix": f"2001:db8:{number:x}::/48"}]},
        "contacts": [{"id": "abuse", "role": "abuse", "mail": f"abuse@m{number}.example.net"}],
        "limits": {"findings_per_mail": size.per_mail},
        "deliveries": [delivery],
    }


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    walk = iter(items)
    while batch := list(islice(walk, size)):
        yield batch


def _shares(rows: int, members: int) -> list[int]:
    """Give each member's rows: a few large ones, many small ones, as address space is held."""
    weights = [1 / (number + 20) for number in range(members)]
    shares = [int(rows * weight / sum(weights)) for weight in weights]
    shares[0] += rows - sum(shares)
    return shares
