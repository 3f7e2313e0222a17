"""Connections to whichever server is the graph's primary now.

Who that is, is asked before every single connection: of the Sentinels, or of the cluster's nodes. So a connection that
broke never comes back to a former primary, not even to one that was started again and doesn't know yet that it is none.
"""

from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry

from .address import Address

Node = tuple[str, int]

_SOCKET_TIMEOUT = 20.0
_CONNECT_TIMEOUT = 5.0
_ASK_TIMEOUT = 2.0


def make_pool(address: Address, tag: str) -> redis.ConnectionPool:
    """Make the connections to a graph's server; none is opened yet.

    Args:
        address: where the server is.
        tag: the graph's hash tag with braces; tells which node of a cluster has its keys.
    """
    options: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": _SOCKET_TIMEOUT,
        "socket_connect_timeout": _CONNECT_TIMEOUT,
        "db": address.database,
        "username": address.user or None,
        "password": address.password or None,
        **address.tls_options,
    }
    if address.kind == "socket":
        return redis.ConnectionPool(connection_class=_SocketConnection, path=address.path, **options)
    options["socket_keepalive"] = True
    if address.kind == "server":
        host, port = address.nodes[0]
        kind = _TlsConnection if address.tls else _PlainConnection
        return redis.ConnectionPool(connection_class=kind, host=host, port=port, **options)
    return redis.ConnectionPool(
        connection_class=_LocatedTlsConnection if address.tls else _LocatedConnection,
        locate=Locator(address, tag),
        redis_connect_func=_connect_to_primary,
        **options,
    )


class Locator:
    """Finds the primary that has a graph's keys; the node that answered last is asked first.

    Args:
        address: of Sentinels or of a cluster.
        tag: the graph's hash tag.
    """

    def __init__(self, address: Address, tag: str) -> None:
        sentinel = address.kind == "sentinel"
        self._nodes = list(address.nodes)
        self._ask: Callable[[Any, Node], Node | None] = self._ask_sentinel if sentinel else self._ask_node
        self._primary = address.primary
        self._tag = tag
        self._options: dict[str, Any] = {
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": _ASK_TIMEOUT,
            "socket_connect_timeout": _ASK_TIMEOUT,
            "username": (address.sentinel_user if sentinel else address.user) or None,
            "password": (address.sentinel_password if sentinel else address.password) or None,
            "ssl": address.tls,
            **address.tls_options,
        }

    def __call__(self) -> Node:
        """Give host and port of the primary.

        Raises:
            redis.exceptions.ConnectionError: if no node knows it now.
        """
        reasons = []
        for node in list(self._nodes):
            try:
                with redis.Redis(host=node[0], port=node[1], single_connection_client=True, **self._options) as client:
                    found = self._ask(client, node)
            except exceptions.AuthenticationError:
                raise
            except exceptions.RedisError as error:
                reasons.append(str(error) or type(error).__name__)
                continue
            if found is not None:
                self._nodes.remove(node)
                self._nodes.insert(0, node)
                return found
            reasons.append(f"{node[0]}:{node[1]} watches no primary {self._primary!r}")
        raise exceptions.ConnectionError(f"nobody knows the primary: {'; '.join(reasons)}")

    def _ask_sentinel(self, client: Any, _node: Node) -> Node | None:
        found: Sequence[bytes] | None = client.execute_command("SENTINEL", "get-master-addr-by-name", self._primary)
        return None if found is None else (_text(found[0]), int(found[1]))

    def _ask_node(self, client: Any, node: Node) -> Node | None:
        try:
            client.execute_command("EXISTS", self._tag)
        except exceptions.MovedError as moved:
            return moved.host or node[0], moved.port
        except (exceptions.AskError, exceptions.TryAgainError):
            pass  # it is moving the keys away, and has them until that is done
        return node


class ConnectionLost(exceptions.RedisError):
    """The server closed a connection between two commands."""


class _Watched:
    """A connection that tells of its end.

    redis-py's pool looks at a connection before it lends it, and opens another one unseen if the server has closed it.
    But a server that was restarted may have lost what it answered for; whoever remembers any of that must hear of it.
    """

    def can_read(self, timeout: float = 0) -> bool:
        """Tell the pool that nothing is there to read, or raise."""
        try:
            waiting = super().can_read(timeout)  # type: ignore[misc]  # of the connection that this is mixed into
        except exceptions.ConnectionError as error:
            raise ConnectionLost(str(error)) from error
        if waiting:
            raise ConnectionLost("the server has closed the connection")
        return False


class _PlainConnection(_Watched, Connection):
    pass


class _TlsConnection(_Watched, SSLConnection):
    pass


class _SocketConnection(_Watched, UnixDomainSocketConnection):
    pass


class _Located(_Watched):
    """A connection that asks where to, each time it connects."""

    def __init__(self, *, locate: Locator, **options: Any) -> None:
        self._locate = locate
        super().__init__(**options)

    def _connect(self) -> Any:
        self.host, self.port = self._locate()
        return super()._connect()  # type: ignore[misc]  # of the connection that this is mixed into


class _LocatedConnection(_Located, Connection):
    pass


class _LocatedTlsConnection(_Located, SSLConnection):
    pass


def _connect_to_primary(connection: Any) -> None:
    """Greet a server, and leave it unless it is a primary: who told us may not have noticed yet that it is none."""
    connection.on_connect()
    connection.send_command("INFO", "replication")
    if b"role:master" not in connection.read_response():
        raise exceptions.ReadOnlyError("no primary")


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
