"""The deduplication memory that a bot is lent, on the broker."""

from collections.abc import Sequence

from ..broker.protocol import Broker


class BrokerCache:
    """Remembers keys for a time, shared by all workers of a graph; implements `cleanbots.context.Cache`.

    Args:
        broker: where the keys are remembered.
        bot: the id of the bot whose keys they are.
    """

    def __init__(self, broker: Broker, bot: str) -> None:
        self._broker = broker
        self._bot = bot

    def claim(self, keys: Sequence[bytes], owners: Sequence[str], window: float) -> list[str]:
        """Give the owner of each key: the one who claimed it first within *window* seconds, or the one given now.

        Raises:
            BrokerUnavailable: if the server is away; nothing is known then, and the same call may be repeated.
        """
        return self._broker.claim_keys(self._bot, keys, owners, window)
