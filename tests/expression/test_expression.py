"""What expressions mean, and what is said about those that can't be compiled."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanbots.errors import ExpressionError
from cleanbots.expression import compile_expression, fields_of

EVENT = {
    "id": "abcdefghijklmnop-7",
    "source.ip": "192.0.2.17",
    "source.asn": 64496,
    "source.fqdn": "login.bank.example",
    "source.network": "192.0.2.0/24",
    "destination.ip": "2001:db8::17",
    "classification.type": "phishing",
    "time.source": "2026-11-20T07:30:00+00:00",
    "time.observation": "2026-11-21T07:30:00.500000+00:00",
    "product.vulnerabilities": ["CVE-2026-12345", "CVE-2026-23456"],
    "severity": "high",
    "tlp": "AMBER",
    "source.tor_node": True,
    "extra.tag": "first",
    "extra.tags": ["first", "second"],
    "extra.count": 3,
    "extra.flag": True,
}


def holds(text: str) -> bool:
    """Evaluate an expression for the event, on a clock that stands still."""
    functions = {"now": lambda: datetime(2026, 11, 21, 8, 0, tzinfo=UTC), "double": lambda value: value * 2}
    return compile_expression(text, functions)(EVENT)


@pytest.mark.parametrize(
    "text",
    [
        'source.asn in [64496, 64500] and classification.type == "phishing"',
        "source.asn == 64496",
        "64496 == source.asn",
        "source.asn != 64497",
        "source.asn >= 64496 and source.asn < 64497 and 64495 < source.asn",
        "source.asn not in [64500]",
        "(source.asn == 1 or source.asn == 64496) and not (source.asn == 1)",
        "source.asn == 1 and source.asn == 2 or source.asn == 64496",
        "not not source.asn == 64496",
        "source.ip in 192.0.2.0/24",
        "source.ip in [198.51.100.0/24, 192.0.2.17]",
        "source.ip not in [198.51.100.0/24, 2001:db8::/32]",
        "destination.ip in 2001:db8::/32",
        "source.ip == 192.0.2.17 and source.ip == '192.0.2.17'",
        "destination.ip == 2001:0DB8:0::17",
        "source.network == 192.0.2.0/24",
        'source.fqdn == "LOGIN.bank.example"',
        'startswith(source.fqdn, "login.") and endswith(source.fqdn, ".example") and contains(source.fqdn, "bank")',
        'startswith(upper(source.fqdn), "LOGIN") and lower(extra.tag) == "first"',
        r'matches(source.fqdn, "^login\..*\.example$")',
        "length(source.fqdn) == 18 and length(product.vulnerabilities) > 1",
        "exists(source.ip) and not exists(source.port) and exists(extra.tag)",
        "time.source < now() - 24h and time.source > now() - 2d",
        "time.source + 1d < time.observation",
        "time.observation - time.source > 24h",
        'time.source >= "2026-11-20" and time.source == "2026-11-20T08:30:00+01:00"',
        '"CVE-2026-12345" in product.vulnerabilities and "cve-2026-99999" not in product.vulnerabilities',
        '"first" in extra.tags and extra.tag in extra.tags',
        'severity >= "high" and severity < "critical"',
        'tlp <= "AMBER+STRICT" and tlp > "GREEN" and "RED" >= tlp',
        "source.tor_node and source.tor_node == true and extra.flag",
        "extra.count == 3 and extra.count > 2.5 and extra.count in [1, 3]",
        'extra.tag in ["first", 3] and extra.tag != "second"',
        "double(extra.count) == 6",
        "exists(source.ip) == exists(destination.ip)  # a comment",
    ],
)
def test_holds(text):
    """These hold for the event."""
    assert holds(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "source.port == 80",
        "source.port != 80",
        "source.port < 80",
        "source.port not in [80]",
        "source.port in [80]",
        "source.local_ip in 0.0.0.0/0",
        "source.local_ip not in 192.0.2.0/24",
        'lower(extra.none) != "x"',
        'matches(extra.none, ".*")',
        'startswith(extra.none, "")',
        'extra.none not in ["x"]',
        '"x" not in extra.none',
        "length(extra.none) >= 0",
        "time.observation - source.allocated > 1s",
        'priority < "high"',
        "double(extra.none) != 6",
        "source.asn == source.port or source.asn != source.port or source.asn > source.port",
    ],
)
def test_comparison_with_a_missing_field_is_false(text):
    """Whichever the operator, a comparison with a field that is not set is false."""
    assert holds(text) is False


@pytest.mark.parametrize(
    "text",
    [
        "extra.tag > 3",
        "extra.count == true",
        "extra.flag == 1",
        "extra.flag > 0",
        'extra.count == "3"',
        "extra.tags > 1",
    ],
)
def test_free_fields_of_another_kind_compare_false(text):
    """A field below extra holds any JSON value; one of another kind than asked for is just not equal."""
    assert holds(text) is False


def test_not_turns_a_comparison_with_a_missing_field():
    """``not (…)`` holds where the comparison inside doesn't, missing fields included."""
    assert holds("not (source.port == 80)") is True


