"""Whom an event concerns: the rules one by one, and the table of cases."""

from datetime import date

import pytest
from members_world import member, registry, roles

from cleanbots.clearinghouse.members import Registry

SEEN = "2026-11-19T10:00:00+00:00"
K = {"ref": "k-1", "prefix": "198.51.100.96/28", "contact": "security@k.example", "share": "both"}


def world(folder, **states):
    """The world of the cases: carrier, provider with a customer, a member and a relay inside, and the owner of a name."""
    return registry(
        folder,
        member("c", "198.51.100.0/24", "203.0.113.0/24", asns=[64496]),
        member("p", "198.51.100.0/25", asns=[64500], customers=[K], state=states.get("p", "live")),
        member("m", "198.51.100.64/27", state=states.get("m", "live")),
        member("r", "198.51.100.0/26", kind="relay"),
        member("w", domains=["example.org"]),
        member("h", "203.0.113.192/26", exclude=["203.0.113.200/29"]),
    )


CASES = [
    ("1", {"source.ip": "198.51.100.5"}, None, {"p": "act", "r": "relay", "c": "inform"}),
    ("2", {"source.ip": "198.51.100.70"}, None, {"m": "act", "p": "inform", "c": "inform"}),
    ("3", {"source.ip": "198.51.100.100"}, None, {"p": "act", "c": "inform"}),
    ("4", {"source.ip": "198.51.100.100", "tlp": "AMBER+STRICT"}, None, {"p": "act"}),
    ("5", {"source.ip": "198.51.100.200", "source.asn": 64500}, None, {"c": "act", "p": "inform"}),
    ("6", {"source.ip": "192.0.2.9", "source.asn": 64500}, None, {"p": "act"}),
    ("7", {"source.ip": "192.0.2.9", "source.asn": 64500}, 64496, "ambiguous"),
    ("8", {"source.ip": "198.51.100.5", "source.asn": 64496}, 64500, {"p": "act", "r": "relay", "c": "inform"}),
    ("9", {"source.ip": "203.0.113.200"}, None, "excluded"),
    ("13", {"source.ip": "::ffff:198.51.100.5"}, None, {"p": "act", "r": "relay", "c": "inform"}),
    ("13 NAT64", {"source.ip": "64:ff9b::c633:6405"}, None, {"p": "act", "r": "relay", "c": "inform"}),
    ("13 6to4", {"source.ip": "2002:c633:6405::1"}, None, {"p": "act", "r": "relay", "c": "inform"}),
    ("14", {"source.network": "198.51.100.0/25"}, None, {"p": "act", "m": "act", "r": "relay", "c": "inform"}),
    ("16", {"source.fqdn": "badexample.org"}, None, "unmatched"),
    ("19", {"destination.ip": "198.51.100.5"}, None, "unmatched"),
    ("20", {"source.ip": "10.1.2.3"}, None, "guarded"),
]


