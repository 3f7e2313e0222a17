"""``cleanbots queues``: list, peek into, clear and adopt queues; drain or move what is left over."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from ..broker.protocol import Answer, Broker, Commit, Depth, EntryGuard
from ..errors import CleanbotsError, ConfigError, FrameError
from ..services.logs import escape
from .common import config_option, counted, json_option, show
from .listing_group import ListingGroup

if TYPE_CHECKING:
    from ..config.model import Settings
    from .installation import Installation


@click.group("queues", cls=ListingGroup)
def command() -> None:
    """List, peek into and clear queues; drain or move what is left over. Without a sub-command: list."""


@command.command("list")
@config_option
@json_option
@click.option("--all", "every", is_flag=True, help="Empty queues, too.")
def list_queues(config: Path, as_json: bool, every: bool) -> None:
    """List the queues that hold something: their items and bytes, the entries that workers have taken, how full each is.

    A queue that is left over belongs to a bot that is configured no more: nobody takes what lies there.
    """
    from .installation import Installation

    with Installation(config) as site:
        bots = site.settings.bots
        depths = site.broker.depths([*bots, *(queue for queue in site.broker.queues() if queue not in bots)])
        rows = [
            {
                "queue": queue,
                "items": depth.events,
                "bytes": depth.bytes,
                "entries": depth.entries,
                "taken": depth.pending,
                "full": f"{100 * depth.events // max(1, bots[queue].limit.events)}%" if queue in bots else "left over",
            }
            for queue, depth in depths.items()
            if depth.events or depth.entries or (every and queue in bots)
        ]
    show(rows, as_json, "every queue is empty")


@command.command("peek")
@config_option
@json_option
@click.argument("queue")
@click.option("-n", "--limit", default=10, show_default=True, type=click.IntRange(1), help="How many items.")
def peek(config: Path, as_json: bool, queue: str, limit: int) -> None:
    """Show the first items of QUEUE, without taking them."""
    from .installation import Installation

    with Installation(config) as site:
        _known(site, queue)
        found = _first(site.broker, queue, limit)
    if as_json:
        show(found, as_json, "")
        return
    for item in found:
        click.echo(escape(str(item.get("id") or item.get("entry"))))
        for field, value in item.items():
            if field != "id":
                click.echo(f"    {field}: {_text(value)}")
    if not found:
        click.echo(f"queue {queue} is empty")


@command.command("clear")
@config_option
@click.argument("queue")
@click.option("--yes", is_flag=True, help="Don't ask.")
def clear(config: Path, queue: str, yes: bool) -> None:
    """Delete what waits in QUEUE, for good. What a worker has taken stays with it, unless the queue is left over."""
    from .audit import record
    from .installation import Installation

    with Installation(config) as site:
        depth = _known(site, queue)
        if not depth.events:
            click.echo(f"queue {queue} is empty")
            return
        if not yes:
            click.confirm(f"Delete up to {depth.events} items of {queue} for good?", abort=True)
        removed = site.broker.clear(queue)
        if queue not in site.settings.bots:
            removed += _clear_held(site.broker, queue)
        record(site.state, "queues clear", {"queue": queue, "items": removed}, site.settings.hash)
    click.echo(f"{counted(removed, 'item')} deleted from {queue}")


@command.command("drain")
@config_option
@click.argument("queue")
def drain(config: Path, queue: str) -> None:
    """Let the bot that QUEUE belonged to work it off, as it was configured last. For queues that are left over.

    What it sends goes to the bots that it sent to then.
    """
    from ..clock import SystemClock
    from ..runtime.leftover import drain as run
    from ..runtime.stop import Stop
    from .audit import record
    from .installation import Installation

    with Installation(config) as site:
        _left_over(site, queue)
        before = site.broker.depths([queue])[queue].events
        former = _former(site, queue)
        stop = Stop()
        stop.install()
        run(site.broker, former, queue, site.host(site.settings), SystemClock(), stop)
        done = before - site.broker.depths([queue])[queue].events
        record(site.state, "queues drain", {"queue": queue, "items": done}, site.settings.hash)
    click.echo(f"{counted(done, 'item')} of {queue} worked off")


@command.command("move")
@config_option
@click.argument("queue")
@click.argument("bot")
def move(config: Path, queue: str, bot: str) -> None:
    """Give what lies in QUEUE to BOT, which takes it from its own queue. For queues that are left over."""
    from ..runtime.leftover import move as run
    from .audit import record
    from .installation import Installation

    with Installation(config) as site:
        _left_over(site, queue)
        moved, stay = run(site.broker, site.settings, queue, bot)
        record(site.state, "queues move", {"queue": queue, "to": bot, "items": moved}, site.settings.hash)
    click.echo(f"{counted(moved, 'item')} moved from {queue} to {bot}")
    if stay:
        click.echo(f"{counted(stay, 'item')} stay: {queue} had begun with them; 'cleanbots queues drain {queue}'")


@command.command("adopt")
@config_option
@click.option("--yes", is_flag=True, help="Don't ask.")
def adopt(config: Path, yes: bool) -> None:
    """Accept the server's data as they are, after they were found emptied or replaced.

    What was queued is given up by this; what its source still shows is collected again.
    """
    from .audit import record
    from .installation import Installation

    with Installation(config) as site:
        if not yes:
            click.confirm(
                "Give up what was queued before, and go on with the server's data as they are now?", abort=True
            )
        site.broker.adopt()
        record(site.state, "queues adopt", {}, site.settings.hash)
    click.echo("accepted; 'cleanbots up' goes on from here")


def _known(site: "Installation", queue: str) -> Depth:
    depth = site.broker.depths([queue])[queue]
    if queue not in site.settings.bots and not depth.entries:
        from ..config.finding import closest

        hint = closest(queue, site.settings.bots, "'cleanbots queues list --all' shows them")
        raise CleanbotsError(f"{queue}: no such queue; {hint}")
    return depth


def _clear_held(broker: Broker, queue: str) -> int:
    """Delete what a worker of a bot that is configured no more had taken when it ended; give how many items."""
    removed = 0
    while entry := broker.claim([queue], "operator", 0.0):
        result = broker.commit(Commit(EntryGuard(entry, entry.mark, None)))
        removed += entry.count if result.answer is Answer.COMMITTED else 0
    return removed


def _left_over(site: "Installation", queue: str) -> None:
    """Refuse what is no queue of a bot that is configured no more."""
    if queue in site.settings.bots:
        raise CleanbotsError(
            f"{queue}: is configured, and its worker takes what lies there; 'cleanbots status' tells more"
        )
    _known(site, queue)


def _former(site: "Installation", bot: str) -> "Settings":
    """Give the newest snapshot that knows a bot.

    Raises:
        CleanbotsError: if none does any more.
    """
    from ..config import snapshot

    for digest in snapshot.history(site.state):
        try:
            settings = snapshot.load(site.state, digest)
        except ConfigError:  # written by an older version, perhaps
            continue
        if settings is not None and settings.name == site.settings.name and bot in settings.bots:
            return settings
    raise CleanbotsError(
        f"{bot}: no snapshot on this host knows it any more; 'cleanbots queues move {bot} BOT' moves it"
    )


def _first(broker: Broker, queue: str, limit: int) -> list[dict[str, Any]]:
    from ..frame import decode
    from ..report import Chunk

    found: list[dict[str, Any]] = []
    after = ""
    while len(found) < limit:
        page = broker.peek(queue, 1, after)
        if not page:
            break
        after = page[0].id
        try:
            items = decode(page[0].data).items
        except FrameError as error:
            found.append({"entry": page[0].id, "error": str(error)})
            continue
        found += [_chunk(item) if isinstance(item, Chunk) else item for item in items[: limit - len(found)]]
    return found


def _chunk(chunk: Any) -> dict[str, Any]:
    return {
        "id": f"{chunk.id}-{chunk.line}",
        "name": chunk.name,
        "bytes": len(chunk.payload),
        "begins": chunk.payload[:200].decode(chunk.encoding or "utf-8", "replace"),
        **chunk.fields,
    }


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return escape(text if len(text) <= 500 else text[:500] + "…")
