"""``cleanbots reload``: check the configuration and change over to it."""

from pathlib import Path

import click

from ..errors import CleanbotsError
from .common import config_option


@click.command("reload")
@config_option
def command(config: Path) -> None:
    """Check the configuration and change over to it. Only workers that differ restart, each at the end of its slice.

    A configuration with mistakes changes nothing. 'cleanbots plan' shows the difference first.
    """
    from .change_over import change_over
    from .installation import Installation, compiled

    settings = compiled(config)
    with Installation(config) as site:
        if not site.supervisor.running():
            raise CleanbotsError(f"{settings.name} does not run on this host; 'cleanbots up' starts it")
        change_over(site, settings, None, "reload")
