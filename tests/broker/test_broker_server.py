"""What is checked about a server, and what is said when it is away or refuses."""

import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from cleanbots.broker import RedisBroker, connect
from cleanbots.broker.address import without_password
from cleanbots.broker.protocol import DONE, Answer, Commit, Depth, EntryGuard, Output, ReportGuard
from cleanbots.errors import BrokerRefused, BrokerUnavailable

BIG = b"x" * 100_000


def test_private_server_is_fit(broker):
    """The private server needs no warning."""
    assert broker.check() == []


def test_evicting_server_is_refused(start_server):
    """A server that deletes keys when memory runs out is refused, with the remedy."""
    broker = RedisBroker(start_server({"maxmemory-policy": "allkeys-lru"}).address, "g")

    with pytest.raises(BrokerRefused, match=r"allkeys-lru.*set 'maxmemory-policy noeviction'"):
        broker.check()
    broker.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"appendonly": "no"}, "no append-only file"),
        ({"appendfsync": "everysec"}, "once a second"),
        ({"appendfsync": "no"}, "leaves it to the system"),
        ({"no-appendfsync-on-rewrite": "yes"}, "while it rewrites"),
    ],
)
def test_weak_persistence_is_warned_of(start_server, settings, words):
    """Each setting that may lose commits is named with its remedy."""
    broker = RedisBroker(start_server(settings).address, "g")

    (warning,) = broker.check()

    assert words in warning
    assert "set '" in warning
    broker.close()


def test_settings_that_may_not_be_read_are_warned_of(start_server):
    """A user without CONFIG can work; what can't be checked is said."""
    server = start_server({})
    admin = RedisBroker(server.address, "g")
    rules = "~{g}:* +@read +@write +@scripting +@connection +@transaction -@dangerous +info +time"
    admin._client.call("ACL SETUSER", "worker", "on", ">secret", *rules.split())
    broker = RedisBroker(f"unix://worker:secret@{server.socket}", "g")

    warnings = broker.check()

    assert any("+config|get" in warning for warning in warnings)
    assert broker.commit(Commit(ReportGuard("c", "r", "", DONE), [Output("a", b"x", 1)])).answer is Answer.COMMITTED
    assert broker.take(["a"], "one", 0).data == b"x"
    assert broker.claim_keys("dedup", [b"x"], ["r"], 60) == ["r"]
    broker.close()
    admin.close()


def test_wrong_password_is_refused(start_server):
    """A wrong password does not wait for better times, and is not shown."""
    server = start_server({})
    admin = RedisBroker(server.address, "g")
    admin._client.call("CONFIG SET", "requirepass", "right")
    broker = RedisBroker(f"unix://:swordfish@{server.socket}", "g")

    with pytest.raises(BrokerRefused, match="refuses us") as caught:
        broker.check()

    assert "swordfish" not in str(caught.value)
    broker.close()
    admin.close()


def test_missing_rights_are_refused(start_server):
    """A user who may not do what the scripts do is told to look at its rights."""
    server = start_server({})
    admin = RedisBroker(server.address, "g")
    admin._client.call("ACL SETUSER", "worker", "on", ">secret", "~{g}:*", "+@connection", "+@scripting", "+info")
    broker = RedisBroker(f"unix://worker:secret@{server.socket}", "g")

    with pytest.raises(BrokerRefused, match="look at user, password and rights"):
        broker.take(["a"], "one", 0)
    broker.close()
    admin.close()


def test_foreign_key_is_refused(broker):
    """A key of another type where a queue should be is told; waiting would not help."""
    broker._client.call("SET", broker._keys.queue("a"), "something")

    with pytest.raises(BrokerRefused, match="others write to its keys"):
        broker.take(["a"], "one", 0)


@pytest.mark.parametrize("address", ["unix:///nowhere/at/all.sock", "redis://127.0.0.1:1/0"])
def test_absent_server_is_waited_for(address):
    """A server that isn't there is the world's fault; the sentence says where and what to look at."""
    broker = connect(address, "g")

    with pytest.raises(BrokerUnavailable, match="can't be reached") as caught:
        broker.take(["a"], "one", 1)

    assert without_password(address) in str(caught.value)
    broker.close()


@pytest.mark.parametrize("address", ["http://example.org/", "nonsense", "redis://host:notaport/0"])
def test_unusable_address_is_refused(address):
    """An address of another kind is refused at once."""
    with pytest.raises(BrokerRefused, match="use embedded, redis://"):
        connect(address, "g")


def test_embedded_needs_a_folder():
    """The private server's data must lie somewhere."""
    with pytest.raises(BrokerRefused, match="state directory"):
        connect("embedded", "g")


def test_password_is_not_shown():
    """An address is shown without user, password and options."""
    assert without_password("rediss://me:secret@192.0.2.7:6380/2?password=x") == "rediss://192.0.2.7:6380/2"


def test_server_that_went_away_and_came_back(start_server):
    """While the server is away every call says so; afterwards all goes on where it was."""
    server = start_server({})
    broker = RedisBroker(server.address, "g")
    broker.commit(Commit(ReportGuard("c", "r", "", DONE), [Output("a", b"x", 1)]))
    held = broker.take(["a"], "one", 0)

    server._process.kill()
    server._process.wait()
    with pytest.raises(BrokerUnavailable):
        broker.commit(Commit(EntryGuard(held, "", None)))
    server.start()

    assert [entry.id for entry in broker.mine(["a"], "one")] == [held.id]
    assert broker.commit(Commit(EntryGuard(held, "", None))).answer is Answer.COMMITTED
    broker.close()


