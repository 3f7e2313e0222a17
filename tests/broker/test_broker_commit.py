"""Commits: each guard, what a commit carries with it, and the limits."""

import json

import pytest

from cleanbots.broker import RedisBroker
from cleanbots.broker.protocol import (
    DONE,
    Answer,
    Commit,
    Depth,
    Entry,
    EntryGuard,
    FailedGuard,
    Limit,
    Output,
    ReportGuard,
    Result,
    TickGuard,
)
from cleanbots.errors import BrokerUnavailable

COMMITTED = Result(Answer.COMMITTED)
LOST = Result(Answer.LOST)


def collect(broker: RedisBroker, report: str, *outputs: Output, **more) -> Result:
    """Commit a whole report."""
    return broker.commit(Commit(ReportGuard("collector", report, "", DONE), outputs, **more))


def taken(broker: RedisBroker, queue: str = "a", data: bytes = b"frame", count: int = 3) -> Entry:
    """Put a frame into a queue and take it."""
    assert collect(broker, f"for {queue}", Output(queue, data, count)) == COMMITTED
    entry = broker.take([queue], "one", 0)
    assert entry is not None
    return entry


def test_entry_comes_as_it_was_put(broker):
    """What is taken is what was put, byte for byte, with its count and no mark."""
    data = bytes(range(256))

    entry = taken(broker, data=data, count=7)

    assert (entry.queue, entry.data, entry.count, entry.mark, entry.again) == ("a", data, 7, "", False)


def test_finished_entry_is_gone(broker):
    """A finished entry leaves nothing behind."""
    entry = taken(broker)

    assert broker.commit(Commit(EntryGuard(entry, "", None))) == COMMITTED

    assert broker.drained(["a"])
    assert broker.mine(["a"], "one") == []
    assert broker.depths(["a"])["a"] == Depth(0, 0, 0, 0)


def test_finished_entry_cannot_be_committed_again(broker):
    """The second commit of a finished entry does nothing."""
    entry = taken(broker)
    broker.commit(Commit(EntryGuard(entry, "", None)))

    again = broker.commit(Commit(EntryGuard(entry, "", None), [Output("b", b"x", 1)], counters={"a:in": 1}))

    assert again == LOST
    assert broker.depths(["b"])["b"].entries == 0
    assert broker.statistics() == {}


def test_entry_that_was_never_taken_cannot_be_committed(broker):
    """An entry that waits is not anybody's to finish."""
    collect(broker, "r", Output("a", b"frame", 1))
    stored = broker.peek("a", 1)[0]

    assert broker.commit(Commit(EntryGuard(Entry("a", stored.id, stored.data, stored.count), "", None))) == LOST
    assert broker.depths(["a"])["a"].entries == 1


def test_partial_commit_moves_the_mark(broker):
    """After a partial commit the entry is still held, with the new mark."""
    entry = taken(broker)

    assert broker.commit(Commit(EntryGuard(entry, "", "2"), [Output("b", b"x", 2)])) == COMMITTED

    (held,) = broker.mine(["a"], "one")
    assert (held.id, held.mark, held.again) == (entry.id, "2", True)
    assert broker.depths(["a", "b"])["a"] == Depth(3, 5, 1, 1)
    assert broker.depths(["b"])["b"].events == 2


@pytest.mark.parametrize("then", ["3", None])
def test_commit_with_an_old_mark_is_lost(broker, then):
    """Who does not know the mark has not seen what was committed since."""
    entry = taken(broker)
    broker.commit(Commit(EntryGuard(entry, "", "2")))

    assert broker.commit(Commit(EntryGuard(entry, "", then), [Output("b", b"x", 2)])) == LOST
    assert broker.depths(["b"])["b"].entries == 0


def test_mark_goes_with_its_entry(broker, name, server):
    """The mark of a finished entry is removed."""
    entry = taken(broker)
    broker.commit(Commit(EntryGuard(entry, "", "2")))
    broker.commit(Commit(EntryGuard(entry, "2", None)))

    assert broker._client.call("EXISTS", broker._keys.marks("a")) == 0


def test_report_is_collected_once(broker):
    """A complete report is recognised, its second collecting does nothing."""
    assert collect(broker, "r", Output("a", b"x", 1)) == COMMITTED
    assert collect(broker, "r", Output("a", b"x", 1)) == LOST

    assert broker.position("r") == DONE
    assert broker.depths(["a"])["a"].entries == 1


def test_report_goes_on_from_its_position(broker):
    """A report in pieces holds at its position only."""
    first = ReportGuard("collector", "r", "", "line 10 of 20", cursor="c1")
    second = ReportGuard("collector", "r", "line 10 of 20", DONE, cursor="c2")

    assert broker.commit(Commit(second)) == LOST
    assert broker.commit(Commit(first)) == COMMITTED
    assert broker.position("r") == "line 10 of 20"
    assert broker.cursor("collector") == "c1"
    assert broker.commit(Commit(first)) == LOST
    assert broker.commit(Commit(second)) == COMMITTED
    assert broker.position("r") == DONE
    assert broker.cursor("collector") == "c2"


