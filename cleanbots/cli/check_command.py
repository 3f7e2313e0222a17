"""``cleanbots check``: every mistake of a configuration, each with its file, line and column."""

from pathlib import Path

import click
import orjson

from ..config.check import Checked, check
from ..config.draw import summary
from ..config.finding import Finding
from .common import config_option, json_option


@click.command("check")
@config_option
@json_option
@click.option("--online", is_flag=True, help="Also ask each bot that can tell whether it reaches what it needs.")
def command(config: Path, as_json: bool, online: bool) -> None:
    """Check a configuration; print every mistake as file:line:column and exit with 1 if there is one.

    Nothing is written, and without --online nothing is connected to.
    """
    checked = check(config)
    findings = list(checked.findings)
    if online and checked.settings is not None:
        from ..config.probe import probe

        findings += probe(checked)
    if as_json:
        click.echo(orjson.dumps([finding.as_dict() for finding in findings], option=orjson.OPT_INDENT_2))
    else:
        _say(checked, findings)
    if findings:
        raise click.exceptions.Exit(1)


def _say(checked: Checked, findings: list[Finding]) -> None:
    for finding in findings:
        click.echo(str(finding))
    if findings:
        click.echo(f"{len(findings)} mistake{'' if len(findings) == 1 else 's'}", err=True)
    elif checked.settings is not None:
        number = len(checked.tests)
        tests = f", {number} test{'' if number == 1 else 's'}" if number else ""
        click.echo(f"{checked.settings.name}: fine; {summary(checked.settings)}{tests}")
