"""Servers of the outside for tests, on the loopback: SMTP and HTTP(S) that answer, refuse, hang and break off.

Both keep what they took (`accepted`), count connections, and misbehave either as scripted (`script`) or by seeded
shares (`Shares`), so that a long test can ask afterwards: who took what, how often, under which id, byte for byte?
"""

import asyncio
import contextlib
import hashlib
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Self

HANG = "hang"
"""Say nothing more on this connection until the other side gives up."""
CUT = "cut"
"""Break the connection off; after a message or a request: when it was taken."""


@dataclass(frozen=True)
class Shares:
    """How often a server misbehaves, each from 0 to 1.

    Args:
        transient: of attempts, answered by a temporary refusal.
        permanent: of recipients (or endpoints), refused for good, at every attempt.
        hang: of attempts, left without an answer.
        cut: of attempts, broken off after the message was taken.
    """

    transient: float = 0.0
    permanent: float = 0.0
    hang: float = 0.0
    cut: float = 0.0

    def dooms(self, seed: int, whom: str) -> bool:
        """Tell whether *whom* is refused for good; the same for each attempt and server of that seed."""
        number = int.from_bytes(hashlib.sha256(f"{seed}:{whom}".encode()).digest()[:8], "big")
        return number < self.permanent * 2**64

    def attempt(self, chance: random.Random) -> str:
        """Choose what becomes of an attempt: ``transient``, ``hang``, ``cut`` or ""."""
        point = chance.random()
        for name in ("transient", "hang", "cut"):
            point -= getattr(self, name)
            if point < 0:
                return name
        return ""


