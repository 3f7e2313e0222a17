"""The health of the feeds as digests tell it, asked of the graph's queue server."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from ..config.feeds import feed_health
from ..config.model import Settings
from ..errors import CleanbotsError
from .model import Feed
from .store.protocol import Store

log = logging.getLogger("cleanbots.courier")

_ASK_AGAIN = 60.0


class Feeds:
    """Tells how the feeds are of which something is expected; asks at most once a minute.

    Args:
        settings: the configuration.
        store: remembers since when somebody looks.
        ask: gives for each collector the time of its last report; may raise `CleanbotsError`.
    """

    def __init__(self, settings: Settings, store: Store, ask: Callable[[], Mapping[str, str]]) -> None:
        self._settings = settings
        self._store = store
        self._ask = ask
        self._asked: datetime | None = None
        self._found: tuple[Feed, ...] = ()

    def __call__(self, now: datetime) -> tuple[Feed, ...]:
        """Give the health of each feed; none at all while the server is away: nothing is known then."""
        if self._asked is None or (now - self._asked).total_seconds() >= _ASK_AGAIN:
            self._asked = now
            self._found = self._look(now)
        return self._found

    def _look(self, now: datetime) -> tuple[Feed, ...]:
        try:
            last = self._ask()
        except CleanbotsError as error:
            log.warning("nothing is known of the feeds: %s", error)
            return ()
        since = self._store.flag("feeds-since") or self._store.flag("feeds-since", now.isoformat())
        health = feed_health(self._settings, last, datetime.fromisoformat(since), now)
        return tuple(Feed(provider=each.provider, last=each.last, health=each.health) for each in health)
