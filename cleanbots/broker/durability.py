"""Tells when what was committed can no longer be lost by a crash of the server."""

import time
from collections.abc import Mapping
from typing import Any

from ..clock import Clock
from ..errors import BrokerRefused, BrokerUnavailable
from .client import BLOCK_LIMIT, Client

_SETTLED = 3.0
"""``everysec`` may put off even the write for two seconds while a background sync is slow (``aof.c``)."""

_BETWEEN_LOOKS = 1.0
_SECTIONS = ("server", "persistence", "replication")


class Durability:
    """Waits for the append-only file and for a replica.

    With ``appendfsync always`` the reply to a commit says that it is on the disk. With ``everysec`` two looks at least a
    second apart must find nothing unwritten and nothing unsynced, the second at least three seconds after the commit
    (``WAITAOF`` is not used: Valkey 8.0 answers it at once). Otherwise there is nothing to wait for; `Health` warns
    about it. If the server has replicas, or if another may take its place, one replica must have everything.
    """

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._mode = ""
        self._reign = ""
        self._last = 0.0

    def committing(self) -> None:
        """Learn which server this is before the first commit, so that its restart or end can be told later."""
        if not self._mode:
            info = self._client.call("INFO", *_SECTIONS)
            self._reign = _reign(info)
            self._mode = sync_mode(self._client, info)

    def committed(self) -> None:
        """Note the time of a commit."""
        self._last = self._clock.monotonic()

    def wait(self, timeout: float) -> bool:
        """Wait until all commits so far are durable; False if *timeout* seconds were not enough.

        Raises:
            BrokerUnavailable: if the server is away, or was restarted or replaced by another since the first commit or
                the last such error.
        """
        self.committing()
        deadline = self._clock.monotonic() + timeout
        info = self._look()
        if self._mode == "everysec" and not self._synced(deadline):
            return False
        return not (self._client.fails_over or info.get("connected_slaves")) or self._replicated(deadline)

    def _look(self) -> Mapping[str, Any]:
        info: Mapping[str, Any] = self._client.call("INFO", *_SECTIONS)
        self._check_reign(info)
        return info

    def _check_reign(self, info: Mapping[str, Any]) -> None:
        reign = _reign(info)
        if reign != self._reign:
            self._reign = reign
            raise BrokerUnavailable(
                f"the queue server at {self._client.where} was restarted or replaced and may have lost the last commits; "
                "what its ledger doesn't know must be collected again"
            )

    def _synced(self, deadline: float) -> bool:
        clean_since: float | None = None
        while True:
            info, now = self._look(), self._clock.monotonic()
            if info.get("aof_buffer_length") or info.get("aof_pending_bio_fsync"):
                clean_since, pause = None, _BETWEEN_LOOKS / 2
            else:
                clean_since = now if clean_since is None else clean_since
                pause = max(self._last + _SETTLED, clean_since + _BETWEEN_LOOKS) - now
                if pause <= 0:
                    return True
            if now + pause > deadline:
                return False
            time.sleep(pause)

    def _replicated(self, deadline: float) -> bool:
        left = max(0.001, min(BLOCK_LIMIT, deadline - self._clock.monotonic()))
        # WAIT counts from its own connection's last command: what is asked before puts that after every commit of any
        # connection. It also tells that this connection is to the server that has them: another may have taken over.
        info, replicas = self._client.together(("INFO", *_SECTIONS), ("WAIT", 1, int(left * 1000)))
        self._check_reign(info)
        return bool(replicas >= 1)


def _reign(info: Mapping[str, Any]) -> str:
    """Give what is another text after each restart of a server and each time that a replica becomes the primary."""
    return f"{info['run_id']} {info['master_replid']}"


def sync_mode(client: Client, info: Mapping[str, Any]) -> str:
    """Give how the append-only file is synced: ``always``, ``everysec``, ``no``, or ``off`` if there is none.

    A server that doesn't let its settings be read is taken for ``everysec``.
    """
    if not info.get("aof_enabled"):
        return "off"
    return setting(client, "appendfsync") or "everysec"


def setting(client: Client, name: str) -> str:
    """Give a setting of the server, or "" if it may not be read."""
    try:
        return str(client.call("CONFIG GET", name).get(name, ""))
    except BrokerRefused:
        return ""
