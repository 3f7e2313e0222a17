"""What changed between two versions of the members, and what of it needs a second look."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from .addresses import V4
from .ruling import day_text
from .table import CLAIM, Branch, Table

MOST_TOUCHED = 0.10
"""The part of all members that a reload may touch without being confirmed."""

FACTOR = 2
"""By how much a reload may multiply or divide a member's addresses without being confirmed."""

_V6_UNIT = 64


class MemberChange(msgspec.Struct, frozen=True):
    """What changed for one member.

    Args:
        member: its id.
        change: ``added``, ``removed`` or ``changed``.
        addresses: IPv4 addresses before and after.
        networks6: IPv6 networks of /64 before and after.
        claims: what it claims now and did not before, or the other way round, with ``+`` or ``-`` before it.
    """

    member: str
    change: str
    addresses: tuple[int, int] = (0, 0)
    networks6: tuple[int, int] = (0, 0)
    claims: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready mapping."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def touched(old: Table, new: Table) -> dict[str, str]:
    """Give the ids of members that were added, removed or changed, and which of these."""
    before = dict(zip((member.id for member in old.side.members), old.side.digests, strict=True))
    after = dict(zip((member.id for member in new.side.members), new.side.digests, strict=True))
    found = {member: "removed" for member in before if member not in after}
    for member, digest in after.items():
        if before.get(member) != digest:
            found[member] = "changed" if member in before else "added"
    return found


def differences(old: Table, new: Table, day: int) -> list[MemberChange]:
    """List what changed for each member.

    Args:
        old: before.
        new: after.
        day: on which addresses are counted.
    """
    changes = touched(old, new)
    if not changes:
        return []
    counted = [sizes(table, day) for table in (old, new)]
    before, after = (_claims(table, changes) for table in (old, new))
    found = []
    for member, change in changes.items():
        (v4, v6), (v4_after, v6_after) = (each.get(member, (0, 0)) for each in counted)
        gone = [f"-{value}" for value in before.get(member, ()) if value not in after.get(member, {})]
        come = [f"+{value}" for value in after.get(member, ()) if value not in before.get(member, {})]
        found.append(MemberChange(member, change, (v4, v4_after), (v6, v6_after), (*gone, *come)))
    return found


def objections(old: Table, new: Table, day: int) -> list[str]:
    """Say why a change should be confirmed by a person before it counts; [] if it needs not."""
    changes = touched(old, new)
    found: list[str] = []
    number = len(old.side.members)
    if number and len(changes) > MOST_TOUCHED * number:
        found.append(f"it touches {len(changes)} of {number} members (more than {MOST_TOUCHED:.0%})")
    if not changes:
        return found
    before, after = sizes(old, day), sizes(new, day)
    for member, change in changes.items():
        if change == "added":
            continue
        one, two = before.get(member, (0, 0)), after.get(member, (0, 0))
        for old_size, new_size, what in zip(one, two, ("IPv4 addresses", "IPv6 networks (/64)"), strict=True):
            if new_size > FACTOR * old_size or FACTOR * new_size < old_size:
                found.append(f"{member}: from {old_size} to {new_size} {what}")
    return found


def sizes(table: Table, day: int) -> dict[str, tuple[int, int]]:
    """Count each member's IPv4 addresses and IPv6 networks of /64; what is nested is counted once."""
    found: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for family, branch in table.branches.items():
        side = 0 if family == V4 else 1
        longest = 32 if family == V4 else _V6_UNIT
        for node in range(len(branch)):
            for row in branch.rows(node):
                if _counts(table, row, day) and not _counted(table, branch, node, table.member[row], day):
                    found[table.member[row]][side] += 1 << max(0, longest - branch.lengths[node])
    return {table.side.members[number].id: (v4, v6) for number, (v4, v6) in found.items()}


def _counts(table: Table, row: int, day: int) -> bool:
    return bool(table.kind[row] == CLAIM and table.since[row] <= day < table.until[row])


def _counted(table: Table, branch: Branch, node: int, member: int, day: int) -> bool:
    """Tell whether the member claims something around it."""
    around = branch.up(branch.parents[node])
    return any(table.member[row] == member and _counts(table, row, day) for each in around for row in branch.rows(each))


def _claims(table: Table, wanted: dict[str, str]) -> dict[str, dict[str, None]]:
    """Give the resources of members as texts, with their days."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    numbers = {number for number, member in enumerate(table.side.members) if member.id in wanted}
    for row, value in _resources(table, numbers):
        since, until = day_text(table.since[row]), day_text(table.until[row])
        days = (f" since {since}" if since != "always" else "") + (f" until {until}" if until != "never" else "")
        found[table.side.members[table.member[row]].id][value + days] = None
    return found


def _resources(table: Table, numbers: set[int]) -> Iterator[tuple[int, str]]:
    """Give the rows of what some members claim, each with its value."""
    for branch in table.branches.values():
        for node in range(len(branch)):
            for row in branch.rows(node):
                if table.member[row] in numbers and table.kind[row] == CLAIM:
                    yield row, str(branch.block(node))
    named = [(f"AS{number}", rows) for number, rows in table.side.asns.items()]
    for value, rows in (*named, *table.side.names.items()):
        for row in rows:
            if table.member[row] in numbers and table.kind[row] == CLAIM:
                yield row, value
