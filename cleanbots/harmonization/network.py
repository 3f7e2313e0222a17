"""Converters of what names a machine: addresses, networks, host names, URLs, mail addresses, AS numbers."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Any

from .scalars import Limits, as_text, integer, stripped, unfit, whole

_MAPPED = bytes(10) + b"\xff\xff"
_NOWHERE = (bytes(4), bytes(16))

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_TOP_LABEL = r"(?![0-9]+\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_suffix = re.compile(rf"(?:{_LABEL}\.)*{_TOP_LABEL}")
_fqdn = re.compile(rf"(?:{_LABEL}\.)+{_TOP_LABEL}")
_url = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://(?:([^\s/?#@]*)@)?(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(:[0-9]*)?([/?#].*)?", re.DOTALL
)
_not_in_urls = re.compile("[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]")
_email = re.compile(r"[^\s@<>(),;:\"\\\[\]\x00-\x1f\x7f-\x9f]{1,64}@([^\s@]+)")
_between_addresses = re.compile(r"[,;\s]+")

URL_LENGTH = 8192
_LONGEST_NAME = 253

# fmt: off
SCHEMES = frozenset((
    "http", "https", "ws", "wss", "ftp", "ftps", "sftp", "tftp", "ssh", "telnet", "file", "smb", "nfs", "rsync",
    "git", "svn", "gopher", "imap", "imaps", "pop", "pop3", "pop3s", "smtp", "smtps", "ldap", "ldaps", "mqtt",
    "mqtts", "amqp", "amqps", "redis", "rediss", "mysql", "postgresql", "mongodb", "rdp", "vnc", "irc", "ircs",
    "xmpp", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "mms", "sip", "sips", "dns", "coap", "coaps", "tcp", "udp",
    "tls", "quic", "socks4", "socks5", "stratum+tcp", "stratum+ssl", "stratum+tls",
))
# fmt: on
"""URL schemes of network protocols in use; made-up ones (``phish``) and scripts (``javascript``) are refused."""

_SCHEME_ALIASES = {"hxxp": "http", "hxxps": "https", "fxp": "ftp", "meow": "http"}


def ip(value: Any) -> str:
    """Convert an address to its canonical text (RFC 5952).

    IPv4 in IPv6 (``::ffff:…``) becomes IPv4, a zone id (it means something on the reporter's machine only) is removed,
    ``/32`` and ``/128`` are accepted. The unspecified addresses and leading zeros (octal to some, decimal to others)
    are refused.
    """
    if type(value) is str and ":" not in value and _is_v4(value):
        return value
    text = _address_text(value)
    try:
        if ":" not in text:
            packed = inet_pton(AF_INET, text.removesuffix("/32"))
        else:
            packed = inet_pton(AF_INET6, text.partition("%")[0] if "%" in text else text.removesuffix("/128"))
    except (OSError, ValueError):
        raise ValueError(_why_no_address(text)) from None
    if packed.startswith(_MAPPED):
        packed = packed[12:]
    if packed in _NOWHERE:
        raise ValueError("the unspecified address")
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)


def _is_v4(text: str) -> bool:
    """Tell whether *text* is an IPv4 address, not the unspecified one, in the only form that ``inet_pton`` reads."""
    try:
        return inet_pton(AF_INET, text) != _NOWHERE[0]
    except (OSError, ValueError):
        return False


def _address_text(value: Any) -> str:
    if isinstance(value, (IPv4Address, IPv6Address, IPv4Network, IPv6Network)):
        return str(value)
    if isinstance(value, str):
        return str(value).strip()
    raise unfit(value, "an address as text")


def _why_no_address(text: str) -> str:
    if "/" in text:
        return "a network where an address is expected"
    if re.fullmatch(r"[0-9]+(\.[0-9]+){3}", text, re.ASCII):
        return "not an IPv4 address: parts are from 0 to 255, without leading zeros"
    return "not an IP address" if text else "empty"


def network(value: Any) -> str:
    """Convert a network in CIDR notation to its canonical text; host bits are cleared, an address is a network of one."""
    text = _address_text(value)
    address, slash, length = text.partition("/")
    family, bits = (AF_INET6, 128) if ":" in address else (AF_INET, 32)
    try:
        packed = inet_pton(family, address)
    except (OSError, ValueError):
        raise ValueError("not a network in CIDR notation" if text else "empty") from None
    if slash and not (length.isascii() and length.isdecimal() and len(length) <= 3 and int(length) <= bits):
        raise ValueError(f"the prefix length must be from 0 to {bits}")
    prefix = int(length) if slash else bits
    host_bits = bits - prefix
    cleared = int.from_bytes(packed) >> host_bits << host_bits
    return f"{inet_ntop(family, cleared.to_bytes(bits // 8))}/{prefix}"


def fqdn(value: Any) -> str:
    """Convert a host name of at least two labels to lower case and A-labels (IDNA 2008, RFC 5891).

    Letters, digits, inner hyphens, and (as in DNS practice) underscores but in the last label; outer dots are removed.
    """
    name = _ascii_name(stripped(value))
    if len(name) > _LONGEST_NAME or _fqdn.fullmatch(name) is None:
        raise ValueError(_why_no_name(name))
    return name


def suffix(value: Any) -> str:
    """Convert a public suffix: as `fqdn`, but one label is enough."""
    name = _ascii_name(stripped(value))
    if len(name) > _LONGEST_NAME or _suffix.fullmatch(name) is None:
        raise ValueError(_why_no_name(name))
    return name


def _ascii_name(text: str) -> str:
    if text.isascii():
        return text.strip(".").lower()
    if len(text) > _LONGEST_NAME:
        raise ValueError(f"{len(text)} characters, and a host name has at most {_LONGEST_NAME}")
    import idna  # large tables, needed for few names

    try:
        return idna.encode(text.strip(".。"), uts46=True).decode().lower().strip(".")
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(f"not a host name by IDNA 2008: {str(error)[:120]}") from None


def _why_no_name(name: str) -> str:
    if not name:
        return "empty"
    if len(name) > _LONGEST_NAME:
        return f"{len(name)} characters, and a host name has at most {_LONGEST_NAME}"
    if "." not in name:
        return "a single label; a host name has at least two"
    if name.replace(".", "").isdigit() or ":" in name:
        return "an address where a host name is expected"
    return "not a host name: labels of 1 to 63 letters, digits and inner hyphens, joined by dots"


def url(value: Any) -> str:
    """Convert an absolute URL with a host (RFC 3986): scheme and host in lower case, the host in A-labels.

    ``hxxp`` becomes ``http`` and ``[.]`` in the host a dot. The rest is kept letter by letter, as it is evidence.
    """
    text = stripped(value)
    if len(text) > URL_LENGTH:
        raise ValueError(f"{len(text)} characters, and {URL_LENGTH} are allowed")
    if _not_in_urls.search(text):
        raise ValueError("white space or control characters in a URL; they must be percent-encoded")
    if "[.]" in text:
        head, slashes, tail = text.partition("://")
        authority = re.match(r"[^/?#]*", tail)[0]  # type: ignore[index]  # matches always
        text = head + slashes + authority.replace("[.]", ".") + tail[len(authority) :]
    match = _url.fullmatch(text)
    if match is None:
        raise ValueError("not an absolute URL with a scheme and a host")
    scheme, user, host, port, rest = match.groups("")
    scheme = scheme.lower()
    scheme = _SCHEME_ALIASES.get(scheme, scheme)
    if scheme not in SCHEMES:
        raise ValueError(f"the scheme {scheme!r} is none of a network protocol in use")
    if port and port != ":" and not (len(port) <= 6 and int(port[1:]) <= 65535):
        raise ValueError("the port must be from 0 to 65535")
    at = "@" if match[2] is not None else ""
    return f"{scheme}://{user}{at}{_url_host(host)}{port}{rest}"


def _url_host(host: str) -> str:
    if host.startswith("["):
        packed = _v6(host[1:-1])
        return f"[{inet_ntop(AF_INET6, packed)}]"
    name = _ascii_name(host)
    if len(name) <= _LONGEST_NAME and _suffix.fullmatch(name):
        return name
    try:
        return inet_ntop(AF_INET, inet_pton(AF_INET, name))
    except (OSError, ValueError):
        raise ValueError(f"its host is {_why_no_name(name)}" if not name else f"{host[:80]!r} is no host") from None


def _v6(text: str) -> bytes:
    try:
        return inet_pton(AF_INET6, text)
    except OSError:
        raise ValueError(f"{text!r} is no IPv6 address") from None


def emails(value: Any) -> str:
    """Convert mail addresses, separated by commas, semicolons or blanks or as a list, to lower case joined by commas."""
    items = value if isinstance(value, (list, tuple)) else _between_addresses.split(as_text(value))
    found = dict.fromkeys(_email_address(stripped(item)) for item in items if item != "")
    if not found:
        raise ValueError("empty")
    joined = ",".join(found)
    if len(joined) > URL_LENGTH:
        raise ValueError(f"{len(joined)} characters, and {URL_LENGTH} are allowed")
    return joined


def _email_address(text: str) -> str:
    match = _email.fullmatch(text.lower())
    if match is None:
        raise ValueError(f"{text[:80]!r} is no mail address")
    return f"{text.lower().rpartition('@')[0]}@{fqdn(match[1])}"


def asn(value: Any) -> int:
    """Convert an AS number, with or without ``AS`` before it, from 1 to 4294967295 (RFC 6793)."""
    if isinstance(value, str) and value.strip()[:2].upper() == "AS":
        value = value.strip()[2:]
    number = whole(value)
    if not 0 < number <= 4294967295:
        raise ValueError("must be from 1 to 4294967295")
    return number


port = integer(Limits(minimum=1, maximum=65535))
"""Convert a transport port, from 1 to 65535."""
