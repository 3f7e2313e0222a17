"""Looks whether a server can keep the promise, and whether its data is the data that this host worked with before."""

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import BrokerRefused
from .client import Client
from .durability import setting, sync_mode
from .keys import Keys

REDIS_FLOOR = (7, 0)
VALKEY_FLOOR = (8, 0)

_UNSYNCED = {
    "off": "keeps no append-only file: a crash loses everything since its last snapshot; set 'appendonly yes'",
    "no": "leaves it to the system when to write to the disk; set 'appendfsync always'",
    "everysec": "syncs its append-only file once a second: a crash may lose the last seconds, which are then "
    "collected and handed on again; set 'appendfsync always'",
}


class Health:
    """The checks at start.

    The *epoch* is a random text that lies on the server and in the state directory: if the server's is missing or
    different, its data was lost or is another's, and going on would silently forget what was queued.

    Args:
        client: how to reach the server.
        keys: the graph's keys.
        folder: the state directory, or None to keep no copy of the epoch.
    """

    def __init__(self, client: Client, keys: Keys, folder: Path | None) -> None:
        self._client = client
        self._where = client.where
        self._key = keys.epoch
        self._file = None if folder is None else folder / "epoch"

    def check(self) -> list[str]:
        """Check version, eviction policy, role and epoch; give warnings about persistence and replication.

        Raises:
            BrokerRefused: if the server can't keep the promise or has not the data that it had.
        """
        info = self._client.call("INFO", "server", "memory", "persistence", "replication")
        self._check_server(info)
        self._check_epoch()
        return [f"the queue server at {self._where} {text}" for text in self._warnings(info)]

    def adopt(self) -> None:
        """Take the server's epoch as ours, or give it a new one if it has none."""
        epoch = self._server_epoch() or self._new_epoch()
        if self._file is not None:
            self._file.write_text(epoch + "\n", "ascii")

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
        if info.get("connected_slaves") and setting(self._client, "min-replicas-to-write") == "0":
            yield "takes writes without a replica, which a failover then loses; set 'min-replicas-to-write 1'"

    def _check_epoch(self) -> None:
        if self._file is None:
            return
        known = self._file.read_text("ascii").strip() if self._file.exists() else ""
        found = self._server_epoch()
        if not known:
            self.adopt()
        elif found != known:
            what = "was replaced: it belongs to another installation" if found else "is gone: the server was emptied"
            raise BrokerRefused(
                f"the queues at {self._where} are not those that {self._file} knows; their data {what}. Point to the "
                "right server or restore its data; if what was queued is given up, 'cleanbots queues adopt' accepts what is there now"
            )

    def _server_epoch(self) -> str:
        epoch: bytes | None = self._client.call("GET", self._key)
        return (epoch or b"").decode()

    def _new_epoch(self) -> str:
        self._client.call("SET", self._key, uuid.uuid4().hex, "NX")
        return self._server_epoch()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
