"""``cleanbots down``: stop the graph."""

from pathlib import Path

import click

from .common import config_option


@click.command("down")
@config_option
def command(config: Path) -> None:
    """Stop the graph on this host: each worker finishes its slice, then the private server ends.

    Nothing is lost: what waits in queues waits for the next 'cleanbots up'.
    """
    from ..config import snapshot
    from .audit import record
    from .installation import Installation

    with Installation(config) as site:
        stopped = site.supervisor.down()
        settings = snapshot.load(site.state)
        if stopped:
            record(site.state, "down", {"config": str(config)}, settings.hash if settings else "")
    click.echo("stopped" if stopped else "nothing was running")
