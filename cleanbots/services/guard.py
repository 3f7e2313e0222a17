"""The guard of requests to addresses that others name: they reach the public Internet, and nothing of ours.

A URL given by a member or a feed may name a neighbour of this machine, the machine itself or the cloud's metadata, in
many spellings, by redirects, or by a name whose answers change. So the guard judges what is *connected* to: it
resolves a name once, refuses if **any** of its addresses is denied, connects to a judged address itself, and looks at
the peer again. The certificate is still verified for the name.
"""

import re
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from ..errors import CleanbotsError, Retry, shorten
from ..harmonization.network import suffix
from .http import shown

if TYPE_CHECKING:
    from .guarded_pools import GuardedPools

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Iterable[str]]
"""Gives the addresses of a host name, as text; raises `OSError` if it can't."""

PORTS = frozenset({443, 8443})
URL_LENGTH = 2048

_DENIED = {
    ip_network(prefix): why
    for prefix, why in {
        "0.0.0.0/8": "this network",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "shared by a carrier's customers",
        "127.0.0.0/8": "this machine",
        "169.254.0.0/16": "link-local",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "for protocols",
        "192.0.2.0/24": "for documentation",
        "192.88.99.0/24": "a 6to4 relay",
        "192.168.0.0/16": "private",
        "198.18.0.0/15": "for benchmarks",
        "198.51.100.0/24": "for documentation",
        "203.0.113.0/24": "for documentation",
        "224.0.0.0/3": "multicast or reserved",
        "2001::/23": "for protocols, such as Teredo",
        "2001:db8::/32": "for documentation",
        "2002::/16": "6to4",
        "3fff::/20": "for documentation",
    }.items()
}
# ``ipaddress.is_global`` is no substitute: it calls multicast, NAT64 and 6to4 of private addresses global.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_EMBEDDING = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""IPv4-mapped addresses (RFC 4291) and NAT64's well-known prefix (RFC 6052): the last 32 bits say where they lead."""

_URL = re.compile(
    r"(https?)://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\%]+)(?::([0-9]{1,5}))?((?:/[^\x00-\x20\x7f#\\]*|\?[^\x00-\x20\x7f#\\]*)?)",
    re.IGNORECASE,
)
_NUMBER_LABEL = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)\Z")
_TRIED = 8


class Denied(CleanbotsError):
    """A URL or an address that nothing may be sent to; the text says why, and what would allow it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads.

    Args:
        scheme: ``http`` or ``https``.
        host: a name in A-labels, or an address without brackets.
        port: its own or the scheme's.
        path: with the query; at least ``/``.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The URL in canonical form."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def system_resolver(host: str, port: int) -> list[str]:
    """Ask the system for all addresses of *host*."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def why_denied(address: Address) -> str:
    """Say what kind of address it is that is denied; "" for addresses of the public Internet."""
    inner = _embedded(address)
    if inner is not None:
        reason = why_denied(inner)
        return reason and f"{reason}, as {inner}"
    for network, reason in _DENIED.items():
        if address.version == network.version and address in network:
            return reason
    return "" if address.version == 4 or address in _GLOBAL_UNICAST else "not of the public Internet"


