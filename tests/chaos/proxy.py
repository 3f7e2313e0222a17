"""A TCP proxy on the loopback that loses replies, cuts connections and is slow."""

import asyncio
import random
import threading
from collections.abc import Callable
from contextlib import suppress

from cleanbots.broker.client import script


class Proxy:
    """Stands between clients and a server.

    A lost reply is one whose request the server has worked off: the answer is dropped, and the connection with it.

    Args:
        port: the server's, on the loopback.
        seed: decides which replies are lost.

    Attributes:
        delay: seconds by which each piece of data is held up, in both directions.
        lost: how many replies were lost.
        lost_commits: how many of those belonged to commits.
    """

    def __init__(self, port: int, seed: int) -> None:
        self.delay = 0.0
        self.lost = self.lost_commits = 0
        self._server = port
        self._chance = random.Random(seed)
        self._still_to_lose = 0
        self._share = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._commit = script("commit")[1].encode()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        listening = asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**20)
        self._listener = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.address = f"redis://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def lose(self, replies: int, share: float) -> None:
        """Lose so many more replies, each one with the chance *share*."""
        self._still_to_lose, self._share = replies, share

    @property
    def losing(self) -> bool:
        """Whether there are still replies to lose."""
        return self._still_to_lose > 0

    def cut(self) -> None:
        """Cut all connections as they are, also in the middle of a request or a reply."""
        self._call(lambda: [writer.transport.abort() for writer in list(self._writers)])

    def close(self) -> None:
        """Cut everything and take no more connections."""
        self._call(self._listener.close)
        self.cut()
        self._call(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _call(self, what: Callable[[], object]) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (what(), done.set()))
        done.wait(10)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server, limit=2**20)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, server_writer}
        self._writers |= ends
        last_request = [b""]
        try:
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.gather(
                    self._requests(reader, server_writer, last_request),
                    self._replies(server_reader, writer, last_request),
                )
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, last_request: list[bytes]
    ) -> None:
        while data := await self._read(reader):
            last_request[0] = data[:200]
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError

    async def _replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, last_request: list[bytes]
    ) -> None:
        while data := await self._read(reader):
            if self._still_to_lose and self._chance.random() < self._share:
                self._still_to_lose -= 1
                self.lost += 1
                self.lost_commits += self._commit in last_request[0]
                break
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        data = await reader.read(2**16)
        if self.delay:
            await asyncio.sleep(self.delay)
        return data
