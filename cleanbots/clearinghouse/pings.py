"""Pings: an endpoint gets its first data only after it has answered one."""

from datetime import datetime

from .kit import Kit
from .model import Delivery, Member
from .rendering import digest_of
from .store.protocol import Closing

_ANSWERED = "answered"


class Pings:
    """Knows which endpoints of one channel answered.

    Args:
        kit: store, hub, members and renderer.
        channel: whose endpoints.
    """

    def __init__(self, kit: Kit, channel: str) -> None:
        self._kit = kit
        self._channel = channel

    def answered(self, member: Member, delivery: Delivery, now: datetime) -> bool:
        """Tell whether an endpoint answered a ping; send it one if it never got any."""
        store = self._kit.store
        flag = f"ping:{member.id}/{delivery.id}:{delivery.url}"
        known = store.flag(flag)
        if known == _ANSWERED:
            return True
        row = store.row(known) if known else None
        if row is not None and row.state == "given":
            store.flag(flag, _ANSWERED)
            return True
        if row is None or row.state == "expired":
            store.flag(flag, self._ping(member, delivery, now))
        return False

    def _ping(self, member: Member, delivery: Delivery, now: datetime) -> str:
        kit = self._kit
        closed = kit.store.close(
            Closing(
                member=member.id,
                delivery="ping",
                channel=self._channel,
                kind="test",
                until=now,
                now=now,
                prefix=kit.hub.reference,
                members_version=kit.members().version,
                config_version=kit.config_version,
            )
        )
        if closed is None:
            return ""
        digest = digest_of(
            closed,
            kind="test",
            hub=kit.hub,
            member=member,
            delivery=delivery,
            mode="live",
            recipients=(delivery.url,),
            until=now,
            now=now,
        )
        kit.store.freeze(digest, kit.renderer.messages(digest), hold="", mode="live", files={})
        return closed.reference
