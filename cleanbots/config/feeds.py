"""How the feeds are of which something is expected: ``feed: {expect: 26h}`` of a collector."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from ..params import seconds
from .model import FeedSettings, Settings

_SILENT_AFTER = 2.0
"""Times of what is expected after which a feed is silent, and no longer only late."""


class FeedHealth(NamedTuple):
    """How one feed is.

    Args:
        collector: the bot that collects it.
        provider: who reports, as members are told.
        last: canonical time of its last report, or "".
        health: ``late`` after the time in which a report is expected, ``silent`` after twice that.
    """

    collector: str
    provider: str
    last: str
    health: Literal["ok", "late", "silent"]


def expecting(settings: Settings) -> dict[str, float]:
    """Give the collectors of which something is expected, with the seconds in which it is to come."""
    return {name: seconds(bot.feed.expect) for name, bot in settings.bots.items() if bot.feed.expect}


def feed_health(settings: Settings, last: Mapping[str, str], since: datetime, now: datetime) -> list[FeedHealth]:
    """Judge each feed of which something is expected.

    Args:
        settings: the configuration.
        last: collector to the canonical time of its last report.
        since: since when somebody looks; a feed that never came is late from then on.
        now: the time.
    """
    found = []
    for name, expected in expecting(settings).items():
        text = last.get(name, "")
        age = (now - (datetime.fromisoformat(text) if text else since)).total_seconds()
        health: Literal["ok", "late", "silent"] = "ok"
        if age > expected:
            health = "silent" if age > _SILENT_AFTER * expected else "late"
        found.append(FeedHealth(name, _called(settings, name), text, health))
    return found


def _called(settings: Settings, name: str) -> str:
    """Name a feed by who provides it, and by more only where that is not enough."""
    feed = settings.bots[name].feed
    called = feed.provider or feed.name or name
    alike = [other for other in expecting(settings) if other != name and _same(settings.bots[other].feed, feed)]
    return f"{called} {feed.name or name}" if alike and feed.provider else called


def _same(one: FeedSettings, other: FeedSettings) -> bool:
    return one.provider is not None and one.provider == other.provider