def test_order_of_severity_knows_no_undefined():
    """An undefined severity is neither above nor below another."""
    low, high = compile_expression('severity <= "critical"'), compile_expression('severity >= "info"')

    assert not low({"severity": "undefined"})
    assert not high({"severity": "undefined"})


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "empty"),
        ("sorce.ip == 192.0.2.1", 0, "did you mean 'source.ip'"),
        ('source.asn == "64496"', 14, "without quotes"),
        ("source.asn = 64496", 11, "write =="),
        ("source.asn == 1 && source.port == 2", 16, "write and"),
        ("source.asn == 1 source.port", 16, "expected 'and', 'or' or the end"),
        ("source.asn in [1, 2", 19, "expected ','"),
        ("source.asn in []", 14, "empty list"),
        ("source.asn in [source.port]", 15, "constants only"),
        ("(source.asn == 1", 16, "expected ')'"),
        ("1 < source.asn < 5", 15, "join them with 'and'"),
        ("1 == 2", 2, "two constants"),
        ("source.asn == 'x", 14, "does not end"),
        ("source.asn == 5x", 14, "can't be read"),
        ('classification.type == "phising"', 23, "must be one of"),
        ("source.ip", 0, "exists("),
        ("source.ip in 192.0.2.1/24", 13, "host bits"),
        ("source.fqdn in 192.0.2.0/24", 15, "lies in no network"),
        ("source.ip in source.fqdn", 13, "contains("),
        ('source.fqdn < "a"', 12, "no order"),
        ('severity > "undefined"', 11, "no place in the order"),
        ("product.vulnerabilities == 'CVE-2026-12345'", 24, "in field"),
        ("time.source > 5", 14, "now() - 72h"),
        ("time.source > 'yesterday'", 14, "time.source"),
        ("time.source + source.asn > now()", 12, "can't be reckoned"),
        ("start(source.fqdn, 'a')", 0, "did you mean 'startswith'"),
        ("startswith(source.fqdn)", 0, "takes 2 arguments, not 1"),
        ("startswith(source.asn, 'a')", 11, "not number"),
        ("startswith(source.fqdn, extra.x)", 24, "constant text"),
        ("matches(source.fqdn, '(')", 21, "no regular expression"),
        ("not", 3, "instead of the end"),
        ("source.asn == and", 14, "instead of 'and'"),
        ("(" * 60 + "source.asn == 1" + ")" * 60, 40, "nested"),
        ("x" * 20_000, 0, "too long"),
    ],
)
def test_mistake_is_named_with_its_place(text, position, reason):
    """A mistake is refused when the expression is compiled, with position, reason and what would be right."""
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)

    assert reason in caught.value.reason
    assert caught.value.position == position


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_an_expression_error(text):
    """No text makes the compiler fail in another way."""
    try:
        compile_expression(text)(EVENT)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017  # most texts are refused, some are not


PIECES = ["source.asn", "source.ip", "extra.x", "time.source", "now()", "1", "'a'", "1h", "192.0.2.0/24", "true"]
PIECES += ["==", "<", "in", "not", "and", "or", "(", ")", "[", "]", ",", "+", "-", "exists(", "matches(", "severity"]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.dictionaries(st.sampled_from(sorted(EVENT)), st.none()))
def test_any_row_of_tokens_is_an_expression_or_an_expression_error(pieces, without):
    """What compiles can be evaluated for any event and gives a boolean."""
    try:
        condition = compile_expression(" ".join(pieces))
    except ExpressionError:
        return
    assert condition({name: value for name, value in EVENT.items() if name not in without}) in {True, False}


def test_fields_are_named():
    """The fields that an expression asks for can be listed, each once."""
    assert fields_of('exists(source.ip) and source.asn in [1] or not lower(extra.a-b) == "x" or source.asn > 2') == {
        "source.ip",
        "source.asn",
        "extra.a-b",
    }
