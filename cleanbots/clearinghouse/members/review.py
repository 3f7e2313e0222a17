"""What may well be meant, but should be looked at: claims around others, findings that nobody would be told of."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ...config.finding import Finding, Place
from ...expression import Condition, compile_expression
from ...expression.syntax import fields_of
from ...harmonization.taxonomy import rsit
from ..model import Delivery, Member
from .table import CLAIM, Branch, Table

SEVERITIES = ("critical", "high", "medium", "low", "info", "undefined")
_MOST = 6
_TOLD_BY = frozenset(("severity", "priority", "kind", "classification.type", "classification.taxonomy"))


class Overlap(NamedTuple):
    """A claim that lies within another member's: who holds the inner one acts, the outer one is informed."""

    inner: str
    acts: str
    inner_place: str
    outer: str
    informed: str
    outer_place: str

    def __str__(self) -> str:
        """Give a sentence."""
        return (
            f"{self.inner} ({self.acts}, {self.inner_place}) lies within {self.outer} ({self.informed}, "
            f"{self.outer_place}): {self.acts} acts, {self.informed} is informed"
        )


def review(table: Table, places: Mapping[str, Place]) -> Iterator[Finding]:
    """Give the warnings.

    Args:
        table: the compiled claims.
        places: ``file:line`` to the exact place, where it is known.
    """
    yield from _swallowed(table, places)
    for member in table.side.members:
        if member.state == "live":
            yield from _uncovered(member, places)


def overlaps(table: Table) -> Iterator[Overlap]:
    """List prefix claims that lie within the nearest claim of another member, relays left out."""
    members = table.side.members
    for branch, inner, outer in _nested(table):
        node, row = inner
        around, other = outer
        yield Overlap(
            str(branch.block(node)),
            members[table.member[row]].id,
            table.place(row),
            str(branch.block(around)),
            members[table.member[other]].id,
            table.place(other),
        )


def _nested(table: Table) -> Iterator[tuple[Branch, tuple[int, int], tuple[int, int]]]:
    for branch in table.branches.values():
        for node in range(len(branch)):
            if branch.parents[node] < 0:
                continue
            for row in branch.rows(node):
                if _holds(table, row) and (outer := _around(table, branch, branch.parents[node], table.member[row])):
                    yield branch, (node, row), outer


def _around(table: Table, branch: Branch, node: int, member: int) -> tuple[int, int] | None:
    for at in branch.up(node):
        for row in branch.rows(at):
            if table.member[row] != member and _holds(table, row):
                return at, row
    return None


def _holds(table: Table, row: int) -> bool:
    return bool(table.kind[row] == CLAIM and table.side.members[table.member[row]].kind != "relay")


def _swallowed(table: Table, places: Mapping[str, Place]) -> Iterator[Finding]:
    """Find members all of whose networks lie within another's."""
    within: Counter[tuple[int, int]] = Counter()
    example: dict[tuple[int, int], tuple[int, int]] = {}
    for _, (_, row), (_, other) in _nested(table):
        pair = table.member[row], table.member[other]
        within[pair] += 1
        example.setdefault(pair, (row, other))
    if not within:
        return
    held = Counter(table.member[row] for row in range(len(table.member)) if _holds(table, row))
    for rows in (*table.side.asns.values(), *table.side.names.values()):
        held.subtract(table.member[row] for row in rows if _holds(table, row))
    for (inner, outer), number in within.items():
        if number == held[inner]:
            row, other = example[inner, outer]
            one, two = table.side.members[inner].id, table.side.members[outer].id
            text = f"all networks of {one!r} lie within those of {two!r} ({table.place(other)})"
            place = places.get(table.place(row)) or Place(table.side.files[table.file[row]], table.line[row], 1)
            yield Finding(*place, text, f"{one!r} acts, {two!r} is informed if a delivery says 'also: [inform]'")


def _uncovered(member: Member, places: Mapping[str, Place]) -> Iterator[Finding]:
    """Find kinds of findings that no delivery of a live member takes."""
    file, _, line = member.place.rpartition(":")
    place = places.get(member.place) or Place(file, int(line), 1)
    tests = [test for each in member.deliveries.values() if (test := _test(each)) is not None]
    if len(tests) < len(member.deliveries):
        return  # some filter asks for more than kind and severity: what it takes can't be told beforehand
    if not tests:
        yield Finding(*place, f"{member.id!r} is live, but has no deliveries", "add 'deliveries:'")
        return
    missing: dict[str, list[str]] = {}
    for taxonomy, types in rsit().taxonomy.items():
        for kind in types:
            for severity in SEVERITIES:
                fields = {"severity": severity, "priority": "normal", "kind": "finding", "classification.type": kind}
                fields["classification.taxonomy"] = taxonomy
                if not any(test(fields) for test in tests):
                    missing.setdefault(kind, []).append(severity)
    if missing:
        text = f"no delivery of {member.id!r} takes {_named(missing)}"
        yield Finding(*place, text, "widen a filter, or add a delivery without one")


def _named(missing: Mapping[str, Sequence[str]]) -> str:
    """Name types with the severities that are missing; those with the same severities together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for kind, severities in missing.items():
        groups.setdefault(tuple(severities), []).append(kind)
    everything = sum(map(len, rsit().taxonomy.values()))
    parts = []
    for severities, kinds in groups.items():
        what = "anything" if len(kinds) == everything else ", ".join(kinds[:_MOST])
        more = f" and {len(kinds) - _MOST} more types" if _MOST < len(kinds) < everything else ""
        parts.append(what + more + ("" if severities == SEVERITIES else f" of severity {', '.join(severities)}"))
    return "; ".join(parts)


def _test(delivery: Delivery) -> Condition | None:
    """Give a delivery's filter, or None if it asks for more than kind and severity."""
    if not delivery.filter:
        return lambda _: True
    if not fields_of(delivery.filter) <= _TOLD_BY:
        return None
    return compile_expression(delivery.filter)
