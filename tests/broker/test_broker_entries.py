"""Taking, claiming, holding and looking at entries."""

import threading
from datetime import UTC, datetime, timedelta

from cleanbots.broker import RedisBroker
from cleanbots.broker.protocol import DONE, Commit, Depth, EntryGuard, Output, ReportGuard, TickGuard

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def put(broker: RedisBroker, *outputs: Output) -> None:
    """Put frames into queues."""
    slot = f"{int(broker.last_slot('writer') or 0) + 1:09}"
    broker.commit(Commit(TickGuard("writer", slot), outputs))


def test_first_queue_is_served_first(broker):
    """The order of the queues given decides, then the order in which frames were put."""
    put(broker, Output("a", b"a1", 1), Output("b", b"b1", 1), Output("a", b"a2", 1))

    taken = [broker.take(["c", "b", "a"], "one", 0) for _ in range(4)]

    assert [entry and entry.data for entry in taken] == [b"b1", b"a1", b"a2", None]


def test_entry_is_handed_out_once(broker):
    """Two consumers never get the same entry."""
    put(broker, Output("a", b"1", 1), Output("a", b"2", 1))

    first, second = broker.take(["a"], "one", 0), broker.take(["a"], "two", 0)

    assert {first.data, second.data} == {b"1", b"2"}
    assert [entry.id for entry in broker.mine(["a"], "two")] == [second.id]


def test_waiting_take_is_woken(broker, server, name):
    """A consumer that waits gets what comes."""
    found = []
    waiter = threading.Thread(target=lambda: found.append(broker.take(["a", "b"], "one", 10)))
    waiter.start()
    writer = RedisBroker(server.address, name)
    while not writer._client.call("INFO", "clients")["blocked_clients"]:
        pass

    put(writer, Output("b", b"x", 1))

    waiter.join(10)
    assert [entry.data for entry in found] == [b"x"]
    writer.close()


def test_entries_that_came_together_are_given_one_by_one(broker, server, name):
    """Whatever several queues got while one call waited is given, once, in the order of the queues."""
    found = []
    waiter = threading.Thread(target=lambda: found.append(broker.take(["c", "b", "a"], "one", 10)))
    waiter.start()
    writer = RedisBroker(server.address, name)
    while not writer._client.call("INFO", "clients")["blocked_clients"]:
        pass

    put(writer, Output("a", b"a", 1), Output("b", b"b", 1), Output("c", b"c", 1))
    waiter.join(10)
    found += [broker.take(["c", "b", "a"], "one", 0) for _ in range(2)]

    assert sorted(entry.data for entry in found) == [b"a", b"b", b"c"]
    assert broker.take(["c", "b", "a"], "one", 0) is None
    writer.close()


def test_entry_kept_back_and_claimed_meanwhile_is_not_given(broker):
    """An entry that came along with another one and was claimed before its turn is the claimer's."""
    put(broker, Output("a", b"a", 1))
    kept = broker.take(["a"], "one", 0)
    broker._more = [kept]
    assert broker.claim(["a"], "two", 0).id == kept.id

    assert broker.take(["a"], "one", 0) is None


def test_nothing_comes_of_no_queue(broker):
    """Without queues there is nothing to wait for."""
    assert broker.take([], "one", 5) is None
    assert broker.mine([], "one") == []
    assert broker.claim([], "one", 0) is None


def test_mine_after_a_restart(broker, server, name):
    """A consumer that was started anew finds what it held, marked as handed out before, in the order of the queues."""
    put(broker, Output("a", b"a", 1), Output("b", b"b", 1), Output("b", b"free", 1))
    broker.take(["a"], "one", 0)
    held = broker.take(["b"], "one", 0)
    broker.commit(Commit(EntryGuard(held, "", "half")))

    reborn = RedisBroker(server.address, name)

    assert [(entry.queue, entry.data, entry.mark, entry.again) for entry in reborn.mine(["b", "a"], "one")] == [
        ("b", b"b", "half", True),
        ("a", b"a", "", True),
    ]
    assert reborn.mine(["a", "b"], "two") == []
    reborn.close()


def test_claim_takes_over_what_is_idle(broker):
    """An entry without a sign of life goes to the claimer, with its mark; a lively one stays."""
    put(broker, Output("a", b"x", 1))
    entry = broker.take(["a"], "one", 0)
    broker.commit(Commit(EntryGuard(entry, "", "half")))

    assert broker.claim(["b", "a"], "two", 3600) is None
    claimed = broker.claim(["b", "a"], "two", 0)

    assert (claimed.id, claimed.data, claimed.mark, claimed.again) == (entry.id, b"x", "half", True)
    assert broker.mine(["a"], "one") == []
    assert broker.claim(["a"], "three", 3600) is None


def test_sign_of_life(broker):
    """Only the holder's sign of life counts, and it restarts the idle time."""
    put(broker, Output("a", b"x", 1))
    entry = broker.take(["a"], "one", 0)

    assert broker.alive(entry, "one")
    assert not broker.alive(entry, "two")
    assert [held.id for held in broker.mine(["a"], "one")] == [entry.id]
    broker.claim(["a"], "two", 0)
    assert not broker.alive(entry, "one")
    broker.commit(Commit(EntryGuard(entry, "", None)))
    assert not broker.alive(entry, "two")


