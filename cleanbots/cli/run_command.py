"""``cleanbots run``: the graph in the foreground."""

from pathlib import Path

import click

from ..errors import ConfigError
from .balance import balance
from .common import config_option, json_option, show


@click.command()
@config_option
@click.option("--drain", is_flag=True, help="Collect once, work everything off, say the balance, and end.")
@click.option("--host", default=None, help="Which host of the configuration this is (default: the first).")
@click.option("--log-level", default="INFO", show_default=True, help="DEBUG, INFO, WARNING or ERROR.")
@click.option("--at", default="", hidden=True, help="Rehearse: pretend that it is this time now.")
@json_option
def command(config: Path, drain: bool, host: str | None, log_level: str, at: str, as_json: bool) -> None:
    """Run the graph in the foreground, until Ctrl-C or, with --drain, until everything is worked off.

    At the end it tells what each bot did in this run; 'cleanbots status' has the figures of all runs.
    """
    import sys

    from ..config.check import check
    from ..config.snapshot import publish
    from ..runtime.foreground import Foreground
    from ..services.logs import setup
    from ..supervisor import Supervisor

    settings = check(config).require()
    setup(log_level, sys.stderr)
    if Supervisor(Path(settings.state)).running():
        raise ConfigError(f"{settings.name} is running under supervisor; 'cleanbots down' stops it")
    snapshot = publish(settings)
    statistics = Foreground(settings, snapshot, host or settings.hosts[0], log_level, at).run(drain=drain)
    show(balance(settings, statistics), as_json, "nothing was collected")
    failed = sum(number for what, number in statistics.items() if what.endswith(":failed"))
    if failed and not as_json:
        click.echo(f"\n{failed} failed in this run: 'cleanbots failed list' tells why")
