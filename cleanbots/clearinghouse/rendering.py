"""From a closed delivery to digests and bytes: what is in each part, which formats are attached, who gets it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from ..clock import iso
from .model import Attachment, Contact, Delivery, Digest, Feed, Finding, Hub, Member, Message, Mode
from .store.protocol import Closed

BODY_FORMATS = frozenset({"text", "html"})
"""Formats that are the mail itself and no attachments."""

_SAMPLE = 2000
"""Findings that are rendered to see how many of them a part can hold, if it might be more."""
_SEVERITIES = ("critical", "high", "medium", "low", "info")
_LABELS = ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED")
_UNLABELLED = "AMBER+STRICT"
_NOTHING_IN_IT = "AMBER"


class Format(Protocol):
    """A format of attachments, as the plugins bring it."""

    def render(self, digest: Digest) -> list[Attachment]:
        """Give the attachments of a digest."""
        ...


Formats = Callable[[str], Format]
"""Gives the format of a name; raises if there is none."""
Envelope = Callable[[Digest, Sequence[Attachment]], list[Message]]
"""Makes the messages of a digest with its attachments, one for each recipient."""


class Renderer:
    """Renders digests.

    Args:
        formats: gives formats by name.
        mail: makes mails, sealed.
        webhook: makes bodies for webhooks.
    """

    def __init__(self, formats: Formats, mail: Envelope, webhook: Callable[[Digest], list[Message]]) -> None:
        self._formats = formats
        self._mail = mail
        self._webhook = webhook

    def attachments(self, digest: Digest) -> list[Attachment]:
        """Give what the delivery's formats make of a digest."""
        names = [name for name in digest.delivery.format if name not in BODY_FORMATS]
        return [attachment for name in names for attachment in self._formats(name).render(digest)]

    def messages(self, digest: Digest) -> list[Message]:
        """Render one digest; a delivery with a URL gives webhooks, any other mails."""
        if digest.delivery.url:
            return self._webhook(digest)
        return self._mail(digest, self.attachments(digest))

    def parts(self, digest: Digest, findings: Sequence[Finding]) -> Iterator[tuple[Digest, list[Message]]]:
        """Render a digest with its findings, split into as many parts as the delivery's limits ask for.

        Args:
            digest: without findings.
            findings: of all parts.
        """
        if digest.delivery.url:
            whole = msgspec.structs.replace(digest, findings=findings)
            yield whole, self._webhook(whole)
            return
        size = self._guessed_size(digest, findings)
        while True:
            number = max(1, -(-len(findings) // size))
            first = _part(digest, findings, size, 1, number)
            attachments = self.attachments(first)
            largest = _largest(attachments)
            if largest <= digest.delivery.attachment or len(first.findings) <= 1:
                break
            # What the parts hold is alike, so one measure serves all of them.
            size = max(1, len(first.findings) * digest.delivery.attachment // (largest + 1))
        yield first, self._mail(first, attachments)
        for each in range(2, number + 1):
            part = _part(digest, findings, size, each, number)
            yield part, self._mail(part, self.attachments(part))

    def _guessed_size(self, digest: Digest, findings: Sequence[Finding]) -> int:
        """Give how many findings a part is to have; where that is many, a sample tells how many the limit allows."""
        size = max(1, digest.delivery.findings_per_mail)
        whole = min(size, len(findings))
        if whole <= _SAMPLE:
            return size
        limit = digest.delivery.attachment * _SAMPLE // whole  # a sample is to be zipped where the whole would be
        delivery = msgspec.structs.replace(digest.delivery, attachment=limit)
        sample = _part(msgspec.structs.replace(digest, delivery=delivery), findings, _SAMPLE, 1, 1)
        largest = _largest(self.attachments(sample))
        return size if largest <= limit else max(1, whole * limit // (largest + 1))


def _largest(attachments: Iterable[Attachment]) -> int:
    return max((len(each.data) for each in attachments), default=0)


def _part(digest: Digest, findings: Sequence[Finding], size: int, part: int, parts: int) -> Digest:
    chosen = findings[(part - 1) * size : part * size]
    return msgspec.structs.replace(digest, findings=chosen, part=part, parts=parts)


def digest_of(
    closed: Closed,
    *,
    kind: str,
    hub: Hub,
    member: Member,
    delivery: Delivery,
    mode: Mode,
    recipients: Sequence[str],
    until: datetime,
    now: datetime,
    feeds: tuple[Feed, ...] = (),
    text: str = "",
    resend: int = 0,
    facts: Mapping[str, str] | None = None,
) -> Digest:
    """Make the digest of a closed delivery, without its findings, which are read part by part."""
    highest, tlp = _summary(closed.findings)
    return Digest(
        reference=closed.reference,
        kind=kind,
        hub=hub,
        member=member,
        delivery=delivery,
        recipients=tuple(recipients),
        period=(iso(closed.since), iso(until)),
        frozen=iso(now),
        still=closed.still,
        suppressed=closed.suppressed,
        elsewhere=tuple(closed.elsewhere),
        feeds=feeds,
        highest=highest,
        tlp=tlp,
        test=mode == "test",
        text=text,
        resend=resend,
        facts=dict(facts or {}),
    )


def _summary(findings: Iterable[Finding]) -> tuple[str, str]:
    """Give the highest severity and the strictest label."""
    severities, labels = set(), set()
    for finding in findings:
        severities.add(finding.event.get("severity", ""))
        labels.add(finding.event.get("tlp") or _UNLABELLED)
    highest = next((name for name in _SEVERITIES if name in severities), "")
    return highest, max(labels, key=_LABELS.index, default=_NOTHING_IN_IT)


def addresses(member: Member, contacts: Iterable[str]) -> tuple[str, ...]:
    """Give the mail addresses of contacts by their ids, each once; those without an address are left out."""
    known: Iterable[Contact] = (member.contacts[name] for name in contacts if name in member.contacts)
    return tuple(dict.fromkeys(contact.mail for contact in known if contact.mail))


def recipients_of(member: Member, delivery: Delivery, mode: Mode, tester: str) -> tuple[str, ...]:
    """Give who gets a delivery: the tester in mode test, else its endpoint or contacts (in preview, too)."""
    if mode == "test":
        return (tester,)
    if delivery.customer is not None:
        return (delivery.customer.mail,)
    return (delivery.url,) if delivery.url else addresses(member, delivery.to)
