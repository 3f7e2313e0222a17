"""The campaign: the real graph, run by real processes under supervisor, against a queue server of its own.

How a test uses it::

    def test_something(campaign: Campaign) -> None:   # the fixture: a started server, a folder, the seed
        campaign.feed(rows=2_000, killers=2)          # known rows into the collector's inbox; may be said again
        campaign.up()                                 # cleanbots up, on each host
        campaign.inject(plan(seed, {"kill": 8, "freeze": 2}))   # faults by seed, spread over the work
        campaign.drain()                              # until all that was fed is collected, and no queue holds anything
        counts = campaign.account()                   # cleanbots down, then accounts.py: raises unless all is in one place

``campaign.server`` is the `QueueServer` (kill, start, stop, empty, call); ``campaign.settings`` go into the
configuration (``lease``, ``hosts``, …), ``campaign.bots`` into its bots; ``campaign.configure()`` writes the files anew, and
``campaign.command("reload")`` runs any command of cleanbots on a host. ``campaign.processes()`` lists what runs, by role.

The graph: ``inbox → parse → deadly → dedup → route → all, members → record, rest``. ``parse``, ``deadly``, ``dedup`` and ``record`` have
several instances; ``route`` sends to two bots, and drops. Which row must end where, stands in ``accounts.py``.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from faults import Fault, Injector
from feed import write_rows
from processes import Process, find, signalled
from server import QueueServer

from cleanbots.broker import RedisBroker, connect
from cleanbots.errors import BrokerUnavailable

HERE = Path(__file__).parent
CLEANBOTS = Path(sys.executable).with_name("cleanbots")
COLUMNS = {
    "serial": "extra.serial",
    "time": "time.source",
    "address": "source.ip",
    "label": "tlp",
    "kill": "extra.kill",
    "drop": "extra.drop",
}


class Campaign:
    """One run.

    Args:
        folder: of everything; each host has its own below.
        server: the queue server, started.
        seed: of the rows, and of nothing else.
        address: how the workers reach the server, if not directly.
        hosts: their names; the first one collects and writes.
        slice_: how many items a worker takes through at once.
        instances: of the bots that have several, on each host; ``deadly`` has one more.
        name: of the graph.
    """

    def __init__(
        self,
        folder: Path,
        server: QueueServer,
        seed: int,
        address: str = "",
        hosts: tuple[str, ...] = ("main",),
        slice_: int = 500,
        instances: int = 2,
        name: str = "chaos",
    ) -> None:
        self.folder = folder
        self.server = server
        self.hosts = hosts
        self.chance = random.Random(seed)
        self.fed = 0
        self.environments: dict[str, dict[str, str]] = {}
        """Host to the environment of its commands, and so of its processes; the own one unless set."""
        self._files = 0
        self.settings: dict[str, Any] = {
            "name": name,
            "state": "state",
            "broker": address or server.address,
            "hosts": list(hosts),
            "lease": "2s",
            "memory": "1GiB",
            "plugins": [str(HERE / "site")],
            "members": "members.yaml",
            "defaults": {"time_limit": "20s", "slice": slice_},
            "delivery": dict(DELIVERY),
        }
        self.bots: dict[str, dict[str, Any]] = _bots(folder, hosts, instances)
        self.broker: RedisBroker = connect(server.address, name)
        for part in ("inputs", "inbox"):
            (folder / part).mkdir()

    # -- configuration and commands

    def configure(self) -> None:
        """Write the configuration of each host."""
        for host in self.hosts:
            base = self.folder / host
            base.mkdir(exist_ok=True)
            (base / "members.yaml").write_text(json.dumps({"members": [_member(n) for n in range(4)]}))
            (base / "cleanbots.yaml").write_text(json.dumps({**self.settings, "bots": self.bots}, indent=1))

    def command(self, *words: str, host: str = "", code: int = 0) -> str:
        """Run a command of cleanbots on a host; give what it printed."""
        where = self.folder / (host or self.hosts[0])
        done = subprocess.run(
            [CLEANBOTS, *words],
            cwd=where,
            env=self.environments.get(where.name),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == code, f"cleanbots {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def up(self, *hosts: str) -> None:
        """Write the configuration, and start or complete these hosts (all if none is named)."""
        self.configure()
        for host in hosts or self.hosts:
            self.command("up", "--host", host, host=host)

    def down(self, *hosts: str) -> None:
        """Stop these hosts (all if none is named) in order."""
        for host in hosts or self.hosts:
            self.command("down", host=host)

    def processes(self, *roles: str) -> list[Process]:
        """Give what runs of these roles (all if none is named), see `processes.Process`."""
        return find(self.folder, set(roles))

    def restart_machine(self) -> None:
        """Kill everything at once, the server too, and start it again, as a loss of power and a boot do."""
        for process in self.processes():
            signalled(process.pid, signal.SIGKILL)
        self.server.kill()
        self.start_server()
        self.up()

    def start_server(self) -> None:
        """Start the queue server on what it left; our own connection, which ended with the server, is told of that here."""
        self.server.start()
        with suppress(BrokerUnavailable):
            self.broker.statistics()

    # -- feeding, faults, draining

    def feed(self, rows: int, killers: int = 0, files: int = 1) -> None:
        """Put new rows into the inbox, whole files at once."""
        for number in range(files):
            name = f"{self._files:04}.csv"
            count = rows * (number + 1) // files - rows * number // files
            deadly = killers * (number + 1) // files - killers * number // files
            write_rows(self.folder / "inputs" / name, self.fed, count, deadly, self.chance)
            self.fed += count
            self._files += 1
            part = self.folder / "inbox" / f"{name}.part"
            part.write_bytes((self.folder / "inputs" / name).read_bytes())
            part.rename(part.with_suffix(""))

    def progress(self) -> float:
        """Give how much of what was fed is worked off, roughly, from 0 to 1."""
        counters = self.broker.statistics()
        done = sum(counters.get(f"{bot}:in", 0) for bot in ("parse", "route", "all"))
        return done / max(1, 3 * self.fed)

    def inject(self, plan: Iterable[Fault]) -> dict[str, int]:
        """Inject faults, each when its share of the work is done (see `faults`); give how many of each kind hit."""
        return Injector(self).run(plan)

    def collected(self) -> bool:
        """Tell whether the collector has worked off everything that was fed."""
        return self.broker.statistics().get("inbox:reports", 0) >= self._files

    def drained(self) -> bool:
        """Tell whether everything is collected and, in one atomic look, nothing waits and nothing is held."""
        return self.collected() and self.broker.drained(list(self.bots))

    def drain(self, seconds: float = 120.0) -> None:
        """Wait until everything that was fed is worked off; errors as for `wait`."""
        self.wait(self.drained, seconds)

    def reach(self, share: float, seconds: float = 120.0) -> None:
        """Wait until *share* (0 to 1) of what was fed is worked off; errors as for `wait`."""
        self.wait(lambda: self.progress() >= share or self.drained(), seconds)

    def wait(self, until: Callable[[], object], seconds: float = 120.0) -> None:
        """Wait for something that the work brings about.

        Raises:
            AssertionError: if nothing moves for *seconds*; says what still lies where.
        """
        last: dict[str, int] | None = None
        deadline = time.monotonic() + seconds
        while True:
            try:
                if until():
                    return
                now = self._state()
            except BrokerUnavailable:  # a broken connection is told once; the next call opens another
                now = last or {}
            if now != last:
                last, deadline = now, time.monotonic() + seconds
            if time.monotonic() > deadline:
                reports = self.broker.statistics().get("inbox:reports", 0)
                raise AssertionError(
                    f"nothing moved for {seconds:.0f} s: {reports} of {self._files} files are collected, "
                    f"queued is {self.queued()}\n{self.log()}"
                )
            time.sleep(0.02)

    def _state(self) -> dict[str, int]:
        return {key: n for key, n in self.broker.statistics().items() if key.endswith((":in", ":bytes"))}

    def queued(self) -> dict[str, int]:
        """Give how many items wait or are held, by queue; only queues that have some."""
        return {bot: depth.events for bot, depth in self.broker.depths(list(self.bots)).items() if depth.entries}

    def holders(self) -> set[str]:
        """Name the consumers that hold an entry now."""
        with redis.Redis(port=self.server.port, protocol=2) as client, client.pipeline(transaction=False) as pipeline:
            for bot in self.bots:
                pipeline.execute_command("XPENDING", f"{{chaos}}:q:{bot}", "workers")
            replies = pipeline.execute(raise_on_error=False)  # a queue that nobody has written to yet has no group
        return {found["name"].decode() for reply in replies if isinstance(reply, dict) for found in reply["consumers"]}

    def fenced(self) -> int:
        """Count the commits that came too late: others had taken the work over."""
        logs = self.folder.glob("*/state/logs/*.log*")
        return sum(path.read_text(errors="replace").count("is somebody else's now") for path in logs)

    def log(self, lines: int = 60) -> str:
        """Give the last warnings of all hosts."""
        said: list[str] = []
        for host in self.hosts:
            with suppress(AssertionError):
                said += self.command("logs", "--level", "warning", "-n", str(lines), host=host).splitlines()
        return "\n".join(said[-lines:])

    # -- the end

    def account(self, *, down: bool = True) -> dict[str, int]:
        """Stop everything and account for every row; give the counts by place.

        Raises:
            AssertionError: if a row is lost, doubled or in the wrong place.
        """
        books = {
            "dropped": {key: n for key, n in self.broker.statistics().items() if ":dropped:" in key},
            "queued": sum(self.queued().values()),
        }
        (self.folder / "books.json").write_text(json.dumps(books))
        self.command("failed", "export", "-o", str(self.folder / "failed.jsonl"))
        if down:
            self.down()
        done = subprocess.run(
            [sys.executable, HERE / "accounts.py", self.folder], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr.splitlines()[-1] if done.stderr else done.stdout
        counts: dict[str, int] = json.loads(done.stdout)
        return counts

    def close(self) -> None:
        """Kill whatever still runs."""
        while running := self.processes():
            for process in running:
                signalled(process.pid, signal.SIGKILL)
            time.sleep(0.02)
        self.broker.close()


DELIVERY = {
    "mode": "live",
    "store": "store.db",
    "from": {"mail": "hub@hub.example.net", "name": "Hub"},
    "operator": "operator@hub.example.net",
    "bounces": "bounces@hub.example.net",
    "test_to": "testers@hub.example.net",
    "reference": "CH",
    "approve": {"first_to_member": False, "growth": "1000000x", "over": 1_000_000},
    "couriers": {"mail": {"transport": "maildir", "path": "maildir"}},
}


def _bots(folder: Path, hosts: tuple[str, ...], instances: int) -> dict[str, dict[str, Any]]:
    spread = dict.fromkeys(hosts, instances)
    shelf = {"path": str(folder / "inbox"), "settle": "0s", "after": "delete"}
    parsing = {"columns": COLUMNS, "type": "scanner", "required": ["source.ip"]}
    return {
        "inbox": {"use": "collector/file", "every": "5s", "params": shelf, "to": "parse"},
        "parse": {"use": "parser/csv", "instances": spread, "params": parsing, "to": "deadly"},
        "deadly": {
            "use": "expert/deadly",
            "instances": dict.fromkeys(hosts, instances + 1),
            "params": {"name": "deadly", "deaths": str(folder / "deaths")},
            "to": "dedup",
        },
        "dedup": {
            "use": "expert/deduplicate",
            "instances": spread,
            "to": {"default": "route", "duplicate": "duplicates"},
        },
        "route": {
            "use": "expert/filter",
            "params": {"rules": {"drop": "extra.drop == 'yes'"}},
            "to": {"default": ["all", "members"]},
        },
        "members": {
            "use": "expert/constituency",
            "to": dict.fromkeys(("unmatched", "ambiguous", "guarded", "excluded"), "rest") | {"default": "record"},
        },
        "record": {"use": "output/members", "instances": {hosts[0]: instances}},
        "all": {"use": "output/file", "params": {"path": "out/all.jsonl"}},
        "rest": {"use": "output/file", "params": {"path": "out/rest.jsonl"}},
        "duplicates": {"use": "output/file", "params": {"path": "out/duplicates.jsonl"}},
    }


def _member(number: int) -> dict[str, Any]:
    return {
        "id": f"m{number}",
        "name": f"Member {number}",
        "kind": "provider",
        "state": "live",
        "tlp": "AMBER+STRICT",
        "resources": {"networks": [{"prefix": f"192.0.2.{number * 64}/26"}]},
        "contacts": [{"id": "desk", "mail": f"desk@m{number}.example"}],
        "deliveries": [
            {"id": "now", "to": ["desk"], "format": ["text"], "when": "immediately", "group": "1s"},
        ],
    }
