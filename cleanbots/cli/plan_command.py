"""``cleanbots plan``: what 'reload' would change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import orjson

from ..config import snapshot
from ..config.check import check
from ..config.plan import Change, Plan, diff
from .common import config_option, json_option


@click.command("plan")
@config_option
@json_option
def command(config: Path, as_json: bool) -> None:
    """Compare the configuration with the snapshot that was published last; nothing is changed."""
    settings = check(config).require()
    published = snapshot.load(Path(settings.state))
    plan = diff(published, settings)
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(plan), option=orjson.OPT_INDENT_2))
        return
    if published is None:
        click.echo("nothing was published yet; 'cleanbots up' would start all of it")
    for line in _lines(plan):
        click.echo(line)


def _lines(plan: Plan) -> Iterator[str]:
    if plan.empty:
        yield "nothing would change"
    yield from _changes(plan.general, "  ")
    yield from (f"+ bot {name}" for name in plan.added)
    yield from (f"- bot {name}" for name in plan.removed)
    for name, changes in plan.changed.items():
        yield f"~ bot {name}"
        yield from _changes(changes, "    ")
    workers = (("start", plan.start), ("stop", plan.stop), ("restart", plan.restart))
    yield from (f"{verb}: {', '.join(names)}" for verb, names in workers if names)
    if plan.left_over:
        yield f"queues left over: {', '.join(plan.left_over)} (clear them with 'cleanbots queues clear')"


def _changes(changes: list[Change], lead: str) -> Iterator[str]:
    for change in changes:
        yield f"{lead}{change.key}: {_shown(change.old)} → {_shown(change.new)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else orjson.dumps(value).decode()
