"""``cleanbots members``: who the members are, what they claim, and whom an address or an event concerns."""

from datetime import date
from pathlib import Path
from typing import Any

import click
import orjson

from ..clearinghouse.members import CheckedMembers, Matched, Registry
from ..clearinghouse.members import check as check_members
from ..clearinghouse.members.reload import RegistryFile, current
from ..clock import SystemClock
from ..errors import CleanbotsError, ConfigError
from .common import F, config_option, json_option, show
from .listing_group import ListingGroup

_MOST = 50


def _file_option(function: F) -> F:
    return click.option(
        "--file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The file of the members, instead of the one that the configuration names.",
    )(function)


@click.group("members", cls=ListingGroup)
def command() -> None:
    """List, show, check, match, import and compare members. Without a sub-command: list."""


@command.command("list")
@config_option
@_file_option
@json_option
@click.option("--state", help="Only members in this state.")
def list_members(config: Path, file: Path | None, as_json: bool, state: str | None) -> None:
    """List members: state, kind, what they claim and how they are told."""
    from ..clearinghouse.members.diff import sizes

    registry = _registry(_members_file(config, file))
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
@_file_option
@json_option
@click.argument("member")
def show_member(config: Path, file: Path | None, as_json: bool, member: str) -> None:
    """Show one member as it is compiled, and its entry as it is written."""
    import msgspec

    checked = _good(check_members(_members_file(config, file)))
    registry = _compiled(checked)
    if member not in registry.members:
        from ..config.finding import closest

        raise ConfigError(f"there is no member {member!r}; {closest(member, registry.members, 'see members list')}")
    written = next(each for each in checked.source.value["members"] if each["id"] == member)
    found = {"written": written, "compiled": msgspec.to_builtins(registry.members[member])}
    if as_json:
        click.echo(_json(found))
        return
    click.echo(f"{member}  {registry.members[member].place}")
    _tree(written, 1)
    for delivery in registry.members[member].deliveries.values():
        click.echo(f"delivery {delivery.id}, with every default:")
        _tree(msgspec.structs.asdict(delivery), 1)


@command.command("check")
@config_option
@_file_option
@json_option
@click.option("--overlaps", "list_overlaps", is_flag=True, help="List every claim inside of another member's.")
@click.option("--yes", is_flag=True, help="Take the file into use on this host, however much it changes.")
def check_command(config: Path, file: Path | None, as_json: bool, list_overlaps: bool, yes: bool) -> None:
    """Check the members: every mistake and every warning as file:line:column. Exits with 1 if there is a mistake.

    A change that touches more than a tenth of the members, or that doubles or halves anybody's addresses, is not used
    until it is confirmed here by --yes, on each host that matches or delivers.
    """
    from ..clearinghouse.members.review import overlaps

    path = _members_file(config, file)
    checked = check_members(path, warn=True)
    found = [] if checked.findings else list(overlaps(_compiled(checked).table))
    waiting = _waiting(config, checked)
    if as_json:
        answer = {
            "version": checked.version,
            "mistakes": [each.as_dict() for each in checked.findings],
            "warnings": [each.as_dict() for each in checked.warnings],
            "overlaps": [each._asdict() for each in found],
            "to_confirm": waiting,
        }
        click.echo(_json(answer))
    else:
        _say(checked, [str(each) for each in found], every=list_overlaps)
        for reason in waiting:
            click.echo(f"must be confirmed by --yes: {reason}")
    if checked.findings:
        raise click.exceptions.Exit(1)
    if yes:
        _confirm(config, path)


