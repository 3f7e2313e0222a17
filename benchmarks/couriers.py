"""``python -m benchmarks.couriers``: whether a dead member makes the others wait.

Two hubs side by side, each with its courier's process and its own server on the loopback. Findings for immediate
deliveries come in at a steady pace, most of them for healthy members. Of one hub the last member is dead: its mailbox, or
its endpoint once it answered the ping, says nothing. What is measured is the time from the recording of a healthy member's
finding until its server has it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from statistics import quantiles
from typing import Any

import msgspec

from benchmarks.figures import Figure, markdown, ratio, save
from benchmarks.hub import event, row
from cleanbots.clearinghouse.members import RegistryFile
from cleanbots.clearinghouse.store import open_store
from cleanbots.clock import SystemClock
from cleanbots.config import snapshot
from cleanbots.config.check import check
from tests.clearinghouse.couriers.servers import HANG, HttpServer, Mail, Reply, Request, SmtpServer

MEMBERS = 20
CHANNELS = ("mail", "webhook")

_SECRET = "whsec_Y2xlYW5ib3RzLXRlc3QtdmVjdG9yLXNlY3JldC0zMmI="  # noqa: S105  # of nobody
_DEAD_EVERY = 5
_PATIENCE = 60.0
_CONFIG = """
name: hub
state: state
members: members.yaml
bots:
  inbox: {{use: collector/file, every: 1d, params: {{path: inbox}}, to: parse}}
  parse: {{use: parser/csv, params: {{columns: [source.ip]}}, to: out}}
  out: {{use: output/file, params: {{path: out.jsonl}}}}
delivery:
  mode: live
  from: {{mail: hub@hub.example.net, name: Hub}}
  couriers:
    mail: {{host: 127.0.0.1, port: {port}}}
    webhook: {{allow: [127.0.0.1/32]}}
  approve: {{first_to_member: false, growth: 1000000x, over: 1000000, members_at_once: 1000000}}
  limits: {{mails_per_hour: 1000000, mails_per_contact: 1000000, per_domain: 1000000/min}}
"""


class Hub:
    """A hub in a folder, and its server.

    Args:
        folder: of its configuration and store.
        channel: ``mail`` or ``webhook``.
        dead: whether its last member is.
    """

    def __init__(self, folder: Path, channel: str, *, dead: bool) -> None:
        self._folder, self._channel, self._dead = folder, channel, dead
        self._pinged: set[str] = set()
        self._recorded: dict[str, float] = {}
        self._number = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run its server and its courier's process."""
        with self._server() as self.server:
            self._write(self.server.port)
            settings = check(self._folder / "cleanbots.yaml").require()
            file = snapshot.publish(settings)
            clock = SystemClock()
            self._store = open_store(self._folder / "state" / "clearinghouse.db", clock)
            folder = self._folder / "state" / "members"
            self._members = RegistryFile(self._folder / "members.yaml", folder, clock).get()
            command = [sys.executable, "-m", "cleanbots.runtime.courier", str(file), self._channel]
            process = subprocess.Popen([*command, "--log-level", "ERROR"])
            try:
                yield
            finally:
                process.terminate()
                process.wait()
                self._store.close_connections()

    def record(self, member: int) -> None:
        """Record a new finding of a member."""
        self._number += 1
        now = datetime.now(UTC)
        fields = event(member, self._number, now)
        match = self._members.match(fields).matches[0]
        if member < MEMBERS:
            self._recorded[str(fields["id"])] = time.monotonic()
        self._store.record([row(fields, match, "now")], now)

    def delays(self) -> list[float]:
        """Give for each finding of a healthy member the seconds until the server had it; waits for those on their way."""
        deadline = time.monotonic() + _PATIENCE
        while len(found := self._found()) < len(self._recorded):
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(self._recorded) - len(found)} findings of healthy members did not arrive")
            time.sleep(0.1)
        return [at - self._recorded[id_] for id_, at in found.items()]

    def forget(self) -> None:
        """Begin to measure: what was before does not count."""
        self._recorded.clear()
        self.server.accepted.clear() if self._channel == "mail" else self.server.requests.clear()

    def _found(self) -> dict[str, float]:
        """Give when each finding arrived first."""
        found: dict[str, float] = {}
        for taken in list(self.server.accepted):
            text = _content(taken.data) if isinstance(taken, Mail) else taken.body
            for id_ in self._recorded.keys() - found.keys():
                if id_.encode() in text:
                    found[id_] = taken.at
        return found

    def _server(self) -> Any:
        if self._channel == "mail":
            return SmtpServer(hangs=[f"abuse@m{MEMBERS}.example.net"] if self._dead else [])
        return HttpServer(answer=self._answer)

    def _answer(self, request: Request) -> Reply:
        """The dead endpoint answers the ping, and nothing after it."""
        dies = self._dead and request.path == f"/m{MEMBERS}" and request.path in self._pinged
        self._pinged.add(request.path)
        return Reply(act=HANG) if dies else Reply(204)

    def _write(self, port: int) -> None:
        (self._folder / "cleanbots.yaml").write_text(_CONFIG.format(port=port))
        (self._folder / "secret").write_text(_SECRET)
        members = [self._member(number, port) for number in range(MEMBERS + 1)]
        (self._folder / "members.yaml").write_bytes(msgspec.json.encode({"members": members}))

    def _member(self, number: int, port: int) -> dict[str, Any]:
        delivery: dict[str, Any] = {"id": "now", "when": "immediately", "group": "0s"}
        if self._channel == "mail":
            delivery |= {"to": ["abuse"], "format": ["text", "csv"], "limits": {"mails_per_day": 1_000_000}}
        else:
            url = f"http://127.0.0.1:{port}/m{number}"
            delivery |= {"channel": "webhook", "url": url, "secrets": ["file:secret"]}
        return {
            "id": f"m{number:04}",
            "name": f"Member {number}",
            "kind": "provider",
            "state": "live",
            "resources": {"networks": [{"prefix": f"2001:db8:{number:x}::/48"}]},
            "contacts": [{"id": "abuse", "role": "abuse", "mail": f"abuse@m{number}.example.net"}],
            "deliveries": [delivery],
        }


