"""The promise under fail-overs of Sentinel: a primary that dies or stands still costs time, and nothing else."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from campaign import Campaign
from engines import PROGRAMS, Sentinel, Watched, chosen, followers, pause, reached, resume, wait_for
from server import QueueServer

from cleanbots.broker import connect
from cleanbots.broker.protocol import DONE, Answer, Commit, ReportGuard
from cleanbots.errors import BrokerRefused, BrokerUnavailable

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path, long_form: bool) -> Iterator[Watched]:
    """Three servers and three Sentinels."""
    with Watched(tmp_path / "engine", chosen(request, long_form=long_form)) as watched:
        yield watched


@PROGRAMS
def test_failovers_under_load(
    engine: Watched, make_campaign: Callable[..., Campaign], long_form: bool, until: Callable[..., None]
) -> None:
    """Whatever the primary had not yet handed to a replica is collected or worked off again: 0 lost, 0 doubled."""
    rounds, rows = (10, 100_000) if long_form else (1, 3_000)
    campaign = make_campaign(engine, 3)
    campaign.feed(rows, files=2 * rounds)
    campaign.up()
    for number in range(rounds):
        until(reached(campaign, (number + 0.5) / (rounds + 0.5)), "some of the work to be done", 600.0)
        if number % 3 == 2:
            resume(engine.fail_over(pause))
        else:
            engine.fail_over(QueueServer.kill).start()
    campaign.drain()
    counts = campaign.account()
    print(f"{rounds} fail-overs", counts)  # noqa: T201


def test_sources_are_told_only_of_what_a_replica_has(engine: Watched) -> None:
    """Nothing is durable without a replica, nor if another server took over since: that one may not have it."""
    broker = connect(engine.address, "g")
    broker.commit(Commit(ReportGuard("c", "first", "", DONE)))
    assert broker.durable(10.0)

    former = engine.fail_over(QueueServer.kill)
    with pytest.raises(BrokerUnavailable):  # the broken connection, or the new primary
        broker.durable(10.0)
    broker.close()

    broker = connect(engine.address, "g")
    assert broker.position("first") == DONE
    (other,) = {*engine.servers} - {former, engine.primary}
    wait_for(lambda: followers(engine.primary) == 1, "the other replica")
    broker.commit(Commit(ReportGuard("c", "second", "", DONE)))
    pause(other)
    broker.commit(Commit(ReportGuard("c", "third", "", DONE)))
    assert not broker.durable(0.2)
    resume(other)
    assert broker.durable(10.0)
    broker.close()


def test_missing_safety_is_warned_of(engine: Watched) -> None:
    """A primary that would take writes without a replica, or count on a silent one, is told with the remedy."""
    broker = connect(engine.address, "g")
    assert broker.check() == []

    engine.primary.call("CONFIG", "SET", "min-replicas-to-write", "0", "min-replicas-max-lag", "60")

    writes, lag = broker.check()
    assert "set 'min-replicas-to-write 1'" in writes
    assert "set 'min-replicas-max-lag 10'" in lag
    broker.close()


def test_a_former_primary_is_not_worked_with(engine: Watched) -> None:
    """What the Sentinels say may be old: a server that is a replica by now is left at once."""
    for sentinel in engine.sentinels:
        pause(sentinel)
    former, other, _ = engine.servers
    other.call("REPLICAOF", "NO", "ONE")
    former.call("REPLICAOF", "127.0.0.1", other.port)
    resume(engine.sentinels[0])
    broker = connect(engine.address, "g")

    with pytest.raises(BrokerUnavailable, match="is a replica and takes no writes"):
        broker.position("any")
    broker.close()


def test_passwords_of_servers_and_sentinels(engine: Watched) -> None:
    """Servers and Sentinels have users of their own; the documented rights are enough, and a wrong password is told."""
    rights = re.search(r"~\{g\}:\* (.*)", (DOCS / "queues.md").read_text("utf-8"))
    assert rights is not None
    for server in engine.servers:
        server.call("ACL", "SETUSER", "worker", "on", ">one", "~{g}:*", *rights[1].split())
    for sentinel in engine.sentinels:
        sentinel.call("ACL", "SETUSER", "ops", "on", ">two", "+sentinel|get-master-addr-by-name", "+@connection")
        sentinel.call("ACL", "SETUSER", "default", "-@all", "+ping")
    address = engine.address.replace("://", "://worker:one@") + "?sentinel_username=ops&sentinel_password="

    broker = connect(f"{address}two", "g")
    assert broker.check() == []
    assert broker.commit(Commit(ReportGuard("c", "r", "", DONE))).answer is Answer.COMMITTED
    assert broker.durable(10.0)
    broker.close()

    for wrong in (f"{address}three", f"{address}two".replace("one", "four")):
        broker = connect(wrong, "g")
        with pytest.raises(BrokerRefused, match="look at user, password and rights") as caught:
            broker.position("r")
        assert not {"one", "two", "three", "four"} & set(re.findall(r"\w+", str(caught.value)))
        broker.close()


def test_servers_and_sentinels_with_tls(tmp_path: Path) -> None:
    """``rediss+sentinel://`` speaks TLS to the Sentinels and to the primary, and checks their certificates."""
    redis, openssl = shutil.which("redis-server"), shutil.which("openssl")
    if redis is None or openssl is None:
        pytest.skip("a Redis with TLS and openssl are needed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2")
    names = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate))
    subprocess.run([openssl, *made, *names], check=True, capture_output=True)
    tls = {
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(certificate),
        "tls-auth-clients": "no",
        "tls-replication": "yes",
    }
    server = QueueServer(tmp_path / "server", Path(redis), tls)
    server.settings["tls-port"] = str(QueueServer(tmp_path, Path(redis)).port)
    sentinel = Sentinel(tmp_path / "sentinel", Path(redis), int(server.settings["tls-port"]), tls)
    address = f"rediss+sentinel://127.0.0.1:{sentinel.tls_port}/main"
    try:
        server.start()
        sentinel.start()
        broker = connect(f"{address}?ssl_ca_certs={certificate}", "g")
        assert broker.position("r") == ""
        broker.close()
        broker = connect(address, "g")
        with pytest.raises(BrokerUnavailable, match=r"nobody knows the primary: .*certificate verify failed"):
            broker.position("r")
        broker.close()
    finally:
        sentinel.kill()
        server.kill()
