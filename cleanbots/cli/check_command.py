"""``cleanbots check``: every mistake of a configuration and of its members, each with its file, line and column."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from ..config.check import Checked, check
from ..config.draw import summary
from ..config.finding import Finding
from ..config.model import DeliverySettings
from .common import config_option, json_option

if TYPE_CHECKING:
    from ..clearinghouse.members import CheckedMembers


@click.command("check")
@config_option
@json_option
@click.option("--online", is_flag=True, help="Also ask each bot and courier that can tell whether it reaches its need.")
def command(config: Path, as_json: bool, online: bool) -> None:
    """Check a configuration and its members; print every mistake as file:line:column and exit with 1 if there is one.

    Nothing is written, and without --online nothing is connected to.
    """
    checked = check(config)
    members = None if checked.members is None else _check_members(checked, checked.members)
    findings = sorted({*checked.findings, *(members.findings if members is not None else ())})
    if online and checked.settings is not None:
        from ..config.probe import probe
        from ..services.probing import ProbeServices

        findings += probe(checked, ProbeServices())
    if as_json:
        click.echo(orjson.dumps([finding.as_dict() for finding in findings], option=orjson.OPT_INDENT_2))
    else:
        _say(checked, members, findings)
    if findings:
        raise click.exceptions.Exit(1)


def _check_members(checked: Checked, file: Path) -> "CheckedMembers":
    """Check the members; deliveries may ask for formats of plugins, and for couriers that are configured."""
    from ..clearinghouse.members import check as check_members
    from ..clearinghouse.members.check_member import CHANNELS, FORMATS
    from ..plugins import discover

    formats = {*FORMATS, *discover(checked.plugins).formats.names}
    return check_members(file, formats=sorted(formats), channels=sorted({*CHANNELS, *checked.couriers}))


def _say(checked: Checked, members: "CheckedMembers | None", findings: list[Finding]) -> None:
    for finding in findings:
        click.echo(str(finding))
    if findings:
        click.echo(f"{len(findings)} mistake{'' if len(findings) == 1 else 's'}", err=True)
    elif checked.settings is not None:
        number = len(checked.tests)
        tests = f", {number} test{'' if number == 1 else 's'}" if number else ""
        click.echo(f"{checked.settings.name}: fine; {summary(checked.settings)}{tests}")
        if members is not None:
            click.echo(_reach(checked.settings.delivery, members))


def _reach(delivery: DeliverySettings, members: "CheckedMembers") -> str:
    """Tell in one line how many members the hub's mode lets anything reach."""
    from ..clearinghouse.members import Registry
    from ..clearinghouse.members.table import Table

    states = [member.state for member in Registry(Table(members.data)).members.values()]
    if delivery.mode == "live":
        tested = f", {states.count('test')} in test" if "test" in states else ""
        what = f"{states.count('live')} of {len(states)} members are live{tested}"
    elif delivery.mode == "test":
        what = f"all of {len(states)} members' deliveries go to {delivery.written.get('test_to', 'the testers')}"
    else:
        what = f"nothing leaves; {len(states)} members"
    return f"delivery.mode: {delivery.mode}: {what}"
