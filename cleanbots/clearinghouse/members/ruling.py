"""The rules of matching on one axis: given the claims that touch a place, who acts, who is informed, who gets a copy.

The rules are those of ``docs/members-file.md``; the same code decides for the expert and explains for an operator.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal, NamedTuple

import msgspec

from ..model import Axis, Match, Member, Role
from .table import ALWAYS, CLAIM, CUSTOMER, EXCLUDE, GUARD, NEVER, NOBODY, SHARED, Detail

Verdict = Literal["matched", "unmatched", "ambiguous", "guarded", "excluded"]
Result = Literal["won", "lost", "barred"]

SILENT_STATES = {"left": "the member left", "invited": "the member is only invited"}
"""States of members whose claims don't count."""


class Claim(NamedTuple):
    """One row of the table, unpacked.

    Args:
        row: its number, which tells claims apart.
        member: number of the member, or `NOBODY`.
        kind: see `cleanbots.clearinghouse.members.table`.
        by: ``prefix``, ``asn`` or ``domain``.
        value: what is claimed, as text.
        size: how specific it is: bits of a prefix, labels of a name.
        since: the first day on which it counts.
        until: the first day on which it counts no more.
        detail: what else is said.
        place: ``file:line``.
    """

    row: int
    member: int
    kind: int
    by: str
    value: str
    size: int
    since: int
    until: int
    detail: Detail
    place: str


class Considered(msgspec.Struct, frozen=True):
    """What became of one claim.

    Args:
        member: whose, "" for the guard's.
        axis: network or name.
        by: ``prefix``, ``asn`` or ``domain``.
        value: what is claimed.
        place: ``file:line``.
        result: it won, lost, or was barred.
        why: a few words.
    """

    member: str
    axis: Axis
    by: str
    value: str
    place: str
    result: Result
    why: str


class Ruling(NamedTuple):
    """What is decided on one axis: matches (acting ones first), why there are none, and who is refused by the label."""

    matches: tuple[Match, ...] = ()
    verdict: Verdict = "unmatched"
    refused: tuple[str, ...] = ()


class Notes:
    """Keeps what became of each claim, in the order in which they were considered."""

    def __init__(self, members: Sequence[Member], axis: Axis) -> None:
        self._members = members
        self._axis = axis
        self._notes: dict[int, Considered] = {}

    def note(self, claim: Claim, result: Result, why: str) -> None:
        """Say what became of a claim; the last word counts."""
        member = "" if claim.member == NOBODY else self._members[claim.member].id
        self._notes[claim.row] = Considered(member, self._axis, claim.by, claim.value, claim.place, result, why)

    def all(self) -> list[Considered]:
        """Give all notes."""
        return list(self._notes.values())


class Around(NamedTuple):
    """The claims that touch a place.

    Args:
        holding: of prefixes that hold it whole or names that end it, most specific first; rows of all kinds.
        inner: of prefixes that lie within it (for findings about a network), each with what its member excludes there.
        systems: for each number of an autonomous system that was named: its claims.
    """

    holding: list[Claim]
    inner: Sequence[tuple[Claim, bool]] = ()
    systems: Sequence[list[Claim]] = ()


class Ruler:
    """Decides on one axis.

    Args:
        members: by number.
        version: of the registry; each match carries it.
    """

    def __init__(self, members: Sequence[Member], version: str) -> None:
        self._members = members
        self._version = version
        self._relays = {number for number, member in enumerate(members) if member.kind == "relay"}
        self._silent = {
            number: SILENT_STATES[member.state]
            for number, member in enumerate(members)
            if member.state in SILENT_STATES
        }

    def rule(self, axis: Axis, around: Around, day: int, *, strict: bool, notes: Notes | None = None) -> Ruling:
        """Decide.

        Args:
            axis: network or name.
            around: the claims.
            day: on which it was seen.
            strict: whether the label keeps it to those who act.
            notes: takes what became of each claim.
        """
        case = _Case(self._members, self._relays, axis, notes, self._version)
        guards = [claim for claim in around.holding if claim.kind == GUARD]
        if guards:
            for claim in (*guards, *_claims(around)):
                case.note(claim, "barred", guards[0].detail.why or "an address of the hub or of a notifier")
            return Ruling(verdict="guarded")
        holding = self._valid(around.holding, day, case)
        inner = [(claim, out) for claim, out in around.inner if claim.kind == CLAIM and self._counts(claim, day, case)]
        systems = [self._valid(claims, day, case) for claims in around.systems]
        blocks = [claim for claim in around.holding if claim.kind in {CUSTOMER, SHARED}]
        excluded = {claim.member: claim for claim in around.holding if claim.kind == EXCLUDE}
        verdict = case.decide(holding, inner, systems, excluded)
        return case.ruling(verdict, blocks, strict=strict)

    def _valid(self, claims: Iterable[Claim], day: int, case: "_Case") -> list[Claim]:
        return [claim for claim in claims if claim.kind == CLAIM and self._counts(claim, day, case)]

    def _counts(self, claim: Claim, day: int, case: "_Case") -> bool:
        """Tell whether a claim counts on a day."""
        if claim.member in self._silent:
            case.note(claim, "barred", self._silent[claim.member])
        elif day < claim.since:
            case.note(claim, "barred", f"counts only since {day_text(claim.since)}")
        elif day >= claim.until:
            case.note(claim, "barred", f"ended on {day_text(claim.until)}")
        else:
            return True
        return False


