"""Addresses, prefixes and names as claims and events write them, and which of them are nobody's."""

import re
from bisect import bisect_left
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

from ...harmonization.network import fqdn
from ...services.mmdb import parse_prefix

V4, V6 = 4, 6
WIDTH = {V4: 32, V6: 128}
WIDEST = {V4: 12, V6: 24}
"""The shortest prefix that is claimed without ``wide: true``, and that an event may be about."""

_MAPPED = bytes(10) + b"\xff\xff"
_NAT64 = bytes.fromhex("0064ff9b") + bytes(8)
_6TO4 = b"\x20\x02"

SPECIAL: dict[str, str] = {
    "0.0.0.0/8": "this network (RFC 791)",
    "10.0.0.0/8": "private (RFC 1918)",
    "100.64.0.0/10": "shared between carrier and customer (RFC 6598)",
    "127.0.0.0/8": "loopback (RFC 1122)",
    "169.254.0.0/16": "link-local (RFC 3927)",
    "172.16.0.0/12": "private (RFC 1918)",
    "192.0.0.0/24": "protocol assignments (RFC 6890)",
    "192.88.99.0/24": "6to4 relay anycast (RFC 7526)",
    "192.168.0.0/16": "private (RFC 1918)",
    "198.18.0.0/15": "benchmarks (RFC 2544)",
    "224.0.0.0/3": "multicast or reserved (RFC 1112)",
    "::/3": "not global unicast (RFC 4291)",
    "4000::/2": "not global unicast (RFC 4291)",
    "8000::/1": "not global unicast (RFC 4291)",
    "2001::/23": "protocol assignments, Teredo (RFC 2928)",
    "2002::/16": "6to4; an address there stands for its IPv4 address (RFC 3056)",
}
"""Special-purpose prefixes that no member can hold. Those for documentation are harmless: they occur in examples only."""

_RESERVED_ASNS = (
    (23456, 23456, "AS_TRANS (RFC 6793)"),
    (64512, 65534, "for private use (RFC 6996)"),
    (65535, 65535, "reserved (RFC 7300)"),
    (65552, 131071, "reserved by IANA"),
    (4200000000, 4294967294, "for private use (RFC 6996)"),
    (4294967295, 4294967295, "reserved (RFC 7300)"),
)
_RESERVED_TOPS = frozenset(
    ("local", "localhost", "localdomain", "internal", "intranet", "lan", "home", "corp", "onion", "invalid", "arpa")
)
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)


class Block(NamedTuple):
    """A prefix: its family (4 or 6), its first address as a number, how many bits are fixed."""

    family: int
    start: int
    length: int

    @property
    def end(self) -> int:
        """Its last address as a number."""
        return self.start | (1 << (WIDTH[self.family] - self.length)) - 1

    def covers(self, other: "Block") -> bool:
        """Tell whether *other* lies within it (or is the same)."""
        return (
            self.family == other.family
            and self.length <= other.length
            and (self.start ^ other.start) >> (WIDTH[self.family] - self.length) == 0
        )

    def __str__(self) -> str:
        """Give ``address/length``."""
        family, size = (AF_INET, 4) if self.family == V4 else (AF_INET6, 16)
        return f"{inet_ntop(family, self.start.to_bytes(size, 'big'))}/{self.length}"


def block(text: str) -> Block:
    """Take a prefix apart; a lone address is a prefix of one.

    Raises:
        ValueError: if it is none, has host bits, or is IPv4 written as IPv6.
    """
    root, bits, length = parse_prefix(text)
    family = V4 if root else V6
    return Block(family, bits << (WIDTH[family] - length), length)


def _sorted_special(family: int) -> tuple[list[int], list[tuple[Block, str]]]:
    """Give the special-purpose prefixes of a family, which don't overlap, in order, and the ends of all."""
    found = sorted((block(text), reason) for text, reason in SPECIAL.items())
    mine = [(prefix, reason) for prefix, reason in found if prefix.family == family]
    return [prefix.end for prefix, _ in mine], mine


_SPECIAL = {family: _sorted_special(family) for family in (V4, V6)}


def special(wanted: Block) -> str:
    """Tell why nobody can hold *wanted*, or "" if somebody can: it lies in a special-purpose prefix, or holds one."""
    ends, prefixes = _SPECIAL[wanted.family]
    place = bisect_left(ends, wanted.start)  # the first that ends within it or behind it
    if place == len(ends) or prefixes[place][0].start > wanted.end:
        return ""
    prefix, reason = prefixes[place]
    return f"{'lies in' if prefix.covers(wanted) else 'holds'} {prefix}, {reason}"


def locate(text: str) -> tuple[int, int]:
    """Give family and number of an address; IPv4 inside of IPv6 (mapped, NAT64, 6to4) is that IPv4 address.

    Raises:
        ValueError: if it is no address.
    """
    try:
        if ":" not in text:
            return V4, int.from_bytes(inet_pton(AF_INET, text), "big")
        packed = inet_pton(AF_INET6, text)
    except OSError:
        raise ValueError(f"{text!r} is no address") from None
    if packed.startswith((_MAPPED, _NAT64)):
        return V4, int.from_bytes(packed[12:], "big")
    if packed.startswith(_6TO4):
        return V4, int.from_bytes(packed[2:6], "big")
    return V6, int.from_bytes(packed, "big")


def locate_network(text: str) -> Block:
    """Give the block of a network as harmonised events write it; IPv4 inside of IPv6 becomes IPv4.

    Raises:
        ValueError: if it is no network.
    """
    address, _, length_text = text.partition("/")
    family, number = locate(address)
    given = V6 if ":" in address else V4
    length = int(length_text) if length_text else WIDTH[given]
    if not 0 <= length <= WIDTH[given]:
        raise ValueError(f"{text!r} is no network")
    if family != given:
        fixed = 16 if inet_pton(AF_INET6, address).startswith(_6TO4) else 96
        if length < fixed:
            return Block(
                V6, int.from_bytes(inet_pton(AF_INET6, address), "big") >> 128 - length << 128 - length, length
            )
        length = min(length - fixed, 32)
    host = WIDTH[family] - length
    return Block(family, number >> host << host, length)


def reserved_asn(number: int) -> str:
    """Tell why nobody can hold an AS number, or "" if somebody can."""
    return next((why for low, high, why in _RESERVED_ASNS if low <= number <= high), "")


def mail_address(text: str) -> str:
    """Check a mail address by a strict grammar and give it with its domain in lower case and A-labels.

    One address: an unquoted ASCII local part, one ``@``, a public DNS domain. Lists, display names, comments, quotes,
    address literals and white space of any kind are refused, because mail software disagrees about them.

    Raises:
        ValueError: with what is wrong.
    """
    local, at, domain = text.rpartition("@")
    if not at:
        raise ValueError("has no '@'")
    if len(local) > 64 or _LOCAL_PART.fullmatch(local) is None:
        raise ValueError("what stands before the '@' is not letters, digits and dots between them (at most 64)")
    if any(each.isspace() or not each.isprintable() for each in domain):
        raise ValueError("there is white space or a control character in it")
    try:
        name = fqdn(domain)
    except ValueError as error:
        raise ValueError(f"its domain: {error}") from None
    if name != domain.lower() and domain.isascii():
        raise ValueError("its domain has dots around it")
    if name.rpartition(".")[2] in _RESERVED_TOPS:
        raise ValueError(f"its domain is not public: .{name.rpartition('.')[2]}")
    if len(local) + 1 + len(name) > 254:
        raise ValueError("longer than 254 characters")
    return f"{local}@{name}"
