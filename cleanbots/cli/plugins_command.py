"""``cleanbots plugins``: list plugins and what each brings."""

from pathlib import Path

import click

from ..plugins import discover
from .common import json_option, show
from .site_option import site_option


@click.command("plugins")
@site_option
@json_option
def command(site: tuple[Path, ...], as_json: bool) -> None:
    """List plugins and what each brings. Exits with 1 if something is wrong with any."""
    registry = discover(site)
    rows = []
    for plugin in registry.plugins:
        brought = registry.brought(plugin.name)
        problems = [problem.text for problem in registry.problems if problem.source == plugin.name]
        listed = {what: names if as_json else len(names) for what, names in brought.items()}
        rows.append(
            {
                "plugin": plugin.name,
                "version": plugin.version,
                **listed,
                "problems": problems if as_json else len(problems),
            }
        )
    show(rows, as_json, "no plugins, not even cleanbots' own; is cleanbots installed? 'pip install cleanbots'")
    if not as_json:
        for problem in registry.problems:
            click.echo(f"\n{problem}")
    if registry.problems or not registry.plugins:
        raise click.exceptions.Exit(1)
