"""``cleanbots members check``: mistakes, warnings, overlaps, and changes that must be confirmed."""

from pathlib import Path

import click

from ..clearinghouse.members import CheckedMembers
from ..clearinghouse.members import check as check_members
from ..clearinghouse.members.reload import RegistryFile, current
from ..errors import CleanbotsError, ConfigError
from .common import config_option, json_option
from .members_file import as_text, compiled_folder, file_option, members_file, registry_of

MOST = 50
"""Lines of one kind that are printed unless all are asked for."""


@click.command("check")
@config_option
@file_option
@json_option
@click.option("--overlaps", "list_overlaps", is_flag=True, help="List every claim inside of another member's.")
@click.option("--yes", is_flag=True, help="Take the file into use on this host, however much it changes.")
def check_command(config: Path, file: Path | None, as_json: bool, list_overlaps: bool, yes: bool) -> None:
    """Check the members: every mistake and every warning as file:line:column. Exits with 1 if there is a mistake.

    A change that touches more than a tenth of the members, or that doubles or halves anybody's addresses, is not used
    until it is confirmed here by --yes, on each host that matches or delivers.
    """
    from ..clearinghouse.members.review import overlaps

    path = members_file(config, file)
    checked = check_members(path, warn=True)
    found = [] if checked.findings else list(overlaps(registry_of(checked).table))
    waiting = _waiting(config, checked)
    if as_json:
        answer = {
            "version": checked.version,
            "mistakes": [each.as_dict() for each in checked.findings],
            "warnings": [each.as_dict() for each in checked.warnings],
            "overlaps": [each._asdict() for each in found],
            "to_confirm": waiting,
        }
        click.echo(as_text(answer))
    else:
        _say(checked, [str(each) for each in found], every=list_overlaps)
        for reason in waiting:
            click.echo(f"must be confirmed by --yes: {reason}")
    if checked.findings:
        raise click.exceptions.Exit(1)
    if yes:
        _confirm(config, path)


def _waiting(config: Path, checked: CheckedMembers) -> list[str]:
    folder = compiled_folder(config)
    if folder is None or not folder.is_dir():
        return []
    state = current(folder)
    return state.why if state.refused and state.refused == checked.version else []


def _confirm(config: Path, path: Path) -> None:
    from .audit import record
    from .installation import state_folder

    folder = compiled_folder(config)
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
    for line in overlaps if every else overlaps[:MOST]:
        click.echo(f"overlap: {line}")
    if not every and len(overlaps) > MOST:
        click.echo(f"overlap: … and {len(overlaps) - MOST} more; --overlaps lists all")
    if checked.findings:
        number = len(checked.findings)
        click.echo(f"{number} mistake{'' if number == 1 else 's'}", err=True)
    else:
        members = registry_of(checked).members
        live = sum(member.state == "live" for member in members.values())
        click.echo(f"fine; {len(members)} members, {live} of them live; version {checked.version}")
