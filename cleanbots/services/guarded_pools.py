"""urllib3's connection pools with the guard in the place where connections are made."""

import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from ..errors import Retry
from .deadline import Deadline, Handle
from .guard import Answer, Guard, Target
from .http import cause, shown
from .trust import trust

_CONNECTING = 10.0
_PIECE = 16 * 2**10
_ENDPOINTS = 32


class GuardedPools(urllib3.PoolManager):
    """Sends requests over connections that *guard* has made, each within *deadline* seconds.

    Args:
        guard: what may be connected to.
        deadline: seconds for a request with its answer.
        ca: path of further trusted certificates, or None.

    Raises:
        CleanbotsError: if *ca* can't be read.
    """

    def __init__(self, guard: Guard, deadline: float, ca: str | None) -> None:
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs whole URLs, and these may hold tokens
        self._guard = guard
        self._trust = trust(ca)
        super().__init__(num_pools=_ENDPOINTS, maxsize=1, ssl_context=self._trust)
        self._deadline = deadline
        self._running: Deadline | None = None
        self.pool_classes_by_scheme = _pools(guard, self._use)

    def send(self, method: str, target: Target, headers: Mapping[str, str], body: bytes | None, limit: int) -> Answer:
        """Send a request and read its answer, at most *limit* bytes of it; raises what `GuardedSession` says."""
        with Deadline(self._deadline) as deadline:
            self._running = deadline
            try:
                response = self.urlopen(
                    method,
                    target.url,
                    headers=dict(headers),
                    body=body,
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=urllib3.Timeout(connect=min(_CONNECTING, self._deadline), read=self._deadline),
                )
                if deadline.expired:  # http.client takes headers that were cut short for all there are
                    response.close()
                    raise TimeoutError
                data = _read(response, limit)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                late = deadline.expired or isinstance(error, urllib3.exceptions.TimeoutError)
                words = f"no answer within {self._deadline:g} s" if late else cause(error)
                raise Retry(f"{shown(target.url)}: {words}") from None
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, data)

    def _use(self, handle: Handle | None) -> None:
        if self._running is not None:
            self._running.on(handle)

    def greet(self, target: Target) -> None:
        """Connect, with TLS if the scheme says so, and hang up."""
        try:
            with self._guard.connect(target.scheme, target.host, target.port, _CONNECTING) as sock:
                if target.scheme == "https":
                    self._trust.wrap_socket(sock, server_hostname=target.host).close()
        except OSError as error:
            raise Retry(f"{shown(target.url)}: {cause(error)}") from None


class GuardedAdapter(HTTPAdapter):
    """Lets a session of requests connect to what *guard* allows only."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools; called by requests."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._guard, lambda _: None)


def _read(response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """Read what the answer says; its status has been told already, so a body that breaks off is no fault."""
    data = bytearray()
    try:
        while len(data) <= limit and (piece := response.read1(_PIECE, decode_content=False)):
            data += piece
    except (urllib3.exceptions.HTTPError, OSError):
        response.close()
    if len(data) > limit:
        response.close()
    response.release_conn()
    return bytes(data[:limit])


def _pools(guard: Guard, using: Callable[[Handle | None], None]) -> dict[str, type[HTTPConnectionPool]]:
    """Make the pools of both schemes; their connections are made by *guard* and told to *using*."""

    class Guarded:
        host: str
        port: int
        timeout: Any
        handle: Handle | None = None

        def _new_conn(self) -> socket.socket:
            scheme = "https" if isinstance(self, HTTPSConnection) else "http"
            sock = guard.connect(scheme, self.host, self.port, float(self.timeout))
            self._forget()
            self.handle = Handle(sock)
            using(self.handle)
            return sock

        def request(self, *args: Any, **kwargs: Any) -> None:
            using(self.handle)
            super().request(*args, **kwargs)  # type: ignore[misc]  # of urllib3's connection beside this class

        def close(self) -> None:
            super().close()  # type: ignore[misc]  # likewise
            self._forget()

        def _forget(self) -> None:
            if self.handle is not None:
                self.handle.close()
                self.handle = None

    class Plain(Guarded, HTTPConnection):
        pass

    class Tls(Guarded, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}
