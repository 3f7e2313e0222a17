"""Types: what is canonical, what else is accepted, what is refused and why."""

from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from cleanbots.errors import InvalidValue, UnknownField
from cleanbots.harmonization import harmonise

ACCEPTED: list[tuple[str, Any, Any]] = [
    ("comment", "  two words \n", "two words"),
    ("comment", "a\x00b\x1bc\ttab", "a�b�c\ttab"),
    ("comment", "half \ud800 pair", "half � pair"),
    ("comment", 12, "12"),
    ("comment", 1.5, "1.5"),
    ("malware.name", "Mirai", "mirai"),
    ("event_hash", "ab12", "AB12"),
    ("raw", ' 1,"two\x00 "\r\n', ' 1,"two\x00 "\r\n'),
    ("raw", "\udcff", "�"),
    ("members", "m-1", ["m-1"]),
    ("members", ["m-2", " m-1", "m-2"], ["m-2", "m-1"]),
    ("rtir_id", " 12 ", 12),
    ("rtir_id", 12.0, 12),
    ("feed.accuracy", "99.5", 99.5),
    ("feed.accuracy", 100, 100.0),
    ("source.geolocation.latitude", "-52.1", -52.1),
    ("source.geolocation.longitude", "1.8e2", 180.0),
    ("source.tor_node", "Yes", True),
    ("source.tor_node", 0, False),
    ("source.tor_node", "false", False),
    ("time.source", "2026-11-20T08:30:00+01:00", "2026-11-20T07:30:00+00:00"),
    ("time.source", "2026-11-20 07:30:00.120Z", "2026-11-20T07:30:00.120000+00:00"),
    ("time.source", "2026-11-20 07:30:00 UTC", "2026-11-20T07:30:00+00:00"),
    ("time.source", "Fri, 20 Nov 2026 07:30:00 GMT", "2026-11-20T07:30:00+00:00"),
    ("time.source", "20 Nov 2026 08:30 +0100", "2026-11-20T07:30:00+00:00"),
    ("time.source", datetime.fromisoformat("2026-11-20T08:30:00+01:00"), "2026-11-20T07:30:00+00:00"),
    ("source.ip", " 192.0.2.1\r\n", "192.0.2.1"),
    ("source.ip", "2001:DB8:0::1", "2001:db8::1"),
    ("source.ip", "::ffff:192.0.2.1", "192.0.2.1"),
    ("source.ip", "::ffff:c000:201", "192.0.2.1"),
    ("source.ip", "fe80::1%eth0", "fe80::1"),
    ("source.ip", "192.0.2.1/32", "192.0.2.1"),
    ("source.ip", "2001:db8::1/128", "2001:db8::1"),
    ("source.ip", ip_address("192.0.2.1"), "192.0.2.1"),
    ("source.network", "192.0.2.77/24", "192.0.2.0/24"),
    ("source.network", "2001:DB8::1/32", "2001:db8::/32"),
    ("source.network", "192.0.2.1", "192.0.2.1/32"),
    ("source.network", ip_network("192.0.2.0/25"), "192.0.2.0/25"),
    ("source.port", "65535", 65535),
    ("source.asn", "AS64496", 64496),
    ("source.asn", "as 64496", 64496),
    ("source.asn", 4294967295, 4294967295),
    ("source.fqdn", "WWW.Example.COM.", "www.example.com"),
    ("source.fqdn", ".example.com", "example.com"),
    ("source.fqdn", "_dmarc.example.net", "_dmarc.example.net"),
    ("source.fqdn", "faß.example", "xn--fa-hia.example"),
    ("source.fqdn", "Bücher.example", "xn--bcher-kva.example"),
    ("source.domain_suffix", "COM", "com"),
    ("source.url", "hxxps://WWW.Example[.]com/A[.]b?C=D#e", "https://www.example.com/A[.]b?C=D#e"),
    ("source.url", "http://user:pass@[2001:DB8::1]:8080/", "http://user:pass@[2001:db8::1]:8080/"),
    ("source.url", "http://192.0.2.1", "http://192.0.2.1"),
    ("source.url", "https://bücher.example/ü", "https://xn--bcher-kva.example/ü"),
    ("feed.url", "https://intranet/feed.csv", "https://intranet/feed.csv"),
    ("source.abuse_contact", "Abuse@Example.NET; b@example.org, abuse@example.net", "abuse@example.net,b@example.org"),
    ("source.abuse_contact", ["a@example.net"], "a@example.net"),
    ("source.geolocation.cc", "nl", "NL"),
    ("malware.hash.md5", "D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427e"),
    ("misp.event_uuid", "4D9F5A3C-1111-4222-8333-444455556666", "4d9f5a3c-1111-4222-8333-444455556666"),
    ("source.registry", "ripe-ncc", "RIPE"),
    ("tlp", "tlp:white", "CLEAR"),
    ("tlp", "TLP:AMBER+STRICT", "AMBER+STRICT"),
    ("tlp", "red ", "RED"),
    ("classification.type", "Infected system ", "infected-system"),
    ("classification.type", "unauthorized-use-of-resources", "unauthorised-use-of-resources"),
    ("classification.taxonomy", "malicious code", "malicious-code"),
    ("product.vulnerabilities", "cve-2026-12345;GHSA-xxxx-yyyy-zzzz", ["CVE-2026-12345", "ghsa-xxxx-yyyy-zzzz"]),
    ("product.vulnerabilities", ["CVE-2026-12345", "cve-2026-12345"], ["CVE-2026-12345"]),
    ("protocol.transport", "TCP", "tcp"),
    ("output", {"b": 1, "a": [None]}, '{"a":[null],"b":1}'),
    ("output", "no json", '"no json"'),
    ("extra.os.name", " Linux ", "Linux"),
    ("extra.tags", ("a", 1, None, {"x": True}), ["a", 1, None, {"x": True}]),
    ("port_is", "Service", "service"),
]

