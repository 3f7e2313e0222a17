"""Render a frozen digest as the mails that leave: one message per recipient, the same words for all."""

from collections.abc import Sequence
from typing import Final

from ...errors import InvalidValue
from ..model import Attachment, Digest, Message
from ..texts import Catalogue
from .as_html import as_html
from .as_text import as_text
from .body import Telling
from .envelope import compose, envelope_sender, headers, message_id
from .moments import Moments, moment, zone
from .notices import body
from .safe import mail_address
from .seal import Seal, SealError, no_seal
from .subject import subject
from .summary import summarise
from .words import languages

HTML: Final = "html"
"""Name of the format that asks for an HTML part beside the text."""


def render_mail(
    digest: Digest, attachments: Sequence[Attachment], seal: Seal = no_seal, *, key: bytes = b""
) -> list[Message]:
    """Render a digest of any kind.

    The bytes depend on the arguments alone; so a digest that is rendered again after a crash is the same mail, unless
    *seal* adds something of its own.

    Args:
        digest: what is told, and to whom.
        attachments: what its formats made of it.
        seal: signs or encrypts each message.
        key: secret of the hub for the hashes in envelope senders.

    Raises:
        SealError: if a message can't be sealed.
        InvalidValue: if an address of the hub or of a recipient is not usable in a mail, or the label is TLP:RED.
        TextError: if the site's texts can't be used.
    """
    if digest.tlp == "RED":
        raise InvalidValue("tlp", digest.tlp, "never leaves by itself; its findings must be left out before the freeze")
    recipients = [mail_address(each) for each in digest.recipients]
    tellings = _tellings(digest, attachments)
    about = subject(tellings, concealed=seal.conceals)
    blocks = body(tellings)
    bodies = {"plain": as_text(blocks)}
    if HTML in digest.delivery.format and digest.kind != "urgent":
        bodies["html"] = as_html(blocks, tellings[0].words.language, about)
    whole = compose(digest, headers(tellings[0], about), bodies, attachments)
    return [
        Message(
            id=message_id(digest),
            recipient=recipient,
            sender=envelope_sender(digest, place, recipient, key),
            data=_sealed(digest, whole, recipient, seal),
        )
        for place, recipient in enumerate(recipients, 1)
    ]


def _sealed(digest: Digest, whole: bytes, recipient: str, seal: Seal) -> bytes:
    try:
        return seal(whole, recipient)
    except SealError:
        if digest.kind != "operator":
            raise
        return whole  # the operator must hear that nothing can be sealed; this mail tells no finding


def _tellings(digest: Digest, attachments: Sequence[Attachment]) -> list[Telling]:
    catalogue = Catalogue.load(digest.hub.texts)
    summary = summarise(digest.findings, catalogue)
    year = moment(digest.frozen).astimezone(zone(digest.delivery.timezone)).year
    return [
        Telling(
            digest=digest,
            attachments=attachments,
            summary=summary,
            catalogue=catalogue,
            words=words,
            moments=Moments(words, digest.delivery.timezone, year),
        )
        for words in languages(digest.delivery.language)
    ]
