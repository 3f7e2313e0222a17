"""Deduplication: who claimed a key first."""

import pytest

from cleanbots.broker import RedisBroker
from cleanbots.services.cache import BrokerCache

WEEK = 7 * 86400.0


def server_ms(broker: RedisBroker) -> int:
    """Give the server's time in milliseconds."""
    seconds, micros = broker._client.call("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


def test_first_claim_wins(broker):
    """A key belongs to whom claimed it first, and to nobody else."""
    assert broker.claim_keys("dedup", [b"x", b"y"], ["r1-1", "r1-2"], WEEK) == ["r1-1", "r1-2"]

    owners = broker.claim_keys("dedup", [b"x", b"z", b"y"], ["r2-1", "r2-2", "r1-2"], WEEK)

    assert owners[0] != "r2-1"
    assert owners[1:] == ["r2-2", "r1-2"]  # new, and "me, again"


def test_same_key_twice_in_one_call(broker):
    """The second of two equal keys is a duplicate of the first."""
    assert broker.claim_keys("dedup", [b"x", b"x"], ["r1-1", "r1-2"], WEEK) == ["r1-1", "r1-1"]


def test_no_keys(broker):
    """Nothing asked, nothing answered."""
    assert broker.claim_keys("dedup", [], [], WEEK) == []


def test_bots_remember_apart(broker):
    """A key claimed for one bot is new to another."""
    broker.claim_keys("dedup", [b"x"], ["r1-1"], WEEK)

    assert BrokerCache(broker, "other").claim([b"x"], ["r2-1"], WEEK) == ["r2-1"]
    assert BrokerCache(broker, "dedup").claim([b"x"], ["r2-1"], WEEK) != ["r2-1"]


def test_any_bytes_are_keys(broker):
    """Keys may be empty, long or binary, and are told apart."""
    keys = [b"", b"\x00", bytes(range(256)) * 1000, "ä".encode(), b"-1", b"nan"]
    owners = [f"r-{number}" for number in range(len(keys))]

    assert broker.claim_keys("dedup", keys, owners, WEEK) == owners
    assert broker.claim_keys("dedup", keys, owners, WEEK) == owners


def test_large_batches(broker):
    """A batch of any size is answered, each key once."""
    keys = [number.to_bytes(4) for number in range(20_000)]
    owners = [f"r-{number}" for number in range(20_000)]

    assert broker.claim_keys("dedup", keys, owners, WEEK) == owners


def test_claim_holds_for_the_whole_window_and_not_for_ever(broker):
    """A claim is known for at least the window, across the borders of buckets, and expires in the end."""
    before = server_ms(broker)
    broker.claim_keys("dedup", [b"x"], ["r1-1"], 0.4)

    while broker.claim_keys("dedup", [b"x"], ["r2-1"], 0.4) != ["r2-1"]:
        pass

    assert server_ms(broker) - before >= 400


@pytest.mark.parametrize("age", [1, 2, 3, 4])
def test_older_buckets_are_looked_through(broker, age):
    """A key in any bucket of the window is known; in one before, it is not."""
    broker.claim_keys("dedup", [b"x"], ["r1-1"], WEEK)
    index = broker._keys.seen("dedup", int(WEEK * 1000) // 4)
    bucket = int(*broker._hash(index))
    move_bucket(broker, index, bucket, bucket - age)
    assert broker.claim_keys("dedup", [b"x"], ["r2-1"], WEEK) != ["r2-1"]

    move_bucket(broker, index, bucket - age, bucket - 5)
    assert broker.claim_keys("dedup", [b"x"], ["r2-1"], WEEK) == ["r2-1"]


def move_bucket(broker: RedisBroker, index: str, bucket: int, to: int) -> None:
    """Make a bucket older, as if time had passed."""
    for key in broker._client.call("KEYS", f"{index}:{bucket}:*"):
        broker._client.call("RENAME", key, key.replace(b":%d:" % bucket, b":%d:" % to))
    broker._client.call("HSET", index, to, 1)
    broker._client.call("HDEL", index, bucket)


def test_each_of_many_keys_is_known_afterwards(broker):
    """Of far more keys than there are shards each is new once."""
    keys = [b"key %d" % number for number in range(30_000)]
    owners = [f"r1-{number}" for number in range(30_000)]
    others = [f"r2-{number}" for number in range(30_000)]

    assert broker.claim_keys("dedup", keys, owners, WEEK) == owners

    assert not set(broker.claim_keys("dedup", keys, others, WEEK)) & set(others)


def test_keys_expire_on_the_server(broker):
    """Every key that deduplication writes has an end."""
    broker.claim_keys("dedup", [b"x", b"y"], ["r1-1", "r1-2"], WEEK)

    keys = broker._client.call("KEYS", f"{broker._keys.tag}*")

    assert 2 <= len(keys) <= 3  # the index, and the shards of the two
    assert all(0 < broker._client.call("PTTL", key) <= WEEK * 1000 * 1.5 for key in keys)


def test_number_of_keys_is_bounded(server, name):
    """Beyond the limit the oldest bucket is forgotten, and the statistics say how many keys that were."""
    broker = RedisBroker(server.address, name, seen_limit=10)
    broker.claim_keys("dedup", [bytes([number]) for number in range(10)], ["r"] * 10, WEEK)
    assert broker.statistics() == {}

    broker.claim_keys("dedup", [b"one more"], ["r"], WEEK)

    assert broker.statistics() == {"dedup:forgotten": 11}
    assert broker._client.call("KEYS", f"{broker._keys.tag}*") == [broker._keys.statistics.encode()]
    assert broker.claim_keys("dedup", [b"one more"], ["other"], WEEK) == ["other"]
    broker.close()