@command.command("match")
@config_option
@_file_option
@json_option
@click.argument("subject")
@click.option("--at", "day", type=click.DateTime(["%Y-%m-%d"]), help="As if seen on this day; today if left out.")
@click.option("--asn", type=click.IntRange(1), help="The AS number that the notifier gave.")
@click.option("--announced", type=click.IntRange(1), help="The AS number by our own table.")
@click.option("--tlp", default="AMBER", show_default=True, help="The label; AMBER+STRICT keeps it to those who act.")
def match(
    config: Path,
    file: Path | None,
    as_json: bool,
    subject: str,
    day: Any,
    asn: int | None,
    announced: int | None,
    tlp: str,
) -> None:
    """Tell whom an address, a network or a name concerns, and why; or every event in a FILE of JSON lines.

    Every claim that touches it is printed in the order in which it was considered: whether it won, lost or was barred.
    The decision is made by the code that 'expert/constituency' runs.
    """
    registry = _registry(_members_file(config, file))
    at: date = day.date() if day is not None else SystemClock().now().date()
    events = _events(subject, tlp)
    answers = []
    for name, fields, dated in events:
        if asn is not None:
            fields["source.asn"] = asn
        when = None if dated and day is None else at
        matched = registry.match(fields, when, announced=announced, explain=True)
        answers.append(_answer(name, matched))
        if not as_json:
            _explain(name, matched)
    if as_json:
        click.echo(_json(answers if len(answers) != 1 else answers[0]))


