"""Looks whether a server can keep the promise."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import BrokerRefused
from .client import Client
from .durability import setting, sync_mode

REDIS_FLOOR = (7, 0)
VALKEY_FLOOR = (8, 0)

_MOST_LAG = 10
"""So many seconds a primary that was cut off may go on taking writes, which are then lost; the servers' default."""

_UNSYNCED = {
    "off": "keeps no append-only file: a crash loses everything since its last snapshot; set 'appendonly yes'",
    "no": "leaves it to the system when to write to the disk; set 'appendfsync always'",
    "everysec": "syncs its append-only file once a second: a crash may lose the last seconds, which are then "
    "collected and handed on again; set 'appendfsync always'",
}


class Health:
    """The checks at start.

    Args:
        client: how to reach the server.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._where = client.where

    def check(self) -> list[str]:
        """Check version, eviction policy and role; give warnings about persistence and replication.

        Raises:
            BrokerRefused: if the server can't keep the promise.
        """
        info = self._client.call("INFO", "server", "memory", "persistence", "replication")
        self._check_server(info)
        return [f"the queue server at {self._where} {text}" for text in self._warnings(info)]

    def _check_server(self, info: Mapping[str, Any]) -> None:
        product, version, floor = "Redis", info["redis_version"], REDIS_FLOOR
        if "valkey_version" in info:
            product, version, floor = "Valkey", info["valkey_version"], VALKEY_FLOOR
        if tuple(int(part) for part in str(version).split(".")[:2]) < floor:
            raise BrokerRefused(
                f"the queue server at {self._where} is {product} {version}; "
                f"it must be at least Redis {_dotted(REDIS_FLOOR)} or Valkey {_dotted(VALKEY_FLOOR)}"
            )
        if info["role"] != "master":
            raise BrokerRefused(f"the queue server at {self._where} is a replica; give the address of its primary")
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise BrokerRefused(
                f"the queue server at {self._where} deletes keys when memory runs out (maxmemory-policy {policy}), "
                "and so would lose queues; set 'maxmemory-policy noeviction'"
            )

    def _warnings(self, info: Mapping[str, Any]) -> Iterator[str]:
        mode = sync_mode(self._client, info)
        if mode in _UNSYNCED:
            yield _UNSYNCED[mode]
        if mode != "off" and not setting(self._client, "appendfsync"):
            yield "doesn't let its settings be read (+config|get): how it syncs to the disk can't be checked"
        if setting(self._client, "no-appendfsync-on-rewrite") == "yes":
            yield "doesn't sync while it rewrites its append-only file; set 'no-appendfsync-on-rewrite no'"
        if self._client.fails_over or info.get("connected_slaves"):
            yield from self._warnings_of_replicas(info)

    def _warnings_of_replicas(self, info: Mapping[str, Any]) -> Iterator[str]:
        if not info.get("connected_slaves"):
            yield "has no replica now: nothing could take over from it, and no source is told that it was collected"
        if setting(self._client, "min-replicas-to-write") == "0":
            yield "takes writes without a replica, which a failover then loses; set 'min-replicas-to-write 1'"
        lag = setting(self._client, "min-replicas-max-lag")
        if lag and not 1 <= int(lag) <= _MOST_LAG:
            yield f"counts on replicas that fell silent (min-replicas-max-lag {lag}); set 'min-replicas-max-lag {_MOST_LAG}'"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