@pytest.mark.parametrize(("fields", "announced", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_cases(tmp_path, fields, announced, expected):
    """The table of cases: who acts, who gets a copy, who is informed; or why nobody is."""
    event = {"time.source": SEEN, "tlp": "AMBER", **fields}

    matched = world(tmp_path).match(event, announced=announced)

    if isinstance(expected, str):
        assert (matched.verdict, matched.matches) == (expected, ())
    else:
        assert (matched.verdict, roles(matched.matches)) == ("matched", expected)


def test_customer_is_told_and_row_carries_the_reference(tmp_path):
    """Cases 3 and 4: the customer's contact is told up to AMBER; a stricter label keeps it out, and that is counted."""
    known = world(tmp_path)
    event = {"source.ip": "198.51.100.100", "time.source": SEEN}

    told = known.match({**event, "tlp": "AMBER"}).matches[0]
    strict = known.match({**event, "tlp": "AMBER+STRICT"})

    assert (told.customer_ref, told.customer_contact, told.share) == ("k-1", "security@k.example", "both")
    assert (strict.matches[0].customer_ref, strict.matches[0].customer_contact) == ("k-1", "")
    assert set(strict.refused) == {"p customer tlp", "c inform tlp"}


def test_strict_label_refuses_the_relay(tmp_path):
    """A relay never gets AMBER+STRICT, and an event without a label is taken as that."""
    known = world(tmp_path)

    matched = known.match({"source.ip": "198.51.100.5", "time.source": SEEN})

    assert roles(matched.matches) == {"p": "act"}
    assert set(matched.refused) == {"r relay tlp", "c inform tlp"}


def transferred(folder) -> Registry:
    """P's network goes to N: P's claim ends on 30 June, N's begins on 1 July."""
    return registry(
        folder,
        member("c", "198.51.100.0/24"),
        member("p", {"prefix": "198.51.100.0/25", "until": "2026-06-30"}),
        member("n", {"prefix": "198.51.100.0/25", "since": "2026-07-01"}),
    )


def test_holder_changed_between_sighting_and_freeze(tmp_path):
    """Case 10: what was seen in the old holder's time is its match, and holds no more once the network was handed over."""
    known = transferred(tmp_path)
    event = {"source.ip": "198.51.100.5", "time.source": "2026-06-29T23:59:59+00:00", "tlp": "GREEN"}

    matched = known.match(event)

    assert roles(matched.matches) == {"p": "act", "c": "inform"}
    acting = matched.matches[0]
    assert known.still_holds(event, acting, date(2026, 6, 29))
    assert not known.still_holds(event, acting, date(2026, 7, 2))


@pytest.mark.parametrize("field", ["time.source", "time.observation"])
def test_sighting_after_the_transfer(tmp_path, field):
    """Cases 11 and 12: seen on 2 July (or, without a source time, observed then), the new holder acts."""
    matched = transferred(tmp_path).match({"source.ip": "198.51.100.5", field: "2026-07-02T00:00:00+00:00"})

    assert roles(matched.matches) == {"n": "act"}


def test_overlap_says_so(tmp_path):
    """Case 14: a claim inside of the network that a finding is about acts for its part, with the reason."""
    matched = world(tmp_path).match({"source.network": "198.51.100.0/25", "time.source": SEEN, "tlp": "AMBER"})

    assert {match.member: match.reason for match in matched.matches} == {
        "p": "",
        "m": "overlaps",
        "r": "overlaps",
        "c": "",
    }


def test_axes_are_independent(tmp_path):
    """Case 15: the holder of the address and the owner of the name both act."""
    event = {"source.url": "https://shop.example.org/x", "source.ip": "198.51.100.5", "time.source": SEEN}

    matches = world(tmp_path).match(event).matches

    assert (roles(matches), roles(matches, "name")) == ({"p": "act"}, {"w": "act"})


@pytest.mark.parametrize("state", ["paused", "test"])
def test_state_keeps_matches(tmp_path, state):
    """Cases 17 and 18: a member that is paused, or in test, wins its matches; they don't fall to the carrier."""
    matched = world(tmp_path, m=state).match({"source.ip": "198.51.100.70", "time.source": SEEN, "tlp": "AMBER"})

    assert roles(matched.matches) == {"m": "act", "p": "inform", "c": "inform"}


@pytest.mark.parametrize("state", ["left", "invited"])
def test_silent_states_have_no_claims(tmp_path, state):
    """Who left, or is only invited, is never matched."""
    matched = world(tmp_path, m=state).match({"source.ip": "198.51.100.70", "time.source": SEEN, "tlp": "AMBER"})

    assert roles(matched.matches) == {"p": "act", "c": "inform"}


def test_destination_of_feeds_about_victims(tmp_path):
    """Where the asset is the destination, its address counts, and the source's doesn't."""
    event = {"destination.ip": "198.51.100.70", "source.ip": "203.0.113.1", "time.source": SEEN}

    (match,) = world(tmp_path).match(event, asset="destination").matches

    assert (match.member, match.reason) == ("m", "victim")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"source.fqdn": "example.org"}, {"w": "act"}),
        ({"source.fqdn": "a.deep.example.org"}, {"s": "act", "r": "relay"}),
        ({"source.url": "http://user@deep.example.org:8080/a?b#c"}, {"s": "act", "r": "relay"}),
        ({"source.account": "someone@EXAMPLE.org"}, {"w": "act"}),
        ({"source.fqdn": "xn--bcher-kva.example"}, {"w": "act"}),
        ({"source.reverse_dns": "a.example.org"}, {}),
        ({"source.fqdn": "a.notifier.example.org"}, {}),
    ],
)
def test_names(tmp_path, fields, expected):
    """Suffixes match at label boundaries, as A-labels, the longest wins; reverse DNS and the guard's names never match."""
    known = registry(
        tmp_path,
        member("w", domains=["example.org", "bücher.example"]),
        member("s", domains=["deep.example.org"]),
        member("r", domains=["deep.example.org"], kind="relay"),
        guard={"domains": ["notifier.example.org"]},
    )

    assert roles(known.match({"tlp": "GREEN", "time.source": SEEN, **fields}).matches, "name") == expected


