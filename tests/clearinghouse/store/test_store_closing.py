"""Closing a delivery: what is new, back and still, what is listed, counted and left out, and under which reference."""

from datetime import timedelta

from store_world import DAY, START, infection, service, weight

from cleanbots.clearinghouse.store.protocol import Closing


def test_a_finding_is_new_once_then_still(desk):
    """Still is listed only when its repeat time is over; vulnerable things weekly."""
    states = []
    for _ in range(16):
        desk.record([service(1, desk.clock.now())])
        states += [state for _, state in desk.told()]
        desk.pass_time(days=1)

    assert states == ["new", "still", "still"]


def test_infections_repeat_daily(desk):
    """What is not of the taxonomy vulnerable is listed again after a day by default."""
    states = []
    for _ in range(3):
        desk.record([infection(1, desk.clock.now())])
        states += desk.told()
        desk.pass_time(days=1, seconds=-7)

    assert [state for _, state in states] == ["new", "still", "still"]


def test_repeat_is_configurable_by_taxonomy(desk):
    """A delivery says how often an unchanging finding is listed."""
    repeat = {"vulnerable": 86400.0, "other": 30 * 86400.0}
    for _ in range(2):
        desk.record([service(1, desk.clock.now()), infection(2, desk.clock.now())])
        told = desk.told(repeat=repeat)
        desk.pass_time(days=1)

    assert told == [("192.0.2.1", "still")]


def test_a_finding_is_back_after_a_quiet_time(desk):
    """Unseen for the quiet time, then seen: it is listed at once."""
    desk.record([service(1)])
    desk.told()
    desk.record([service(1, desk.pass_time(days=14))])

    assert desk.told() == [("192.0.2.1", "back")]


def test_a_gap_among_owed_sightings_counts(desk):
    """Quiet is when it was not seen, not when nobody was told."""
    desk.record([service(1)])
    desk.told()
    desk.record([service(1, desk.pass_time(days=1)), service(1, desk.pass_time(days=20))])

    assert desk.told() == [("192.0.2.1", "back")]


def test_sightings_that_come_late_close_a_gap(desk):
    """A report of the time between, recorded late, shows that it was there."""
    desk.record([service(1)])
    desk.told()
    middle = desk.pass_time(days=9)
    end = desk.pass_time(days=9)
    desk.record([service(1, end), service(1, middle)])

    assert desk.told() == [("192.0.2.1", "still")]


def test_an_old_sighting_that_comes_late_is_not_back(desk):
    """A sighting from before the last one opens no gap."""
    desk.pass_time(days=30)
    desk.record([service(1, desk.clock.now())])
    desk.told()
    desk.record([service(1, START)])

    assert desk.told() == []


def test_only_known_findings_are_nothing_to_tell_yet(desk):
    """They stay owed, and are counted by the next digest that has something to list."""
    desk.record([service(1)])
    desk.told()
    desk.record([service(1, desk.pass_time(days=1))])
    assert desk.close() is None
    assert [due.owed for due in desk.store.due(desk.clock.now())] == [1]

    desk.record([service(1, desk.pass_time(days=1)), infection(2, desk.clock.now())])
    closed = desk.close()

    assert [finding.state for finding in closed.findings] == ["new"]
    assert closed.still == {"dns-open-resolver": (1, "2026-11-01T06:30:00+00:00")}
    assert desk.book()["still"] == 2
    assert desk.store.due(desk.clock.now()) == []


def test_a_finding_stands_in_a_digest_once_with_its_last_observation(desk):
    """Many observations are one line that counts them."""
    events = [infection(1, START - timedelta(minutes=n), id=f"r-{n}", source__port=40000 + n) for n in range(50)]
    desk.record(events)
    [finding] = desk.close().findings

    assert finding.event["id"] == "r-0"
    assert finding.times_seen == 50
    assert (finding.first_seen, finding.last_seen) == ("2026-11-01T05:41:00+00:00", "2026-11-01T06:30:00+00:00")
    assert desk.book()["mentioned"] == 50


