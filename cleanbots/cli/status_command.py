"""``cleanbots status``: what runs, what waits, what has failed, and what needs a person."""

from datetime import UTC, datetime
from pathlib import Path

import click

from ..broker.protocol import FEEDS
from ..clock import SystemClock, iso
from ..config import snapshot
from ..config.model import Settings
from ..errors import BrokerUnavailable, CleanbotsError, ConfigError
from ..services.logs import escape
from ..supervisor import Counts, Status, assess
from .common import config_option, json_option, show
from .installation import Installation, broker_of
from .standing import standing


@click.command("status")
@config_option
@json_option
def command(config: Path, as_json: bool) -> None:
    """Tell what runs, what waits and what has failed. Exit code 1 if something needs a person."""
    import msgspec

    with Installation(config) as site:
        status = _gather(site)
    if as_json:
        whole = {"ok": not status.problems, **msgspec.to_builtins(status)}
        click.echo(msgspec.json.format(msgspec.json.encode(whole), indent=2))
    else:
        _print(status)
    if status.problems:
        raise click.exceptions.Exit(1)


def _gather(site: Installation) -> Status:
    settings = snapshot.load(site.state)
    if settings is None:
        raise ConfigError(f"{site.state}: nothing was ever started here; 'cleanbots up' does")
    supervisor = site.supervisor
    processes = supervisor.processes() if supervisor.running() else None
    counts = _counts(settings, start=processes is None)
    published = (site.state / "snapshots" / "current").stat().st_mtime
    since = iso(datetime.fromtimestamp(int(published), UTC))
    host, programs, now = site.host(settings), supervisor.programs(), SystemClock().now()
    return assess(settings, host, since, programs, processes, counts, standing(settings), now)


def _counts(settings: Settings, *, start: bool) -> Counts:
    """Ask the server; a private one that is down with all the rest is started for the time being."""
    try:
        broker = broker_of(settings, start=start)
        try:
            broker.verify()
            queues = dict.fromkeys([*settings.bots, *broker.queues()])
            feeds = {name: last.decode() for name, last in broker.state(FEEDS).items()}
            return Counts(broker.statistics(), broker.depths(list(queues)), broker.failed_depths(), feeds)
        finally:
            broker.close()
    except BrokerUnavailable as error:
        return Counts(error=str(error))
    except CleanbotsError as error:
        return Counts(error=f"{error}; no worker can work")


def _print(status: Status) -> None:
    click.echo(status.headline)
    for problem in status.problems:
        click.echo(f"  - {escape(problem)}")
    click.echo(f"snapshot {status.snapshot}, published {status.published}\n")
    workers = [
        {
            "worker": worker.program,
            "state": worker.state,
            "uptime": _span(worker.uptime),
            "pid": worker.pid or None,
            "bots": ", ".join(worker.bots),
        }
        for worker in status.workers
    ]
    show(workers, as_json=False, empty="no workers on this host")
    click.echo()
    bots = [
        {
            "bot": bot.bot,
            "kind": bot.kind,
            "in": bot.taken,
            "out": bot.sent,
            "dropped": bot.dropped,
            "queue": bot.queue,
            "failed": bot.failed,
        }
        for bot in status.bots
    ]
    show(bots, as_json=False, empty="no bots")


def _span(seconds: int) -> str:
    """Give a time span in its two greatest units: ``3d 4h``."""
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        number, seconds = divmod(seconds, size)
        if number or (unit == "s" and not parts):
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2])