def test_address_in_a_url(tmp_path):
    """A URL with an address for a host is about that address."""
    event = {"source.url": "http://198.51.100.70:81/x", "time.source": SEEN}

    assert roles(world(tmp_path).match(event).matches) == {"m": "act"}


def test_relay_alone(tmp_path):
    """'relay_only' keeps a relay's part from everybody else, its holder included; without it the relay gets a copy."""
    known = registry(
        tmp_path,
        member("p", "198.51.100.0/24"),
        member("r", {"prefix": "198.51.100.0/28", "relay_only": True}, "198.51.100.64/28", kind="relay"),
    )

    def told(address: str) -> dict[str, str]:
        return roles(known.match({"source.ip": address, "time.source": SEEN, "tlp": "AMBER"}).matches)

    assert told("198.51.100.1") == {"r": "relay"}
    assert told("198.51.100.65") == {"r": "relay", "p": "act"}


def test_shared_claim(tmp_path):
    """Two members may claim the same if both say so; then both act."""
    known = registry(
        tmp_path,
        member("a", {"prefix": "198.51.100.0/24", "shared_with": ["b"]}),
        member("b", {"prefix": "198.51.100.0/24", "shared_with": ["a"]}),
    )

    assert roles(known.match({"source.ip": "198.51.100.1", "time.source": SEEN}).matches) == {"a": "act", "b": "act"}


def test_nested_customers(tmp_path):
    """The lowest block decides what is shared and the lowest with a contact is told; those above that share see it, too."""
    blocks = [
        {"ref": "outer", "prefix": "198.51.100.0/25", "contact": "outer@k.example", "share": "both"},
        {"ref": "middle", "prefix": "198.51.100.0/26", "contact": "middle@k.example", "share": "customer"},
        {"ref": "inner", "prefix": "198.51.100.0/27", "share": "both"},
        {"ref": "quiet", "prefix": "198.51.100.32/27", "contact": "quiet@k.example", "share": "member"},
    ]
    known = registry(tmp_path, member("p", "198.51.100.0/24", customers=blocks))

    def told(address: str) -> tuple:
        (match,) = known.match({"source.ip": address, "time.source": SEEN, "tlp": "AMBER"}).matches
        return match.customer_ref, match.customer_contact, match.other_contacts, match.share, match.chain

    assert told("198.51.100.1") == ("inner", "middle@k.example", ("outer@k.example",), "both", ("outer", "middle"))
    assert told("198.51.100.33") == ("quiet", "", (), "member", ("outer", "middle"))


def test_customer_that_changed_is_not_told(tmp_path):
    """A customer who is told no more of an address now is not told what was seen before; the member still is."""
    event = {"source.ip": "198.51.100.100", "time.source": SEEN, "tlp": "AMBER"}
    before = world(tmp_path).match(event).matches[0]
    after = registry(tmp_path, member("p", "198.51.100.0/25", customers=[{**K, "contact": "other@k.example"}]))

    assert after.still_holds(event, before, date(2026, 11, 20))
    assert not after.still_holds(event, before, date(2026, 11, 20), K["contact"])
    assert after.still_holds(event, before, date(2026, 11, 20), "other@k.example")