REFUSED: list[tuple[str, Any, str]] = [
    ("comment", " \t ", "empty"),
    ("comment", None, "no value"),
    ("comment", b"bytes", "decode"),
    ("comment", ["a"], "list where a text"),
    ("comment", "x" * 8193, "8192 are allowed"),
    ("malware.name", "müll", "must look like"),
    ("members", [], "empty"),
    ("members", [str(n) for n in range(1001)], "1000 are allowed"),
    ("source.fqdn", "ü" * 300 + ".example", "at most 253"),
    ("raw", "x" * (2**20 + 1), "1048576 are allowed"),
    ("rtir_id", 2**63, "must be from"),
    ("rtir_id", "1_0", "not a whole number"),
    ("rtir_id", "٣", "not a whole number"),
    ("rtir_id", True, "bool where"),
    ("feed.accuracy", 100.1, "from 0 to 100"),
    ("feed.accuracy", "nan", "not a number"),
    ("feed.accuracy", float("inf"), "finite"),
    ("feed.accuracy", 10**400, "finite"),
    ("feed.accuracy", "9e999", "finite"),
    ("source.geolocation.latitude", 999, "from -90 to 90"),
    ("source.tor_node", 2, "true or false"),
    ("time.source", "2026-11-20T07:30:00", "without a zone"),
    ("time.source", "2026-11-20", "without a zone"),
    ("time.source", "yesterday 7", "not a time"),
    ("time.source", "Fri, 31 Feb 2026 07:30:00 GMT", "not a time"),
    ("time.source", 1700000000, "epoch_seconds"),
    ("time.source", "0001-01-01T00:00:00+14:00", "years 1 to 9999"),
    ("source.ip", "0.0.0.0", "unspecified"),
    ("source.ip", "::", "unspecified"),
    ("source.ip", "::ffff:0.0.0.0", "unspecified"),
    ("source.ip", "192.0.2.010", "leading zeros"),
    ("source.ip", "192.0.2.0/24", "a network"),
    ("source.ip", "192.0.2.1\x00", "not an IP address"),
    ("source.ip", 3221225985, "int where"),
    ("source.ip", "host.example", "not an IP address"),
    ("source.network", "192.0.2.0/33", "from 0 to 32"),
    ("source.network", "192.0.2.0/+8", "prefix length"),
    ("source.port", 0, "from 1 to 65535"),
    ("source.port", 99999, "from 1 to 65535"),
    ("source.asn", 0, "from 1 to 4294967295"),
    ("source.asn", "AS1.10", "not a whole number"),
    ("source.fqdn", "localhost", "single label"),
    ("source.fqdn", "192.0.2.1", "an address"),
    ("source.fqdn", "two words.example", "not a host name"),
    ("source.fqdn", "*.example.com", "not a host name"),
    ("source.fqdn", f"{'a' * 64}.example", "not a host name"),
    ("source.fqdn", "a." * 127 + "example", "at most 253"),
    ("source.fqdn", "example.c_m", "not a host name"),
    ("source.fqdn", "bü cher.example", "IDNA"),
    ("source.url", "phish://example.com/", "scheme"),
    ("source.url", "javascript://example.com/%0aalert(1)", "scheme"),
    ("source.url", "http:///path", "not an absolute URL"),
    ("source.url", "/path", "not an absolute URL"),
    ("source.url", "http://exa mple.com/", "white space"),
    ("source.url", "http://example.com:99999/", "port"),
    ("source.url", "http://[2001:db8::zz]/", "not an absolute URL"),
    ("source.url", "http://[2001:db8]/", "no IPv6"),
    ("source.url", "http://192.0.2.300/", "no host"),
    ("source.abuse_contact", "nobody", "no mail address"),
    ("source.geolocation.cc", "12", "must look like"),
    ("malware.hash.md5", "abc", "32 hexadecimal"),
    ("tlp", "PURPLE", "AMBER+STRICT"),
    ("tlp", "TLP:", "AMBER+STRICT"),
    ("classification.type", "foobar", "must be one of"),
    ("product.vulnerabilities", "cve-26-1", "no CVE id"),
    ("classification.type", "phising", "did you mean 'phishing'?"),
    ("protocol.transport", "carrier-pigeon", "must be one of 131 words; 'cleanbots fields'"),
    ("protocol.transport", "tpc", "did you mean 'tcp'?"),
    ("priority", "asap", "high, low, normal, urgent"),
    ("priority", "urgnet", "high, low, normal, urgent; did you mean 'urgent'?"),
    ("extra.a", "", "empty"),
    ("extra.a", float("nan"), "finite"),
    ("extra.a", 2**63, "64 bits"),
    ("extra.a", {"a": object()}, "JSON value"),
    ("extra.a", {1: 2}, "keys"),
    ("extra.a", [[[[["deep"]]]]], "deeper than 4"),
    ("extra.a", "x" * 65537, "65536"),
    ("extra.a", "€" * 30000, "65536"),
    ("extra.a", ["x" * 65536], "65536"),
]


