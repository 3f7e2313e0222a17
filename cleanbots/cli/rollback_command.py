"""``cleanbots rollback``: change back to the snapshot before."""

from pathlib import Path

import click

from ..errors import CleanbotsError
from .common import config_option


@click.command("rollback")
@config_option
def command(config: Path) -> None:
    """Change back to the snapshot that ran before the current one; saying it again changes forth.

    The configuration file stays as it is: mend it before the next reload.
    """
    from ..config import snapshot
    from .change_over import change_over
    from .installation import Installation

    with Installation(config) as site:
        previous = snapshot.load(site.state, "previous")
        if previous is None:
            raise CleanbotsError(f"{site.state}: there is no snapshot before the current one")
        if not site.supervisor.running():
            raise CleanbotsError(f"{previous.name} does not run on this host; 'cleanbots up' starts it")
        change_over(site, previous, None, "rollback")