class Server:
    """A server in a thread of its own, between ``with`` and its end.

    Args:
        tls: speak TLS from the first byte.
        host: where it listens.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = 0
        self.connections = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work: Awaitable[None]) -> None:
        """Run *work* in the server's thread and wait for it."""

        async def run() -> None:
            await work

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        raise NotImplementedError

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, 0, ssl=self._tls, limit=2**26)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.converse(reader, writer)
        except (OSError, EOFError, ssl.SSLError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


async def forever() -> None:
    """Wait until the connection's task is cancelled."""
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Mail:
    """A mail that an `SmtpServer` took.

    Args:
        id: its Message-ID without brackets.
        data: its bytes, dots restored.
        options: what followed the sender in MAIL.
        told: whether the client was told so.
        connection: number of the connection, from 1.
        at: when, in seconds of the monotonic clock.
    """

    id: str
    sender: str
    recipient: str
    data: bytes
    options: str = ""
    told: bool = True
    connection: int = 0
    at: float = field(default_factory=time.monotonic, compare=False)


class SmtpServer(Server):
    """An SMTP server.

    Args:
        shares, seed: how it misbehaves by chance.
        script: phase (``connect``, ``ehlo``, ``starttls``, ``auth``, ``mail``, ``rcpt``, ``data``, ``end``, ``rset``) to
            what it answers there, in turn: a reply, `HANG` or `CUT`; "" or nothing left is the usual answer.
        extensions: announced after EHLO.
        starttls: offer it with these certificates.
        users: name to password for AUTH PLAIN.
        hangs: recipients after whom it says nothing more.
    """

    def __init__(
        self,
        *,
        shares: Shares | None = None,
        seed: int = 0,
        script: Mapping[str, Iterable[str]] | None = None,
        extensions: Iterable[str] = ("SIZE 10485760", "8BITMIME", "SMTPUTF8"),
        starttls: ssl.SSLContext | None = None,
        users: Mapping[str, str] | None = None,
        hangs: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls)
        self.accepted: list[Mail] = []
        self.hangs = frozenset(hangs)
        self.commands: list[str] = []
        self.refused: list[str] = []
        self._shares = shares or Shares()
        self._seed = seed
        self._chance = random.Random(seed)
        self._script = {phase: deque(answers) for phase, answers in (script or {}).items()}
        self._extensions = tuple(extensions)
        self._starttls = starttls
        self._users = dict(users or {})

    def of(self, recipient: str) -> list[Mail]:
        """Give what was taken for *recipient*."""
        return [mail for mail in self.accepted if mail.recipient == recipient]

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak SMTP until QUIT."""
        talk = _SmtpTalk(self, reader, writer, self.connections)
        await talk.run()

    def scripted(self, phase: str) -> str:
        """Give the next scripted answer of *phase*, or ""."""
        answers = self._script.get(phase)
        return answers.popleft() if answers else ""

    def doomed(self, recipient: str) -> bool:
        """Tell whether *recipient* is refused for good."""
        return self._shares.dooms(self._seed, recipient)

    def chance(self) -> str:
        """Choose what becomes of an attempt."""
        return self._shares.attempt(self._chance)

    def extensions(self, secure: bool) -> list[str]:
        """List what EHLO announces."""
        offered = list(self._extensions)
        if self._starttls is not None and not secure:
            offered.append("STARTTLS")
        if self._users:
            offered.append("AUTH PLAIN")
        return offered

    def knows(self, credentials: str) -> bool:
        """Tell whether AUTH PLAIN's decoded *credentials* are right."""
        _, user, password = credentials.split("\0")
        return self._users.get(user) == password

    @property
    def upgrade(self) -> ssl.SSLContext | None:
        """The context for STARTTLS."""
        return self._starttls


class _Over(Exception):
    """The conversation ends here."""


class _SmtpTalk:
    """One connection to an `SmtpServer`."""

    def __init__(
        self, server: SmtpServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._number = number
        self._secure = False
        self._sender = ""
        self._recipient = ""
        self._options = ""
        self._fate = ""

    async def run(self) -> None:
        with contextlib.suppress(_Over):
            await self._answer("connect", "220 mx.hub.example.net ready")
            while line := await self._reader.readline():
                command = line.decode("utf-8", "replace").rstrip("\r\n")
                self._server.commands.append(command)
                await self._command(command)

    async def _command(self, command: str) -> None:
        verb = command.partition(" ")[0].upper()
        method = getattr(self, f"_{verb.lower()}", None)
        if method is None:
            await self._say("502 not known")
        else:
            await method(command)

    async def _say(self, text: str) -> None:
        self._writer.write(text.encode() + b"\r\n")
        await self._writer.drain()

    async def _answer(self, phase: str, usual: str) -> bool:
        """Answer as scripted, else as usual; tell whether it was as usual."""
        scripted = self._server.scripted(phase)
        await self._act(scripted)
        await self._say(scripted or usual)
        if scripted.startswith("421"):
            raise _Over
        return not scripted

    async def _act(self, fate: str) -> None:
        if fate == HANG:
            await forever()
        if fate == CUT:
            raise _Over

    async def _ehlo(self, command: str) -> None:
        lines = ["mx.hub.example.net", *self._server.extensions(self._secure)]
        await self._answer("ehlo", "\r\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines))

    async def _helo(self, command: str) -> None:
        await self._say("250 mx.hub.example.net")

    async def _starttls(self, command: str) -> None:
        if await self._answer("starttls", "220 go ahead"):
            assert self._server.upgrade is not None
            await self._writer.start_tls(self._server.upgrade)
            self._secure = True

    async def _auth(self, command: str) -> None:
        import base64

        credentials = base64.b64decode(command.split(" ")[2]).decode()
        right = self._server.knows(credentials)
        await self._answer("auth", "235 welcome" if right else "535 5.7.8 wrong user or password")

    async def _mail(self, command: str) -> None:
        address, _, self._options = command.partition(":<")[2].partition(">")
        if await self._answer("mail", "250 fine"):
            self._sender = address

    async def _rcpt(self, command: str) -> None:
        recipient = command.partition(":<")[2].partition(">")[0]
        await self._act(HANG if recipient in self._server.hangs else "")
        if self._server.doomed(recipient):
            self._server.refused.append(recipient)
            await self._say("550 5.1.1 no such mailbox")
            return
        self._fate = self._server.chance()
        if self._fate == "transient":
            await self._say("450 4.2.0 greylisted, try again later")
            return
        if await self._answer("rcpt", "250 fine"):
            self._recipient = recipient

    async def _data(self, command: str) -> None:
        await self._act(HANG if self._fate == "hang" else "")
        if not await self._answer("data", "354 end with a dot"):
            return
        data = await self._reader.readuntil(b"\r\n.\r\n")
        await self._end(data[:-3].replace(b"\r\n..", b"\r\n.").removeprefix(b"."))

    async def _end(self, data: bytes) -> None:
        scripted = self._server.scripted("end")
        cut = CUT in (scripted, self._fate)
        if not scripted or cut:
            identifier = (message_from_bytes(data)["Message-ID"] or "").strip("<> ")
            mail = Mail(identifier, self._sender, self._recipient, data, self._options, not cut, self._number)
            self._server.accepted.append(mail)
        await self._act(CUT if cut else scripted)
        await self._say(scripted or f"250 2.0.0 queued as {len(self._server.accepted)}")

    async def _rset(self, command: str) -> None:
        self._fate = ""
        await self._answer("rset", "250 fine")

    async def _quit(self, command: str) -> None:
        await self._say("221 bye")
        raise _Over


@dataclass(frozen=True)
class Request:
    """A request that an `HttpServer` read.

    Args:
        headers: by lower-case name.
        status: what it was answered; 0 if nothing.
        connection: number of the connection, from 1.
        at: when, in seconds of the monotonic clock.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int = 0
    connection: int = 0
    at: float = field(default_factory=time.monotonic, compare=False)

    @property
    def id(self) -> str:
        """Its ``webhook-id``."""
        return self.headers.get("webhook-id", "")


@dataclass(frozen=True)
class Reply:
    """What an `HttpServer` answers.

    Args:
        raw: the bytes to send instead of an answer made of the others.
        drip: seconds between two bytes; 0 sends them at once.
        swift: how many bytes are sent at once before they drip.
        act: `HANG` or `CUT` instead of an answer.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes = b""
    drip: float = 0.0
    swift: int = 0
    act: str = ""


class HttpServer(Server):
    """An HTTP/1.1 server with kept connections.

    Args:
        shares, seed: how it misbehaves by chance; an endpoint is a path. Transient are 429, 500 and 503.
        script: replies in turn; when none is left it answers 200.
        answer: called with each request instead, if given.
        tls: speak TLS.
    """

    def __init__(
        self,
        *,
        shares: Shares | None = None,
        seed: int = 0,
        script: Iterable[Reply] = (),
        answer: Callable[[Request], Reply] | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(tls, host)
        self.requests: list[Request] = []
        self._shares = shares or Shares()
        self._seed = seed
        self._chance = random.Random(seed)
        self._script = deque(script)
        self._answer = answer
        self._scheme = "https" if tls else "http"

    @property
    def accepted(self) -> list[Request]:
        """What it took: answered 2xx, or broken off after taking it."""
        return [request for request in self.requests if request.status == 0 or 200 <= request.status < 300]

    def url(self, path: str = "/", host: str = "") -> str:
        """Give a URL of this server."""
        return f"{self._scheme}://{host or self.host}:{self.port}{path}"

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until the connection ends."""
        number = self.connections
        while head := await reader.readuntil(b"\r\n\r\n"):
            first, *lines = head.decode("latin-1").split("\r\n")
            method, path, _ = first.split(" ")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Request(method, path, headers, body, 0, number)
            await self._serve(request, writer)

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        reply = self._reply(request)
        if reply.act == HANG:
            await forever()
        status = 0 if reply.act else reply.status
        self.requests.append(
            Request(request.method, request.path, request.headers, request.body, status, request.connection)
        )
        if reply.act == CUT:
            raise EOFError
        data = reply.raw or _http(reply)
        if not reply.drip:
            writer.write(data)
            await writer.drain()
            return
        writer.write(data[: reply.swift])
        for position in range(reply.swift, len(data)):
            writer.write(data[position : position + 1])
            await writer.drain()
            await asyncio.sleep(reply.drip)

    def _reply(self, request: Request) -> Reply:
        if self._answer is not None:
            return self._answer(request)
        if self._script:
            return self._script.popleft()
        if self._shares.dooms(self._seed, request.path):
            return Reply(410)
        fate = self._shares.attempt(self._chance)
        if fate == "transient":
            status = self._chance.choice((429, 500, 503))
            return Reply(status, {"Retry-After": "60"} if status != 500 else {})
        return Reply(act=fate)


def _http(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} status", f"Content-Length: {len(reply.body)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body
