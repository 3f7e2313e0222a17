"""One private server for all tests of the broker; each test has a graph name of its own."""

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cleanbots.broker import EmbeddedServer, RedisBroker

_numbers = itertools.count(1)


def fresh_name() -> str:
    """Give a graph name that no test has used yet."""
    return f"graph-{os.getpid()}-{next(_numbers)}"


class LossyProxy:
    """Stands between a client and the server; on demand drops one reply and the connection with it.

    Args:
        path: the socket it listens on.
        server: the server's socket.
    """

    def __init__(self, path: Path, server: Path) -> None:
        self.address = f"unix://{path}"
        self.drop_next = False
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            threading.Thread(target=self._copy, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, True), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, replies: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if replies and self.drop_next:
                    self.drop_next = False
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if replies:
            source.close()
            target.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A private server for the whole session."""
    with EmbeddedServer(tmp_path_factory.mktemp("state")) as server:
        yield server


@pytest.fixture
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[dict[str, str]], EmbeddedServer]]:
    """Start a server with settings of its own."""
    with contextlib.ExitStack() as stack:
        yield lambda settings: stack.enter_context(EmbeddedServer(tmp_path_factory.mktemp("own"), settings))


@pytest.fixture
def name() -> str:
    """A graph name that no other test uses."""
    return fresh_name()


@pytest.fixture
def broker(server: EmbeddedServer, name: str) -> Iterator[RedisBroker]:
    """A broker of an empty graph."""
    broker = RedisBroker(server.address, name)
    yield broker
    broker.close()


@pytest.fixture
def proxy(server: EmbeddedServer, tmp_path: Path) -> Iterator[LossyProxy]:
    """A proxy before the session's server."""
    proxy = LossyProxy(tmp_path / "proxy.sock", server.socket)
    yield proxy
    proxy.close()
