"""Mail over SMTP: one connection for many mails, every wait and every reply bounded, each answer told as it was."""

import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cleanbots.errors import Retry
from cleanbots.message import Message, Outcome
from cleanbots.services.deadline import Deadline, Handle
from cleanbots.services.http import cause
from cleanbots.services.trust import trust

from ._envelope import Envelope, envelope

REPLY_BYTES = 64 * 2**10
SLOWEST = 64 * 2**10
"""Bytes per second that the transfer of a mail must reach, over and above its time limit."""

_LINE_BYTES = 8 * 2**10
_LEAVING = 5.0
_OVER = 421
_TOO_LARGE = 552
_ABOUT_US = frozenset({503, 530, 534, 535, 538})
"""Replies that say how we behaved or logged in, at whatever command they come; no recipient is at fault."""

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Relay:
    """The server that takes our mail.

    Args:
        tls: ``starttls``, ``implicit`` or ``none``.
        user, password: "" to send without logging in.
        helo: our name; our address on the connection if "".
        timeout: seconds for each of: connecting with log-in, the envelope, the message.
        mails: how many go over one connection.
        ca: a file of further trusted certificates, or None.
    """

    host: str
    port: int
    tls: str
    user: str
    password: str
    helo: str
    timeout: float
    mails: int
    ca: Path | None

    @property
    def name(self) -> str:
        """Host and port, for people."""
        return f"{self.host} port {self.port}"


class Client(smtplib.SMTP):
    """smtplib's client, with replies of limited length and steps of limited time.

    Args:
        relay: where it leads.
        trusted: what its certificate is judged by.
    """

    def __init__(self, relay: Relay, trusted: ssl.SSLContext) -> None:
        super().__init__(local_hostname=relay.helo or "localhost", timeout=relay.timeout)
        self._relay = relay
        self._trusted = trusted
        self._host = relay.host  # what `starttls` verifies the certificate for
        self._handle: Handle | None = None
        self._deadline: Deadline | None = None
        self.given = 0

    @property
    def expired(self) -> bool:
        """Whether the last step took too long."""
        return self._deadline is not None and self._deadline.expired

    @contextmanager
    def step(self, seconds: float) -> Iterator[None]:
        """Limit the time of what is said in the block."""
        with Deadline(seconds) as self._deadline:
            self._deadline.on(self._handle)
            yield

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply, of at most `REPLY_BYTES`; raises SMTPServerDisconnected if there is none."""
        if self.file is None:
            if self.sock is None:
                raise smtplib.SMTPServerDisconnected("there is no connection")
            self.file = self.sock.makefile("rb")
        lines: list[bytes] = []
        size = 0
        while True:
            try:
                line = self.file.readline(_LINE_BYTES)
            except OSError as error:
                self.close()
                raise smtplib.SMTPServerDisconnected(cause(error)) from error
            size += len(line)
            if not line or size > REPLY_BYTES or not line[:3].isdigit():
                self.close()
                wrong = "what it said is no SMTP reply" if line else "it closed the connection"
                raise smtplib.SMTPServerDisconnected(wrong)
            lines.append(line[4:].strip())
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(lines)

    def close(self) -> None:
        """Close the connection without a word."""
        super().close()
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the end of a mail shall not wait for anything
        self._handle = Handle(sock)
        if self._deadline is not None:
            self._deadline.on(self._handle)
        if not self._relay.helo:
            address = sock.getsockname()[0]
            self.local_hostname = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
        if self._relay.tls == "implicit":
            return self._trusted.wrap_socket(sock, server_hostname=host)
        return sock


class Smtp:
    """Gives mails to *relay*, one transaction each."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._client: Client | None = None
        self._trusted: ssl.SSLContext | None = None

    def open(self) -> None:
        """Load the trusted certificates; the first mail connects.

        Raises:
            CleanbotsError: if they can't be read.
        """
        self._trusted = trust(self._relay.ca)

    def close(self) -> None:
        """Say goodbye."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(smtplib.SMTPException, OSError), client.step(_LEAVING):
                client.quit()
            client.close()

    def probe(self) -> None:
        """Connect, do TLS, log in, and leave.

        Raises:
            Retry: with the reason, if that fails.
        """
        try:
            self._connected()
        finally:
            self.close()

    def give(self, message: Message) -> Outcome:
        """Hand *message* over; its bytes are sent as they are, but for the dots that SMTP doubles."""
        try:
            mail = envelope(message)
        except ValueError as error:
            return Outcome(verdict="refused", answer=str(error))
        try:
            client = self._connected()
        except Retry as error:
            return Outcome(verdict="later", answer=str(error))
        outcome = _lacking(client, mail) or self._transact(client, mail)
        client.given += 1
        if outcome.code == _OVER or client.given >= self._relay.mails:
            self.close()
        return outcome

    def _transact(self, client: Client, mail: Envelope) -> Outcome:
        spoken = ""
        try:
            with client.step(self._relay.timeout):
                client.command_encoding = "utf-8" if mail.utf8 else "ascii"
                for spoken, argument in (
                    ("MAIL", f"FROM:<{mail.sender}>{_options(client, mail)}"),
                    ("RCPT", f"TO:<{mail.recipient}>"),
                    ("DATA", ""),
                ):
                    code, words = client.docmd(spoken, argument)
                    if code // 100 != (3 if spoken == "DATA" else 2):
                        return _judged(spoken, code, words)
            spoken = "message"
            with client.step(self._relay.timeout + len(mail.data) / SLOWEST):
                client.send(mail.dotted)
                spoken = "end of message"
                code, words = client.getreply()
        except (smtplib.SMTPException, OSError) as error:
            why = f"no answer within {self._relay.timeout:g} s" if _late(client, error) else _words(error)
            client.close()
            self._client = None
            doubt = "; whether it was taken is not known" if spoken == "end of message" else ""
            return Outcome(verdict="later", answer=f"{self._relay.name}: {spoken}: {why}{doubt}")
        return _judged(spoken, code, words)

    def _connected(self) -> Client:
        """Give a connection that just answered: a server may have closed a quiet one long ago."""
        if self._client is not None:
            client = self._client
            with suppress(smtplib.SMTPException, OSError), client.step(self._relay.timeout):
                if client.docmd("RSET")[0] == 250:
                    return client
            self.close()
        self._client = self._connect()
        return self._client

    def _connect(self) -> Client:
        relay = self._relay
        trusted = self._trusted = self._trusted or trust(relay.ca)
        client = Client(relay, trusted)
        doing = "connecting"
        try:
            with client.step(relay.timeout):
                code, words = client.connect(relay.host, relay.port)
                if code != 220:
                    raise smtplib.SMTPResponseException(code, words)
                doing = "EHLO"
                client.ehlo_or_helo_if_needed()
                if relay.tls == "starttls":
                    doing = "STARTTLS, without which nothing is sent"
                    client.starttls(context=trusted)
                    client.ehlo_or_helo_if_needed()
                if relay.user:
                    doing = "log-in; check user and password of the mail courier"
                    client.login(relay.user, relay.password)
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            why = f"no answer within {relay.timeout:g} s" if _late(client, error) else _words(error)
            client.close()
            raise Retry(f"{relay.name}: {doing}: {why}") from error
        return client


def _lacking(client: Client, mail: Envelope) -> Outcome | None:
    """Judge what the server can't do at all by what it announced, before anything is sent."""
    if mail.utf8 and not client.has_extn("smtputf8"):
        return Outcome(
            verdict="refused", answer="the server can't transport an address or header beyond ASCII (SMTPUTF8)"
        )
    if mail.eight_bit and not client.has_extn("8bitmime"):
        return Outcome(verdict="refused", answer="the server takes 7-bit mail only, and this one is 8-bit (8BITMIME)")
    limit = client.esmtp_features.get("size", "")
    if limit.isascii() and limit.isdecimal() and 0 < int(limit[:18]) < len(mail.data):
        answer = f"the mail has {len(mail.data)} bytes, and the server takes {limit[:18]} at most (SIZE)"
        return Outcome(verdict="refused", answer=answer, code=_TOO_LARGE)
    return None


