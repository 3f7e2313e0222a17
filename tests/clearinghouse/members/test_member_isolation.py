"""No match is ever given to a member that the rules, read naively, don't name; nor is one withheld."""

import itertools
import tempfile
from datetime import date, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from members_world import Reference, holds, mapped, member, roles, write_members

from cleanbots.clearinghouse.members import Registry, check
from cleanbots.clearinghouse.members.table import Table

START = date(2026, 1, 1)
RANK = {"act": 0, "relay": 1, "inform": 2}
NAMES = ("a", "b", "c", "d")
ASNS = (64500, 64501)
OWN = {"a": 64506, "b": 64507, "c": 64508, "d": 64509}


def _prefix(parts: tuple[bool, int, int]) -> str:
    """Give a prefix in a small part of the address space, so that nesting and equality are frequent."""
    six, length, bits = parts
    if six:
        return str(ip_network((0x20010DB8 << 96 | bits << 92, (32, 33, 35, 36)[length % 4]), strict=False))
    return str(ip_network((0xC6336400 | bits, (24, 28, 29, 30, 31, 32)[length]), strict=False))


prefixes = st.tuples(st.sampled_from([False, False, True]), st.integers(0, 5), st.integers(0, 7)).map(_prefix)
addresses = st.one_of(
    st.integers(0, 9).map(lambda bits: f"198.51.100.{bits}"),
    st.integers(0, 9).map(lambda bits: mapped(f"198.51.100.{bits}")),
    st.integers(0, 9).map(lambda bits: f"2001:db8:{bits << 12:x}::1"),
    st.sampled_from(["192.0.2.1", "10.0.0.1", "::1"]),
)
systems = st.lists(st.sampled_from(ASNS), max_size=2)

SUBJECTS = ("198.51.100.0", "198.51.100.5", "::ffff:198.51.100.2", "198.51.100.99", "2001:db8:2000::1", "192.0.2.1",
            "198.51.100.0/28", "198.51.100.4/30", "2001:db8::/33", "10.0.0.1")  # fmt: skip
DAYS = tuple(START + timedelta(days=number) for number in range(6))
SYSTEMS: tuple[list[int], ...] = ([], [64500], [64501], [64500, 64501])


def asked(known: Registry, subject: str, day: date, asns: list[int], *, strict: bool) -> dict[str, str]:
    """Ask the registry as the expert does."""
    fields: dict[str, Any] = {"source.network" if "/" in subject else "source.ip": subject}
    fields |= {"time.source": f"{day}T12:00:00+00:00", "tlp": "AMBER+STRICT" if strict else "GREEN"}
    announced = asns[1] if len(asns) > 1 else None
    if asns:
        fields["source.asn"] = asns[0]
    return roles(known.match(fields, announced=announced).matches)


def compiled(members: list[dict[str, Any]]) -> Registry | None:
    """Compile members; None if the check refuses them."""
    with tempfile.TemporaryDirectory() as folder:
        checked = check(write_members(Path(folder) / "members.yaml", members))
    return None if checked.findings else Registry(Table(checked.data))


claims = st.builds(
    lambda prefix, since, length: (
        {"prefix": prefix}
        | ({"since": str(START + timedelta(days=since))} if since else {})
        | ({"until": str(START + timedelta(days=since + length))} if length else {})
    ),
    prefixes,
    st.integers(0, 4),
    st.integers(0, 3),
)
entries = st.tuples(
    st.lists(claims, max_size=5),
    st.lists(st.sampled_from(ASNS), max_size=1),
    st.lists(prefixes, max_size=2),
    st.sampled_from(["provider", "provider", "provider", "relay"]),
    st.sampled_from(["live", "live", "paused", "test", "left", "invited"]),
)
worlds = st.lists(entries, min_size=2, max_size=4).map(
    lambda parts: _without_equals(
        [
            member(name, *networks, asns=[*asns, OWN[name]], exclude=exclude, kind=kind, state=state)
            for name, (networks, asns, exclude, kind, state) in zip(NAMES, parts, strict=False)
        ]
    )
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds)
def test_matching_is_what_the_rules_say(members):
    """Over nested, overlapping and expired claims, exclusions, relays and AS numbers, the table answers as a plain look at every claim."""
    known = compiled(members)
    assert known is not None
    reference = Reference(members)
    for subject, day, asns, strict in itertools.product(SUBJECTS, DAYS, SYSTEMS, (False, True)):
        assert asked(known, subject, day, asns, strict=strict) == reference.ask(subject, day, asns, strict=strict)


