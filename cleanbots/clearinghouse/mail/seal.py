"""The last step before a mail's bytes are stored: sign or encrypt them, or leave them as they are."""

from typing import Protocol

from ...errors import CleanbotsError


class SealError(CleanbotsError):
    """A mail can't be sealed (a key is missing, unknown, expired or locked): hold it, never send it without its seal."""


class Seal(Protocol):
    """Turns a whole message into the message that leaves."""

    conceals: bool
    """Whether the body is unreadable on the way; then the subject names no address."""

    def probe(self) -> None:
        """See whether messages can be sealed now; raises `SealError` with the reason if not."""
        ...

    def __call__(self, message: bytes, recipient: str) -> bytes:
        """Seal one message.

        Args:
            message: header and body, lines end in CRLF.
            recipient: the mail address that gets it.

        Raises:
            SealError: if it can't be sealed; the caller holds the delivery.
        """
        ...


class _NoSeal:
    conceals = False

    def probe(self) -> None:
        pass

    def __call__(self, message: bytes, recipient: str) -> bytes:
        return message


no_seal: Seal = _NoSeal()
"""Leaves messages as they are."""
