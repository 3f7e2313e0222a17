"""Which data lies on the server: told apart from data that were emptied, exchanged, or set back to an older copy.

A random text lies on the server (``{g}:epoch``) and in the state directory of each host, and beside it a mark: the
server's time (seconds since 1970) when this was looked at last. Data that come back without the text, with another
one, or with a mark that is much older, are not those that the hosts worked with. Then everything waits, as what was
handed on already would be handed on again, until the right data are back or an operator adopts those that are there.
"""

import os
import uuid
from pathlib import Path
from typing import NamedTuple

from ..errors import BrokerReplaced
from .client import Client
from .keys import Keys

TOLERANCE = 60
"""Seconds that the server's mark may lie behind: what a crash under ``everysec`` loses comes back by itself."""

_AGAIN = 10.0  # seconds between two looks while the data are not the right ones


class Lineage(NamedTuple):
    """Which data: the epoch, and the time up to which they are known to reach (seconds since 1970)."""

    epoch: str = ""
    mark: int = 0


class Epoch:
    """Both sides of the epoch.

    Args:
        client: how to reach the server.
        keys: the graph's keys.
        folder: the state directory, or None to know nothing and to take the server's data as they are.
    """

    def __init__(self, client: Client, keys: Keys, folder: Path | None) -> None:
        self._client = client
        self._keys = [keys.epoch, keys.mark, keys.adopted]
        self._file = None if folder is None else folder / "epoch"

    def verify(self) -> Lineage:
        """Look whether the data are those that this host worked with, and note on both sides how far they reach.

        Raises:
            BrokerReplaced: if they are not; the sentence says what they are, and what to do.
        """
        if self._file is None:
            return Lineage()
        known = self._read()
        found, given_up = self._look(known)
        if not known.epoch or (given_up and found.epoch):
            found, _ = self._look(Lineage(found.epoch or self._begin()))
        elif wrong := _difference(known, found):
            raise BrokerReplaced(
                f"the queues at {self._client.where} are not those that {self._file} knows: {wrong}. Point to the "
                "right server or restore its data; if what was queued is given up, 'cleanbots queues adopt' accepts "
                "what is there now",
                _AGAIN,
            )
        self._write(found)
        return found

    def adopt(self) -> None:
        """Accept the server's data as they are, for all hosts: they begin a new epoch."""
        known = self._read()
        found, _ = self._look(Lineage())
        for former in {known.epoch, found.epoch} - {""}:
            self._client.call("SADD", self._keys[2], former)
        new = Lineage(uuid.uuid4().hex)
        self._client.call("SET", self._keys[0], new.epoch)
        self._write(self._look(new)[0])

    def _look(self, known: Lineage) -> tuple[Lineage, bool]:
        """Give what lies on the server, and whether the *known* epoch was given up for it."""
        epoch, mark, given_up = self._client.run("epoch", self._keys, [known.epoch, known.mark - TOLERANCE])
        return Lineage(epoch.decode(), mark), bool(given_up)

    def _begin(self) -> str:
        self._client.call("SET", self._keys[0], uuid.uuid4().hex, "NX")
        epoch: bytes = self._client.call("GET", self._keys[0])
        return epoch.decode()

    def _read(self) -> Lineage:
        try:
            epoch, _, mark = (self._file.read_text("ascii") if self._file else "").partition(" ")
        except FileNotFoundError:
            return Lineage()
        return Lineage(epoch.strip(), int(mark.strip() or 0))

    def _write(self, lineage: Lineage) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        new.write_text(f"{lineage.epoch} {lineage.mark}\n", "ascii")
        new.replace(self._file)


def _difference(known: Lineage, found: Lineage) -> str:
    if not found.epoch:
        return "the server was emptied"
    if found.epoch != known.epoch:
        return "the server was replaced by one of another installation"
    if known.mark - found.mark > TOLERANCE:
        return f"the server was set back to a copy that is {_span(known.mark - found.mark)} older"
    return ""


def _span(seconds: int) -> str:
    minutes = seconds // 60
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"


__all__ = ["Epoch", "Lineage"]