def test_a_repeated_finding_names_the_mail_that_told_it_first(desk):
    """Its earlier reference is given."""
    desk.record([infection(1)])
    first = desk.close()
    desk.record([infection(1, desk.pass_time(days=1))])

    assert [f.mentioned for f in first.findings] == [""]
    assert [f.mentioned for f in desk.close().findings] == [first.reference]


def test_findings_are_sorted_by_state_severity_and_address(desk):
    """Addresses sort as numbers, IPv4 before IPv6."""
    desk.record([infection(9)])
    desk.told()
    now = desk.pass_time(days=1)
    ipv6 = service(1, now, id="v6", source__ip="2001:db8::1")
    critical = service(30, now, severity="critical")
    desk.record([infection(9, now), ipv6, service(10, now), service(2, now), critical])

    assert desk.told() == [
        ("192.0.2.30", "new"),
        ("192.0.2.2", "new"),
        ("192.0.2.10", "new"),
        ("2001:db8::1", "new"),
        ("192.0.2.9", "still"),
    ]


def test_what_is_too_much_for_one_reference_stays_owed(desk):
    """The next one lists it; nothing is told twice."""
    desk.record([service(host) for host in range(10)])
    told = [desk.told(most=4) for _ in range(4)]

    assert [len(part) for part in told] == [4, 4, 2, 0]
    assert len({address for part in told for address, _ in part}) == 10


def test_findings_can_be_read_in_slices(desk):
    """A slice is read from the store; the end and a negative index are as of a list."""
    desk.record([service(host) for host in range(7)])
    findings = desk.close().findings
    whole = list(findings)

    assert len(findings) == 7
    assert findings[2:5] == whole[2:5]
    assert findings[5:99] == whole[5:]
    assert findings[::3] == whole[::3]
    assert findings[-1] == whole[-1]


def test_what_was_recorded_later_waits(desk):
    """A digest holds what was recorded until its time."""
    desk.record([service(1)])
    until = desk.clock.now()
    desk.pass_time(minutes=5)
    desk.record([service(2)])

    assert desk.told(until=until) == [("192.0.2.1", "new")]
    assert desk.told() == [("192.0.2.2", "new")]


def test_references_count_by_prefix_and_day_without_gaps(desk):
    """The number starts anew each day (UTC); a close without anything to tell takes none."""
    references = []
    for host in range(3):
        desk.record([service(host)])
        references.append(desk.close().reference)
        assert desk.close() is None
    desk.record([service(8)])
    references.append(desk.close(prefix="MP").reference)
    desk.pass_time(days=1)
    desk.record([service(9)])
    references.append(desk.close().reference)

    assert references == [
        "CB-20261101-0001",
        "CB-20261101-0002",
        "CB-20261101-0003",
        "MP-20261101-0001",
        "CB-20261102-0001",
    ]


def test_closed_gives_the_same_again(desk):
    """What was fixed can be rendered after a crash."""
    desk.record([service(1), infection(2)], original="a,b\n1,2", report="scan.csv")
    desk.told()
    desk.record([service(1, desk.pass_time(days=1)), infection(2, desk.clock.now()), service(3, desk.clock.now())])
    closed = desk.close()
    before = list(closed.findings)
    desk.record([service(3, desk.pass_time(days=1)), infection(2, desk.clock.now())])
    desk.close()

    again = desk.store.closed(closed.reference)
    assert again == closed
    assert list(again.findings) == before


def test_what_was_left_out_is_counted_once(desk):
    """Each digest says how much was suppressed since the last one, and why."""
    desk.record([service(1), infection(2)])
    desk.record([service(3), service(4)], suppressed="filter")
    desk.record([service(5)], suppressed="too_old")
    desk.record([service(6)], suppressed="role")

    assert desk.close().suppressed == {"filter": 2, "too_old": 1}
    desk.record([service(7)])
    assert desk.close().suppressed == {}
    assert desk.book()["suppressed"] == {"filter": 2, "too_old": 1, "role": 1}