class _Case:
    """One decision: who has which role by which claim."""

    def __init__(
        self, members: Sequence[Member], relays: set[int], axis: Axis, notes: Notes | None, version: str
    ) -> None:
        self.members = members
        self.relays = relays
        self.axis: Axis = axis
        self.notes = notes
        self.version = version
        self.act: dict[int, tuple[Claim, str]] = {}
        self.relay: dict[int, tuple[Claim, str]] = {}
        self.inform: dict[int, tuple[Claim, str]] = {}

    def note(self, claim: Claim, result: Result, why: str) -> None:
        if self.notes is not None:
            self.notes.note(claim, result, why)

    def decide(
        self,
        holding: list[Claim],
        inner: Sequence[tuple[Claim, bool]],
        systems: Sequence[list[Claim]],
        excluded: dict[int, Claim],
    ) -> Verdict:
        """Give each member its role; the verdict says why there are none, if there are none."""
        holders = [claim for claim in holding if claim.member not in self.relays]
        held = bool(holders) or any(claim.member not in self.relays for claim, _ in inner)
        named = [{claim.member for claim in claims} for claims in systems]
        contradictory = any(each != named[0] for each in named)
        if contradictory and not held:
            for claim in (*holding, *(claim for claim, _ in inner), *(each for claims in systems for each in claims)):
                self.note(claim, "barred", "the AS numbers contradict each other")
            return "ambiguous"
        by_system = [claim for claims in systems for claim in claims]
        if contradictory:
            for claim in by_system:
                self.note(claim, "barred", "the AS numbers contradict each other")
            by_system = []
        holding_systems = [claim for claim in by_system if claim.member not in self.relays]
        self._copies([*holding, *by_system], excluded)
        if self._kept_to_relay(holders, inner, holding_systems):
            return "guarded"
        verdict = self._roles(holders, holding_systems, excluded, held=held)
        self._overlaps(inner)
        return verdict

    def _copies(self, claims: list[Claim], excluded: dict[int, Claim]) -> None:
        """Relays get a copy, each by its most specific claim."""
        for claim in claims:
            if claim.member not in self.relays:
                continue
            if claim.member in excluded:
                self.note(claim, "barred", f"excluded by {excluded[claim.member].value}")
            elif claim.member in self.relay:
                self.note(claim, "lost", "the relay has a more specific claim")
            else:
                self.relay[claim.member] = claim, ""
                self.note(claim, "won", "relay")

    def _kept_to_relay(self, holders: list[Claim], inner: Sequence[tuple[Claim, bool]], systems: list[Claim]) -> bool:
        """Tell whether a relay claims it for itself alone; then nobody else gets a role."""
        alone = {number for number, (claim, _) in self.relay.items() if claim.detail.relay_only}
        if not alone:
            return False
        for claim in (*holders, *(claim for claim, _ in inner), *systems):
            self.note(claim, "barred", "kept to the relay")
        for number in list(self.relay):
            if number not in alone:
                self.note(self.relay.pop(number)[0], "barred", "kept to another relay")
        return True

    def _roles(self, holders: list[Claim], systems: list[Claim], excluded: dict[int, Claim], *, held: bool) -> Verdict:
        """The longest claims act, shorter ones of others are informed; systems act only where nobody holds it."""
        acting = [claim for claim in holders if claim.size == holders[0].size] if holders else [] if held else systems
        if acting and all(claim.member in excluded for claim in acting):
            self._excluded(acting, [*holders, *systems], excluded)
            return "excluded"
        for claim in (*holders, *systems):
            if claim.member in excluded:
                self.note(claim, "barred", f"excluded by {excluded[claim.member].value}")
            elif claim.member in self.act or claim.member in self.inform:
                self.note(claim, "lost", "the member has a better claim")
            elif claim in acting:
                self.act[claim.member] = claim, ""
                self.note(claim, "won", "act: the most specific claim" if holders else "act: no prefix is claimed")
            elif self.axis == "name":
                self.note(claim, "lost", "a longer name is claimed")
            else:
                self.inform[claim.member] = claim, ""
                self.note(claim, "won", f"inform: {'a prefix' if claim.by == 'asn' else 'a longer prefix'} is claimed")
        return "unmatched"

    def _excluded(self, acting: list[Claim], claims: list[Claim], excluded: dict[int, Claim]) -> None:
        """Nobody is told of what its holder excluded: it falls through to nobody, and a copy needs an original."""
        for claim in claims:
            if claim in acting:
                self.note(claim, "barred", f"excluded by {excluded[claim.member].value}")
            else:
                self.note(claim, "barred", "its holder excluded it, and that does not fall through")
        for claim, _ in self.relay.values():
            self.note(claim, "barred", "its holder excluded it; a relay gets a copy, never the only one")
        self.relay.clear()

    def _overlaps(self, inner: Sequence[tuple[Claim, bool]]) -> None:
        """Claims inside of the network that a finding is about act for their part of it."""
        for claim, out in inner:
            if out:
                self.note(claim, "barred", "excluded by its member")
            elif claim.member in self.relays:
                self.relay.setdefault(claim.member, (claim, "overlaps"))
                self.note(claim, "won", "relay: overlaps")
            elif claim.member in self.act:
                self.note(claim, "lost", "the member acts already")
            else:
                self.inform.pop(claim.member, None)
                self.act[claim.member] = claim, "overlaps"
                self.note(claim, "won", "act: overlaps")

    def ruling(self, verdict: Verdict, blocks: list[Claim], *, strict: bool) -> Ruling:
        """Make matches of the roles; a strict label keeps them to those who act."""
        refused: list[str] = []
        matches = [self._match("act", number, *found, blocks, strict=strict) for number, found in self.act.items()]
        if strict and any(_told(blocks, number)[0] for number in self.act):
            refused += [f"{self.members[number].id} customer tlp" for number in self.act if _told(blocks, number)[0]]
        others: tuple[tuple[Role, dict[int, tuple[Claim, str]]], ...] = (("relay", self.relay), ("inform", self.inform))
        for role, found in others:
            for number, (claim, reason) in found.items():
                if strict:
                    self.note(claim, "barred", f"{role}: the label keeps it to those who act")
                    refused.append(f"{self.members[number].id} {role} tlp")
                else:
                    matches.append(self._match(role, number, claim, reason, blocks, strict=False))
        if matches:
            return Ruling(tuple(matches), "matched", tuple(refused))
        return Ruling((), "guarded" if refused else verdict, tuple(refused))

    def _match(self, role: Role, number: int, claim: Claim, reason: str, blocks: list[Claim], *, strict: bool) -> Match:
        customers = [block for block in blocks if block.kind == CUSTOMER and block.member == number]
        contact, others, share = _told(blocks, number)
        if role != "act" or strict:
            contact, others, share = "", (), "member"
        return Match(
            member=self.members[number].id,
            role=role,
            axis=self.axis,
            by=claim.by,
            value=claim.value,
            since=day_text(claim.since) if claim.since > ALWAYS else "",
            reason=reason,
            customer_ref=customers[0].detail.ref if customers else "",
            customer_contact=contact,
            other_contacts=others,
            share=share,
            chain=tuple(block.detail.ref for block in reversed(customers[1:])),
            shared_address=any(block.kind == SHARED and block.member == number for block in blocks),
            place=claim.place,
            version=self.version,
        )


def _told(blocks: list[Claim], number: int) -> tuple[str, tuple[str, ...], str]:
    """Tell which customers of a member are told: the address, those of blocks above, and who is told at all.

    The most specific block decides whether customers are told; the most specific one with an address is told, and with
    it those above that share with both.
    """
    customers = [block.detail for block in blocks if block.kind == CUSTOMER and block.member == number]
    if not customers or customers[0].share == "member":
        return "", (), "member"
    told = next((at for at, block in enumerate(customers) if block.contact), None)
    if told is None:
        return "", (), "member"
    contact = customers[told].contact
    above = (block.contact for block in reversed(customers[told + 1 :]) if block.share == "both")
    others = tuple(dict.fromkeys(other for other in above if other and other != contact))
    return contact, others, customers[0].share


def _claims(around: Around) -> list[Claim]:
    """Give all resources among the claims."""
    everything = [*around.holding, *(claim for claim, _ in around.inner), *(c for each in around.systems for c in each)]
    return [claim for claim in everything if claim.kind == CLAIM]


def day_text(day: int) -> str:
    """Give a day as text."""
    return "always" if day <= ALWAYS else "never" if day >= NEVER else date.fromordinal(day).isoformat()
