"""The promise on a cluster: each graph lies on one primary, and survives that another one takes its place."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from campaign import Campaign
from engines import PROGRAMS, Cluster, chosen, reached

import cleanbots.broker
from cleanbots.broker import RedisBroker, connect
from cleanbots.broker.client import Client
from cleanbots.broker.protocol import (
    DONE,
    Answer,
    Commit,
    EntryGuard,
    FailedGuard,
    Output,
    ReportGuard,
    TickGuard,
)
from cleanbots.errors import BrokerUnavailable


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path, long_form: bool) -> Iterator[Cluster]:
    """Three primaries with a replica each."""
    with Cluster(tmp_path / "engine", chosen(request, long_form=long_form)) as cluster:
        yield cluster


@PROGRAMS
def test_takeovers_under_load(
    engine: Cluster, make_campaign: Callable[..., Campaign], long_form: bool, until: Callable[..., None]
) -> None:
    """Primaries are killed and taken over one after the other; each graph accounts for every row."""
    rounds, rows, graphs = (6, 30_000, 3) if long_form else (1, 3_000, 1)
    campaigns = {name: make_campaign(engine, 5, name=name) for name in engine.graphs(graphs)}
    for campaign in campaigns.values():
        campaign.feed(rows, files=2 * rounds)
        campaign.up()
    for number in range(rounds):
        name = list(campaigns)[number % graphs]
        until(reached(campaigns[name], (number + 0.5) / (rounds + 0.5)), "some of the work to be done", 600.0)
        engine.fail_over(name).start()
    for name, campaign in campaigns.items():
        campaign.drain()
        print(name, campaign.account())  # noqa: T201


@PROGRAMS
def test_a_graph_can_be_moved_to_another_node(engine: Cluster) -> None:
    """While its keys move, commits wait; afterwards it goes on there with what it held."""
    broker = connect(engine.address, "g")
    broker.commit(Commit(ReportGuard("c", "r", "", DONE), [Output("a", b"x", 1)]))
    held = broker.take(["a"], "one", 0.0)
    assert held is not None
    assert broker.claim_keys("dedup", [b"old"], ["r"], 60.0) == ["r"]
    former = engine.owner("g")
    other = next(owner for owner in map(engine.owner, engine.graphs(3)) if owner is not former)

    engine.begin_move("g", former, other)
    with pytest.raises(BrokerUnavailable, match="is moving the graph's keys"):
        broker.commit(Commit(EntryGuard(held, "", None), [Output("b", b"y", 1)]))
    connected = connect(engine.address, "g")
    assert connected.position("r") == DONE
    engine.end_move("g", former, other)
    with pytest.raises(BrokerUnavailable, match="does not own"):
        connected.position("r")

    assert connected.position("r") == DONE
    assert broker.mine(["a"], "one")[0].id == held.id
    assert broker.commit(Commit(EntryGuard(held, "", None), [Output("b", b"y", 1)])).answer is Answer.COMMITTED
    assert broker.claim_keys("dedup", [b"new"], ["r"], 60.0) == ["r"]
    assert engine.owner("g") is other
    connected.close()
    broker.close()


def test_all_keys_of_a_graph_have_its_hash_tag(
    engine: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key that a script is given, and each that lies in the cluster afterwards, carries the graph's name as tag."""
    scripts: dict[str, list[str]] = {}
    run = Client.run

    def spying(client: Client, name: str, keys: list[str], arguments: list[object]) -> object:
        scripts.setdefault(name, []).extend(keys)
        return run(client, name, keys, arguments)

    monkeypatch.setattr(Client, "run", spying)
    broker = RedisBroker(engine.address, "g", tmp_path, seen_limit=1)
    _do_everything(broker)
    broker.close()

    assert set(scripts) == {path.stem for path in Path(cleanbots.broker.__file__).parent.glob("*.lua")}
    assert [key for keys in scripts.values() for key in keys if not key.startswith("{g}:")] == []
    lying = [key for node in engine.nodes for key in node.call("KEYS", "*")]
    assert len(lying) > 10
    assert [key for key in lying if not key.startswith(b"{g}:")] == []


def _do_everything(broker: RedisBroker) -> None:
    assert broker.check() == []
    broker.adopt()
    both = [Output("a", b"x", 1), Output("b", b"x", 1)]
    state = {"bot": {"key": b"value"}}
    first = Commit(ReportGuard("c", "r", "", DONE, "cursor"), both, both, counters={"c:in": 1}, state=state)
    assert broker.commit(first).answer is Answer.COMMITTED
    assert broker.commit(Commit(TickGuard("a", "2026-01-01"))).answer is Answer.COMMITTED
    (failed,) = broker.failed("a", 10)
    assert broker.commit(Commit(FailedGuard("a", failed.id, 1, 1))).answer is Answer.COMMITTED
    entry = broker.take(["a"], "one", 1.0)
    assert entry is not None
    assert broker.alive(entry, "one")
    assert broker.commit(Commit(EntryGuard(entry, "", "half"))).answer is Answer.COMMITTED
    assert broker.mine(["a"], "one") == [broker.claim(["a"], "two", 0.0)]
    for number in range(3):
        broker.claim_keys("dedup", [b"%d" % number], ["r"], 60.0)
    assert broker.position("r") == DONE
    assert broker.witness("store", 5) == 0
    assert broker.forget_reports(datetime.now(UTC)) == 0
    assert broker.clear("b") == 1
    broker.depths(["a", "b"])
    broker.failed_depths()
    broker.take(["a", "b", "new"], "one", 0.01)
    assert broker.durable(10.0)
