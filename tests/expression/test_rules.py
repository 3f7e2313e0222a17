"""Many rules at once: the index changes what they cost, never which ones are met."""

import pytest

from benchmarks.rules import events, one_after_another, rules
from cleanbots.expression import Rules, compile_expression

EVENT = {
    "source.ip": "192.0.2.7",
    "source.asn": 64496,
    "severity": "high",
    "feed.share_raw": True,
    "time.source": "2026-11-20T00:00:00+00:00",
    "extra.number": 1,
    "extra.text": "yes",
    "extra.list": ["a", "b"],
}

CONDITIONS = [
    "source.asn == 64496",
    "64496 == source.asn",
    "source.asn in [64497, 64496]",
    "source.asn not in [64497]",
    "source.ip == 192.0.2.7",
    "source.ip in 192.0.2.0/24",
    "source.ip in [198.51.100.0/24, 192.0.2.7]",
    'source.ip in ["192.0.2.7"]',
    "source.ip in 2001:db8::/32",
    'severity == "high" and source.asn == 64497',
    'severity == "high" and source.asn == 64496',
    "source.asn == 64497 or source.ip in 192.0.2.0/25",
    'source.asn == 64497 or severity >= "medium"',
    "not (source.asn == 64496)",
    'not (source.asn == 64497) and severity == "high"',
    'time.source == "2026-11-20"',
    "feed.share_raw == true",
    "extra.number == 1",
    "extra.number == true",
    "extra.number in [1, 2]",
    'extra.text in ["yes", "no"]',
    'extra.list == "a"',
    '"a" in extra.list',
    "extra.missing == 1",
    "source.asn == source.asn",
    "exists(source.ip) and source.geolocation.cc == source.geolocation.cc",
]


@pytest.mark.parametrize("text", CONDITIONS)
def test_a_rule_is_met_when_its_expression_is(text):
    """Whatever form an expression has, the index finds it for exactly those events that meet it."""
    rules = Rules([text])

    for event in (EVENT, {}, {**EVENT, "source.asn": 64497, "source.ip": "2001:db8::1", "severity": "low"}):
        met = compile_expression(text)(event)
        assert rules.first(event) == (0 if met else None)
        assert rules.all(event) == ([0] if met else [])


def test_rules_keep_their_order():
    """The first rule that is met wins, whether it is found by its values or not."""
    rules = Rules(['severity >= "high"', "source.asn == 64496", "exists(source.ip)", "source.ip in 192.0.2.0/24"])

    assert rules.first(EVENT) == 0
    assert rules.all(EVENT) == [0, 1, 2, 3]
    assert rules.first({**EVENT, "severity": "low"}) == 1


def test_the_index_agrees_with_one_rule_after_another(long_form):
    """A thousand rules give the same verdicts as each of them evaluated in turn."""
    texts = rules(1_000 if long_form else 100)
    indexed, naive = Rules(texts), one_after_another(texts)

    found = [(indexed.first(event), naive(event)) for event in events(100_000 if long_form else 2_000, len(texts))]

    assert all(one == other for one, other in found)
    assert len({one for one, _ in found}) > len(texts) / 4
