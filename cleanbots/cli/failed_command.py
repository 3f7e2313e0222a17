"""``cleanbots failed``: what could not be worked off, why, and what to do with it."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import orjson

from ..broker.protocol import Broker
from ..charset import is_known
from ..frame import FailedItem
from ..runtime.failed import Selection, count, drop, exported, groups, items, retry
from ..services.logs import escape
from .common import config_option, counted, json_option, show
from .listing_group import ListingGroup


@click.group("failed", cls=ListingGroup)
def command() -> None:
    """List, show, retry, drop and export failed items. Without a sub-command: list.

    A failed item is the item as its bot received it, with the error; nothing of it is lost until it is dropped.
    """


@command.command("list")
@config_option
@json_option
@click.argument("bot", required=False)
def list_failed(config: Path, as_json: bool, bot: str | None) -> None:
    """List failed items by bot and error, the most frequent error first."""
    from .installation import Installation

    with Installation(config) as site:
        found = groups(site.broker, _bots(site.broker, bot))
    rows: list[dict[str, Any]] = [
        {
            "bot": group.bot,
            "count": group.count,
            "kind": group.kind,
            "error": group.error if as_json else escape(group.error),
            "first": group.first,
            "last": group.last,
            "example": group.example,
        }
        for group in found
    ]
    show(rows, as_json, "nothing has failed")


@command.command("show")
@config_option
@json_option
@click.argument("bot", required=False)
@click.option("--id", "ids", multiple=True, help="An item's or a report's id; may be given again.")
@click.option("--error", default="", help="Only errors that contain this text, or of this kind.")
@click.option("-n", "--limit", default=10, show_default=True, type=click.IntRange(1), help="How many items.")
def show_failed(config: Path, as_json: bool, bot: str | None, ids: tuple[str, ...], error: str, limit: int) -> None:
    """Show failed items in full: the error, when, the original row, the event as its bot received it."""
    from .installation import Installation

    selection = Selection(frozenset(ids), error)
    shown = 0
    with Installation(config) as site:
        for name in _bots(site.broker, bot):
            for item in items(site.broker, name, selection):
                if shown == limit:
                    click.echo(f"(the first {limit}; --limit shows more)", err=True)
                    return
                shown += 1
                click.echo(orjson.dumps(exported(item)) if as_json else readable(item))
    if not shown and not as_json:
        click.echo("no such failed item")


@command.command("retry")
@config_option
@click.argument("bot", required=False)
@click.option("--id", "ids", multiple=True, help="An item's or a report's id; may be given again.")
@click.option("--error", default="", help="Only errors that contain this text, or of this kind.")
@click.option("--all", "every", is_flag=True, help="All failed items (of BOT, if named).")
def retry_failed(config: Path, bot: str | None, ids: tuple[str, ...], error: str, every: bool) -> None:
    """Give failed items back to their bot, for example after it was mended. They keep their ids."""
    from .audit import record
    from .installation import Installation

    selection = _selection(bot, ids, error, every=every)
    with Installation(config) as site:
        total = 0
        for name in _bots(site.broker, bot):
            if bot is None and name not in site.settings.bots:
                click.echo(f"{name}: not in the running configuration; its items stay", err=True)
                continue
            total += retry(site.broker, site.settings, name, selection, _progress)
        arguments = {"bot": bot, "ids": ids, "error": error, "items": total}
        record(site.state, "failed retry", arguments, site.settings.hash)
    click.echo(f"{counted(total, 'item')} given back to {'its bot' if total == 1 else 'their bots'}")


@command.command("drop")
@config_option
@click.argument("bot", required=False)
@click.option("--id", "ids", multiple=True, help="An item's or a report's id; may be given again.")
@click.option("--error", default="", help="Only errors that contain this text, or of this kind.")
@click.option("--all", "every", is_flag=True, help="All failed items (of BOT, if named).")
@click.option("--yes", is_flag=True, help="Don't ask.")
def drop_failed(config: Path, bot: str | None, ids: tuple[str, ...], error: str, every: bool, yes: bool) -> None:
    """Delete failed items for good."""
    from .audit import record
    from .installation import Installation

    selection = _selection(bot, ids, error, every=every)
    with Installation(config) as site:
        bots = _bots(site.broker, bot)
        meant = sum(count(site.broker, name, selection) for name in bots)
        if not meant:
            click.echo("no such failed item")
            return
        if not yes:
            click.confirm(f"Delete {counted(meant, 'failed item')} of {', '.join(bots)} for good?", abort=True)
        total = sum(drop(site.broker, name, selection, _progress) for name in bots)
        arguments = {"bot": bot, "ids": ids, "error": error, "items": total}
        record(site.state, "failed drop", arguments, site.settings.hash)
    click.echo(f"{counted(total, 'failed item')} deleted")


@command.command("export")
@config_option
@click.argument("bot", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of the terminal.")
def export_failed(config: Path, bot: str | None, output: Path | None) -> None:
    """Write failed items as JSON lines: bot, id, line, error, when, the original row, the event."""
    from .installation import Installation

    written = 0
    with Installation(config) as site, click.open_file(str(output or "-"), "wb", atomic=output is not None) as file:
        for name in _bots(site.broker, bot):
            for item in items(site.broker, name):
                file.write(orjson.dumps(exported(item)) + b"\n")
                written += 1
    if output is not None:
        click.echo(f"{counted(written, 'failed item')} written to {output}")


def _bots(broker: Broker, bot: str | None) -> list[str]:
    """Give the bots that are meant: *bot*, or all that have failed items (also some that are configured no more)."""
    return [bot] if bot else sorted(broker.failed_depths())


def _selection(bot: str | None, ids: Iterable[str], error: str, *, every: bool) -> Selection:
    selection = Selection(frozenset(ids), error)
    if selection == Selection() and not every:
        whose = f"of {bot}" if bot else "of every bot"
        raise click.UsageError(f"name items by --id or --error, or say --all for all {whose}")
    if selection != Selection() and every:
        raise click.UsageError("--all and a choice by --id or --error exclude each other")
    return selection


def _progress(looked_at: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{counted(looked_at, 'item')} looked at", err=True, nl=False)


def readable(item: FailedItem) -> str:
    """Give a failed item as people read it: header, row and event apart, each physical line on a line of its own."""
    row = exported(item)
    lines = [f"{escape(item.bot)}  {escape(item.id or '(no id)')}"]
    facts = {field: row.get(field) for field in ("error", "kind", "at", "times", "line", "name")}
    lines += [f"    {field}: {escape(str(value))}" for field, value in facts.items() if value not in (None, "")]
    if item.chunk is not None:
        header, raw = (_decoded(part, item.chunk.encoding) for part in (item.chunk.header, item.chunk.payload))
    else:
        header, raw = str(item.origins.get(row["report"], {}).get("header", "")), row.get("raw") or ""
    lines += [*_block("header", header), *_block("row", raw)]
    if item.event is not None:
        lines.append("    event:")
        rest = {field: value for field, value in item.event.items() if field not in ("id", "raw")}
        width = max(map(len, rest), default=0)
        for field, value in sorted(rest.items()):
            shown = value if isinstance(value, str) else orjson.dumps(value).decode()
            lines.append(f"        {escape(field).ljust(width)}  {escape(shown)}")
    return "\n".join([*lines, ""])


def _block(name: str, text: str) -> list[str]:
    lines = [escape(line.rstrip("\r")) for line in text.rstrip("\r\n").split("\n")]
    if lines == [""]:
        return []
    return [f"    {name}: {lines[0]}"] if len(lines) == 1 else [f"    {name}:", *(f"        {line}" for line in lines)]


def _decoded(data: bytes, encoding: str) -> str:
    """Decode a part of a report; bytes that don't belong are written out in hexadecimal."""
    return data.decode(encoding if is_known(encoding) else "utf-8", "backslashreplace")