@command.command("import")
@config_option
@_file_option
@click.argument("table", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--write", is_flag=True, help="Write the file; otherwise only the difference is printed.")
def import_members(config: Path, file: Path | None, table: Path, write: bool) -> None:
    """Take members from a CSV; those known by their id are changed, comments are kept.

    Columns: id, name, kind, state, language, asns, networks, domains, mail, role, delivery, when, tlp; lists are
    separated by blanks. A column that is missing, or empty, changes nothing.
    """
    from ..clearinghouse.members.importing import import_csv

    path = _members_file(config, file)
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

    before, after = (_registry(path).table for path in (old, new))
    today = SystemClock().now().toordinal()
    changes = differences(before, after, today)
    reasons = objections(before, after, today)
    if as_json:
        click.echo(_json({"members": [each.as_dict() for each in changes], "to_confirm": reasons}))
        return
    for change in changes:
        counts = (("IPv4 addresses", change.addresses), ("IPv6 networks (/64)", change.networks6))
        moved = [f"{what} {one} → {two}" for what, (one, two) in counts if one != two]
        click.echo(f"{change.member}: {change.change}" + (f"; {', '.join(moved)}" if moved else ""))
        for claim in change.claims[:_MOST]:
            click.echo(f"    {claim}")
        if len(change.claims) > _MOST:
            click.echo(f"    … and {len(change.claims) - _MOST} more (--json lists all)")
    for reason in reasons:
        click.echo(f"must be confirmed: {reason}")
    if not changes:
        click.echo("no member changes")


def _members_file(config: Path, file: Path | None) -> Path:
    """Give the file of the members: as said, or as the configuration says."""
    if file is not None:
        return file
    from ..config.source import load

    if not config.is_file():
        raise ConfigError(f"{config}: no such file; name the configuration by --config, or the members by --file")
    source = load(config)
    named = source.value.get("members")
    if not isinstance(named, str) or not named:
        raise ConfigError(f"{config}: has no 'members:'; add the file of the members, or name it by --file")
    return source.base / Path(named).expanduser()


def _folder(config: Path) -> Path | None:
    """Give where this host keeps the compiled members, or None without a configuration."""
    from .installation import state_folder

    return state_folder(config) / "members" if config.is_file() else None


def _good(checked: CheckedMembers) -> CheckedMembers:
    if checked.findings:
        for finding in checked.findings:
            click.echo(str(finding), err=True)
        raise ConfigError(f"{checked.source.file} has mistakes; 'cleanbots members check' lists them")
    return checked


def _compiled(checked: CheckedMembers) -> Registry:
    from ..clearinghouse.members.table import Table

    return Registry(Table(checked.data))


def _registry(path: Path) -> Registry:
    return _compiled(_good(check_members(path)))


def _waiting(config: Path, checked: CheckedMembers) -> list[str]:
    folder = _folder(config)
    if folder is None or not folder.is_dir():
        return []
    state = current(folder)
    return state.why if state.refused and state.refused == checked.version else []


def _confirm(config: Path, path: Path) -> None:
    from .audit import record
    from .installation import state_folder

    folder = _folder(config)
    if folder is None:
        raise ConfigError(f"{config}: no such file; --yes needs the configuration, as it knows the state folder")
    before, checked = RegistryFile(path, folder).confirm()
    if checked.findings:
        raise CleanbotsError(f"{path} has changed in the meantime and has mistakes now; nothing was confirmed")
    arguments = {"file": str(path), "from": before.version if before is not None else "", "to": checked.version}
    record(state_folder(config), "members check --yes", arguments)
    click.echo(f"version {checked.version} is in use on this host")


def _say(checked: CheckedMembers, overlaps: list[str], *, every: bool) -> None:
    for finding in checked.findings:
        click.echo(str(finding))
    for warning in checked.warnings:
        click.echo(f"warning: {warning}")
    for line in overlaps if every else overlaps[:_MOST]:
        click.echo(f"overlap: {line}")
    if not every and len(overlaps) > _MOST:
        click.echo(f"overlap: … and {len(overlaps) - _MOST} more; --overlaps lists all")
    if checked.findings:
        number = len(checked.findings)
        click.echo(f"{number} mistake{'' if number == 1 else 's'}", err=True)
    else:
        members = _compiled(checked).members
        live = sum(member.state == "live" for member in members.values())
        click.echo(f"fine; {len(members)} members, {live} of them live; version {checked.version}")


def _events(subject: str, tlp: str) -> list[tuple[str, dict[str, Any], bool]]:
    """Give what is asked about: for each its name, its fields, and whether it has a time of its own."""
    from ..errors import InvalidValue
    from ..harmonization import harmonise

    path = Path(subject)
    if path.is_file():  # first, because many a file's name could be a host's
        return [*_lines(path)]
    for field in ("source.ip", "source.network", "source.url", "source.fqdn"):
        if field == "source.network" and "/" not in subject:
            continue
        try:
            return [(subject, {field: harmonise(field, subject), "tlp": harmonise("tlp", tlp)}, False)]
        except InvalidValue:
            continue
    raise ConfigError(f"{subject!r} is no address, no network, no name and no file")


def _lines(path: Path) -> list[tuple[str, dict[str, Any], bool]]:
    from ..harmonization.exchange import flat

    found = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                fields = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise ConfigError(f"{path}:{number}: not JSON: {error}") from error
            if not isinstance(fields, dict):
                raise ConfigError(f"{path}:{number}: not an event; write one JSON object a line")
            fields = flat(fields)
            dated = "time.source" in fields or "time.observation" in fields
            found.append((str(fields.get("id", f"{path}:{number}")), fields, dated))
    return found


def _answer(name: str, matched: Matched) -> dict[str, Any]:
    import msgspec

    return {
        "subject": name,
        "verdict": matched.verdict,
        "matches": msgspec.to_builtins(list(matched.matches)),
        "refused": list(matched.refused),
        "considered": msgspec.to_builtins(list(matched.considered)),
    }


def _explain(name: str, matched: Matched) -> None:
    click.echo(f"{name}: {matched.verdict}")
    for match in matched.matches:
        customer = f", customer {match.customer_ref}" if match.customer_ref else ""
        told = f" ({match.customer_contact} is told)" if match.customer_contact else ""
        reason = f", {match.reason}" if match.reason else ""
        click.echo(f"  {match.member}: {match.role} by {match.by} {match.value}{reason}{customer}{told}")
    for refused in matched.refused:
        click.echo(f"  refused: {refused}")
    for each in matched.considered:
        click.echo(f"    {each.result:6} {each.value:24} {each.member or '(guard)':20} {each.why}  [{each.place}]")


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


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


@command.command("test")
@config_option
@click.argument("member")
def try_out(config: Path, member: str) -> None:
    """Send MEMBER invented findings by each of its deliveries, to find out whether its tools read them."""
    from .deliveries_command import send_test

    for line in send_test(config, member):
        click.echo(line)
