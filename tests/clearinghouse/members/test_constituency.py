"""expert/constituency: events leave with their members, or by the path that says why they have none."""

import pytest
from members_world import member, write_members

from bots.experts.constituency import Constituency
from cleanbots.testing import run

MEMBERS = [
    member("c", "198.51.100.0/24", asns=[64496]),
    member("p", "198.51.100.0/25", asns=[64500], exclude=["198.51.100.16/29"]),
    member("r", "198.51.100.0/26", kind="relay"),
]
SEEN = {"time.source": "2026-11-19T10:00:00+00:00", "tlp": "AMBER"}


def result(folder, *events, tables=None, **params):
    """Run the expert on events."""
    write_members(folder / "members.yaml", MEMBERS)
    given = [{"id": f"a-{number}", **SEEN, **event} for number, event in enumerate(events, 1)]
    return run(Constituency, given, params=params, base=folder, data=folder / "data", tables=tables)


def test_members_and_matches_are_set(tmp_path):
    """An event carries the ids of its members, acting ones first, and why each of them matches."""
    (event,) = result(tmp_path, {"source.ip": "198.51.100.5"}).sent

    assert event["members"] == ["p", "r", "c"]
    assert [match.get("role", "act") for match in event["matches"]] == ["act", "relay", "inform"]
    assert [match["value"] for match in event["matches"]] == ["198.51.100.0/25", "198.51.100.0/26", "198.51.100.0/24"]
    event["matches"] = event["matches"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"source.ip": "198.51.100.5"}, "default"),
        ({"source.ip": "192.0.2.5"}, "unmatched"),
        ({"source.ip": "203.0.113.5", "source.asn": 64500}, "ambiguous"),
        ({"source.ip": "10.0.0.1"}, "guarded"),
        ({"source.ip": "198.51.100.17"}, "excluded"),
        ({"destination.ip": "198.51.100.5"}, "unmatched"),
        ({"classification.type": "phishing"}, "unmatched"),
    ],
)
def test_paths(tmp_path, fields, path):
    """Each reason why nobody is told has its path, and no event vanishes."""
    tables = {"asn.mmdb": {"203.0.113.0/24": {"autonomous_system_number": 64496}}}

    found = result(tmp_path, fields, tables=tables, database="asn.mmdb")

    ((name, (event,)),) = [(name, events) for name, events in found.paths.items() if events]
    assert name == path
    assert ("members" in event) == (path == "default")


def test_sender_does_not_say_whom_it_concerns(tmp_path):
    """Members and matches that an event came with are removed, whatever path it takes."""
    forged = {"members": ["x"], "matches": [{"member": "x", "customer_contact": "x@x.example"}], "refused": ["x"]}

    found = result(tmp_path, {"source.ip": "203.0.113.5", **forged}, {"source.ip": "198.51.100.200", **forged})

    (unmatched,), (matched,) = found.paths["unmatched"], found.sent
    assert not {"members", "matches", "refused"} & set(unmatched)
    assert matched["members"] == ["c"]
    assert "refused" not in matched


def test_refusals_are_told(tmp_path):
    """Whom the label keeps out stands in the event, so that it can be counted."""
    (event,) = result(tmp_path, {"source.ip": "198.51.100.5", "tlp": "AMBER+STRICT"}).sent

    assert event["members"] == ["p"]
    assert event["refused"] == ["r relay tlp", "c inform tlp"]


def test_without_a_source_time_precision_is_a_day(tmp_path):
    """An event that is matched at the time of its observation says that its time is exact to a day at best."""
    write_members(tmp_path / "members.yaml", MEMBERS)
    event = {"id": "a-1", "source.ip": "198.51.100.5", "time.observation": "2026-07-02T00:00:00+00:00"}

    (sent,) = run(Constituency, [event], base=tmp_path).sent

    assert sent["time_precision"] == "day"


def test_destination_where_the_feed_is_about_victims(tmp_path):
    """With 'asset: destination' the destination's address counts, and only that."""
    events = {"destination.ip": "198.51.100.200", "source.ip": "198.51.100.5"}, {"source.ip": "198.51.100.5"}

    found = result(tmp_path, *events, asset="destination")

    assert [event["members"] for event in found.sent] == [["c"]]
    assert len(found.paths["unmatched"]) == 1
