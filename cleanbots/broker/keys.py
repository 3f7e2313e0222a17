"""The names of all keys of a graph on the server; every one carries the graph's name as its hash tag."""

import hashlib

GROUP = "workers"
"""The one consumer group of every queue; the scripts spell it likewise."""

LEDGER_SHARDS = 2**14
"""So many small hashes hold the ledger: up to two million reports they stay in the compact encoding."""


class Keys:
    """Makes the keys of one graph.

    Args:
        name: the graph's name, the hash tag: all keys of a graph live on one core of a cluster.
    """

    def __init__(self, name: str) -> None:
        self.tag = f"{{{name}}}:"
        self.statistics = self.tag + "stats"
        self.witness = self.tag + "witness"
        self.depths = self.tag + "depths"
        self.failed_depths = self.tag + "failed-depths"
        self.slots = self.tag + "slots"
        self.cursors = self.tag + "cursors"
        self.epoch = self.tag + "epoch"
        self.mark = self.tag + "mark"
        self.adopted = self.tag + "adopted"

    def queue(self, bot: str) -> str:
        """Give the stream that a bot receives from."""
        return f"{self.tag}q:{bot}"

    def marks(self, bot: str) -> str:
        """Give the hash of the progress marks of a queue's entries."""
        return f"{self.tag}marks:{bot}"

    def failed(self, bot: str) -> str:
        """Give the stream of a bot's failed items."""
        return f"{self.tag}failed:{bot}"

    def state(self, bot: str) -> str:
        """Give the hash of a bot's state."""
        return f"{self.tag}state:{bot}"

    def ledger(self, report: str) -> str:
        """Give the shard of the ledger that knows a report."""
        digest = hashlib.blake2b(report.encode(), digest_size=2).digest()
        return self.ledger_shard(int.from_bytes(digest) % LEDGER_SHARDS)

    def ledger_shard(self, number: int) -> str:
        """Give a shard of the ledger by its number, 0 to `LEDGER_SHARDS` - 1."""
        return f"{self.tag}ledger:{number:04x}"

    def seen(self, bot: str, bucket_length: int) -> str:
        """Give the index of a bot's deduplication buckets of that length (ms); its shards' keys begin with it."""
        return f"{self.tag}seen:{bot}:{bucket_length}"