def test_unknown_report_and_cursor(broker):
    """What was never seen has no position, and who never collected has no cursor."""
    assert broker.position("nothing") == ""
    assert broker.cursor("nobody") is None


def test_commit_without_cursor_keeps_the_old_one(broker):
    """None leaves the cursor as it is; an empty text is a cursor."""
    broker.commit(Commit(ReportGuard("collector", "r1", "", DONE, cursor="here")))
    broker.commit(Commit(ReportGuard("collector", "r2", "", DONE)))
    assert broker.cursor("collector") == "here"

    broker.commit(Commit(ReportGuard("collector", "r3", "", DONE, cursor="")))
    assert broker.cursor("collector") == ""


def test_tick_happens_once_and_never_goes_back(broker):
    """A slot is committed once; an earlier one never after a later one."""
    slots = ["2026-01-02T09:00", "2026-01-02T10:00", "2026-01-02T09:30", "2026-01-02T10:00", "2026-01-02T10:00+"]

    answers = [broker.commit(Commit(TickGuard("bot", slot), [Output("a", b"x", 1)])).answer for slot in slots]

    assert answers == [Answer.COMMITTED, Answer.COMMITTED, Answer.LOST, Answer.LOST, Answer.COMMITTED]
    assert broker.last_slot("bot") == "2026-01-02T10:00+"
    assert broker.last_slot("other") == ""
    assert broker.depths(["a"])["a"].events == 3


def test_failed_entry_is_removed_once(broker):
    """Retrying moves a failed entry out of the failed queue, once, and puts back what shall stay."""
    taken_entry = taken(broker)
    broker.commit(Commit(EntryGuard(taken_entry, "", None), failed=[Output("bot", b"letters", 3)]))
    (letter,) = broker.failed("bot", 10)
    guard = FailedGuard("bot", letter.id, letter.count, len(letter.data))
    retry = Commit(guard, [Output("a", b"two", 2)], [Output("bot", b"one", 1)], priority=True)

    assert broker.commit(retry) == COMMITTED
    assert broker.commit(retry) == LOST

    assert broker.failed_depths() == {"bot": Depth(1, 3, 1, 0)}
    assert [stored.data for stored in broker.failed("bot", 10)] == [b"one"]
    assert broker.depths(["a"])["a"].events == 2


def test_empty_failed_queue_is_not_listed(broker):
    """Only bots that have failed items are listed."""
    broker.commit(Commit(TickGuard("bot", "1"), failed=[Output("bot", b"x", 1)]))
    (letter,) = broker.failed("bot", 10)
    broker.commit(Commit(FailedGuard("bot", letter.id, 1, 1)))

    assert broker.failed_depths() == {}


def test_counters_add_up(broker):
    """Counters of commits are added; those of refused commits are not."""
    entry = taken(broker)
    broker.commit(Commit(EntryGuard(entry, "", "1"), counters={"a:in": 2, "a:error": 0}))
    broker.commit(Commit(EntryGuard(entry, "", "1"), counters={"a:in": 100}))
    broker.commit(Commit(EntryGuard(entry, "1", None), counters={"a:in": 3, "b:in": 10**15}))

    assert broker.statistics() == {"a:in": 5, "b:in": 10**15}


def test_state_is_staged_with_the_commit(broker):
    """State takes effect with its commit or not at all; None removes a key."""
    entry = taken(broker)
    broker.commit(Commit(EntryGuard(entry, "", "1"), state={"bot": {"x": b"\x00\xff", "y": b""}, "other": {"z": b"1"}}))
    broker.commit(Commit(EntryGuard(entry, "", "2"), state={"bot": {"x": b"never"}}))
    assert broker.state("bot") == {"x": b"\x00\xff", "y": b""}

    broker.commit(Commit(EntryGuard(entry, "1", None), state={"bot": {"x": None, "w": b"new"}, "other": {"z": None}}))
    assert broker.state("bot") == {"y": b"", "w": b"new"}
    assert broker.state("other") == {}


def test_full_queue_refuses_everything(broker):
    """A queue at its limit of events refuses the whole commit, and the work stays as it was."""
    entry = taken(broker)
    limits = {"b": Limit(4, 1000)}
    commit = Commit(
        EntryGuard(entry, "", None), [Output("c", b"x", 1), Output("b", b"x", 3)], limits=limits, counters={"a:in": 1}
    )
    assert collect(broker, "r1", Output("b", b"x", 3), limits=limits) == COMMITTED
    assert collect(broker, "r2", Output("b", b"x", 3), limits=limits) == COMMITTED  # 3 < 4: a whole frame is accepted

    assert broker.commit(commit) == Result(Answer.FULL, "b")

    assert broker.depths(["b", "c"])["b"].events == 6
    assert broker.depths(["c"])["c"].entries == 0
    assert broker.statistics() == {}
    assert [held.id for held in broker.mine(["a"], "one")] == [entry.id]


