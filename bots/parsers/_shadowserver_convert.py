"""The conversions that Shadowserver's schema names: 18 small functions from a column's text to a value.

Each takes the text of one column; those in `ROW_CONVERSIONS` also look at the other columns of the row. None says that
there is no value. A text that is no value of the wanted kind raises ValueError, whose text says why; nothing is guessed.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from cleanbots import times

Convert = Callable[[str], Any]
RowConvert = Callable[[str, Mapping[str, str]], Any]

_TRUE = frozenset({"1", "true", "y", "yes", "enabled"})
_FALSE = frozenset({"0", "false", "n", "no", "disabled"})
_NOTHING = frozenset({"", "0", "unknown"})
_UNSPECIFIED = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # an address of nobody, not one to listen on
_CVE = re.compile(r"cve-\d{4}-\d{4,}", re.IGNORECASE)
_DOTTED = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_REQUEST_LINE = re.compile(r"[A-Z]+ (\S+)(?: HTTP/[\d.]+)?")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def add_utc(text: str) -> str | None:
    """Give a time of a Shadowserver report as canonical text: in UTC, unless it has a zone."""
    return times.zoned(text) if text else None


def convert_date(text: str) -> str | None:
    """Read a date as of RFC 5322 (``Wed, 10 Feb 2010 00:00:00 GMT``) or ISO 8601; without a zone it is in UTC."""
    if text in _NOTHING:
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except ValueError:
            continue
        break
    else:
        raise ValueError("no date as of RFC 5322 or ISO 8601")
    return _in_utc(moment)


def convert_bool(text: str) -> bool | None:
    """Read yes and no in the spellings that the reports use."""
    if not text:
        return None
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("neither yes nor no")


def validate_to_none(text: str) -> str | None:
    """Give the text; an empty one, ``0`` and ``unknown`` are no value."""
    return None if text in _NOTHING else text


def convert_int(text: str) -> int | None:
    """Read an integer."""
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError("no whole number") from None


def convert_float(text: str) -> float | None:
    """Read a finite decimal number."""
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise ValueError("no number") from None
    if number - number != 0.0:  # NaN and the infinities
        raise ValueError("no finite number")
    return number


def invalidate_zero(text: str) -> int | None:
    """Read an integer of which zero means that there is none (an AS, a NAICS code)."""
    return convert_int(text) or None


def validate_ip(text: str) -> str | None:
    """Give the text of an address; the unspecified one and a network are none. Whether it fits, its field decides."""
    return None if text in _UNSPECIFIED or "/" in text else text


def validate_network(text: str) -> str | None:
    """Give the text of a network in CIDR notation; a lone address is none."""
    return text if "/" in text else None


def validate_fqdn(text: str) -> str | None:
    """Give a host name; an IPv4 address in its place is none."""
    return None if not text or _DOTTED.fullmatch(text) else text


def force_base64(text: str) -> str | None:
    """Give the text in base64 (RFC 4648), as it is if it is that already."""
    if not text:
        return None
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return base64.b64encode(text.encode()).decode()
    return text


def exchange_taxonomy(tag: str) -> str:
    """Give the taxonomy of a row about an Exchange server by its tag."""
    return "intrusions" if _webshell(tag) else "vulnerable"


def exchange_type(tag: str) -> str:
    """Give the type of a row about an Exchange server by its tag."""
    return "system-compromise" if _webshell(tag) else "vulnerable-system"


def exchange_identifier(tag: str) -> str:
    """Give the identifier of a row about an Exchange server by its tag."""
    return "exchange-server-webshell" if _webshell(tag) else "vulnerable-exchange-server"


@lru_cache(maxsize=4096)
def extract_cve(tag: str) -> tuple[str, ...] | None:
    """Give the CVE ids among the tags (separated by semicolons), sorted, each once."""
    found = {part.strip().lower() for part in tag.split(";") if _CVE.fullmatch(part.strip())}
    return tuple(sorted(found)) or None


def http_url(text: str, row: Mapping[str, str]) -> str | None:
    """Make a URL of a path or request line and the row's host and application columns.

    A complete URL stays what it is. Without a known host the text is given back, which is no URL and is then kept as
    a value that didn't fit.
    """
    if not text:
        return None
    request = _REQUEST_LINE.fullmatch(text)
    target = request[1] if request else text
    if _ABSOLUTE.match(target):
        return target
    host = row.get("http_host") or row.get("hostname")
    if not host or not target.startswith("/"):
        return text
    scheme = "https" if row.get("application") == "https" else "http"
    return f"{scheme}://{host}{target}"


def category_or_detail(text: str, row: Mapping[str, str]) -> str | None:
    """Give the category, or the detail where there is none."""
    return text or row.get("detail") or None


def _in_utc(moment: datetime) -> str:
    """Give a time as canonical text; without a zone it is in UTC."""
    return times.canonical(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _webshell(tag: str) -> bool:
    return "webshell" in tag


CONVERSIONS: dict[str, Convert] = {
    "add_UTC_to_timestamp": add_utc,
    "convert_bool": convert_bool,
    "convert_date": convert_date,
    "convert_date_utc": convert_date,
    "convert_float": convert_float,
    "convert_int": convert_int,
    "extract_cve_from_tag": extract_cve,
    "force_base64": force_base64,
    "invalidate_zero": invalidate_zero,
    "scan_exchange_identifier": exchange_identifier,
    "scan_exchange_taxonomy": exchange_taxonomy,
    "scan_exchange_type": exchange_type,
    "validate_fqdn": validate_fqdn,
    "validate_ip": validate_ip,
    "validate_network": validate_network,
    "validate_to_none": validate_to_none,
}
"""The schema's name of each conversion of one column."""

ROW_CONVERSIONS: dict[str, RowConvert] = {
    "category_or_detail": category_or_detail,
    "convert_http_host_and_url": http_url,
}
"""The schema's name of each conversion that also looks at the other columns."""
