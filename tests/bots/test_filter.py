"""The filter: rules in order, by the first or by all, and mistakes found by the check."""

import msgspec
import pytest

from bots.experts.filter import Filter, FilterParams
from cleanbots.testing import run

RULES = {
    "urgent": 'severity >= "high"',
    "ours": "source.ip in [192.0.2.0/24, 2001:db8::/32]",
    "old": "time.source < now() - 72h",
}


def paths_of(event: dict, mode: str = "first") -> dict:
    """Run the filter and name the paths taken."""
    result = run(Filter, [event], params={"rules": RULES, "mode": mode})
    return {path: len(events) for path, events in result.paths.items()}


def test_first_rule_that_is_met_wins():
    """Rules are asked in their order; an event leaves by the first it meets."""
    assert paths_of({"source.ip": "192.0.2.1", "severity": "critical"}) == {"urgent": 1}
    assert paths_of({"source.ip": "192.0.2.1", "severity": "low"}) == {"ours": 1}


def test_event_that_meets_none_leaves_by_default():
    """What meets no rule goes to 'default', in both modes."""
    assert paths_of({"source.ip": "198.51.100.1"}) == {"default": 1}
    assert paths_of({"source.ip": "198.51.100.1"}, "all") == {"default": 1}


def test_all_rules_that_are_met():
    """In mode 'all' an event leaves by each rule it meets, as events of their own."""
    event = {"source.ip": "192.0.2.1", "severity": "critical", "time.source": "2020-01-01T00:00:00Z"}

    result = run(Filter, [event], params={"rules": RULES, "mode": "all"})

    assert set(result.paths) == {"urgent", "ours", "old"}
    first, second, third = (events[0] for events in result.paths.values())
    assert first == second == third
    assert first is not second


def test_events_are_not_changed():
    """A router hands on what it got."""
    result = run(Filter, [{"id": "a-1", "source.ip": "192.0.2.1"}], params={"rules": RULES})

    assert result.paths["ours"][0].fields == {"id": "a-1", "source.ip": "192.0.2.1"}


def test_paths_are_the_rules_and_default():
    """The check knows the exits of an instance by its rules."""
    assert Filter.paths(FilterParams(rules=RULES)) == ("urgent", "ours", "old", "default")


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"a": "sorce.ip == 192.0.2.1"}, "rules: a: sorce.ip: no such field; did you mean 'source.ip'"),
        ({"a": "source.asn == 'x'"}, "without quotes"),
        ({"default": "exists(source.ip)"}, "choose another name"),
        ({"Bad name": "exists(source.ip)"}, "regex"),
        ({}, "length"),
    ],
)
def test_mistakes_in_rules_are_found_by_the_check(rules, reason):
    """A rule that can't be compiled, and a name that can't be a path, are refused with the parameters."""
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert({"rules": rules}, FilterParams)
