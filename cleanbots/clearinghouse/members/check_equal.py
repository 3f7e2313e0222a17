"""The same claimed by two members at the same time."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from ...config.finding import Finding, Place
from .ruling import SILENT_STATES
from .table import CLAIM, Table


def equal_claims(table: Table, places: Mapping[str, Place]) -> Iterator[Finding]:
    """Give a finding for each claim that another member has at the same time, unless both say ``shared_with``.

    Args:
        table: the compiled claims.
        places: ``file:line`` to the exact place, where it is known.
    """
    for rows, value in _equal(table):
        claims = [row for row in rows if table.kind[row] == CLAIM and not _relays(table, row)]
        for first, other in combinations(claims, 2):
            if _clash(table, first, other):
                one, two = (table.side.members[table.member[row]].id for row in (first, other))
                text = f"{value} is claimed by {two!r} and, at {table.place(first)}, by {one!r}"
                hint = f"end one by 'until:', or let both say 'shared_with: [{one}]' and 'shared_with: [{two}]'"
                place = places.get(table.place(other)) or Place(
                    table.side.files[table.file[other]], table.line[other], 1
                )
                yield Finding(*place, text, hint)


def _equal(table: Table) -> Iterator[tuple[Sequence[int], str]]:
    for branch in table.branches.values():
        first = branch.first
        for node in range(len(branch)):
            if first[node + 1] - first[node] > 1:
                yield branch.rows(node), str(branch.block(node))
    for number, rows in table.side.asns.items():
        yield rows, f"AS{number}"
    for name, rows in table.side.names.items():
        yield rows, name


def _relays(table: Table, row: int) -> bool:
    return bool(table.side.members[table.member[row]].kind == "relay")


def _clash(table: Table, first: int, other: int) -> bool:
    one, two = table.member[first], table.member[other]
    members = table.side.members
    if one == two or members[one].state in SILENT_STATES or members[two].state in SILENT_STATES:
        return False
    if table.since[first] >= table.until[other] or table.since[other] >= table.until[first]:
        return False
    details = table.side.details
    return bool(
        members[two].id not in details[table.detail[first]].shared_with
        or members[one].id not in details[table.detail[other]].shared_with
    )
