"""``cleanbots up``: start the graph under supervisor."""

from pathlib import Path

import click

from .common import config_option


@click.command("up")
@config_option
@click.option("--host", help="Which of the configuration's hosts this is; remembered.")
def command(config: Path, host: str | None) -> None:
    """Check the configuration and run it: start what is missing, restart what differs, leave the rest alone.

    A configuration with mistakes changes nothing. Saying it twice is harmless.
    """
    from .change_over import change_over
    from .installation import Installation, compiled

    settings = compiled(config)
    with Installation(config) as site:
        change_over(site, settings, host, "up")