def is_address(host: str) -> bool:
    """Tell whether a host is an address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _embedded(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv6Address) and any(address in network for network in _EMBEDDING):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class Guard:
    """Decides what may be connected to, and connects.

    Only ``https`` to ports 443 and 8443 of public addresses is allowed, unless *allow* lists more. A listed network
    (``10.1.2.0/24``, ``192.0.2.7``) opens its addresses for any port, and for ``http``. A listed name
    (``hooks.example.net``, ``hooks.example.net:9443``) opens ports and ``http`` of that host, but never a denied
    address: whoever answers for a name must not choose what it opens.

    Args:
        allow: networks, addresses, names, names with a port.
        ports: that are allowed without being listed.
        schemes: likewise; ``http`` only where nothing is sent that must stay secret.
        resolver: asks for the addresses of a name.
        resolving: seconds that the resolver may take.

    Raises:
        ValueError: if an entry of *allow* is none of these.
    """

    def __init__(
        self,
        allow: Iterable[str] = (),
        *,
        ports: Collection[int] = PORTS,
        schemes: Collection[str] = ("https",),
        resolver: Resolver = system_resolver,
        resolving: float = 5.0,
    ) -> None:
        self._networks: list[Network] = []
        self._names: set[tuple[str, int | None]] = set()
        self._ports = frozenset(ports)
        self._schemes = frozenset(schemes)
        self._resolver = resolver
        self._resolving = resolving
        for entry in allow:
            self._list(entry)

    def target(self, url: str) -> Target:
        """Read *url* and judge what can be judged without asking for addresses.

        Raises:
            Denied: if it is no plain http(s) URL, or its scheme or port is never allowed.
        """
        match = _URL.fullmatch(url) if len(url) <= URL_LENGTH else None
        if match is None:
            hint = "write https://name/path, without a user, a fragment, white space or a backslash"
            raise Denied(f"{shown(url)}: no URL that is sent to; {hint}")
        scheme = match[1].lower()
        port = int(match[3]) if match[3] else {"http": 80, "https": 443}[scheme]
        if not 0 < port < 65536:
            raise Denied(f"{shown(url)}: {port} is no port")
        target = Target(scheme, _host(match[2], url), port, match[4] if match[4].startswith("/") else f"/{match[4]}")
        if not self._networks:
            self._judge_way(target.scheme, target.host, target.port)
        return target

    def addresses(self, scheme: str, host: str, port: int) -> list[Address]:
        """Resolve *host* and judge all its addresses.

        Raises:
            Denied: if one of them is denied, or scheme or port is.
            Retry: if the name can't be resolved now.
        """
        found = [ip_address(text) for text in self._resolve(host, port)]
        if not found:
            raise Retry(f"{host}: has no address")
        for address in found:
            reason = "" if self._listed(address) else why_denied(address)
            if reason:
                what = host if host == str(address) else f"{host}: {address}"
                raise Denied(f"{what} is an address that nothing is sent to ({reason}); 'allow' can list its network")
        if not all(map(self._listed, found)):
            self._judge_way(scheme, host, port)
        return found

    def connect(self, scheme: str, host: str, port: int, timeout: float) -> socket.socket:
        """Connect to one of the judged addresses of *host*; the caller does TLS, for the name.

        Args:
            scheme: ``http`` or ``https``.
            host: a name or an address.
            port: where to.
            timeout: seconds for each address that is tried; later the socket's own.

        Raises:
            Denied: see `addresses`; also if the peer turns out to be another.
            Retry: if the name can't be resolved, or nothing answers.
        """
        fault: OSError | None = None
        for address in self.addresses(scheme, host, port)[:_TRIED]:
            try:
                sock = socket.create_connection((str(address), port), timeout)
            except OSError as error:
                fault = error
                continue
            peer = ip_address(sock.getpeername()[0])
            if peer != address:
                sock.close()
                raise Denied(f"{host}: connected to {peer} instead of {address}, which is not what was judged")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body are two writes
            return sock
        words = f"no answer within {timeout:g} s" if isinstance(fault, TimeoutError) else getattr(fault, "strerror", "")
        raise Retry(f"{host} port {port}: {words or 'no connection'}") from fault

    def _list(self, entry: str) -> None:
        try:
            self._networks.append(ip_network(entry))
        except ValueError:
            name, colon, port = entry.partition(":")
            if colon and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
                raise ValueError(f"allow: {shorten(entry)} is no network, address, name or name:port") from None
            try:
                self._names.add((suffix(name), int(port) if colon else None))
            except ValueError as error:
                raise ValueError(f"allow: {shorten(entry)}: {error}; write a network, a name or name:port") from None

    def _listed(self, address: Address) -> bool:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        wanted = mapped or address
        return any(wanted.version == network.version and wanted in network for network in self._networks)

    def _judge_way(self, scheme: str, host: str, port: int) -> None:
        if (host, None) in self._names or (host, port) in self._names:
            return
        if scheme not in self._schemes:
            raise Denied(f"{host}: only https is sent to; 'allow' can list the host for http")
        if port not in self._ports:
            ports = " and ".join(map(str, sorted(self._ports)))
            raise Denied(f"{host}: port {port} is not sent to, only {ports}; 'allow' can list {host}:{port}")

    def _resolve(self, host: str, port: int) -> list[str]:
        try:
            return [str(ip_address(host))]
        except ValueError:
            answers: SimpleQueue[list[str] | Exception] = SimpleQueue()
        # A resolver has no time limit of its own to set; one that hangs is left behind in its thread.
        threading.Thread(target=self._ask, args=(host, port, answers), daemon=True).start()
        try:
            answer = answers.get(timeout=self._resolving)
        except Empty:
            raise Retry(f"{host}: the name was not resolved within {self._resolving:g} s") from None
        if isinstance(answer, OSError):
            raise Retry(f"{host}: the name can't be resolved ({answer.strerror or type(answer).__name__})") from answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _ask(self, host: str, port: int, answers: "SimpleQueue[list[str] | Exception]") -> None:
        try:
            answers.put(list(self._resolver(host, port)))
        except Exception as error:  # noqa: BLE001  # it is raised in the thread that waits
            answers.put(error)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Args:
        status: whatever it was: nothing is followed, and nothing is an error.
        headers: by lower-case name.
        body: as it was sent, at most as long as asked for, perhaps less than the server meant to send.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class GuardedSession:
    """HTTP to hosts that others name: guarded, no redirects, no proxies, no cookies, connections kept alive.

    Args:
        guard: what may be connected to.
        deadline: seconds for the whole of a request with its answer; a peer that drips bytes is cut off then.
        ca: path of further trusted certificates (PEM), for receivers with an authority of their own.
    """

    def __init__(self, guard: Guard, *, deadline: float = 30.0, ca: str | None = None) -> None:
        self.guard = guard
        self._deadline = deadline
        self._ca = ca
        self._pools: GuardedPools | None = None

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        limit: int = 64 * 2**10,
    ) -> Answer:
        """Send one request, once.

        Args:
            method: ``POST``, ``GET``, …
            url: see `Guard.target`.
            headers: sent as they are.
            body: sent as it is.
            limit: the most bytes of the answer that are read; it isn't decompressed.

        Raises:
            Denied: if the URL or an address of its host is; nothing was sent.
            Retry: if there was no answer: no connection, no trust, no time left.
        """
        target = self.guard.target(url)
        return self._opened().send(method, target, headers, body, limit)

    def probe(self, url: str) -> None:
        """Connect to the host of *url* and verify its certificate, without sending a request.

        Raises:
            Denied, Retry: as for `request`.
        """
        self._opened().greet(self.guard.target(url))

    def open(self) -> None:
        """Load what certificates are judged by.

        Raises:
            CleanbotsError: if the file of certificates can't be read.
        """
        self._opened()

    def close(self) -> None:
        """Close the connections that are kept open."""
        if self._pools is not None:
            self._pools.clear()
            self._pools = None

    def _opened(self) -> "GuardedPools":
        if self._pools is None:
            from .guarded_pools import GuardedPools  # urllib3 is slow to import, and most processes send nothing

            self._pools = GuardedPools(self.guard, self._deadline, self._ca)
        return self._pools


def _host(text: str, url: str) -> str:
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1]))
        except ValueError:
            raise Denied(f"{shown(url)}: {text} is no address") from None
    try:
        return str(IPv4Address(text))
    except ValueError:
        pass
    try:
        name = suffix(text)
    except ValueError as error:
        raise Denied(f"{shown(url)}: its host is {error}") from None
    if _NUMBER_LABEL.match(name.rpartition(".")[2]):
        raise Denied(f"{shown(url)}: its host is neither a name nor an address in its usual form")
    return name
