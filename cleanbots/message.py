"""What a courier is given, and what it says became of it: the bytes for one recipient, and the outcome of an attempt."""

from typing import Literal

import msgspec

Verdict = Literal["accepted", "later", "refused", "gone"]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes for one recipient, as they are stored and handed over on every attempt.

    Args:
        id: Message-ID without brackets, or webhook-id; the same on every attempt.
        recipient: mail address or URL.
        sender: envelope sender (mail), else "".
        data: the whole message (mail) or body (webhook).
        secrets: references to the signing secrets (webhooks), newest first.
    """

    id: str
    recipient: str
    sender: str = ""
    data: bytes
    secrets: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one attempt.

    Args:
        verdict: ``accepted``; ``later`` (transient, try again); ``refused`` (this recipient, for good); ``gone`` (the
            endpoint wants no more).
        answer: the other side's words, cut to 64 KiB; "" if it said nothing.
        code: SMTP or HTTP status, 0 if there was none.
        after: seconds that the other side asked to wait, or None.
    """

    verdict: Verdict
    answer: str = ""
    code: int = 0
    after: float | None = None