def test_partial_commit_is_a_sign_of_life(broker):
    """Who commits slices is not idle."""
    put(broker, Output("a", b"x", 1))
    entry = broker.take(["a"], "one", 0)
    key = broker._keys.queue("a")
    broker._client.call("XCLAIM", key, "workers", "one", 0, entry.id, "IDLE", 3_600_000)

    broker.commit(Commit(EntryGuard(entry, "", "1")))

    assert broker.claim(["a"], "two", 1800) is None


def test_whoever_commits_first_wins(broker):
    """The old and the new holder of an entry may both commit; the first one counts."""
    put(broker, Output("a", b"x", 1))
    old = broker.take(["a"], "one", 0)
    new = broker.claim(["a"], "two", 0)

    first = broker.commit(Commit(EntryGuard(old, "", None), [Output("b", b"y", 1)]))
    second = broker.commit(Commit(EntryGuard(new, "", None), [Output("b", b"y", 1)]))

    assert (first.answer.name, second.answer.name) == ("COMMITTED", "LOST")
    assert broker.depths(["b"])["b"].events == 1


def test_entry_deleted_by_hand_is_counted(broker):
    """A held entry that somebody deleted on the server vanishes from the books and is counted."""
    put(broker, Output("a", b"1", 1), Output("a", b"2", 1))
    first, second = broker.take(["a"], "one", 0), broker.take(["a"], "one", 0)
    key = broker._keys.queue("a")

    broker._client.call("XDEL", key, first.id)
    assert [entry.id for entry in broker.mine(["a"], "one")] == [second.id]
    broker._client.call("XDEL", key, second.id)
    assert broker.claim(["a"], "two", 0) is None

    assert broker.statistics() == {"a:vanished": 2}
    assert broker.depths(["a"])["a"].pending == 0


def test_depths(broker):
    """Depths count items and bytes of all entries until they are finished, and what is held."""
    put(broker, Output("a", b"four", 2), Output("a", b"12345", 3))
    broker.take(["a"], "one", 0)

    assert broker.depths(["a", "never"]) == {"a": Depth(5, 9, 2, 1), "never": Depth(0, 0, 0, 0)}


def test_drained(broker):
    """Drained is when nothing waits and nothing is held, anywhere."""
    assert broker.drained(["a", "b"])
    put(broker, Output("b", b"x", 1))
    assert not broker.drained(["a", "b"])
    entry = broker.take(["b"], "one", 0)
    assert not broker.drained(["a", "b"])
    assert broker.drained(["a"])
    broker.commit(Commit(EntryGuard(entry, "", None)))
    assert broker.drained(["a", "b"])


def test_clear_leaves_what_is_held(broker):
    """Clearing deletes what waits, however much, and gives the number of items."""
    put(broker, Output("a", b"held", 7), *[Output("a", b"xy", 2)] * 250)
    held = broker.take(["a"], "one", 0)

    assert broker.clear("a") == 500

    assert broker.depths(["a"])["a"] == Depth(7, 4, 1, 1)
    assert broker.clear("a") == 0
    broker.commit(Commit(EntryGuard(held, "", None)))
    assert broker.depths(["a"])["a"] == Depth(0, 0, 0, 0)
    assert broker.clear("never") == 0


def test_cleared_queue_can_be_used_again(broker):
    """What comes after clearing is handed out."""
    put(broker, Output("a", b"old", 1))
    assert broker.clear("a") == 1

    put(broker, Output("a", b"new", 1))

    assert broker.take(["a"], "one", 0).data == b"new"


def test_peek_pages_through(broker):
    """Listing changes nothing and can be continued after an entry."""
    put(broker, *[Output("a", str(number).encode(), number) for number in range(5)])

    page = broker.peek("a", 2)
    rest = broker.peek("a", 10, after=page[-1].id)

    assert [(stored.data, stored.count) for stored in page + rest] == [(str(n).encode(), n) for n in range(5)]
    assert broker.depths(["a"])["a"] == Depth(10, 5, 5, 0)
    assert broker.peek("never", 10) == []


def test_graphs_do_not_see_each_other(broker, server):
    """Two graphs on one server share nothing."""
    other = RedisBroker(server.address, "another-graph")
    put(broker, Output("a", b"x", 1))

    assert other.take(["a"], "one", 0) is None
    assert other.statistics() == {}
    other.close()


def test_forgotten_reports(broker):
    """Complete reports can be forgotten, those that are not complete never are."""
    broker.commit(Commit(ReportGuard("c", "whole", "", DONE)))
    broker.commit(Commit(ReportGuard("c", "part", "", "line 3")))
    now = datetime.fromtimestamp(int(broker._client.call("TIME")[0]), UTC)

    assert broker.forget_reports(now) == 0
    assert broker.position("whole") == DONE
    assert broker.forget_reports(now + timedelta(days=1)) == 1

    assert broker.position("whole") == ""
    assert broker.position("part") == "line 3"


def test_report_that_its_source_still_shows_is_not_forgotten(broker):
    """Asking for a report's position keeps it in the ledger."""
    broker.commit(Commit(ReportGuard("c", "old", "", DONE)))
    shard = broker._keys.ledger("old")
    broker._client.call("HSET", shard, "old", "100 done")

    assert broker.position("old") == DONE

    assert broker.forget_reports(NOW - timedelta(days=365)) == 0
    broker._client.call("HSET", shard, "old", "100 done")
    assert broker.forget_reports(NOW - timedelta(days=365)) == 1
