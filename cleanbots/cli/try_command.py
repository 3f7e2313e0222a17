"""``cleanbots try``: run one bot on a file, without a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import orjson
import yaml

from ..bot import Collector, Stage
from ..charset import is_known
from ..clock import SystemClock, iso
from ..context import Context
from ..errors import CleanbotsError, InvalidValue, UnknownField, shorten
from ..event import Event
from ..report import Chunk, Report
from ..services.http import HttpClient
from ..services.logs import escape
from ..testing.bench import Bench, Queued, build, queued
from ..testing.runner import Result
from ..testing.services import MemoryServices
from .common import json_option
from .site_option import load_bot, site_option

_MOST_TEXT = 500
"""Characters of a failed row that are shown."""


@click.command("try")
@click.argument("bot")
@click.option(
    "--file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="For a parser a report; for other bots events, one JSON object per line.",
)
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter; its value is YAML, as in the configuration: 5 is a number, '[a, b]' a list. May be given again.",
)
@click.option("--name", default=None, help="The report's file name, if the parser looks at it and FILE has another.")
@click.option("--limit", type=click.IntRange(1), default=None, help="Stop after so many rows or events.")
@site_option
@json_option
def command(**options: Any) -> None:
    """Run BOT (such as parser/csv) on a file and show what it makes of it.

    Exits with 1 if an item failed, and with 2 if the parameters don't fit the bot.
    """
    bench = Bench(_stage(options["bot"], options["params"], options["site"]))
    items = _items(bench, options["file"], options["name"])
    total = Result()
    with bench:
        for made in bench.slices(items, options["limit"]):
            result = Result()
            result.add(made, bench.name)
            total.add(made, bench.name)
            _print_json(result) if options["as_json"] else _print(result)
    if not options["as_json"]:
        click.echo(_summary(total))
    if total.failed:
        raise click.exceptions.Exit(1)


def _stage(use: str, params: tuple[str, ...], site: tuple[Path, ...]) -> Stage[Any, Any]:
    cls = load_bot(use, site)
    if issubclass(cls, Collector):
        raise CleanbotsError(f"{use}: a collector takes no file; try the parser that its reports go to")
    clock = SystemClock()
    services = MemoryServices(clock, http=HttpClient())
    if not issubclass(cls, Stage):
        raise CleanbotsError(f"{use}: it hands over due deliveries and takes no file")
    given = dict(map(_param, params))
    try:
        return build(cls, given, Context(bot=use, clock=clock, base=Path(), services=services))
    except msgspec.ValidationError as error:
        raise click.UsageError(f"{use}: {error}; {_advice(use, params, str(error))}") from error


def _advice(use: str, params: tuple[str, ...], error: str) -> str:
    """Say what would mend parameters that don't fit: often a text that YAML takes for a number, a date or yes and no."""
    for name, _, value in (text.partition("=") for text in params):
        if "Expected `str`" in error and error.endswith(f"at `$.{name}`") and value[:1] not in ("[", "{"):
            return f"quote a value that shall be text: -p {name}='\"{value}\"'"
    return f"'cleanbots bots describe {use}' shows its parameters"


def _param(text: str) -> tuple[str, Any]:
    """Read ``name=value``; the value is read as in the configuration: ``5`` is a number, ``[a, b]`` a list."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r}: write NAME=VALUE", param_hint="--param")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise click.BadParameter(f"{text!r}: the value can't be read as YAML", param_hint="--param") from error


def _items(bench: Bench, file: Path, name: str | None) -> list[Queued]:
    if bench.cut is not None:
        report = Report(key=str(file), payload=file.read_bytes(), name=file.name if name is None else name)
        now = iso(bench.stage.context.clock.now().replace(microsecond=0))
        return list(queued(report, 1, bench.cut, {"time.observation": now}))
    with file.open("rb") as lines:
        return [item for number, row in _rows(file, lines) for item in _events(file, number, row)]


def _events(file: Path, number: int, row: dict[str, Any]) -> list[Queued]:
    try:
        return list(queued(row, number, None, {}))
    except (InvalidValue, UnknownField) as error:
        raise CleanbotsError(f"{file}:{number}: {error}") from error


def _rows(file: Path, lines: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise CleanbotsError(f"{file}:{number}: no JSON: {error}") from error
        if not isinstance(row, dict):
            raise CleanbotsError(f"{file}:{number}: {shorten(row)} is no event; write one JSON object per line")
        yield number, row


def _print(result: Result) -> None:
    for path, events in result.paths.items():
        for event in events:
            click.echo(f"{event.id} → {path}")
            width = max(map(len, event.fields), default=0)
            for field in sorted(event.fields):
                if field != "id":
                    click.echo(f"  {field.ljust(width)}  {_value(event.fields[field])}")
    for item, error in result.failed:
        click.echo(f"failed: {escape(str(error))}")
        click.echo(f"  {escape(_text(item))}")


def _print_json(result: Result) -> None:
    for path, events in result.paths.items():
        for event in events:
            click.echo(orjson.dumps({"path": path, "event": event.fields}).decode())
    for item, error in result.failed:
        click.echo(orjson.dumps({"failed": str(error), "item": _text(item)}).decode())


def _summary(total: Result) -> str:
    parts = [f"{len(events)} to {path}" for path, events in total.paths.items()] or ["no event sent"]
    parts += [f"{number} dropped ({reason})" for reason, number in total.dropped.items()]
    return ", ".join([*parts, f"{len(total.failed)} failed"])


def _value(value: Any) -> str:
    return escape(value if isinstance(value, str) else orjson.dumps(value).decode())


def _text(item: Event | Chunk) -> str:
    if isinstance(item, Event):
        return orjson.dumps(item.fields).decode()
    text = item.payload.decode(item.encoding if is_known(item.encoding) else "utf-8", "replace").rstrip("\r\n")
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
