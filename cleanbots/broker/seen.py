"""Deduplication: remembers which event claimed a key first, in some 45 bytes per key (70 on Redis 7)."""

import hashlib
from collections.abc import Sequence

from .client import Client
from .keys import Keys

BUCKETS = 4
"""So many buckets make a window; a key is remembered for one bucket's length more at most."""

_KEY, _OWNER = 9, 6


class Seen:
    """Who claimed which key, in hashes that expire bucket by bucket; ``claim_keys.lua`` says how.

    A key is kept as 72 bits of its BLAKE2b digest, its owner as 48 bits: among 20 million keys a false duplicate has a
    chance of 1 in 20 million.

    Args:
        client: how to reach the server.
        keys: the graph's keys.
        limit: the most keys that a bot remembers; beyond it the oldest bucket is forgotten (counted in the statistics
            as ``<bot>:forgotten``).
    """

    def __init__(self, client: Client, keys: Keys, limit: int) -> None:
        self._client = client
        self._keys = keys
        self._limit = limit

    def claim(self, bot: str, keys: Sequence[bytes], owners: Sequence[str], window: float) -> list[str]:
        """Give each key's owner: whoever claimed it first within *window* seconds, or the one given now.

        Another's name is not kept as text: unless it is among *owners*, a digest of it is given.
        """
        if not keys:
            return []
        digests = [hashlib.blake2b(owner.encode(), digest_size=_OWNER).digest() for owner in owners]
        records = [
            hashlib.blake2b(key, digest_size=_KEY).digest() + owner for key, owner in zip(keys, digests, strict=True)
        ]
        length = max(1, -(-int(window * 1000) // BUCKETS))
        index = self._keys.seen(bot, length)
        arguments = [b"".join(records), length, BUCKETS]
        others, total = self._client.run("claim_keys", [index], arguments)
        if total > self._limit:
            self._client.run("forget_bucket", [index, self._keys.statistics], [f"{bot}:forgotten"])
        found = list(owners)
        if others:
            names = dict(zip(digests, owners, strict=True))
            for place, digest in zip(others[::2], others[1::2], strict=True):
                found[place] = names.get(digest) or digest.hex()
        return found
