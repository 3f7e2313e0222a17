"""The commit protocol against a small model: whatever happens in whatever order, every item is in one place."""

import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace

from conftest import LossyProxy, fresh_name
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cleanbots.broker import EmbeddedServer, RedisBroker
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

QUEUES = ["b", "a"]  # deepest first; a feeds b, b feeds the sink
NEXT = {"a": "b", "b": "sink"}
LIMITS = {"a": Limit(20, 10_000), "b": Limit(10, 60), "sink": Limit(10**6, 10**6)}
FAILED_LIMITS = {"a": Limit(1, 10_000), "b": Limit(100, 5)}
REPORTS = ["r", "s", "t"]
PARTS = 10

PROCESSES = {"one": "main", "two": "b", "clone of one": "b"}
"""Who works, and on which of two hosts; each host has a connection of its own, only the first one's loses replies."""
CONSUMERS = {"one": "one", "two": "two", "clone of one": "one"}
"""Their names on the server: a copy of a host that was started by mistake has the names of the original."""

processes = st.sampled_from(list(PROCESSES))
rarely = st.sampled_from([False, False, False, True])
picks = st.integers(0, 5)


def frame(items: list[int]) -> bytes:
    """Give items as a queue stores them."""
    return json.dumps(items).encode()


@dataclass
class Row:
    """An entry as the model knows it."""

    id: str
    items: list[int]
    mark: str = ""
    holder: str = ""

    @property
    def size(self) -> int:
        return len(frame(self.items))


