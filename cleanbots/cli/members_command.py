"""``cleanbots members``: who the members are, what they claim, and whom an address or an event concerns."""

from pathlib import Path
from typing import Any

import click
import orjson

from ..clearinghouse.members import check as check_members
from ..clock import SystemClock
from ..errors import ConfigError
from .common import config_option, json_option, show
from .listing_group import ListingGroup
from .members_checking import MOST, check_command
from .members_file import as_text, file_option, members_file, registry_in, registry_of, without_mistakes
from .members_matching import match


@click.group("members", cls=ListingGroup)
def command() -> None:
    """List, show, check, match, import and compare members. Without a sub-command: list."""


command.add_command(check_command)
command.add_command(match)


@command.command("list")
@config_option
@file_option
@json_option
@click.option("--state", help="Only members in this state.")
def list_members(config: Path, file: Path | None, as_json: bool, state: str | None) -> None:
    """List members: state, kind, what they claim and how they are told."""
    from ..clearinghouse.members.diff import sizes

    registry = registry_in(members_file(config, file))
    counted = sizes(registry.table, SystemClock().now().toordinal())
    rows = []
    for member in registry.members.values():
        if state not in {None, member.state}:
            continue
        addresses, networks = counted.get(member.id, (0, 0))
        rows.append(
            {
                "id": member.id,
                "name": member.name,
                "kind": member.kind,
                "state": member.state,
                "asns": " ".join(f"AS{number}" for number in member.asns),
                "ipv4": addresses,
                "ipv6_64s": networks,
                "deliveries": " ".join(member.deliveries),
                "place": member.place,
            }
        )
    show(rows, as_json, "no members")


@command.command("show")
@config_option
@file_option
@json_option
@click.argument("member")
def show_member(config: Path, file: Path | None, as_json: bool, member: str) -> None:
    """Show one member as it is compiled, and its entry as it is written."""
    import msgspec

    checked = without_mistakes(check_members(members_file(config, file)))
    registry = registry_of(checked)
    if member not in registry.members:
        from ..config.finding import closest

        raise ConfigError(f"there is no member {member!r}; {closest(member, registry.members, 'see members list')}")
    written = next(each for each in checked.source.value["members"] if each["id"] == member)
    found = {"written": written, "compiled": msgspec.to_builtins(registry.members[member])}
    if as_json:
        click.echo(as_text(found))
        return
    click.echo(f"{member}  {registry.members[member].place}")
    _tree(written, 1)
    for delivery in registry.members[member].deliveries.values():
        click.echo(f"delivery {delivery.id}, with every default:")
        _tree(msgspec.structs.asdict(delivery), 1)


@command.command("import")
@config_option
@file_option
@click.argument("table", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--write", is_flag=True, help="Write the file; otherwise only the difference is printed.")
def import_members(config: Path, file: Path | None, table: Path, write: bool) -> None:
    """Take members from a CSV; those known by their id are changed, comments are kept.

    Columns: id, name, kind, state, language, asns, networks, domains, mail, role, delivery, when, tlp; lists are
    separated by blanks. A column that is missing, or empty, changes nothing.
    """
    from ..clearinghouse.members.importing import import_csv

    path = members_file(config, file)
    imported = import_csv(path, table)
    click.echo(imported.difference or "nothing changes", nl=not imported.difference)
    for finding in imported.findings:
        click.echo(str(finding), err=True)
    if imported.findings:
        raise ConfigError("what would be written has mistakes; nothing was written")
    if write and imported.difference:
        from .audit import record
        from .installation import state_folder

        imported.write()
        click.echo(f"written to {path}", err=True)
        if file is None:
            record(state_folder(config), "members import", {"file": str(path), "table": str(table)})


@command.command("diff")
@json_option
@click.argument("old", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("new", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def diff(as_json: bool, old: Path, new: Path) -> None:
    """Compare two files of members: who was added, removed or changed, and what addresses each gains or loses."""
    from ..clearinghouse.members.diff import differences, objections

    before, after = (registry_in(path).table for path in (old, new))
    today = SystemClock().now().toordinal()
    changes = differences(before, after, today)
    reasons = objections(before, after, today)
    if as_json:
        click.echo(as_text({"members": [each.as_dict() for each in changes], "to_confirm": reasons}))
        return
    for change in changes:
        counts = (("IPv4 addresses", change.addresses), ("IPv6 networks (/64)", change.networks6))
        moved = [f"{what} {one} → {two}" for what, (one, two) in counts if one != two]
        click.echo(f"{change.member}: {change.change}" + (f"; {', '.join(moved)}" if moved else ""))
        for claim in change.claims[:MOST]:
            click.echo(f"    {claim}")
        if len(change.claims) > MOST:
            click.echo(f"    … and {len(change.claims) - MOST} more (--json lists all)")
    for reason in reasons:
        click.echo(f"must be confirmed: {reason}")
    if not changes:
        click.echo("no member changes")


@command.command("test")
@config_option
@json_option
@click.argument("member")
def try_out(config: Path, as_json: bool, member: str) -> None:
    """Send MEMBER invented findings by each of its deliveries, to find out whether its tools read them."""
    from .deliveries_hub import answer, send_test

    references = send_test(config, member)
    answer(as_json, "\n".join(references), references=references)


def _tree(value: Any, depth: int) -> None:
    """Print nested values, indented; what is empty is left out."""
    indent = "  " * depth
    for key, inner in value.items():
        if inner in (None, "", (), [], {}):
            continue
        if isinstance(inner, dict):
            click.echo(f"{indent}{key}:")
            _tree(inner, depth + 1)
        elif isinstance(inner, (list, tuple)) and any(isinstance(each, dict) for each in inner):
            click.echo(f"{indent}{key}:")
            for each in inner:
                click.echo(f"{indent}  - {orjson.dumps(each).decode()}")
        else:
            text = " ".join(map(str, inner)) if isinstance(inner, (list, tuple)) else inner
            click.echo(f"{indent}{key}: {text}")
