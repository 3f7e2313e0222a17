"""The door by which these bots come in: the same one that an installed package and a site's own folder use."""

from collections.abc import Iterable

from cleanbots.plugins import Ref, bots_in, hookimpl


@hookimpl
def cleanbots_bots() -> Iterable[Ref]:
    """Name every bot of this package without importing any."""
    return bots_in(__package__)