def test_what_another_delivery_told_is_only_named(desk):
    """`except`: the daily digest names the reference of the urgent mail."""
    desk.record([infection(1)], deliveries=["urgent", "daily"])
    desk.record([service(2)], deliveries=["daily"])
    urgent = desk.close("urgent")
    closed = desk.close("daily", excepted=["urgent"])

    assert [finding.event["source.ip"] for finding in closed.findings] == ["192.0.2.2"]
    assert closed.suppressed == {"except": 1}
    assert closed.elsewhere == [
        {"reference": urgent.reference, "type": "infected-system", "count": "1", "time": "2026-11-01T06:30:00+00:00"}
    ]


def test_what_another_delivery_still_owes_waits(desk):
    """Neither repeated nor lost: it is decided when the other one is closed."""
    desk.record([infection(1)], deliveries=["urgent", "daily"])
    assert desk.close("daily", excepted=["urgent"]) is None
    desk.close("urgent")
    desk.record([service(2)])

    assert desk.told(excepted=["urgent"]) == [("192.0.2.2", "new")]
    assert desk.book()["suppressed"] == {"except": 1}


def test_what_the_other_delivery_does_not_take_is_told(desk):
    """`except` leaves out what was told, not what was filtered there."""
    desk.record([infection(1)], deliveries=["daily"])
    desk.record([infection(1)], deliveries=["urgent"], suppressed="filter")

    assert desk.told(excepted=["urgent"]) == [("192.0.2.1", "new")]


def test_rows_above_amber_can_have_a_digest_of_their_own(desk):
    """A strict row must not gag the rest; a row without a label is strict."""
    unlabelled = service(3)
    del unlabelled["tlp"]
    desk.record([service(1), service(2, tlp="AMBER+STRICT"), unlabelled])
    [due] = desk.store.due(desk.clock.now())

    assert (due.owed, due.strict) == (3, 2)
    assert desk.told(strict=False) == [("192.0.2.1", "new")]
    assert [address for address, _ in desk.told(strict=True)] == ["192.0.2.2", "192.0.2.3"]


def test_what_was_told_in_preview_is_new_when_it_is_live(desk):
    """Nobody was told yet."""
    for mode, state in (("preview", "new"), ("test", "new"), ("live", "new"), ("live", "still")):
        desk.record([infection(1, desk.pass_time(days=1))])
        assert desk.told(mode=mode) == [("192.0.2.1", state)]


def test_deliveries_keep_their_own_memory(desk):
    """What one delivery was told says nothing about another, of whichever member."""
    desk.record([service(1)], deliveries=["daily", "hook"])
    desk.record([service(1)], member="n")

    assert desk.told("daily") == desk.told("hook") == desk.told(member="n") == [("192.0.2.1", "new")]


def test_a_sign_of_life_has_a_reference_without_findings(desk):
    """The kind ``empty`` is closed in any case, and counts what is still there."""
    assert len(desk.close(kind="empty").findings) == 0
    desk.record([service(1)])
    desk.told()
    desk.record([service(1, desk.pass_time(days=1))])
    closed = desk.close(kind="empty")

    assert len(closed.findings) == 0
    assert list(closed.still) == ["dns-open-resolver"]


def test_a_test_has_a_reference_and_tells_nothing(desk):
    """What is owed stays owed."""
    desk.record([service(1)])
    assert len(desk.close(kind="test").findings) == 0
    assert desk.told() == [("192.0.2.1", "new")]


def test_dropped_observations_are_off_the_books_with_a_reason(desk):
    """A changed holder is told nothing; other deliveries of other members are not touched."""
    desk.record([service(1), service(2)], deliveries=["daily", "hook"])
    desk.record([service(1)], member="n")
    owed = {event["source.ip"]: (id_, match) for id_, event, match in desk.store.owed("m", "daily")}
    assert owed["192.0.2.1"][1].value == "192.0.2.0/24"

    desk.store.drop("m", [owed["192.0.2.1"][0]], "changed-holder")
    desk.store.drop("m", [owed["192.0.2.2"][0]], "given_up", "hook")

    assert desk.told() == [("192.0.2.2", "new")]
    assert desk.told("hook") == []
    assert desk.told(member="n") == [("192.0.2.1", "new")]
    assert desk.book()["changed_holder"] == 1
    assert desk.book("hook")["given_up"] == {"given_up": 1}
    assert weight(desk.book()) == desk.book()["matched"] == 2


