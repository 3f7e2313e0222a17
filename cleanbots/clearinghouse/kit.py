"""What making, giving, telling and handling deliveries have in common."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from .model import Feed, Hub, Match, Member
from .rendering import Renderer
from .store.protocol import Store


class Members(Protocol):
    """What is asked of `cleanbots.clearinghouse.members.Registry`."""

    @property
    def version(self) -> str:
        """Hash of the registry."""
        ...

    @property
    def members(self) -> Mapping[str, Member]:
        """Members by id."""
        ...

    def still_holds(self, fields: Mapping[str, Any], match: Match, now: datetime, customer: str = "") -> bool:
        """Tell whether the claim that made *match* still holds, and *customer*, if any, is still told of it."""
        ...


def no_feeds(_now: datetime) -> tuple[Feed, ...]:
    """Tell of no feed at all."""
    return ()


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever works on deliveries needs.

    Args:
        store: findings, dues and deliveries.
        hub: who we are, and the limits.
        members: gives the registry in use.
        renderer: renders digests.
        config_version: hash of the configuration, for the ledger.
        feeds: gives the health of the feeds at a time.
        channels: those that have a courier, or None if that is not known.
    """

    store: Store
    hub: Hub
    members: Callable[[], Members]
    renderer: Renderer
    config_version: str = ""
    feeds: Callable[[datetime], tuple[Feed, ...]] = no_feeds
    channels: frozenset[str] | None = None

    def serves(self, channel: str) -> bool:
        """Tell whether anything can leave by a channel."""
        return self.channels is None or channel in self.channels
