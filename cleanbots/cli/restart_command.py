"""``cleanbots restart``: restart workers."""

from collections.abc import Sequence
from pathlib import Path

import click

from ..errors import CleanbotsError
from ..supervisor.programs import Program
from .common import config_option


@click.command("restart")
@config_option
@click.argument("workers", nargs=-1)
def command(config: Path, workers: tuple[str, ...]) -> None:
    """Restart all workers, or WORKERS (with or without a number), for example after an upgrade of their code.

    They run the snapshot that they ran before; for a changed configuration say 'cleanbots reload'.
    """
    from .audit import record
    from .installation import Installation

    with Installation(config) as site:
        if not site.supervisor.running():
            raise CleanbotsError(f"{site.settings.name} does not run on this host; 'cleanbots up' starts it")
        names = _names(site.supervisor.programs(), workers)
        site.supervisor.restart(names)
        record(site.state, "restart", {"workers": names}, site.settings.hash)
    click.echo(f"restarted: {', '.join(names)}")


def _names(programs: Sequence[Program], workers: Sequence[str]) -> list[str]:
    """Give the programs that are meant; without a choice all but the server, which holds the queues."""
    if not workers:
        return [program.name for program in programs if not program.first]
    found: list[str] = []
    for worker in workers:
        meant = [program.name for program in programs if worker in (program.name, program.worker)]
        if not meant:
            raise CleanbotsError(f"{worker}: no such worker here; there are {', '.join(p.name for p in programs)}")
        found += [name for name in meant if name not in found]
    return found
