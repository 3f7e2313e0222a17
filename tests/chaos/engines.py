"""Existing engines that outlive a server: one primary that Sentinels watch, and a cluster."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest
import redis
from campaign import Campaign
from scaling_page import blocks, settings
from server import QueueServer

from cleanbots.errors import BrokerUnavailable

_SAFE = settings("Sentinel") | {"repl-diskless-sync-delay": "0"}
_CLUSTERED = settings("Cluster") | {"cluster-node-timeout": "1000"}
_WATCH = blocks("Sentinel")[1].replace(" 5000", " 700").replace(" 60000", " 2000")
"""As documented, but quicker."""


PROGRAMS = pytest.mark.parametrize("engine", ["newest", "redis-server"], indirect=True)
"""Run with the newest server program that is installed and, in the long form, with Redis."""


def chosen(request: pytest.FixtureRequest, *, long_form: bool) -> Path | None:
    """Give the program that a test asks its engine for: None is the newest."""
    name = getattr(request, "param", "newest")
    if name == "newest":
        return None
    program = shutil.which(name)
    if program is None or not long_form:
        pytest.skip(f"{name} is not installed" if program is None else f"with {name} in the long form only")
    return Path(program)


def reached(campaign: Campaign, share: float) -> Callable[[], bool]:
    """Make a condition: so much of the work is done; not while nobody can tell."""

    def is_reached() -> bool:
        with suppress(BrokerUnavailable):
            return campaign.progress() >= share
        return False

    return is_reached


class Sentinel(QueueServer):
    """One Sentinel; it keeps what it learns in its configuration.

    Args:
        folder: for its configuration and its log.
        program: of the server, which is a Sentinel's too.
        primary: the port of what it watches.
        more: further settings; with a certificate among them it listens for TLS, too.
    """

    def __init__(self, folder: Path, program: Path | None, primary: int, more: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, program)
        folder.mkdir(parents=True)
        self.tls_port = QueueServer(folder, program).port
        listen = {"tls-port": str(self.tls_port)} if more else {}
        lines = [f"{name} {value}" for name, value in {**listen, **(more or {})}.items()]
        self._file = folder / "sentinel.conf"
        self._file.write_text(
            "\n".join(
                [
                    f"port {self.port}",
                    f"dir {folder}",
                    *lines,
                    _WATCH.replace("192.0.2.11 6379", f"127.0.0.1 {primary}"),
                ]
            )
        )

    def command(self) -> list[str]:
        """Give what runs it."""
        return [str(self.program), str(self._file), "--sentinel"]


class Engine:
    """Servers that end together; in its campaigns it stands for the one server.

    Args:
        folder: for their data.
        program: the server program; the newest that is installed if None.
    """

    def __init__(self, folder: Path, program: Path | None = None) -> None:
        self.folder = folder
        self.program = program
        self.nodes: list[QueueServer] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End all."""
        for node in self.nodes:
            node.kill()

    def _start(self) -> None:
        raise NotImplementedError

    def _add(self, node: QueueServer) -> QueueServer:
        self.nodes.append(node)
        node.start()
        return node


