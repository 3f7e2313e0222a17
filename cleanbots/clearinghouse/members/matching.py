"""From an event to its matches: which fields name the asset, which claims touch it, what the rules say."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

import msgspec

from ...clock import Clock, SystemClock
from ...harmonization.network import fqdn
from ..model import Match
from .addresses import V4, WIDEST, locate, locate_network
from .ruling import Around, Claim, Considered, Notes, Ruler, Ruling, Verdict
from .table import EXCLUDE, GUARD, Branch, Table

Asset = Literal["source", "destination"]

STRICT = frozenset({"AMBER+STRICT", "RED"})
"""Labels under which only those who act are told; an event without a label is taken as such."""

_MOST_KEPT = 50_000
_PRECEDENCE: tuple[Verdict, ...] = ("matched", "ambiguous", "excluded", "guarded", "unmatched")
_ROLES = ("act", "relay", "inform")


class Question(NamedTuple):
    """All that decides whom an event concerns; events that ask the same get the same answer.

    Args:
        address: of the asset, or "".
        network: that the event is about if it has no address, or "".
        asns: numbers of autonomous systems that were named: the event's, and our own table's if it differs.
        names: host names and mail domains, each once.
        day: on which it was seen (`datetime.date.toordinal`).
        strict: whether its label keeps it to those who act.
        inventory: whether it is an inventory entry.
        reason: what each match says beside its claim.
    """

    address: str = ""
    network: str = ""
    asns: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    day: int = 0
    strict: bool = False
    inventory: bool = False
    reason: str = ""


class Matched(NamedTuple):
    """What was decided.

    Args:
        matches: acting ones first.
        verdict: ``matched``, or why nobody is told.
        refused: who would have been told but for the label: ``member role tlp``.
        considered: every claim that touches the asset and what became of it, if asked for.
    """

    matches: tuple[Match, ...] = ()
    verdict: Verdict = "unmatched"
    refused: tuple[str, ...] = ()
    considered: tuple[Considered, ...] = ()


class Matcher:
    """Answers whom events concern.

    Args:
        table: the compiled claims.
        clock: for events without any time.
    """

    def __init__(self, table: Table, clock: Clock | None = None) -> None:
        self.table = table
        self._clock = clock or SystemClock()
        self._members = table.side.members
        self._ruler = Ruler(self._members, table.side.version)
        self._inventory = frozenset(
            member.id for member in self._members if any(each.inventory for each in member.deliveries.values())
        )
        self._rulings: dict[tuple[int, int, tuple[int, ...], int, bool], Ruling] = {}
        self._days: dict[str, int] = {}

    def question(
        self,
        fields: Mapping[str, Any],
        at: date | datetime | None = None,
        *,
        asset: Asset = "source",
        announced: int | None = None,
    ) -> Question:
        """Take from an event what decides.

        Args:
            fields: canonical fields.
            at: look as if it had been seen then; None: at ``time.source``, else ``time.observation``, else now.
            asset: whose address, name and so on is meant.
            announced: the number of the autonomous system by our own table, if it was looked up.
        """
        get = fields.get
        address, url = get(f"{asset}.ip") or "", get(f"{asset}.url")
        network = "" if address else get(f"{asset}.network") or ""
        names: dict[str, None] = {}
        if url:
            host = url_host(url)
            if not _is_address(host):
                names[host] = None
            elif not address and not network:
                address = host
        if name := get(f"{asset}.fqdn"):
            names[name] = None
        account = get(f"{asset}.account")
        if account and "@" in account and (domain := _domain(account)):
            names[domain] = None
        asns = tuple(dict.fromkeys(number for number in (get(f"{asset}.asn"), announced) if number))
        reason = "" if asset == "source" else "victim"
        if resolved := get("resolved"):
            reason += f"{'; ' if reason else ''}resolved at {resolved}"
        return Question(
            address,
            network,
            asns,
            tuple(names),
            self._day(fields, at),
            get("tlp", "AMBER+STRICT") in STRICT,
            get("kind") == "inventory",
            reason,
        )

    def answer(self, question: Question, *, explain: bool = False) -> Matched:
        """Decide; with *explain* every claim considered is told."""
        considered: list[Considered] = []
        rulings = [self._network(question, considered, explain=explain)]
        rulings += [self._name(name, question, considered, explain=explain) for name in question.names]
        matches = _merged(rulings)
        if question.reason:
            matches = [
                msgspec.structs.replace(match, reason="; ".join(filter(None, (match.reason, question.reason))))
                for match in matches
            ]
        verdict = min((ruling.verdict for ruling in rulings), key=_PRECEDENCE.index)
        if question.inventory and matches:
            matches = [match for match in matches if match.member in self._inventory]
            verdict = "matched" if matches else "guarded"
        refused = tuple(dict.fromkeys(each for ruling in rulings for each in ruling.refused))
        return Matched(tuple(matches), verdict, refused, tuple(considered))

    def _day(self, fields: Mapping[str, Any], at: date | datetime | None) -> int:
        if at is not None:
            return at.toordinal()
        text = fields.get("time.source") or fields.get("time.observation")
        if text is None:
            return self._clock.now().toordinal()
        found = self._days.get(text[:10])
        if found is None:
            if len(self._days) >= _MOST_KEPT:
                self._days.clear()
            found = self._days[text[:10]] = date.fromisoformat(text[:10]).toordinal()
        return found

    def _network(self, question: Question, considered: list[Considered], *, explain: bool) -> Ruling:
        """Decide on the network axis. All addresses of one node of the tree get the same ruling, which is kept."""
        if not question.address and question.network:
            around = self._around_network(question)
            return around if isinstance(around, Ruling) else self._ruled(around, question, considered, explain=explain)
        family, node = V4, -1
        if question.address:
            family, number = locate(question.address)
            node = self.table.branches[family].find(number)
        if explain:
            return self._ruled(self._around(family, node, question), question, considered, explain=True)
        key = family, node, question.asns, question.day, question.strict
        found = self._rulings.get(key)
        if found is None:
            if len(self._rulings) >= _MOST_KEPT:
                self._rulings.clear()
            found = self._ruled(self._around(family, node, question), question, considered, explain=False)
            self._rulings[key] = found
        return found

    def _ruled(self, around: Around, question: Question, considered: list[Considered], *, explain: bool) -> Ruling:
        notes = Notes(self._members, "network") if explain else None
        ruling = self._ruler.rule("network", around, question.day, strict=question.strict, notes=notes)
        considered += notes.all() if notes else ()
        return ruling

    def _around(self, family: int, node: int, question: Question) -> Around:
        return Around(self._chain(self.table.branches[family], node), systems=self._systems(question))

    def _around_network(self, question: Question) -> Around | Ruling:
        where = locate_network(question.network)
        if where.length < WIDEST[where.family]:
            return Ruling(verdict="guarded")
        branch = self.table.branches[where.family]
        inner = []
        for node in branch.inside(where):
            chain = self._chain(branch, node)
            out = {claim.member for claim in chain if claim.kind == EXCLUDE}
            # A guard may lie inside; what it holds concerns nobody.
            if not any(claim.kind == GUARD for claim in chain):
                inner += [(self._claim(branch, node, row), self.table.member[row] in out) for row in branch.rows(node)]
        holding = self._chain(branch, branch.find(where.start, where.length))
        return Around(holding, inner, self._systems(question))

    def _chain(self, branch: Branch, node: int) -> list[Claim]:
        return [self._claim(branch, at, row) for at in branch.up(node) for row in branch.rows(at)]

    def _claim(self, branch: Branch, node: int, row: int) -> Claim:
        where = branch.block(node)
        return self._row(row, "prefix", str(where), where.length)

    def _systems(self, question: Question) -> list[list[Claim]]:
        asns = self.table.side.asns
        return [
            [self._row(row, "asn", f"AS{number}", 0) for row in asns.get(str(number), ())] for number in question.asns
        ]

    def _row(self, row: int, by: str, value: str, size: int) -> Claim:
        table = self.table
        detail = table.side.details[table.detail[row]]
        since, until = table.since[row], table.until[row]
        return Claim(row, table.member[row], table.kind[row], by, value, size, since, until, detail, table.place(row))

    def _name(self, name: str, question: Question, considered: list[Considered], *, explain: bool) -> Ruling:
        """Decide on the name axis for one name: suffixes at label boundaries, the longest first."""
        known, holding = self.table.side.names, []
        rest = name
        while rest:
            rows = known.get(rest)
            if rows:
                holding += [self._row(row, "domain", rest, rest.count(".") + 1) for row in rows]
            rest = rest.partition(".")[2]
        if not holding:
            return Ruling()
        notes = Notes(self._members, "name") if explain else None
        ruling = self._ruler.rule("name", Around(holding), question.day, strict=question.strict, notes=notes)
        considered += notes.all() if notes else ()
        return ruling


def _merged(rulings: list[Ruling]) -> list[Match]:
    """Join rulings: one match for each member and axis, in its strongest role; acting ones first."""
    found: dict[tuple[str, str], Match] = {}
    for match in sorted((each for ruling in rulings for each in ruling.matches), key=_rank):
        found.setdefault((match.member, match.axis), match)
    return list(found.values())


def _rank(match: Match) -> int:
    return _ROLES.index(match.role)


def url_host(url: str) -> str:
    """Give the host of a URL as the harmonisation writes it; of an IPv6 address what is within the brackets."""
    authority = url.partition("://")[2]
    for mark in "/?#":
        authority = authority.partition(mark)[0]
    host = authority.rpartition("@")[2]
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def _domain(account: str) -> str:
    """Give the domain of an account that looks like a mail address, or ""."""
    try:
        return fqdn(account.rpartition("@")[2].strip("> "))
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()
