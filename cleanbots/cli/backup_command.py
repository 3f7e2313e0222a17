"""``cleanbots backup``: save what deliveries rest on, while everything runs."""

from pathlib import Path

import click

from .common import config_option


@click.command("backup")
@config_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def command(config: Path, file: Path) -> None:
    """Write store, members and configuration to FILE (a tar file), consistent while everything runs.

    Queues, secrets and the archive of reports are not in it. A PostgreSQL store isn't either: dump it by pg_dump.
    """
    from ..clearinghouse.backup import back_up
    from ..clock import SystemClock
    from .audit import record
    from .installation import Installation

    with Installation(config) as site:
        about = back_up(site.settings, file.absolute(), SystemClock())
        record(site.state, "backup", {"file": str(file.absolute()), "store": about.store}, site.settings.hash)
    click.echo(f"{file}: backup of {about.name}, made {about.made}, {file.stat().st_size / 1e6:.1f} MB")
    if about.store == "server":
        click.echo("the store is on a PostgreSQL server and not in it: dump it by 'pg_dump -Fc' at the same time")
    elif not about.store:
        click.echo("there is no store yet: nothing was recorded so far")