def test_due_says_how_much_is_owed_and_since_when(desk):
    """Settling and gathering need the first and the last."""
    desk.record([service(1)], deliveries=["daily", "hook"])
    later = desk.pass_time(minutes=10)
    desk.record([service(2)], urgent=True)
    hook, daily = sorted(desk.store.due(later), key=lambda due: due.owed)

    assert (daily.delivery, daily.owed, daily.oldest, daily.newest, daily.urgent) == ("daily", 2, START, later, 1)
    assert (hook.delivery, hook.owed, hook.newest, hook.urgent) == ("hook", 1, START, 0)
    assert desk.store.due(later, only=[("m", "hook")]) == [hook]


def test_the_period_begins_where_the_last_one_ended(desk):
    """The first one begins with the first thing recorded."""
    desk.record([service(1)])
    desk.pass_time(hours=1)
    assert desk.close().since == START
    closed_at = desk.clock.now()
    desk.record([service(2, desk.pass_time(days=1))])

    assert desk.close().since == closed_at
    assert desk.store.last_closed("m", "daily") == closed_at + DAY
    assert desk.store.last_closed("m", "other") is None


def test_the_median_is_of_the_digests_that_listed_something(desk):
    """The growth guard compares with it."""
    assert desk.store.median_size("m", "daily") is None
    for count in (1, 10, 3):
        desk.record([service(host, desk.pass_time(days=1)) for host in range(100 * count, 100 * count + count)])
        desk.close()
    desk.close(kind="empty")

    assert desk.store.median_size("m", "daily") == 3.0


def test_what_is_closed_apart_has_two_references_and_one_period(desk):
    """Rows above TLP:AMBER get a digest of their own, of the same time as the others'."""
    desk.record([service(1), service(2, tlp="AMBER+STRICT")])
    now = desk.pass_time(hours=1)
    closing = Closing(member="m", delivery="daily", channel="mail", until=now, now=now)

    first, second = desk.store.close_apart(closing)

    told = [[finding.event["source.ip"] for finding in closed.findings] for closed in (first, second)]
    assert told == [["192.0.2.1"], ["192.0.2.2"]]
    assert first.reference != second.reference
    assert first.since == second.since == START
    assert desk.store.close_apart(closing) == []


def test_still_that_is_never_listed_is_counted_and_keeps_it_from_being_back(desk):
    """Where still is unwanted, each closing counts it without a reference, and quiet runs from the last sighting."""
    for _ in range(30):
        desk.record([service(1, desk.clock.now())])
        told = desk.told(tells=frozenset({"new", "back"}))
        desk.pass_time(days=1)
        assert not told or told == [("192.0.2.1", "new")]

    book = desk.book()
    assert (book["mentioned"], book["still"], book["owed"]) == (1, 29, 0)
    desk.record([service(1, desk.pass_time(days=14))])
    assert desk.told(tells=frozenset({"new", "back"})) == [("192.0.2.1", "back")]


def test_a_state_that_is_never_told_is_counted_and_not_mentioned(desk):
    """Whoever wants new findings only is not told of one that is back, and it is back for nobody by that."""
    only_new = frozenset({"new"})
    desk.record([service(1)])
    assert desk.told(tells=only_new) == [("192.0.2.1", "new")]
    desk.record([service(1, desk.pass_time(days=20))])
    assert desk.told(tells=only_new) == []
    book = desk.book()
    assert (book["mentioned"], book["still"], book["owed"]) == (1, 1, 0)

    desk.record([service(1, desk.pass_time(days=20))])

    assert desk.told() == [("192.0.2.1", "back")]


def test_who_wants_only_what_is_back_is_not_told_of_what_is_new(desk):
    """A new finding is counted, so that it can come back."""
    only_back = frozenset({"back"})
    desk.record([service(1)])
    assert desk.told(tells=only_back) == []

    desk.record([service(1, desk.pass_time(days=20))])

    assert desk.told(tells=only_back) == [("192.0.2.1", "back")]
