"""The conversions of Shadowserver's schema, one by one, at their edges."""

import pytest

from bots.parsers._shadowserver_convert import CONVERSIONS, ROW_CONVERSIONS


def test_all_eighteen_are_there():
    """The schema names 18 conversions."""
    assert len(CONVERSIONS) + len(ROW_CONVERSIONS) == 18


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("add_UTC_to_timestamp", "2026-11-20 07:30:00", "2026-11-20T07:30:00+00:00"),
        ("add_UTC_to_timestamp", "2026-11-20T07:30:00+01:00", "2026-11-20T06:30:00+00:00"),
        ("add_UTC_to_timestamp", "2026-11-20T07:30:00.25Z", "2026-11-20T07:30:00.250000+00:00"),
        ("add_UTC_to_timestamp", "2026-11-20T07:30+01", "2026-11-20T06:30:00+00:00"),
        ("add_UTC_to_timestamp", "", None),
        ("convert_bool", "Y", True),
        ("convert_bool", "disabled", False),
        ("convert_bool", "", None),
        ("convert_date", "Fri, 20 Nov 2026 08:30:00 +0100", "2026-11-20T07:30:00+00:00"),
        ("convert_date", "2026-11-20", "2026-11-20T00:00:00+00:00"),
        ("convert_date_utc", "2026-11-20 07:30:00", "2026-11-20T07:30:00+00:00"),
        ("convert_date", "0", None),
        ("convert_float", "-1.50", -1.5),
        ("convert_int", "-10", -10),
        ("convert_int", "", None),
        ("invalidate_zero", "0", None),
        ("invalidate_zero", "64500", 64500),
        ("extract_cve_from_tag", "iot;CVE-2026-1234; cve-2020-99999;cve-x", ("cve-2020-99999", "cve-2026-1234")),
        ("extract_cve_from_tag", "not-a-cve-2026", None),
        ("force_base64", "aGVsbG8=", "aGVsbG8="),
        ("force_base64", "hello!", "aGVsbG8h"),
        ("force_base64", "héllo", "aMOpbGxv"),
        ("validate_fqdn", "192.0.2.7", None),
        ("validate_fqdn", "www.example.net", "www.example.net"),
        ("validate_ip", "192.0.2.0/24", None),
        ("validate_ip", "::", None),
        ("validate_ip", "2001:db8::1", "2001:db8::1"),
        ("validate_network", "192.0.2.7", None),
        ("validate_network", "192.0.2.0/24", "192.0.2.0/24"),
        ("validate_to_none", "unknown", None),
        ("validate_to_none", "00", "00"),
    ],
)
def test_values(name, text, value):
    """Each conversion gives the value, or None where there is none."""
    given = CONVERSIONS[name](text)

    assert given == value
    assert type(given) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("add_UTC_to_timestamp", "yesterday"),
        ("add_UTC_to_timestamp", "0001-01-01T00:00:00+01:00"),
        ("convert_bool", "perhaps"),
        ("convert_date", "soon"),
        ("convert_date", "9999-12-31T23:59:59-01:00"),
        ("convert_date", "Fri, 99 Nov 2026 08:30:00 GMT"),
        ("convert_float", "nan"),
        ("convert_float", "inf"),
        ("convert_float", "1,5"),
        ("convert_int", "1.5"),
        ("convert_int", "9" * 5000),
        ("invalidate_zero", "AS64500"),
    ],
)
def test_what_is_no_value_is_refused(name, text):
    """A text that is no value of the wanted kind raises in words of ours, and is never guessed or dropped."""
    with pytest.raises(ValueError, match=r"^(no |not |neither |outside )"):
        CONVERSIONS[name](text)


@pytest.mark.parametrize(
    ("text", "row", "url"),
    [
        ("/a?b=c", {"http_host": "www.example.net"}, "http://www.example.net/a?b=c"),
        ("/a", {"http_host": "192.0.2.7", "application": "https"}, "https://192.0.2.7/a"),
        ("/a", {"http_host": "", "hostname": "host.example.net"}, "http://host.example.net/a"),
        ("GET /a HTTP/1.1", {"http_host": "www.example.net"}, "http://www.example.net/a"),
        ("http://203.0.113.9:8080/x", {"http_host": "www.example.net"}, "http://203.0.113.9:8080/x"),
        ("/a", {}, "/a"),
        ("a", {"http_host": "www.example.net"}, "a"),
        ("", {"http_host": "www.example.net"}, None),
    ],
)
def test_urls(text, row, url):
    """A URL is made where host and path are known; a complete one stays, and nothing else is invented."""
    assert ROW_CONVERSIONS["convert_http_host_and_url"](text, row) == url
