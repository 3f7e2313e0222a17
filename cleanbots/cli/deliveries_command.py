"""``cleanbots deliveries``: what was and will be sent to members, and the hands to approve, stop and repeat it."""

import click

from . import deliveries_changing as changing
from . import deliveries_looking as looking
from .listing_group import ListingGroup


@click.group("deliveries", cls=ListingGroup)
def command() -> None:
    """List, show, approve, stop and repeat deliveries to members. Without a sub-command: list."""


for _each in (
    looking.list_deliveries,
    looking.show_delivery,
    looking.search,
    looking.preview,
    looking.balance,
    changing.approve,
    changing.hold,
    changing.stop,
    changing.start,
    changing.resend,
    changing.replay,
    changing.correct,
    changing.reconcile,
):
    command.add_command(_each)
