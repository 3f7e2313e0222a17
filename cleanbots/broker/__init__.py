"""Queues on Redis or Valkey: streams of frames, and commits that happen once or not at all."""

from pathlib import Path

from ..errors import BrokerRefused
from .embedded import EmbeddedServer
from .redis import RedisBroker

__all__ = ["EmbeddedServer", "RedisBroker", "connect"]


def connect(address: str, name: str, folder: Path | None = None, *, start: bool = False) -> RedisBroker:
    """Give the broker of a graph; nothing is sent to the server yet.

    Args:
        address: ``embedded`` (the private server in *folder*), or what `address.parse` reads.
        name: the graph's name; every key on the server carries it.
        folder: the state directory of this host; keeps the epoch and, if embedded, the server.
        start: start the embedded server if it isn't running; it ends when the broker is closed.

    Raises:
        BrokerRefused: if the address can't be used.
        BrokerUnavailable: if the embedded server doesn't start.
    """
    if address != "embedded":
        return RedisBroker(address, name, folder)
    if folder is None:
        raise BrokerRefused("broker: embedded needs a state directory to keep its data in")
    server = EmbeddedServer(folder)
    if not start:
        return RedisBroker(server.address, name, folder)
    server.start()
    return RedisBroker(server.address, name, folder, on_close=server.stop)