@dataclass
class Model:
    """What the server must hold."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {"a": [], "b": [], "sink": []})
    failed: dict[str, list[Row]] = field(default_factory=lambda: {"a": [], "b": []})
    ledger: dict[str, str] = field(default_factory=dict)
    slot: str = ""
    cursor: str | None = None
    state: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"a": {}, "b": {}})
    cleared: list[int] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
    made: int = 0

    def is_full(self, rows: list[Row], limit: Limit) -> bool:
        return sum(len(row.items) for row in rows) >= limit.events or sum(row.size for row in rows) >= limit.bytes

    def source(self, guard) -> list[Row]:
        return self.failed[guard.bot] if isinstance(guard, FailedGuard) else self.rows[guard.entry.queue]

    def row(self, guard) -> Row | None:
        wanted = guard.id if isinstance(guard, FailedGuard) else guard.entry.id
        return next((row for row in self.source(guard) if row.id == wanted), None)

    def holds(self, guard) -> bool:
        match guard:
            case EntryGuard():
                row = self.row(guard)
                return row is not None and bool(row.holder) and row.mark == guard.mark
            case ReportGuard():
                return self.ledger.get(guard.report, "") == guard.position
            case TickGuard():
                return guard.slot > self.slot
            case FailedGuard():
                return self.row(guard) is not None

    def expect(self, commit: Commit) -> Result:
        """Say what the server must answer."""
        if not self.holds(commit.guard):
            return Result(Answer.LOST)
        if not commit.priority:
            for output in commit.outputs:
                if self.is_full(self.rows[output.queue], LIMITS[output.queue]):
                    return Result(Answer.FULL, output.queue)
        for output in () if isinstance(commit.guard, FailedGuard) else commit.failed:
            if self.is_full(self.failed[output.queue], FAILED_LIMITS[output.queue]):
                return Result(Answer.FAILED_FULL, output.queue)
        return Result(Answer.COMMITTED)

    def apply(self, commit: Commit) -> None:
        """Do what a commit does; ids of new entries are not known yet."""
        match commit.guard:
            case EntryGuard(then=str(then)):
                self.row(commit.guard).mark = then
            case EntryGuard() | FailedGuard():
                self.source(commit.guard).remove(self.row(commit.guard))
            case ReportGuard():
                self.ledger[commit.guard.report] = commit.guard.then
                self.cursor = commit.guard.cursor
            case TickGuard():
                self.slot = commit.guard.slot
        for output in commit.outputs:
            self.rows[output.queue].append(Row("", json.loads(output.data)))
        for output in commit.failed:
            self.failed[output.queue].append(Row("", json.loads(output.data)))
        for bot, puts in commit.state.items():
            for key, value in puts.items():
                if value is None:
                    self.state[bot].pop(key, None)
                else:
                    self.state[bot][key] = value
        self.counters.update(commit.counters)


class CommitProtocol(RuleBasedStateMachine):
    """Random workers that crash, sleep, wake up, lose replies and take each other's work."""

    server: EmbeddedServer
    proxy: LossyProxy

    def __init__(self) -> None:
        super().__init__()
        self.name = fresh_name()
        self.model = Model()
        self.tickets: list[tuple[str, Entry, str]] = []  # process, entry, the mark it knows; also of the forgotten
        self.sent: list[Commit] = []
        self.broker = RedisBroker(self.proxy.address, self.name)
        self.hosts = {"main": self.broker, "b": RedisBroker(self.server.address, self.name)}
        self.looker = RedisBroker(self.server.address, self.name)
        self.warm_up()

    def teardown(self) -> None:
        for broker in self.hosts.values():
            broker.close()
        self.looker._client.call("FLUSHALL")
        self.looker.close()

    # -- what workers do ---------------------------------------------------------------------------------------------

    def warm_up(self) -> None:
        """Let the server know the script: from now on one commit is one request and one reply."""
        self.broker.commit(Commit(TickGuard("warm-up", "1")))

    def new_items(self, count: int) -> list[int]:
        self.model.made += count
        return list(range(self.model.made - count, self.model.made))

    def commit(self, commit: Commit, lose_reply: bool, host: str = "main") -> Answer | None:
        """Commit and compare with the model; give the answer, or None if it was lost on the way."""
        broker = self.hosts[host]
        lose_reply = lose_reply and host == "main"
        self.sent.append(commit)
        expected = self.model.expect(commit)
        broker.depths([])  # the connection is open, so that the next reply is the commit's
        self.proxy.drop_next = lose_reply
        try:
            answer = broker.commit(commit)
        except BrokerUnavailable:
            assert lose_reply
            answer = None
        else:
            assert answer == expected
        self.proxy.drop_next = False
        if expected.answer is Answer.COMMITTED:
            self.model.apply(commit)
            self.learn_ids()
        return None if answer is None else answer.answer

    def learn_ids(self) -> None:
        """Give the model's new entries the ids of the server's, in order."""
        for rows, stored in zip(self.all_rows(), self.all_stored(), strict=True):
            known = {row.id for row in rows}
            fresh = [entry for entry, _, _ in stored if entry not in known]
            for row in rows:
                if not row.id and fresh:
                    row.id = fresh.pop(0)

    def all_rows(self) -> list[list[Row]]:
        """Give the entries of all queues and failed queues, as the model says."""
        return [*self.model.rows.values(), *self.model.failed.values()]

    def all_stored(self) -> list[list[tuple[str, list[int], int]]]:
        """Give id, items and count of the entries of all queues and failed queues, as the server says."""
        keys = self.looker._keys
        streams = [keys.queue(queue) for queue in self.model.rows] + [keys.failed(bot) for bot in self.model.failed]
        replies = self.looker._client.together(*[("XRANGE", stream, "-", "+") for stream in streams])
        return [
            [(entry.decode(), json.loads(fields[b"d"]), int(fields[b"n"])) for entry, fields in reply]
            for reply in replies
        ]

    def all_marks(self) -> list[dict[str, str]]:
        """Give the marks of the entries of each queue, as the server says; failed queues have none."""
        keys = [self.looker._keys.marks(queue) for queue in self.model.rows]
        hashes = self.looker._client.together(*[("HGETALL", key) for key in keys])
        marks = [{entry.decode(): mark.decode() for entry, mark in fields.items()} for fields in hashes]
        return [*marks, *({} for _ in self.model.failed)]

    def given(self, process: str, entry: Entry) -> None:
        row = next(row for row in self.model.rows[entry.queue] if row.id == entry.id)
        assert (entry.mark, entry.data, entry.count) == (row.mark, frame(row.items), len(row.items))
        row.holder = CONSUMERS[process]
        self.tickets.append((process, entry, entry.mark))

    # -- rules -------------------------------------------------------------------------------------------------------

    @rule(report=st.sampled_from(REPORTS), stale=rarely, count=st.integers(1, 8), lose_reply=rarely)
    def collect(self, report, stale, count, lose_reply):
        """A collector goes on with a report from where it believes to be, rightly or not."""
        position = self.model.ledger.get(report, "")
        stale = stale or position == DONE
        part = 0 if stale else int(position or 0) + 1
        then = DONE if part == PARTS else str(part)
        guard = ReportGuard("collector", report, "0" if stale else position, then, f"{report} {then}")
        output = Output("a", frame(self.new_items(count)), count)
        self.commit(Commit(guard, [output], limits=LIMITS, counters={"collector:out": count}), lose_reply)
        if self.model.ledger.get(report, "") == position:
            self.model.made -= count  # nothing came of them

    @rule(stale=rarely, lose_reply=rarely)
    def tick(self, stale, lose_reply):
        """A time slot makes an event."""
        before = self.model.slot
        slot = before if stale and before else f"{int(before or 0) + 1:06}"
        output = Output("b", frame(self.new_items(1)), 1)
        self.commit(Commit(TickGuard("ticker", slot), [output], limits=LIMITS), lose_reply)
        if self.model.slot == before:
            self.model.made -= 1

    @rule(process=processes)
    def take(self, process):
        """A worker takes an entry: the oldest of the deepest queue that has one."""
        waiting = [(queue, row) for queue in QUEUES for row in self.model.rows[queue] if not row.holder]
        entry = self.hosts[PROCESSES[process]].take(QUEUES, CONSUMERS[process], 0)
        assert (entry and (entry.queue, entry.id)) == ((waiting[0][0], waiting[0][1].id) if waiting else None)
        if entry:
            assert not entry.again
            self.given(process, entry)

    @precondition(lambda self: self.tickets)
    @rule(process=processes)
    def claim(self, process):
        """A worker takes over what another one seems to have forgotten, though it may only be asleep."""
        held = {row.id for queue in QUEUES for row in self.model.rows[queue] if row.holder}
        entry = self.hosts[PROCESSES[process]].claim(QUEUES, CONSUMERS[process], 0)
        assert (entry is not None) == bool(held)
        if entry:
            assert entry.again
            assert entry.id in held
            self.given(process, entry)

    @rule(process=processes)
    def restart(self, process):
        """A worker dies, knows nothing any more, and asks what it held."""
        self.tickets = [ticket for ticket in self.tickets if ticket[0] != process]
        consumer = CONSUMERS[process]
        held = [row.id for queue in QUEUES for row in self.model.rows[queue] if row.holder == consumer]
        mine = self.hosts[PROCESSES[process]].mine(QUEUES, consumer)
        assert [entry.id for entry in mine] == held
        for entry in mine:
            assert entry.again
            self.given(process, entry)

    @precondition(lambda self: self.tickets)
    @rule(pick=picks)
    def say_alive(self, pick):
        """A sign of life tells whether the entry is still one's own."""
        process, entry, _ = self.tickets[pick % len(self.tickets)]
        row = next((row for row in self.model.rows[entry.queue] if row.id == entry.id), None)
        consumer = CONSUMERS[process]
        assert self.hosts[PROCESSES[process]].alive(entry, consumer) == (row is not None and row.holder == consumer)

    @rule(process=processes, pick=picks, count=st.integers(1, 4), fail=st.booleans(), lose_reply=rarely)
    def work(self, process, pick, count, fail, lose_reply):
        """A worker, perhaps long forgotten, commits a slice: hands it on, or its first item to failed."""
        self.commit_slice(process, pick, count, fail, lose_reply)

    @rule(process=processes, pick=picks, lose_reply=rarely)
    def finish(self, process, pick, lose_reply):
        """A worker, perhaps long forgotten, commits all the rest."""
        self.commit_slice(process, pick, 8, False, lose_reply)

    def commit_slice(self, process: str, pick: int, count: int, fail: bool, lose_reply: bool) -> None:
        if not self.tickets:
            self.take(process)
        if not self.tickets:
            return
        at = len(self.tickets) - 1 - pick % len(self.tickets)  # the last ones are the most probable
        process, entry, mark = self.tickets[at]
        begin = int(mark or 0)
        items = json.loads(entry.data)[begin : begin + count]
        end = begin + len(items)
        then = None if end == entry.count else str(end)
        failed, passed = (items[:1], items[1:]) if fail else ([], items)
        commit = Commit(
            EntryGuard(entry, mark, then),
            [Output(NEXT[entry.queue], frame(passed), len(passed))] if passed else [],
            [Output(entry.queue, frame(failed), len(failed))] if failed else [],
            LIMITS,
            FAILED_LIMITS,
            {f"{entry.queue}:in": len(items), f"{entry.queue}:failed": len(failed)},
            {entry.queue: {"last": f"{entry.id} {end}".encode(), "odd": b"yes" if end % 2 else None}},
        )
        answer = self.commit(commit, lose_reply, PROCESSES[process])
        if answer is Answer.LOST or (answer is Answer.COMMITTED and then is None):
            del self.tickets[at]
        elif answer is Answer.COMMITTED:
            self.tickets[at] = (process, entry, then)

    @precondition(lambda self: self.sent)
    @rule(pick=picks, lose_reply=rarely)
    def send_again(self, pick, lose_reply):
        """A commit is sent a second time, at any later moment, unless its work was never done at all."""
        commit = self.sent[-1 - pick % len(self.sent)]
        if isinstance(commit.guard, ReportGuard | TickGuard) and self.model.holds(commit.guard):
            return  # its items' numbers may have been given to others
        self.commit(commit, lose_reply)

    @precondition(lambda self: any(self.model.failed.values()))
    @rule(keep=st.booleans(), lose_reply=rarely)
    def retry(self, keep, lose_reply):
        """An operator hands a failed entry back, all of it or all but one item."""
        bot = next(bot for bot, rows in self.model.failed.items() if rows)
        (letter,) = self.looker.failed(bot, 1)
        items = json.loads(letter.data)
        stay = items[:1] if keep else []
        back = items[len(stay) :]
        commit = Commit(
            FailedGuard(bot, letter.id, letter.count, len(letter.data)),
            [Output(bot, frame(back), len(back))] if back else [],
            [],
            LIMITS,
            priority=True,
        )
        if stay:
            commit = replace(commit, failed=[Output(bot, frame(stay), 1)])
        self.commit(commit, lose_reply)

    @rule(what=st.sampled_from(["nothing", "nothing", "a", "b", "kill"]))
    def misfortune(self, what):
        """An operator clears a queue, or the server is killed and comes back."""
        if what in QUEUES:
            self.clear(what)
        elif what == "kill":
            self.kill_server()

    def clear(self, queue: str) -> None:
        rows = self.model.rows[queue]
        waiting = [row for row in rows if not row.holder]
        assert self.broker.clear(queue) == sum(len(row.items) for row in waiting)
        self.model.cleared += [item for row in waiting for item in row.items]
        self.model.rows[queue] = [row for row in rows if row.holder]

    def kill_server(self) -> None:
        self.server._process.kill()
        self.server._process.wait()
        self.server.start()
        for broker in (*self.hosts.values(), self.looker):
            with contextlib.suppress(BrokerUnavailable):
                broker.depths([])
        self.warm_up()

    # -- invariants --------------------------------------------------------------------------------------------------

    @invariant()
    def every_item_is_in_one_place(self):
        """Queued, held, delivered, failed or cleared: nothing is lost, nothing is doubled, all is as the model says."""
        stored, marks = self.all_stored(), self.all_marks()
        places = [
            item
            for entries, its_marks in zip(stored, marks, strict=True)
            for entry, items, _ in entries
            for item in items[int(its_marks.get(entry, 0)) :]
        ]
        assert sorted(places + self.model.cleared) == list(range(self.model.made))
        assert stored == [[(row.id, row.items, len(row.items)) for row in rows] for rows in self.all_rows()]
        assert marks == [{row.id: row.mark for row in rows if row.mark} for rows in self.all_rows()]

    @invariant()
    def books_are_right(self):
        """Depths, ledger, slots, counters and `drained` say what is there."""
        assert self.looker.depths(list(self.model.rows)) == {
            queue: Depth(
                sum(len(row.items) for row in rows),
                sum(row.size for row in rows),
                len(rows),
                sum(bool(row.holder) for row in rows),
            )
            for queue, rows in self.model.rows.items()
        }
        assert self.looker.failed_depths() == {
            bot: Depth(sum(len(row.items) for row in rows), sum(row.size for row in rows), len(rows), 0)
            for bot, rows in self.model.failed.items()
            if rows
        }
        for report in REPORTS:
            assert self.looker.position(report) == self.model.ledger.get(report, "")
        assert self.looker.last_slot("ticker") == self.model.slot
        assert self.looker.cursor("collector") == self.model.cursor
        assert {bot: self.looker.state(bot) for bot in self.model.state} == self.model.state
        assert self.looker.queues() == sorted(queue for queue, rows in self.model.rows.items() if rows)
        assert self.looker.statistics() == {name: number for name, number in self.model.counters.items() if number}
        assert self.looker.drained(QUEUES) == (not any(self.model.rows[queue] for queue in QUEUES))


def test_commit_protocol(start_server, tmp_path, long_form):
    """Crashes, claims, zombies, lost replies, full queues and a killed server leave every item in exactly one place."""
    CommitProtocol.server = start_server({})
    CommitProtocol.proxy = LossyProxy(tmp_path / "proxy.sock", CommitProtocol.server.socket)
    run_state_machine_as_test(
        CommitProtocol,
        settings=settings(
            max_examples=1000 if long_form else 80,
            stateful_step_count=50,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    CommitProtocol.proxy.close()