def test_shared_address_is_marked(tmp_path):
    """What lies where many share an address says so."""
    known = registry(tmp_path, member("p", "198.51.100.0/24", shared_addresses=[{"prefix": "198.51.100.64/28"}]))

    def marked(address: str) -> bool:
        return known.match({"source.ip": address, "time.source": SEEN}).matches[0].shared_address

    assert [marked("198.51.100.64"), marked("198.51.100.80")] == [True, False]


def test_inventory_only_where_asked_for(tmp_path):
    """Inventory entries match only members with a delivery that asks for them."""
    contacts = [{"id": "desk", "mail": "a@a.example"}]
    wants = {"deliveries": [{"id": "all", "to": ["desk"], "inventory": True}], "contacts": contacts}
    known = registry(tmp_path, member("a", "198.51.100.0/25", **wants), member("b", "198.51.100.128/25"))
    event = {"time.source": SEEN, "kind": "inventory"}

    assert roles(known.match({**event, "source.ip": "198.51.100.1"}).matches) == {"a": "act"}
    assert known.match({**event, "source.ip": "198.51.100.129"}).verdict == "guarded"


def test_listing_of_half_the_internet_is_nobodys(tmp_path):
    """An event about a network wider than anybody may claim matches nobody."""
    assert world(tmp_path).match({"source.network": "198.0.0.0/8", "time.source": SEEN}).verdict == "guarded"


def test_resolved_address_says_when(tmp_path):
    """An address that was resolved, not observed, is matched with that reason."""
    event = {"source.ip": "198.51.100.70", "resolved": "2026-11-19T09:00:00+00:00", "time.source": SEEN}

    (match,) = world(tmp_path).match(event).matches

    assert match.reason == "resolved at 2026-11-19T09:00:00+00:00"


def test_every_claim_is_explained_in_order(tmp_path):
    """An explanation names each claim that touches the asset, where it stands, and what became of it; nothing else changes."""
    known = transferred(tmp_path)
    event = {"source.ip": "198.51.100.5", "time.source": "2026-07-02T00:00:00+00:00", "tlp": "GREEN"}

    matched = known.match(event, explain=True)

    assert [(each.member, each.result, each.why) for each in matched.considered] == [
        ("p", "barred", "ended on 2026-06-30"),
        ("n", "won", "act: the most specific claim"),
        ("c", "won", "inform: a longer prefix is claimed"),
    ]
    lines = (tmp_path / "members.yaml").read_text().splitlines()
    for each in matched.considered:
        file, _, line = each.place.rpartition(":")
        assert file.endswith("members.yaml")
        assert each.value in "\n".join(lines[int(line) - 1 : int(line) + 1])
    assert matched.matches == known.match(event).matches


def test_who_is_only_informed_now_is_not_told_as_holder(tmp_path):
    """A match as the one who acts does not hold any more once somebody else claims the address more specifically."""
    event = {"source.ip": "198.51.100.5", "time.source": SEEN, "tlp": "GREEN"}
    (before,) = registry(tmp_path, member("p", "198.51.100.0/24")).match(event).matches

    after = registry(tmp_path, member("p", "198.51.100.0/24"), member("n", "198.51.100.0/28"))

    assert roles(after.match(event).matches) == {"n": "act", "p": "inform"}
    assert not after.still_holds(event, before, date(2026, 11, 20))


def test_whose_name_it_is_stays_told_after_its_network_went(tmp_path):
    """A page on a member's own name concerns it still when the address is somebody else's by now; another's page doesn't."""
    page = {"source.ip": "198.51.100.5", "time.source": "2026-06-29T12:00:00+00:00", "tlp": "AMBER"}
    networks = [{"prefix": "198.51.100.0/25", "until": "2026-06-30"}]
    known = registry(tmp_path, member("p", *networks, domains=["p.example"]), member("n", "198.51.100.0/24"))

    def holds(url: str) -> bool:
        event = {**page, "source.url": url}
        acting = next(match for match in known.match(event).matches if match.member == "p" and match.axis == "network")
        return known.still_holds(event, acting, date(2026, 7, 2))

    assert holds("https://shop.p.example/login")
    assert not holds("https://shop.other.example/login")