def _without_equals(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out claims that another member has, too: the check refuses those."""
    taken: dict[Any, str] = {}
    for entry in members:
        if entry["kind"] == "relay":
            continue
        for what, key in (("networks", "prefix"), ("asns", "asn")):
            own = entry["resources"][what]
            own[:] = [each for each in own if taken.setdefault(each[key], entry["id"]) == entry["id"]]
    return members


class Isolation(RuleBasedStateMachine):
    """Members come, claim, hand over, exclude, pause and leave; what doesn't pass the check changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.members: list[dict[str, Any]] = []
        self.known: Registry | None = None
        self.today = START
        self.told: list[tuple[dict[str, Any], Any]] = []

    @initialize(first=prefixes)
    def begin(self, first: str) -> None:
        """Somebody holds a network."""
        kinds = {"a": "access", "b": "provider", "c": "provider", "d": "relay"}
        self.members = [member(name, kind=kinds[name], state="live", asns=[OWN[name]]) for name in NAMES]
        self.members[0]["resources"]["networks"].append({"prefix": first})
        self._take()

    @rule(who=st.sampled_from(NAMES), prefix=prefixes)
    def claim(self, who: str, prefix: str) -> None:
        """A member claims a network from today on."""
        self._try(lambda own: own[who]["networks"].append({"prefix": prefix, "since": str(self.today)}))

    @rule(who=st.sampled_from(NAMES), to=st.sampled_from(NAMES), number=st.integers(0, 9))
    def transfer(self, who: str, to: str, number: int) -> None:
        """A member hands one of its networks over tomorrow."""

        def change(own: dict[str, Any]) -> None:
            held = [each for each in own[who]["networks"] if holds(each, self.today) and "until" not in each]
            if held:
                given_up = held[number % len(held)]
                given_up["until"] = str(self.today + timedelta(days=1))
                own[to]["networks"].append({"prefix": given_up["prefix"], "since": given_up["until"]})

        self._try(change)

    @rule(who=st.sampled_from(NAMES), number=st.sampled_from(ASNS))
    def system(self, who: str, number: int) -> None:
        """A member claims an autonomous system."""
        self._try(lambda own: own[who]["asns"].append({"asn": number}))

    @rule(who=st.sampled_from(NAMES), prefix=prefixes)
    def exclude(self, who: str, prefix: str) -> None:
        """A member excludes a network."""
        self._try(lambda own: own[who]["exclude"].append({"prefix": prefix}))

    @rule(who=st.sampled_from(NAMES), state=st.sampled_from(["live", "paused", "left"]))
    def state(self, who: str, state: str) -> None:
        """A member pauses, leaves or comes back."""
        self._try(lambda _: None, {who: state})

    @rule()
    def sleep(self) -> None:
        """A day goes by."""
        self.today += timedelta(days=1)

    @precondition(lambda self: self.known is not None)
    @rule(subject=st.one_of(addresses, prefixes), asns=systems, strict=st.booleans(), ago=st.integers(0, 2))
    def observe(self, subject: str, asns: list[int], strict: bool, ago: int) -> None:
        """Something is seen: exactly those are told whom the reference names."""
        day = self.today - timedelta(days=ago)
        asns = asns[:1] if asns[:1] == asns[1:] else asns
        found = asked(self.known, subject, day, asns, strict=strict)
        assert found == Reference(self.members).ask(subject, day, asns, strict=strict)
        if "/" not in subject and len(asns) < 2:
            fields = {"source.ip": subject, "time.source": f"{day}T12:00:00+00:00", "tlp": "GREEN"}
            fields |= {"source.asn": asns[0]} if asns else {}
            self.told += [(fields, match) for match in self.known.match(fields).matches]

    @invariant()
    def nothing_old_is_told_to_a_wrong_one(self) -> None:
        """Whatever was matched before is only told to whom the rules name today, in no stronger role."""
        for fields, match in self.told[-5:]:
            asns = [fields["source.asn"]] if "source.asn" in fields else []
            named = Reference(self.members).ask(fields["source.ip"], self.today, asns).get(match.member)
            still = self.known.still_holds(fields, match, self.today)
            assert still == (named is not None and RANK[named] <= RANK[match.role])

    def _try(self, change: Any, states: dict[str, str] | None = None) -> None:
        before = [_copy(entry) for entry in self.members]
        change({entry["id"]: entry["resources"] for entry in self.members})
        for entry in self.members:
            entry["state"] = (states or {}).get(entry["id"], entry["state"])
        if not self._take():
            self.members = before

    def _take(self) -> bool:
        known = compiled(self.members)
        if known is not None:
            self.known = known
        return known is not None


def _copy(entry: dict[str, Any]) -> dict[str, Any]:
    resources = {name: [dict(each) for each in listed] for name, listed in entry["resources"].items()}
    return {**entry, "resources": resources}


@pytest.mark.parametrize("steps", [12])
def test_isolation_over_sequences_of_changes(long_form, steps):
    """Whatever members do, a match goes to nobody but those whom a plain look at every claim names."""
    examples = 2000 if long_form else 40
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(Isolation, settings=chosen)
