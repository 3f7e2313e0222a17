"""From one configuration to another: what `up`, `reload` and `rollback` share."""

from pathlib import Path

import click

from ..broker import EmbeddedServer
from ..config import snapshot
from ..config.model import Settings
from ..errors import BrokerUnavailable, ConfigError
from ..supervisor import Changes, hold, programs
from .audit import record
from .installation import Installation, broker_of


def change_over(site: Installation, settings: Settings, said_host: str | None, command: str) -> Changes:
    """Publish *settings* and make this host run them; tell what changed and what is left over.

    Args:
        site: where.
        settings: the configuration, checked and compiled.
        said_host: which host this is, if the operator said it.
        command: for the audit log.
    """
    before = _before(site)
    host = site.host(settings, said_host)
    supervisor = site.supervisor
    with supervisor.alone():
        if settings.broker != "embedded":
            _check_server(settings)
        published = snapshot.publish(settings)
        site.remember_host(host)
        server = _server(settings, host)
        wanted = programs(settings, hold(supervisor.paths, published), host, _command(server))
        changes = supervisor.apply(wanted, settings.name, ready=server.running if server else lambda: True)
    arguments = {"config": str(site.config), "host": host, "restarted": changes.restarted, "ended": changes.ended}
    record(site.state, command, arguments, settings.hash)
    _tell(changes, settings)
    if before is not None:
        _tell_left_over(before, settings)
    return changes


def _before(site: Installation) -> Settings | None:
    try:
        return snapshot.load(site.state)
    except ConfigError as error:  # written by an older version, perhaps: no reason not to replace it
        click.echo(f"warning: {error}", err=True)
        return None


def _server(settings: Settings, host: str) -> EmbeddedServer | None:
    here = settings.broker == "embedded" and host == settings.hosts[0]
    return EmbeddedServer(Path(settings.state)) if here else None


def _command(server: EmbeddedServer | None) -> list[str]:
    if server is None:
        return []
    program, *rest = server.argv()
    return [program, "-P", *rest]  # as for every program of ours: nothing is imported from the working directory


def _check_server(settings: Settings) -> None:
    """Refuse a server that can't keep the promise; one that is away for now is no reason not to start."""
    broker = broker_of(settings)
    try:
        for warning in broker.check():
            click.echo(f"warning: {warning}", err=True)
    except BrokerUnavailable as error:
        click.echo(f"warning: {error}; the workers wait for it", err=True)
    finally:
        broker.close()


def _tell(changes: Changes, settings: Settings) -> None:
    for what, names in (("started", changes.started), ("restarted", changes.restarted), ("ended", changes.ended)):
        if names:
            click.echo(f"{what}: {', '.join(names)}")
    touched = changes.started or changes.restarted or changes.ended
    undisturbed = f"{len(changes.kept)} went on undisturbed" if touched else "nothing to change"
    click.echo(f"{settings.name} runs snapshot {settings.hash}" + (f"; {undisturbed}" if changes.kept else ""))


def _tell_left_over(before: Settings, now: Settings) -> None:
    """Name what waits for bots that are configured no more: nobody takes it, and nothing deletes it."""
    gone = [bot for bot in before.bots if bot not in now.bots]
    if not gone or before.name != now.name:
        return
    broker = broker_of(now)
    try:
        left = {bot: depth.events for bot, depth in broker.depths(gone).items() if depth.events}
    except BrokerUnavailable:
        click.echo(f"warning: can't tell whether something waits for {', '.join(gone)}: the server is away", err=True)
        return
    finally:
        broker.close()
    for bot, events in left.items():
        click.echo(
            f"warning: {events} items wait for {bot}, which is configured no more; they stay where they are: "
            f"'cleanbots queues drain {bot}' lets it finish them, 'cleanbots queues move {bot} BOT' gives them to another",
            err=True,
        )
