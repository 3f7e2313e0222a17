"""``cleanbots restore``: put the store of a backup back in its place."""

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import CleanbotsError
from .common import config_option, counted

if TYPE_CHECKING:
    from .installation import Installation


@click.command("restore")
@config_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--yes", is_flag=True, help="Don't ask.")
def command(config: Path, file: Path, yes: bool) -> None:
    """Put the store of backup FILE in its place, and let it catch up with what came later.

    What came later is in the journal beside the store. If the journal is lost, too, all deliveries are held until
    'cleanbots deliveries reconcile'. Nothing may run meanwhile.
    """
    from ..clearinghouse import backup
    from ..clock import SystemClock
    from .audit import record, user
    from .installation import Installation

    with Installation(config) as site:
        about = backup.read(file)
        _stand_still(site)
        if not yes:
            click.confirm(f"Put the store back as it was at {about.made}, and go on from there?", abort=True)
        done = backup.restore(site.settings, file, SystemClock(), user())
        told = {"file": str(file.absolute()), "made": about.made, "caught_up": done.caught_up}
        record(site.state, "restore", told, site.settings.hash)
    click.echo(f"the store is the one of {about.made}")
    if done.caught_up is not None:
        click.echo(f"it caught up with {counted(done.caught_up, 'later change')} from its journal: nothing is missing")
    if done.aside is not None:
        click.echo(f"what was in its place is {done.aside}; remove it when you don't need it any more")
    if done.held:
        click.echo(f"HELD: {done.held}")


def _stand_still(site: "Installation") -> None:
    """Refuse while anything works with the store.

    Raises:
        CleanbotsError: if something does.
    """
    if site.supervisor.running():
        raise CleanbotsError("everything must stand still for this: 'cleanbots down' first")
    for path in (site.state / "locks").glob("*.lock"):
        with path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CleanbotsError(f"everything must stand still for this: {path.stem} runs still") from None