def test_limit_of_bytes(broker):
    """A queue at its limit of bytes is full, too."""
    limits = {"b": Limit(1000, 10)}
    assert collect(broker, "r1", Output("b", b"0123456789", 1), limits=limits) == COMMITTED

    assert collect(broker, "r2", Output("b", b"x", 1), limits=limits) == Result(Answer.FULL, "b")
    assert broker.position("r2") == ""


def test_full_queue_takes_again_after_it_was_worked_off(broker):
    """Room made by a finished entry can be used."""
    limits = {"a": Limit(3, 1000)}
    entry = taken(broker)
    assert collect(broker, "r2", Output("a", b"x", 1), limits=limits).answer is Answer.FULL

    broker.commit(Commit(EntryGuard(entry, "", None)))

    assert collect(broker, "r2", Output("a", b"x", 1), limits=limits) == COMMITTED


def test_priority_is_exempt_from_limits(broker):
    """Retries go into a full queue."""
    limits = {"a": Limit(1, 1)}
    assert collect(broker, "r1", Output("a", b"x", 1), limits=limits) == COMMITTED
    assert collect(broker, "r2", Output("a", b"x", 1), limits=limits, priority=True) == COMMITTED


def test_full_failed_queue_refuses_everything(broker):
    """A failed queue at its limit refuses the whole commit; nothing is dropped to make room."""
    entry = taken(broker)
    limits = {"bot": Limit(1, 100)}
    letter = Output("bot", b"letter", 1)
    assert broker.commit(Commit(EntryGuard(entry, "", "1"), failed=[letter], failed_limits=limits)) == COMMITTED

    refused = broker.commit(
        Commit(EntryGuard(entry, "1", None), [Output("b", b"x", 1)], [letter], failed_limits=limits, priority=True)
    )

    assert refused == Result(Answer.FAILED_FULL, "bot")
    assert broker.depths(["b"])["b"].entries == 0
    assert broker.failed_depths()["bot"].events == 1


def test_what_stays_failed_is_put_back_into_a_full_failed_queue(broker):
    """Dropping some items of an entry works however full the failed queue is."""
    broker.commit(Commit(TickGuard("bot", "1"), failed=[Output("bot", b"xxxx", 4)]))
    (letter,) = broker.failed("bot", 1)

    dropped = broker.commit(
        Commit(
            FailedGuard("bot", letter.id, 4, 4), failed=[Output("bot", b"xxx", 3)], failed_limits={"bot": Limit(1, 1)}
        )
    )

    assert dropped == COMMITTED
    assert broker.failed_depths()["bot"].events == 3


def test_empty_frames_keep_the_depth(broker):
    """A frame of no items is finished like any other while others wait."""
    collect(broker, "r1", Output("a", b"", 0))
    collect(broker, "r2", Output("a", b"xyz", 2))
    entry = broker.take(["a"], "one", 0)

    assert broker.commit(Commit(EntryGuard(entry, "", None))) == COMMITTED
    assert broker.depths(["a"])["a"] == Depth(2, 3, 1, 0)


def test_thousands_of_outputs_and_counters(broker):
    """No size of a commit breaks it: nothing is unpacked onto Lua's small stack."""
    outputs = [Output("a", json.dumps(number).encode(), 1) for number in range(9000)]
    counters = {f"bot{number}:in": number for number in range(1, 9000)}

    assert collect(broker, "r", *outputs, counters=counters) == COMMITTED

    assert broker.depths(["a"])["a"].events == 9000
    assert broker.statistics() == counters


def test_lost_reply_of_a_commit(proxy, name, broker):
    """A commit whose reply was lost is told as such; sent again it is lost, and its work is there once."""
    behind = RedisBroker(proxy.address, name)
    entry = taken(broker)
    commit = Commit(EntryGuard(entry, "", None), [Output("b", b"x", 3)], counters={"a:in": 3})
    behind.commit(Commit(TickGuard("warm-up", "1")))  # from now on one commit is one request and one reply

    proxy.drop_next = True
    with pytest.raises(BrokerUnavailable):
        behind.commit(commit)

    assert behind.commit(commit) == LOST
    assert behind.mine(["a"], "one") == []
    assert broker.depths(["b"])["b"].events == 3
    assert broker.statistics() == {"a:in": 3}
    behind.close()


def test_script_is_sent_again_when_the_server_forgot_it(broker):
    """A server that was restarted or flushed its scripts gets the text."""
    entry = taken(broker)
    broker._client.call("SCRIPT FLUSH")

    assert broker.commit(Commit(EntryGuard(entry, "", None))) == COMMITTED


def test_a_slot_may_take_the_place_of_one_that_is_named(broker):
    """A last slot that a wrong clock left is replaced once, by whoever names it; nobody else goes back in time."""
    broker.commit(Commit(TickGuard("a", "2038-01-19")))

    assert broker.commit(Commit(TickGuard("a", "2026-11-20", "2037-12-31"))).answer is Answer.LOST
    assert broker.commit(Commit(TickGuard("a", "2026-11-20", "2038-01-19"))).answer is Answer.COMMITTED
    assert broker.commit(Commit(TickGuard("a", "2026-11-20", "2038-01-19"))).answer is Answer.LOST
    assert broker.last_slot("a") == "2026-11-20"
