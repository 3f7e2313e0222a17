"""One connection pool to the queue server, on which an error is always told and nothing is ever sent twice."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import redis
from redis import exceptions

from ..errors import BrokerRefused, BrokerUnavailable
from .address import FORMS, parse, without_password
from .pool import ConnectionLost, make_pool

BLOCK_LIMIT = 10.0
"""The longest that one blocking command may wait, in seconds; shorter than the socket's time limit."""

_SPLIT = "access a non local key"
"""What a node of a cluster says of a key that a script derives, while it moves the keys away."""

_WAIT_PREFIXES = {
    "OOM": "is at its memory limit; free memory or raise 'maxmemory'",
    "MISCONF": "can't write to its disk; look at its log and at the free space",
    "READONLY": "is a replica and takes no writes; a failover may be under way",
    "NOREPLICAS": "misses the replicas that 'min-replicas-to-write' demands",
    "LOADING": "is still loading its data; it answers when it is done",
    "MASTERDOWN": "has lost its primary; a failover may be under way",
    "CLUSTERDOWN": "belongs to a cluster that is down",
    "TRYAGAIN": "is moving the graph's keys to another node",
    "MOVED": "does not own this graph's keys (any more); a cluster's address is redis+cluster://",
    "ASK": "is moving the graph's keys to another node",
    "BUSY": "is busy with somebody's script",
    "UNBLOCKED": "has changed its role; a failover may be under way",
    _SPLIT: "is moving the graph's keys to another node",
    "NOGROUP": "no longer has a queue that was there before: its data was emptied or replaced",
}
_WAIT_CLASSES: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
    (exceptions.TryAgainError, "TRYAGAIN"),
    (exceptions.MovedError, "MOVED"),
    (exceptions.AskError, "ASK"),
)
_REFUSED_CLASSES = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
)


_NO_RIGHT = ("ACL failure", "The user executing the script can't")
"""What servers say (the second is Redis 7.0's way) if a script does what its user may not do."""


@cache
def script(name: str) -> tuple[str, str]:
    """Give the text of a Lua script of this package and its SHA-1, by which the server knows it."""
    text = Path(__file__).with_name(f"{name}.lua").read_text("utf-8")
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Client:
    """Sends commands and scripts; translates every failure into one clear sentence.

    Nothing is retried: a command whose reply was lost may have been done (redis-py's own retry would do it twice).

    Args:
        address: see `address.parse`.
        tag: the graph's hash tag with braces; tells which node of a cluster has its keys.

    Raises:
        BrokerRefused: if the address can't be read.
    """

    def __init__(self, address: str, tag: str = "") -> None:
        self.where = without_password(address)
        try:
            parsed = parse(address)
        except ValueError as error:
            raise BrokerRefused(f"broker address {self.where!r}: {error}; {FORMS}") from error
        self.fails_over = parsed.fails_over
        self._redis: Any = redis.Redis.from_pool(make_pool(parsed, tag))

    def call(self, *arguments: Any) -> Any:
        """Send one command and give its reply.

        Raises:
            BrokerUnavailable: if the server is away or refuses for now; the command may have been done.
            BrokerRefused: if it refuses for good.
        """
        with self._translated():
            return self._redis.execute_command(*arguments)

    def together(self, *commands: Sequence[Any], atomic: bool = False) -> list[Any]:
        """Send commands at once on one connection, if *atomic* as one transaction; errors as for `call`."""
        with self._translated(), self._redis.pipeline(transaction=atomic) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            replies: list[Any] = pipeline.execute()
            return replies

    def run(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script of this package by its SHA-1, or by its text if the server doesn't know it; errors as for `call`."""
        text, sha = script(name)
        with self._translated():
            try:
                return self._redis.execute_command("EVALSHA", sha, len(keys), *keys, *arguments)
            except exceptions.NoScriptError:
                return self._redis.execute_command("EVAL", text, len(keys), *keys, *arguments)

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exceptions.RedisError as error:
            self._redis.connection_pool.disconnect(inuse_connections=False)
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> BrokerUnavailable | BrokerRefused:
        text = str(error) or type(error).__name__
        if isinstance(error, _REFUSED_CLASSES) or text.startswith(_NO_RIGHT):
            return BrokerRefused(
                f"the queue server at {self.where} refuses us: {text}; look at user, password and rights"
            )
        for kind, code in _WAIT_CLASSES:
            if isinstance(error, kind):
                return BrokerUnavailable(f"the queue server at {self.where} {_WAIT_PREFIXES[code]}")
        if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, ConnectionLost)):
            return BrokerUnavailable(f"the queue server at {self.where} can't be reached: {text}; is it running?")
        code = _SPLIT if _SPLIT in text else text.split(maxsplit=1)[0]
        if code in _WAIT_PREFIXES:
            return BrokerUnavailable(f"the queue server at {self.where} {_WAIT_PREFIXES[code]}")
        return BrokerRefused(
            f"the queue server at {self.where} refuses a command: {text}; do others write to its keys?"
        )
