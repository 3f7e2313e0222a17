"""A limit on the whole of a conversation: sockets only limit each wait, so a peer that drips holds them for ever."""

import socket
import threading
from contextlib import suppress
from typing import Self


class Handle:
    """A second hold on a connection, by which it can be cut whatever is being waited for, also below TLS.

    Args:
        sock: the connection; its user may wrap or close it at any time.
    """

    def __init__(self, sock: socket.socket) -> None:
        # A duplicate stays valid when TLS takes the original over, and never names a descriptor that was used again.
        self._sock = sock.dup()

    def cut(self) -> None:
        """Cut the connection; what waits on it sees its end."""
        with suppress(OSError):  # it was over already
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection, without cutting it."""
        self._sock.close()


class Deadline:
    """Cuts the connection in use if the ``with`` block takes longer than *seconds* of real time.

    Args:
        seconds: for the whole block.
    """

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._handle: Handle | None = None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def on(self, handle: Handle | None) -> None:
        """Say which connection is in use now; it is cut at once if the time is over already."""
        self._handle = handle
        if self.expired and handle is not None:
            handle.cut()

    def _expire(self) -> None:
        self.expired = True
        if self._handle is not None:
            self._handle.cut()

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
