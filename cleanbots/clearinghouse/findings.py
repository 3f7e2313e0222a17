"""What makes two observations one finding: the identity that counts, repeats and "back again" rest on."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

VERSION = 1
"""Of the rule below. Another rule is another number, so that an upgrade never takes a known finding for a new one."""

_BITS = 60
_SPARE = 64 - _BITS
_FORM = re.compile("f-[a-z2-7]{12}")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648, section 6, in lower case
_TO_DIGITS = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(_BITS - 10, -1, -10)

_BY_ADDRESS = frozenset({"vulnerable", "information-gathering", "intrusion-attempts", "availability"})
_SIDES = ("source", "destination")


def finding_id(event: Mapping[str, Any]) -> str:
    """Give the id of the finding that an event is an observation of: ``f-`` and 12 base32 characters (60 bits).

    It is a hash of the rule's version, type, identifier, malware name and the asset. The asset of what an address
    offers or does (a reachable service, an infected client, an attack) is the address, with port and transport only
    where the port is a service: a client's port is another one each time. The asset of what is published (a phishing
    page, a control server's name) is the URL, else the host name, else the address. Where the source says nothing, the
    destination does; where neither does, each event is its own finding.

    Args:
        event: canonical fields.
    """
    parts = [
        str(VERSION),
        event.get("classification.type", ""),
        event.get("classification.identifier", ""),
        event.get("malware.name", ""),
        *_asset(event),
    ]
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
    return finding_text(int.from_bytes(digest) >> _SPARE)


def finding_number(finding: str) -> int:
    """Give the 60 bits of a finding's id as a number.

    Raises:
        ValueError: if it is no such id.
    """
    if _FORM.fullmatch(finding) is None:
        raise ValueError(f"{finding!r} is no finding's id: it has the form f-3kq7ztab2cde")
    return int(finding[2:].translate(_TO_DIGITS), 32)


def finding_text(number: int) -> str:
    """Give the id of a finding's number."""
    return "f-" + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def _asset(event: Mapping[str, Any]) -> Iterable[str]:
    address_first = (
        event.get("classification.taxonomy") in _BY_ADDRESS
        or event.get("classification.type") == "infected-system"
        or event.get("port_is") == "service"
    )
    order = ("ip", "network", "fqdn", "url") if address_first else ("url", "fqdn", "ip", "network")
    for side in _SIDES:
        for name in (*order, "account", "asn"):
            value = event.get(f"{side}.{name}")
            if value is not None:
                yield from (name, str(value))
                if name == "ip" and event.get("port_is") == "service":
                    yield from (str(event.get(f"{side}.port", "")), event.get("protocol.transport", ""))
                return
    yield from ("event", event.get("id", ""))
