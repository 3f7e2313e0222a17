"""Mails that tell people what the findings don't: contacts and endpoints that fail, and what waits for an operator."""

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime

from .door import mode_of, tester, today_of
from .model import Delivery, Hub, Member, Mode
from .rendering import Renderer, digest_of
from .store.protocol import Closing, Store

log = logging.getLogger("cleanbots.courier")

MAIL = "mail"
"""The channel of these mails."""

OPERATOR = Member(id="operator", name="operator")


class Notices:
    """Makes such mails, each once for its cause.

    Args:
        store: keeps them, and which were made.
        hub: who we are.
        renderer: renders them.
    """

    def __init__(self, store: Store, hub: Hub, renderer: Renderer) -> None:
        self._store = store
        self._hub = hub
        self._renderer = renderer

    def operator(self, cause: str, text: str, now: datetime) -> None:
        """Tell the operator, at most once a day for each cause; the log always says it.

        Args:
            cause: a few words that name it, e.g. ``held``.
            text: what happened, and the command that resolves it.
            now: the time.
        """
        log.warning("%s", text)
        if not self._hub.operator or self._hub.mode == "preview":
            return
        delivery = Delivery(id="operator", channel=MAIL, format=("text",), language="en")
        self._make("operator", OPERATOR, delivery, [self._hub.operator], text, f"{cause}:{now:%Y-%m-%d}", now)

    def member(
        self,
        kind: str,
        member: Member,
        delivery: Delivery,
        recipients: Sequence[str],
        text: str,
        cause: str,
        now: datetime,
    ) -> None:
        """Tell a member's contacts, once for each cause, by the same rules as its deliveries.

        Args:
            kind: ``dead-contact`` or ``dead-endpoint``.
            member: whose contacts.
            delivery: the delivery that is concerned; it gives language and time zone.
            recipients: mail addresses.
            text: what the mail is about: the contact, or the endpoint.
            cause: names the cause.
            now: the time.
        """
        letter = Delivery(
            id=kind,
            channel=MAIL,
            to=delivery.to,
            format=("text",),
            language=delivery.language,
            timezone=delivery.timezone,
            robot=delivery.robot,
        )
        mode = mode_of(self._hub, member, letter, today_of(letter, now))
        if mode is None or mode == "preview" or not recipients:
            return
        to = [tester(self._hub, letter)] if mode == "test" else list(recipients)
        self._make(kind, member, letter, to, text, f"{member.id}:{cause}", now, mode)

    def _make(
        self,
        kind: str,
        member: Member,
        delivery: Delivery,
        recipients: Sequence[str],
        text: str,
        cause: str,
        now: datetime,
        mode: Mode | None = None,
    ) -> None:
        # Flags outlive addresses, so a cause that names one is kept as its hash.
        flag = f"told:{kind}:{hashlib.blake2b(cause.encode(), digest_size=8).hexdigest()}"
        if self._store.flag(flag):
            return
        mode = mode or self._hub.mode
        closed = self._store.close(
            Closing(
                member=member.id,
                delivery=delivery.id,
                channel=MAIL,
                kind=kind,
                until=now,
                now=now,
                prefix=self._hub.reference,
                mode=mode,
            )
        )
        if closed is None:
            return
        digest = digest_of(
            closed,
            kind=kind,
            hub=self._hub,
            member=member,
            delivery=delivery,
            mode="live" if kind == "operator" else mode,
            recipients=recipients,
            until=now,
            now=now,
            text=text,
        )
        self._store.freeze(digest, self._renderer.messages(digest), hold="", mode=mode, files={})
        self._store.flag(flag, closed.reference)