def _content(mail: bytes) -> bytes:
    """Give all that a mail says, decoded."""
    parts = message_from_bytes(mail).walk()
    return b"".join(part.get_payload(decode=True) or b"" for part in parts if not part.is_multipart())  # type: ignore[misc]


def beside(channel: str, seconds: float, pace: float) -> tuple[list[float], list[float]]:
    """Run a hub with a dead member and one without, side by side; give the delays of healthy members of both."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        hubs = []
        for kind in ("dead", "healthy"):
            (folder := Path(name) / kind).mkdir()
            hub = Hub(folder, channel, dead=kind == "dead")
            stack.enter_context(hub.running())
            hubs.append(hub)
        warm = range(MEMBERS + 1)
        _feed(hubs, warm, pace)
        for hub in hubs:
            hub.delays()  # all endpoints answered their ping, and all processes are up
            hub.forget()
        turns = [MEMBERS if n % _DEAD_EVERY == 0 else n % MEMBERS for n in range(int(seconds / pace))]
        _feed(hubs, turns, pace)
        dead, healthy = (hub.delays() for hub in hubs)
    return dead, healthy


def _feed(hubs: list[Hub], members: Any, pace: float) -> None:
    begun = time.monotonic()
    for number, member in enumerate(members):
        time.sleep(max(0.0, begun + number * pace - time.monotonic()))
        for hub in hubs if number % 2 else reversed(hubs):
            hub.record(member)


def measure(channel: str, runs: int, seconds: float, pace: float) -> list[Figure]:
    """Measure a channel several times."""
    pairs = [beside(channel, seconds, pace) for _ in range(runs)]
    dead = Figure(f"{channel}: p95 of healthy members beside a dead one", "s", [_p95(one) for one, _ in pairs])
    alone = Figure(f"{channel}: p95 of healthy members without one", "s", [_p95(other) for _, other in pairs])
    return [dead, alone, ratio(f"{channel}: beside over without", dead, alone, "≤ 1.1")]


def _p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1]


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.couriers", description=__doc__)
    parser.add_argument("channels", nargs="*", default=CHANNELS, help="mail, webhook; both unless said")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=90.0, help="of a run")
    parser.add_argument("--pace", type=float, default=0.2, help="seconds between two findings of a hub")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    figures: list[Figure] = []
    for channel in args.channels:
        figures += measure(channel, args.runs, args.seconds, args.pace)
        print(markdown("Couriers beside a dead member", figures), flush=True)
    if args.json is not None:
        save(args.json, "Couriers beside a dead member", figures)


if __name__ == "__main__":
    main()