class Watched(Engine):
    """Three servers, of which one is the primary, and three Sentinels that watch it."""

    def _start(self) -> None:
        self.servers = [self._add(QueueServer(self.folder / f"server{n}", self.program, _SAFE)) for n in range(3)]
        for replica in self.servers[1:]:
            replica.call("REPLICAOF", "127.0.0.1", self.servers[0].port)
        wait_for(lambda: followers(self.servers[0]) == 2, "two replicas")
        self.sentinels = [
            self._add(Sentinel(self.folder / f"sentinel{n}", self.program, self.servers[0].port)) for n in range(3)
        ]
        wait_for(lambda: all(map(self._knows_all, self.sentinels)), "the Sentinels to know each other and the replicas")

    @property
    def address(self) -> str:
        """What a configuration names as its broker."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{node.port}' for node in self.sentinels)}/main"

    @property
    def primary(self) -> QueueServer:
        """The primary as the first Sentinel sees it."""
        _, port = self.sentinels[0].call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
        return next(node for node in self.servers if node.port == int(port))

    def fail_over(self, fault: Callable[[QueueServer], None]) -> QueueServer:
        """Let the primary fail once it has a replica to lose it to; give it when another one took its place."""
        former = self.primary
        wait_for(lambda: followers(former) > 0, "a replica that could take over")
        fault(former)
        wait_for(lambda: self.primary is not former, "a fail-over")
        return former

    @staticmethod
    def _knows_all(sentinel: QueueServer) -> bool:
        about = sentinel.call("SENTINEL MASTERS")["main"]
        return bool(about["num-other-sentinels"] == about["num-slaves"] == 2)


class Cluster(Engine):
    """Three primaries with a share of the slots each, and a replica for each."""

    def _start(self) -> None:
        for number in range(6):
            node = QueueServer(self.folder / f"node{number}", self.program, {**_SAFE, **_CLUSTERED})
            node.settings["cluster-port"] = str(QueueServer(self.folder, self.program).port)
            self._add(node)
        places = [f"127.0.0.1:{node.port}" for node in self.nodes]
        client = shutil.which("redis-cli") or "valkey-cli"
        create = [client, "--cluster", "create", *places, "--cluster-replicas", "1", "--cluster-yes"]
        subprocess.run(create, check=True, capture_output=True)
        wait_for(lambda: all(map(_settled, self.nodes)), "the cluster")
        wait_for(lambda: sum(map(followers, self.nodes)) == 3, "the replicas")

    @property
    def address(self) -> str:
        """What a configuration names as its broker."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}"

    def graphs(self, count: int) -> list[str]:
        """Give names of graphs that lie on different primaries."""
        found: dict[int, str] = {}
        number = 0
        while len(found) < count:
            found.setdefault(self.owner(f"graph{number}").port, f"graph{number}")
            number += 1
        return list(found.values())

    def owner(self, graph: str) -> QueueServer:
        """Give the primary that has a graph's keys, as the first node that answers says."""
        for node in self.nodes:
            with suppress(redis.ConnectionError):
                return self._owner_by(node, graph)
        raise AssertionError("no node of the cluster answers")

    def _owner_by(self, node: QueueServer, graph: str) -> QueueServer:
        try:
            node.call("EXISTS", f"{{{graph}}}:")
        except redis.exceptions.MovedError as moved:
            return next(other for other in self.nodes if other.port == moved.port)
        return node

    def fail_over(self, graph: str) -> QueueServer:
        """Kill the primary that has a graph's keys once it has a replica; give it when another one took its place."""
        former = self.owner(graph)
        wait_for(lambda: followers(former) > 0, "a replica that could take over")
        former.kill()
        wait_for(lambda: self.owner(graph) is not former, "a take-over")
        return former

    def begin_move(self, graph: str, source: QueueServer, target: QueueServer) -> None:
        """Begin to move a graph's slot, as ``redis-cli --cluster reshard`` does."""
        slot = source.call("CLUSTER KEYSLOT", f"{{{graph}}}:")
        target.call("CLUSTER SETSLOT", slot, "IMPORTING", source.call("CLUSTER MYID"))
        source.call("CLUSTER SETSLOT", slot, "MIGRATING", target.call("CLUSTER MYID"))

    def end_move(self, graph: str, source: QueueServer, target: QueueServer) -> None:
        """Move the keys, and tell the nodes."""
        slot = source.call("CLUSTER KEYSLOT", f"{{{graph}}}:")
        while keys := source.call("CLUSTER GETKEYSINSLOT", slot, 100):
            source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source):
            node.call("CLUSTER SETSLOT", slot, "NODE", target.call("CLUSTER MYID"))


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until *condition* holds; a server that doesn't answer says no."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(redis.RedisError):
            if condition():
                return
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.02)


def followers(server: QueueServer) -> int:
    """Give how many replicas follow a server and have its data."""
    about: dict[str, Any] = server.call("INFO", "replication")
    replicas = (value for key, value in about.items() if key.startswith("slave") and isinstance(value, dict))
    return sum(replica["state"] == "online" for replica in replicas)


def pause(server: QueueServer) -> None:
    """Let a server stand still, as a stalled machine does."""
    if server.process is not None:
        server.process.send_signal(signal.SIGSTOP)


def resume(server: QueueServer) -> None:
    """Let it go on."""
    if server.process is not None:
        server.process.send_signal(signal.SIGCONT)


def _settled(node: QueueServer) -> bool:
    about = node.call("CLUSTER INFO")
    return bool(about["cluster_state"] == "ok" and about["cluster_known_nodes"] == "6")
