"""Which deliveries want an event, and why the others don't."""

from datetime import timedelta

import pytest
from store_world import START, infection, service

from cleanbots.clearinghouse.members import Registry
from cleanbots.clearinghouse.recorder import Recorder, best_matches
from cleanbots.event import Event

MEMBERS = """
members:
  - id: m
    name: M
    state: live
    resources: {networks: [{prefix: 192.0.2.0/24}]}
    contacts: [{id: desk, role: abuse, mail: desk@example.net}]
    deliveries:
      - {id: daily, channel: mail, to: [desk]}
      - {id: urgent, channel: mail, to: [desk], when: immediately, filter: 'priority == "urgent"', max_age: 24h}
      - {id: list, channel: mail, to: [desk], inventory: true, also: [inform], tlp: AMBER, max_age: 10d}
  - id: r
    name: R
    kind: relay
    state: paused
    resources: {networks: [{prefix: 192.0.2.0/25}]}
    contacts: [{id: desk, role: abuse, mail: desk@example.org}]
    deliveries: [{id: daily, channel: mail, to: [desk]}]
"""


class Bench:
    """A recorder for the members above; gives who is owed what, and why not."""

    def __init__(self, desk, folder):
        path = folder / "members.yaml"
        path.write_text(MEMBERS)
        self.registry = Registry.load(path, desk.clock)
        self.store = desk.store
        self.recorder = Recorder(desk.store, lambda: self.registry, desk.clock)

    def record(self, event, *matches, origins=None):
        """Record an event and give delivery to "" or the reason why it is not owed there."""
        given = {**event, "matches": [{"member": "m", **match} for match in matches]}
        self.recorder.record([Event(given, origins or {})])
        return {f"{found['member']}/{found['delivery']}": found["reason"] for found in self.store.search(event["id"])}


@pytest.fixture
def bench(file_desk, tmp_path):
    """A recorder on a store in a file."""
    return Bench(file_desk, tmp_path)


def test_an_event_is_owed_where_it_is_wanted(bench):
    """A filter decides for its delivery only."""
    assert bench.record(service(1), {}) == {"m/daily": "", "m/urgent": "filter", "m/list": ""}
    assert bench.record(service(2, priority="urgent"), {})["m/urgent"] == ""
    urgent = [due for due in bench.store.due(START) if due.delivery == "urgent"]
    assert [due.urgent for due in urgent] == [1]


def test_a_delivery_takes_its_roles(bench):
    """To act on is always taken, to be informed of only where it is asked for."""
    assert bench.record(service(1), {"role": "inform"}) == {"m/daily": "role", "m/urgent": "role", "m/list": ""}


def test_a_member_that_matches_twice_is_told_once(bench):
    """By the match that asks most of it."""
    found = best_matches(
        [{"member": "m", "role": "inform"}, {"member": "n"}, {"member": "m", "axis": "name", "value": "x"}]
    )
    assert [(match.member, match.role, match.axis) for match in found] == [
        ("m", "act", "name"),
        ("n", "act", "network"),
    ]
    assert bench.record(service(1), {"role": "inform"}, {})["m/daily"] == ""


@pytest.mark.parametrize(
    ("label", "daily", "amber", "relay"),
    [
        ("CLEAR", "", "", ""),
        ("AMBER", "", "", ""),
        ("AMBER+STRICT", "", "tlp", "tlp"),
        (None, "", "tlp", "tlp"),
        ("RED", "tlp", "tlp", "tlp"),
        ("MAUVE", "tlp", "tlp", "tlp"),
    ],
)
def test_the_traffic_light_fails_closed(bench, label, daily, amber, relay):
    """RED leaves nowhere, what is above AMBER reaches no relay, a delivery has a ceiling, no label is a strict one."""
    event = service(1)
    del event["tlp"]
    if label:
        event["tlp"] = label
    found = bench.record(event, {}, {"member": "r", "role": "relay"})
    assert (found["m/daily"], found["m/list"], found["r/daily"]) == (daily, amber, relay)


def test_inventory_is_for_those_who_ask(bench):
    """That something exists is no news."""
    found = bench.record(service(1, kind="inventory"), {})
    assert (found["m/daily"], found["m/list"]) == ("inventory", "")


@pytest.mark.parametrize(
    ("event", "days", "daily", "longer"),
    [
        (infection, 3, "", ""),
        (infection, 3.1, "too_old", ""),
        (infection, 10.1, "too_old", "too_old"),
        (service, 7, "", ""),
        (service, 7.1, "too_old", ""),
        (service, 10.1, "too_old", "too_old"),
    ],
)
def test_what_is_old_is_no_news(bench, event, days, daily, longer):
    """Three days by default, seven for scans; a delivery may allow more."""
    found = bench.record(event(1, START - timedelta(days=days)), {})
    assert (found["m/daily"], found["m/list"]) == (daily, longer)


def test_an_event_without_a_time_is_not_old(bench):
    """It is as old as its collection; without that, it is of now."""
    event = infection(1)
    del event["time.source"]
    assert bench.record(event, {})["m/daily"] == ""
    old = {**event, "id": "old-1", "time.observation": "2026-10-01T00:00:00+00:00"}
    assert bench.record(old, {})["m/daily"] == "too_old"


def test_what_is_suppressed_counts_as_seen(bench, file_desk):
    """The finding's history is of the finding, not of who was told."""
    bench.record(infection(1, START - timedelta(days=5)), {})
    bench.record(infection(1, START), {})
    [finding] = file_desk.close().findings
    assert finding.times_seen == 2


def test_originals_leave_only_where_the_notifier_allows(bench, file_desk):
    """Header and row, with ``feed.share_raw``."""
    origins = {"rep": {"header": "a,b\n", "name": "scan.csv"}}
    bench.record(service(1, id="rep-2", raw="1,2\n", feed__share_raw=True), {}, origins=origins)
    bench.record(service(2, id="rep-3", raw="3,4\n"), {}, origins=origins)
    findings = file_desk.close().findings
    assert [(finding.original, finding.report) for finding in findings] == [
        ("a,b\n1,2\n", "scan.csv"),
        ("", "scan.csv"),
    ]


def test_what_nobody_hears_of_is_counted(bench):
    """Without a match, or with a match of a member that has gone meanwhile."""
    bench.record(service(1))
    bench.record(service(2), {"member": "gone"})
    assert bench.store.balance()["events"] == {"matched": 0, "unmatched": 1, "undelivered": 1}


def test_a_new_registry_counts_from_the_next_batch(bench, tmp_path, file_desk):
    """What a delivery wants may change while the recorder runs."""
    assert bench.record(service(1), {})["m/urgent"] == "filter"
    (tmp_path / "members.yaml").write_text(MEMBERS.replace('priority == "urgent"', 'severity == "medium"'))
    bench.registry = Registry.load(tmp_path / "members.yaml", file_desk.clock)
    assert bench.record(service(2), {})["m/urgent"] == ""


def test_recording_again_changes_nothing(bench):
    """A batch that comes again after a crash is known."""
    event = Event({**service(1), "matches": [{"member": "m"}]})
    assert bench.recorder.record([event]) == {"recorded": 3, "known": 0, "new": 1, "nobody": 0}
    assert bench.recorder.record([event.copy()]) == {"recorded": 0, "known": 3, "new": 0, "nobody": 0}
