"""The addresses of queue servers: what may be written, and what it says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

FORMS = "use embedded, redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"

Kind = Literal["socket", "server", "sentinel", "cluster"]

_PARTS = re.compile(
    r"(?P<scheme>[a-z+]+)://(?:(?P<user>[^@/?#]*)@)?(?P<nodes>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>.*))?"
)
_SCHEMES: Mapping[str, tuple[Kind, bool]] = {
    "unix": ("socket", False),
    "redis": ("server", False),
    "rediss": ("server", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_PORTS: Mapping[Kind, int] = {"server": 6379, "sentinel": 26379, "cluster": 6379}
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
_OPTIONS: Mapping[Kind, tuple[str, ...]] = {
    "socket": ("db",),
    "server": ("db",),
    "sentinel": ("db", "sentinel_username", "sentinel_password"),
    "cluster": (),
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a graph's queues are.

    Args:
        kind: a socket, one server, a primary that Sentinels watch, or a cluster.
        nodes: host and port of the server, of the Sentinels, or of some of the cluster's nodes.
        path: the socket.
        primary: the name by which the Sentinels know the primary.
        database: its number; a cluster has only 0.
        user: "" is the server's default user.
        password: "" gives none.
        sentinel_user: likewise for the Sentinels.
        sentinel_password: likewise for the Sentinels.
        tls: whether to speak TLS, with Sentinels, too.
        tls_options: files and host name check, as redis-py names them.
    """

    kind: Kind
    nodes: tuple[tuple[str, int], ...] = ()
    path: str = ""
    primary: str = ""
    database: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    sentinel_user: str = ""
    sentinel_password: str = field(default="", repr=False)
    tls: bool = False
    tls_options: Mapping[str, str | bool] = field(default_factory=dict)

    @property
    def fails_over(self) -> bool:
        """Whether another server may become the primary."""
        return self.kind in ("sentinel", "cluster")


def parse(text: str) -> Address:
    """Read an address.

    Raises:
        ValueError: if it can't be read; the sentence repeats nothing that may be a secret.
    """
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise ValueError("this is no address of a server")
    if parts["scheme"] not in _SCHEMES:
        raise ValueError(f"unknown kind of address {parts['scheme']!r}")
    kind, tls = _SCHEMES[parts["scheme"]]
    options = _options(parts["query"] or "", (*_OPTIONS[kind], *(_TLS_OPTIONS if tls else ())))
    user, _, password = (parts["user"] or "").partition(":")
    path = unquote(parts["path"] or "")
    primary, database = "", options.get("db", "")
    if kind == "sentinel":
        primary, _, path = path.removeprefix("/").partition("/")
        if not primary:
            raise ValueError("the name of the primary is missing after the Sentinels: redis+sentinel://HOST,HOST/NAME")
    if kind == "cluster" and path.strip("/"):
        raise ValueError("a cluster has one database only; end the address after the last node")
    return Address(
        kind=kind,
        nodes=_nodes(parts["nodes"], kind),
        path=path if kind == "socket" else "",
        primary=primary,
        database=_number(database or ("" if kind == "socket" else path.strip("/")) or "0"),
        user=unquote(user),
        password=unquote(password),
        sentinel_user=options.get("sentinel_username", ""),
        sentinel_password=options.get("sentinel_password", ""),
        tls=tls,
        tls_options={
            name: _flag(value) if name == "ssl_check_hostname" else value
            for name, value in options.items()
            if name in _TLS_OPTIONS
        },
    )


def without_password(text: str) -> str:
    """Give an address as it may be shown and logged: without user, password and options."""
    scheme, _, rest = text.rpartition("://")
    hosts, slash, path = rest.partition("?")[0].rpartition("@")[2].partition("/")
    return f"{scheme}://{hosts}{slash}{path}"


def _options(query: str, known: tuple[str, ...]) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in known:
            raise ValueError(f"unknown option {name!r} in the address; known here: {', '.join(known) or 'none'}")
    return options


def _nodes(text: str, kind: Kind) -> tuple[tuple[str, int], ...]:
    if kind == "socket":
        if text:
            raise ValueError("a socket's path begins with a slash: unix:///PATH")
        return ()
    found = tuple(_node(node, _PORTS[kind]) for node in text.split(","))
    if kind == "server" and len(found) > 1:
        raise ValueError("several hosts: write redis+sentinel:// or redis+cluster://")
    return found


def _node(text: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port or port
    except ValueError:
        host = ""
    if not host:
        raise ValueError("a host or its port can't be read; write HOST:PORT, an IPv6 address in brackets")
    return host, port


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError("what follows the host is no database: a number is expected")
    return int(text)


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("ssl_check_hostname is true or false")
    return text == "true"
