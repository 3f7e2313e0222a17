"""Alarms: what the operator hears of although no delivery fails, once a day each."""

from collections.abc import Iterable
from datetime import date, datetime

from .copies import delivery_of
from .kit import Kit, Members
from .notices import Notices
from .store.protocol import Due


class Alarms:
    """Looks for feeds that don't come, and for deliveries that nobody serves.

    Args:
        kit: knows the feeds and the channels.
        notices: tells the operator.
        channel: whose couriers look; the first of the configured channels looks for deliveries that nobody serves.
    """

    def __init__(self, kit: Kit, notices: Notices, channel: str) -> None:
        self._kit = kit
        self._notices = notices
        self._looks_for_all = kit.channels is not None and channel == min(kit.channels, default="")
        self._raised: set[tuple[str, date]] = set()

    def look(self, dues: Iterable[Due], registry: Members, now: datetime) -> None:
        """Raise what is to be raised.

        Args:
            dues: what all deliveries owe.
            registry: says by which channel they go.
            now: the time.
        """
        for feed in self._kit.feeds(now):
            if feed.health != "ok":
                last = f"its last report came at {feed.last}" if feed.last else "no report ever came"
                text = f"The feed of {feed.provider} is {feed.health}: {last}. Digests that name their sources say so."
                self._raise(f"feed:{feed.provider}:{feed.health}", f"feed {feed.health}", text, "cleanbots status", now)
        for due in dues if self._looks_for_all else ():
            member = registry.members.get(due.member)
            delivery = delivery_of(member, due.delivery) if member and member.state in ("live", "test") else None
            if delivery is not None and not self._kit.serves(delivery.channel):
                name = f"{due.member}/{due.delivery}"
                text = (
                    f"{due.owed} observations are owed to {name}, and no courier serves its channel "
                    f"{delivery.channel!r}. They stay owed until 'couriers:' in the section 'delivery:' has one."
                )
                self._raise(f"no-courier:{name}", "a channel has no courier", text, "cleanbots check", now)

    def _raise(self, cause: str, about: str, text: str, command: str, now: datetime) -> None:
        alarm = cause, now.date()
        if alarm not in self._raised:
            self._raised = {each for each in self._raised if each[1] == alarm[1]} | {alarm}
            self._notices.operator(cause, about, text, command, now)