def test_a_restart_between_two_calls_is_told(start_server):
    """A server that came back while nobody asked it anything may have lost something: the next call says so, once."""
    server = start_server({})
    broker = RedisBroker(server.address, "g")
    broker.commit(Commit(ReportGuard("c", "r", "", DONE)))
    server._process.kill()
    server._process.wait()
    server.start()

    with pytest.raises(BrokerUnavailable, match="can't be reached"):
        broker.position("r")
    assert broker.position("r") == DONE
    broker.close()


def test_full_memory_can_be_drained(start_server):
    """At the memory limit new reports wait, and what is queued drains through every hop, slice by slice."""
    server = start_server({})
    broker = RedisBroker(server.address, "g")
    for number in range(20):
        broker.commit(Commit(ReportGuard("c", f"r{number}", "", DONE), [Output("a", BIG, 10)]))
    used = broker._client.call("INFO", "memory")["used_memory"]
    broker._client.call("CONFIG SET", "maxmemory", used - len(BIG))

    with pytest.raises(BrokerUnavailable, match="memory limit"):
        broker.commit(Commit(ReportGuard("c", "late", "", DONE), [Output("a", BIG, 10)]))
    assert broker.position("late") == ""
    assert broker.position("r1") == DONE

    newcomer = RedisBroker(server.address, "g")
    while entry := newcomer.take(["b", "a"], "one", 0):
        newcomer.claim_keys("dedup", [entry.id.encode()], [entry.id], 60)
        out = [Output("b", BIG[:50_000], 5)] if entry.queue == "a" else []
        half = newcomer.commit(Commit(EntryGuard(entry, "", "5"), out, counters={"in": 5}, state={"s": {"k": b"v"}}))
        rest = newcomer.commit(Commit(EntryGuard(entry, "5", None), out, counters={"in": 5}))
        assert (half.answer, rest.answer) == (Answer.COMMITTED, Answer.COMMITTED)

    assert newcomer.take(["never", "a"], "one", 0.01) is None
    assert broker.drained(["a", "b"])
    assert broker.depths(["a", "b"]) == {"a": Depth(0, 0, 0, 0), "b": Depth(0, 0, 0, 0)}
    assert broker.commit(Commit(ReportGuard("c", "late", "", DONE))).answer is Answer.COMMITTED
    newcomer.close()
    broker.close()


def test_emptied_server_is_told_while_waiting(broker):
    """A queue that vanished under a waiting consumer is made again; what is put then is found."""
    assert broker.take(["a"], "one", 0.01) is None
    broker._client.call("DEL", broker._keys.queue("a"))
    assert broker.take(["a"], "one", 0.01) is None

    broker.commit(Commit(ReportGuard("c", "r", "", DONE), [Output("a", b"x", 1)]))
    assert broker.take(["a"], "one", 0).data == b"x"


def test_durable_at_once_under_always(broker):
    """With every write synced there is nothing to wait for."""
    broker.commit(Commit(ReportGuard("c", "r", "", DONE)))

    assert broker.durable(0)


def test_durable_under_everysec(start_server):
    """With one sync a second a commit is durable only after a while, and a restart of the server is told."""
    server = start_server({"appendfsync": "everysec"})
    broker = RedisBroker(server.address, "g")
    broker.commit(Commit(ReportGuard("c", "r", "", DONE)))
    assert not broker.durable(0.1)
    assert broker.durable(10)

    server._process.kill()
    server._process.wait()
    server.start()
    with pytest.raises(BrokerUnavailable):  # the broken connection, or the restart itself
        broker.durable(10)
    broker.close()


def test_durable_without_append_only_file(start_server):
    """A server that keeps nothing has nothing to wait for; `check` has warned of it."""
    broker = RedisBroker(start_server({"appendonly": "no"}).address, "g")

    assert broker.durable(0)
    broker.close()


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("redis_version:6.2.14", r"is Redis 6\.2\.14; it must be at least Redis 7\.0"),
        ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:7.2.8", r"is Valkey 7\.2\.8; .* or Valkey 8\.0"),
    ],
)
def test_old_servers_are_refused(tmp_path, version, words):
    """A server that is too old for the scripts is refused with the version that would do."""
    with stand_in(tmp_path / "old.sock", f"{version}\r\nrole:master\r\n") as address:
        broker = RedisBroker(address, "g")
        with pytest.raises(BrokerRefused, match=words):
            broker.check()
        broker.close()


@contextmanager
def stand_in(path, info):
    """Answer like a server of another version: INFO with *info*, anything else with OK."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve():
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client:
                    while request := client.recv(65536):
                        body = info.encode()
                        client.sendall(
                            b"$%d\r\n%s\r\n" % (len(body), body)
                            if b"INFO\r\n" in request
                            else b"+OK\r\n" * request.count(b"*")
                        )

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_waitaof_is_not_trusted(start_server):
    """Durability under 'everysec' is looked up, not asked for: some servers answer WAITAOF before it is true."""
    server = start_server({"appendfsync": "everysec"})
    broker = RedisBroker(server.address, "g")
    broker.commit(Commit(ReportGuard("c", "r", "", DONE)))
    assert broker.durable(10)

    assert "cmdstat_waitaof" not in broker._client.call("INFO", "commandstats")
    broker.close()
