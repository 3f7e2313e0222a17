"""``cleanbots check``: every mistake of a configuration and of its members, each with its file, line and column."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from ..clock import SystemClock
from ..config.check import Checked, check
from ..config.draw import summary
from ..config.finding import Finding
from ..config.model import DeliverySettings
from .common import config_option, json_option

if TYPE_CHECKING:
    from ..clearinghouse.members import CheckedMembers
    from ..clearinghouse.model import Member


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
    findings = {*checked.findings, *(members.findings if members is not None else ()), *_check_seal(checked)}
    if checked.settings is not None and members is not None and not members.findings:
        findings |= {*_unserved(checked.settings.delivery, members)}
    mistakes = sorted(findings)
    if online and checked.settings is not None:
        from ..config.probe import probe
        from ..services.probing import ProbeServices

        mistakes += probe(checked, ProbeServices())
    if as_json:
        click.echo(orjson.dumps([finding.as_dict() for finding in mistakes], option=orjson.OPT_INDENT_2))
    else:
        _say(checked, members, mistakes)
    if mistakes:
        raise click.exceptions.Exit(1)


def _check_members(checked: Checked, file: Path) -> "CheckedMembers":
    """Check the members; deliveries may ask for formats of plugins, and for couriers that are configured."""
    from ..clearinghouse.members import check as check_members
    from ..clearinghouse.members.check_member import CHANNELS, FORMATS
    from ..plugins import discover

    formats = {*FORMATS, *discover(checked.plugins).formats.names}
    return check_members(file, formats=sorted(formats), channels=sorted({*CHANNELS, *checked.couriers}))


def _check_seal(checked: Checked) -> list[Finding]:
    """See whether mails can be signed, if they are to be."""
    at = ("delivery", "sign")
    if checked.settings is None or "sign" not in checked.settings.delivery.written:
        return []
    from ..clearinghouse.mail import SealError
    from ..clearinghouse.settings import seal

    try:
        seal(checked.settings, SystemClock()).probe()
    except SealError as error:
        return [Finding(*checked.places[at], str(error), "until then every mail to a member is held")]
    return []


def _unserved(delivery: DeliverySettings, members: "CheckedMembers") -> Iterator[Finding]:
    """Find deliveries that could never leave, because nobody serves their channel; in mode preview nothing leaves."""
    if delivery.mode == "preview":
        return
    for member in _members(members):
        for each in member.deliveries.values():
            if member.state in ("live", "test") and each.channel not in delivery.couriers:
                file, _, line = member.place.rpartition(":")
                text = f"{member.id}/{each.id} goes by channel {each.channel!r}, and no courier serves it"
                hint = f"add '{each.channel}: {{…}}' to 'couriers:' in 'delivery:'; until then its findings stay owed"
                yield Finding(file, int(line), 1, text, hint)


def _members(members: "CheckedMembers") -> "list[Member]":
    from ..clearinghouse.members import Registry
    from ..clearinghouse.members.table import Table

    return list(Registry(Table(members.data)).members.values())


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
    states = [member.state for member in _members(members)]
    if delivery.mode == "live":
        tested = f", {states.count('test')} in test" if "test" in states else ""
        what = f"{states.count('live')} of {len(states)} members are live{tested}"
    elif delivery.mode == "test":
        what = f"all of {len(states)} members' deliveries go to {delivery.written.get('test_to', 'the testers')}"
    else:
        what = f"nothing leaves; {len(states)} members"
    return f"delivery.mode: {delivery.mode}: {what}"
