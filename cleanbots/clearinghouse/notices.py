"""Mails that tell people what the findings don't: contacts and endpoints that fail, and what waits for an operator."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from .door import mode_of, tester, today_of
from .kit import Kit
from .mail.seal import SealError
from .model import Delivery, Member, Mode
from .rendering import digest_of
from .store.protocol import Closing

log = logging.getLogger("cleanbots.courier")

MAIL = "mail"
"""The channel of these mails."""

OPERATOR = Member(id="operator", name="operator")


class _Letter(NamedTuple):
    """What is told, and to whom."""

    kind: str
    member: Member
    delivery: Delivery
    recipients: tuple[str, ...]
    facts: Mapping[str, str]
    text: str = ""


class Notices:
    """Makes such mails, each once for its cause; where no courier takes mail, the log alone tells.

    Args:
        kit: keeps them, and which were made; renders them.
    """

    def __init__(self, kit: Kit) -> None:
        self._store = kit.store
        self._hub = kit.hub
        self._renderer = kit.renderer
        self._has_mail = kit.serves(MAIL)

    def operator(self, cause: str, about: str, text: str, command: str, now: datetime) -> None:
        """Tell the operator, at most once a day for each cause; the log always says it.

        Args:
            cause: names it, e.g. ``held``.
            about: a few words for the subject.
            text: what happened.
            command: what resolves it, a line each; or "".
            now: the time.
        """
        log.warning("%s%s", text, f" ({'; '.join(command.splitlines())})" if command else "")
        if not (self._hub.operator and self._has_mail) or self._hub.mode == "preview":
            return
        delivery = Delivery(id="operator", channel=MAIL, format=("text",), language="en")
        letter = _Letter(
            "operator", OPERATOR, delivery, (self._hub.operator,), {"cause": about, "command": command}, text
        )
        self._make(letter, f"{cause}:{now:%Y-%m-%d}", now)

    def member(
        self,
        kind: str,
        member: Member,
        delivery: Delivery,
        recipients: Sequence[str],
        facts: Mapping[str, str],
        cause: str,
        now: datetime,
    ) -> None:
        """Tell a member's contacts, once for each cause, by the same rules as its deliveries.

        Args:
            kind: ``dead-contact`` or ``dead-endpoint``.
            member: whose contacts.
            delivery: the delivery that is concerned; it gives language and time zone.
            recipients: mail addresses.
            facts: what the mail tells, as ``docs/mails.md`` lists it for its kind.
            cause: names the cause.
            now: the time.
        """
        how = Delivery(
            id=kind,
            channel=MAIL,
            to=delivery.to,
            format=("text",),
            language=delivery.language,
            timezone=delivery.timezone,
            robot=delivery.robot,
        )
        mode = mode_of(self._hub, member, how, today_of(how, now))
        if mode is None or mode == "preview" or not recipients or not self._has_mail:
            return
        to = (tester(self._hub, how),) if mode == "test" else tuple(recipients)
        self._make(_Letter(kind, member, how, to, facts), f"{member.id}:{cause}", now, mode)

    def _make(self, letter: _Letter, cause: str, now: datetime, mode: Mode | None = None) -> None:
        kind, member, delivery = letter.kind, letter.member, letter.delivery
        # Flags outlive addresses, so a cause that names one is kept as its hash.
        flag = f"told:{kind}:{hashlib.blake2b(cause.encode(), digest_size=8).hexdigest()}"
        if self._was_made(self._store.flag(flag)):
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
        self._store.flag(flag, closed.reference)  # before it can leave: a crash must not make another one beside it
        digest = digest_of(
            closed,
            kind=kind,
            hub=self._hub,
            member=member,
            delivery=delivery,
            mode="live" if kind == "operator" else mode,
            recipients=letter.recipients,
            until=now,
            now=now,
            text=letter.text,
            facts=letter.facts,
        )
        try:
            messages = self._renderer.messages(digest)
        except SealError as error:
            log.error("%s for %s is not made: %s", kind, member.id, error)  # noqa: TRY400  # a sentence, no traceback
            return
        self._store.freeze(digest, messages, hold="", mode=mode, files={})

    def _was_made(self, reference: str) -> bool:
        """Tell whether a mail was made; a crash may have left its reference without one, which nobody gets."""
        row = self._store.row(reference) if reference else None
        return bool(reference) and (row is None or bool(row.messages))
