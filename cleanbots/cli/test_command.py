"""``cleanbots test``: run the tests that the configuration holds."""

from pathlib import Path

import click
import orjson

from ..config.check import check
from ..plugins import discover
from ..testing.config_tests import Outcome, run_tests
from .common import config_option, json_option


@click.command("test")
@config_option
@json_option
def command(config: Path, as_json: bool) -> None:
    """Run the tests that the configuration holds. Exits with 1 if one fails.

    A test feeds items to bots (feed:) and says how many or which events arrive at others (expect:). Everything
    happens in memory: no server is needed, and no output is written to.
    """
    checked = check(config)
    settings = checked.require()
    registry = discover(settings.plugins)
    outcomes = []
    for outcome in run_tests(settings, registry, checked.tests):
        outcomes.append(outcome)
        if not as_json:
            _print(outcome)
    failed = sum(not outcome.passed for outcome in outcomes)
    if as_json:
        click.echo(orjson.dumps([_row(outcome) for outcome in outcomes], option=orjson.OPT_INDENT_2).decode())
    elif outcomes:
        click.echo(f"{len(outcomes) - failed} passed, {failed} failed")
    else:
        click.echo(f"{config}: no tests; add some under 'tests:'")
    if failed:
        raise click.exceptions.Exit(1)


def _print(outcome: Outcome) -> None:
    click.echo(f"{'ok    ' if outcome.passed else 'FAILED'}  {outcome.test.name}  ({outcome.test.line})")
    for difference in outcome.differences:
        click.echo(f"        {difference}")


def _row(outcome: Outcome) -> dict[str, object]:
    return {
        "name": outcome.test.name,
        "line": outcome.test.line,
        "passed": outcome.passed,
        "differences": outcome.differences,
    }
