"""A command with sub-commands that lists if none of them is named."""

from typing import Any

import click


class ListingGroup(click.Group):
    """``cleanbots queues -c FILE`` means ``cleanbots queues list -c FILE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``list`` in front of arguments that name no sub-command."""
        own: list[Any] = self.get_help_option_names(ctx)
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = ["list", *args]
        return super().parse_args(ctx, args)
