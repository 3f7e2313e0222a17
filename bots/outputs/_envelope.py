"""What must hold of a mail before any server is asked: one plain address each way, and lines as SMTP has them."""

import re
from dataclasses import dataclass

from cleanbots.errors import shorten
from cleanbots.harmonization.network import suffix
from cleanbots.message import Message

_ADDRESS = re.compile(r"([^\s<>()\[\],;:@\\\"\x00-\x1f\x7f\ud800-\udfff]{1,64})@([^\s@]{1,253})")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)|\x00")
_LINE_DOT = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A mail as SMTP transports it.

    Args:
        sender: address that bounces go to; "" for none.
        recipient: one address.
        data: the bytes of the mail.
        utf8: whether a server must know SMTPUTF8 (RFC 6531) for it.
        eight_bit: whether a server must know 8BITMIME (RFC 6152) for it.
    """

    sender: str
    recipient: str
    data: bytes
    utf8: bool
    eight_bit: bool

    @property
    def dotted(self) -> bytes:
        """The data as it follows ``DATA``: dots at line starts doubled, ended by a lone one (RFC 5321 §4.5.2)."""
        end = b".\r\n" if self.data.endswith(b"\r\n") else b"\r\n.\r\n"
        return _LINE_DOT.sub(b"..", self.data) + end


def envelope(message: Message) -> Envelope:
    """Check *message* and make its envelope.

    Raises:
        ValueError: if an address is none, or the bytes are no mail; the text says what.
    """
    sender = _address(message.sender, "sender") if message.sender else ""
    recipient = _address(message.recipient, "recipient")
    fault = _BARE.search(message.data)
    if fault is not None:
        raise ValueError(f"byte {fault.start()} of the message is NUL, or a CR or LF that is no CRLF; render it anew")
    head, _, body = message.data.partition(b"\r\n\r\n")
    utf8 = not (sender.isascii() and recipient.isascii() and head.isascii())
    return Envelope(sender, recipient, message.data, utf8, utf8 or not body.isascii())


def _address(text: str, what: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f"the {what} {shorten(text)} is not one plain mail address")
    try:
        return f"{match[1]}@{suffix(match[2])}"
    except ValueError as error:
        raise ValueError(f"the domain of the {what} {shorten(text)} is {error}") from None