@pytest.mark.parametrize(("field", "value", "canonical"), ACCEPTED)
def test_value_becomes_canonical(field, value, canonical):
    """A value that fits is given its one canonical form."""
    assert harmonise(field, value) == canonical
    assert type(harmonise(field, value)) is type(canonical)


@pytest.mark.parametrize(("field", "value", "reason"), REFUSED)
def test_value_that_does_not_fit_is_refused_with_its_reason(field, value, reason):
    """A value that does not fit is refused, and the error names field, value and reason."""
    with pytest.raises(InvalidValue) as caught:
        harmonise(field, value)

    assert reason in caught.value.reason
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\x85", "\u2028"])
@pytest.mark.parametrize(("field", "value"), [("source.geolocation.cc", "NL"), ("malware.hash.md5", "0" * 32)])
def test_inner_newline_never_passes_a_pattern(field, value, newline):
    """A newline at the end is white space and goes; anywhere else it makes the value unfit."""
    assert harmonise(field, value + newline) == value
    with pytest.raises(InvalidValue):
        harmonise(field, f"{value}{newline}x")


@pytest.mark.parametrize(
    ("field", "hint"),
    [("source.ipp", "source.ip"), ("extra.OS Name", "extra.os_name"), ("extra", "extra.<name>"), ("qqqqqq", "")],
)
def test_unknown_field_is_refused_with_the_closest_name(field, hint):
    """An unknown field is an error that names the closest one, if one is close."""
    with pytest.raises(UnknownField) as caught:
        harmonise(field, "x")

    assert caught.value.hint == hint


@pytest.mark.parametrize("field", ["extra.", "extra..a", "extra.A", "extra.a b", "extra.a\n", "extra." + "a" * 300])
def test_extra_name_is_lower_case_and_dotted(field):
    """Below ``extra.`` only lower-case dotted names of at most 255 characters may stand."""
    with pytest.raises(UnknownField):
        harmonise(field, "x")
