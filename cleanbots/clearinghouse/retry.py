"""When a message that could not be handed over is tried again, and how destinations that fail are spared."""

import hashlib
from datetime import datetime, timedelta

import msgspec

from ..clock import iso
from .door import destination
from .model import Message, Outcome
from .store.protocol import Store

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

MAIL_DELAYS = (15 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR)
"""Seconds before each new try of a mail; the last one repeats (RFC 5321, 4.5.4.1, asks for at least 30 minutes)."""
MAIL_LIFETIME = 5 * _DAY

WEBHOOK_DELAYS = (5.0, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR)
"""Seconds before each new try of a webhook, as Standard Webhooks 1.0 recommends; the last one repeats."""
WEBHOOK_LIFETIME = 14 * _DAY

DEAD_AFTER = 24 * _HOUR
"""Seconds of failing after which a destination counts as dead, and people are told."""

_JITTER = 0.1
_LONGEST_ASKED = _DAY
_CLOSING = 421  # SMTP: the service is not available (RFC 5321, 4.2.3)


def is_webhook(recipient: str) -> bool:
    """Tell whether a recipient is a URL."""
    return "://" in recipient


def delays(recipient: str) -> tuple[float, ...]:
    """Give the table of delays for a recipient."""
    return WEBHOOK_DELAYS if is_webhook(recipient) else MAIL_DELAYS


def lifetime(recipient: str) -> float:
    """Give the seconds for which a recipient's messages are tried."""
    return WEBHOOK_LIFETIME if is_webhook(recipient) else MAIL_LIFETIME


def delay(message: Message, tries: int) -> float:
    """Give the seconds to wait after the *tries*-th failure (from 1).

    A tenth more or less keeps messages that failed together from coming back together; it depends on the message
    alone, so that a restart changes nothing.
    """
    table = delays(message.recipient)
    key = f"{message.id} {message.recipient} {tries}".encode()
    spread = int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big") / 2**32
    return table[min(tries, len(table)) - 1] * (1 + _JITTER * (2 * spread - 1))


def most_tries(recipient: str) -> int:
    """Give how many attempts fit into the lifetime of a message."""
    table, left, tries = delays(recipient), lifetime(recipient), 1
    while left > 0:
        left -= table[min(tries, len(table)) - 1]
        tries += 1
    return tries


def try_again(message: Message, outcome: Outcome, tries: int, now: datetime) -> datetime | None:
    """Give when a message is tried next after ``later``; None if it was tried long enough.

    Args:
        message: which.
        outcome: what became of the last attempt; a time that the other side asked for is kept, up to a day.
        tries: how many attempts there were, this one included.
        now: the time of the attempt.
    """
    if tries >= most_tries(message.recipient):
        return None
    wait = delay(message, tries)
    if outcome.after is not None:
        wait = max(wait, min(outcome.after, _LONGEST_ASKED))
    return now + timedelta(seconds=wait)


def blames_destination(recipient: str, outcome: Outcome) -> bool:
    """Tell whether ``later`` is about the whole destination, and not about this one message or mailbox."""
    return is_webhook(recipient) or outcome.code in (0, _CLOSING)


class Failing(msgspec.Struct, frozen=True):
    """A destination that fails.

    Args:
        since: canonical time of the first failure in a row.
        again: canonical time before which nothing is tried there.
        tries: failures in a row.
        told: whether people know.
    """

    since: str
    again: str
    tries: int = 1
    told: bool = False

    def age(self, now: datetime) -> float:
        """Give for how many seconds it has failed."""
        return (now - datetime.fromisoformat(self.since)).total_seconds()


class Destinations:
    """The state of every destination that fails: while one does, its messages wait together and one of them probes.

    Args:
        store: keeps it across restarts.
        channel: whose destinations.
    """

    def __init__(self, store: Store, channel: str) -> None:
        self._store = store
        self._name = f"failing:{channel}"
        text = store.flag(self._name)
        self._failing = msgspec.json.decode(text, type=dict[str, Failing]) if text else {}

    def blocked(self, now: datetime) -> list[str]:
        """Give the destinations that are spared now."""
        return [name for name, state in self._failing.items() if datetime.fromisoformat(state.again) > now]

    def failing(self, recipient: str) -> Failing | None:
        """Give the state of a recipient's destination, or None if it works as far as is known."""
        return self._failing.get(destination(recipient))

    def failed(self, message: Message, outcome: Outcome, now: datetime) -> Failing:
        """Note that a destination failed; give its state."""
        before = self.failing(message.recipient)
        tries = before.tries + 1 if before else 1
        wait = max(delay(message, tries), min(outcome.after or 0.0, _LONGEST_ASKED))
        state = Failing(
            since=before.since if before else iso(now),
            again=iso(now + timedelta(seconds=wait)),
            tries=tries,
            told=before.told if before else False,
        )
        self._keep(message.recipient, state)
        return state

    def worked(self, recipient: str) -> None:
        """Note that a destination took a message."""
        if self.failing(recipient):
            self._keep(recipient, None)

    def told(self, recipient: str) -> None:
        """Remember that people know that this destination is dead."""
        if state := self.failing(recipient):
            self._keep(recipient, msgspec.structs.replace(state, told=True))

    def _keep(self, recipient: str, state: Failing | None) -> None:
        if state is None:
            del self._failing[destination(recipient)]
        else:
            self._failing[destination(recipient)] = state
        self._store.flag(self._name, msgspec.json.encode(self._failing).decode() if self._failing else "")