def _options(client: Client, mail: Envelope) -> str:
    options = f" SIZE={len(mail.data)}" if client.has_extn("size") else ""
    if client.has_extn("8bitmime") and mail.eight_bit:
        options += " BODY=8BITMIME"
    return options + (" SMTPUTF8" if mail.utf8 else "")


def _judged(spoken: str, code: int, words: bytes) -> Outcome:
    """Turn a reply into an outcome: 4xx is for later, 5xx is for good if it is about this recipient or this mail."""
    answer = f"{spoken}: {code} {_text(words)}"
    if spoken == "end of message" and code // 100 == 2:
        return Outcome(verdict="accepted", answer=f"{code} {_text(words)}", code=code)
    if code // 100 != 5 or code in _ABOUT_US:
        return Outcome(verdict="later", answer=answer, code=code)
    if spoken == "MAIL" and code != _TOO_LARGE and not words.startswith(b"5.3.4"):
        hint = "it refuses the hub's own envelope sender; check 'bounces' and what this server lets us send"
        return Outcome(verdict="later", answer=f"{answer} ({hint})", code=code)
    return Outcome(verdict="refused", answer=answer, code=code)


def _late(client: Client, error: BaseException) -> bool:
    return client.expired or isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)


def _words(error: BaseException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        words = error.smtp_error
        return f"{error.smtp_code} {_text(words if isinstance(words, bytes) else words.encode())}"
    if isinstance(error, UnicodeError):
        return "user and password may hold ASCII characters only"
    if isinstance(error, smtplib.SMTPException):
        return _CONTROL.sub(" ", str(error))
    return cause(error)


def _text(words: bytes) -> str:
    return _CONTROL.sub(" ", words.decode("utf-8", "replace"))
