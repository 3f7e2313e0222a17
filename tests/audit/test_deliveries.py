"""Deliveries audited from outside: whoever is killed when, nothing is lost, told twice, or told to another member."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import deliveries
import delivery_world
import pytest

HERE = Path(__file__).parent
CLEANBOTS = Path(sys.executable).with_name("cleanbots")
SECRET = "whsec_Y2xlYW5ib3RzLXRlc3QtdmVjdG9yLXNlY3JldC0zMmI="  # noqa: S105  # for tests
SHORT = delivery_world.Size(members=20, days=6, rows=2000, kills=6)
TINY = delivery_world.Size(members=8, days=2, rows=300, kills=0)
LONG = delivery_world.Size(members=500, days=30, rows=100_000, kills=50)


@contextmanager
def receiver(log: Path) -> Iterator[int]:
    """Run an endpoint that keeps what it takes, and of ten requests refuses one and forgets to answer another."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            names = ("webhook-id", "webhook-timestamp", "webhook-signature")
            id_, timestamp, signature = (self.headers[name] for name in names)
            fate = sha256(f"{id_} {timestamp}".encode()).digest()[0] % 10
            if fate == 0:
                self._answer(503)
                return
            said = {"path": self.path, "id": id_, "timestamp": timestamp, "signature": signature, "body": body.decode()}
            with lock, log.open("a") as file:
                file.write(json.dumps(said) + "\n")
            if fate == 1:
                self.close_connection = True
                return
            self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    log.touch()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def live_and_die(folder: Path, phases: int, chance: random.Random, kills: int) -> int:
    """Let the hub do its phases, killed in *kills* of them at a random point; give how often it was killed."""
    command = [sys.executable, str(HERE / "delivery_hub.py"), str(folder)]
    env = {**os.environ, "AUDIT_HOOK": SECRET}
    killed = 0
    for phase in sorted(chance.sample(range(phases), kills)):
        number = int(2 ** chance.uniform(0, 9))
        done = subprocess.run([*command, str(phase), str(number)], env=env, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-4000:]
        killed += 1
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return killed


def run(folder: Path, size: delivery_world.Size, seed: int) -> int:
    """Make a world, let the hub live in it, and take its books; give how often it was killed."""
    chance = random.Random(seed)
    with receiver(folder / "hooks.jsonl") as port:
        delivery_world.make(folder, size, seed, port)
        plan = json.loads((folder / "plan.json").read_text())
        killed = live_and_die(folder, len(plan["phases"]), chance, size.kills)
    env = {**os.environ, "AUDIT_HOOK": SECRET}
    command = [str(CLEANBOTS), "deliveries", "balance", "--json"]
    books = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False)
    assert books.returncode == 0, books.stderr.decode()
    (folder / "balance.json").write_bytes(books.stdout)
    return killed


def audit(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the audit as the program that it is."""
    command = [sys.executable, str(HERE / "deliveries.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("seed", range(5))
def test_every_event_is_accounted_for(seed: int, tmp_path: Path, long_form: bool) -> None:
    """Each event is told, counted, left out with a reason, or owed, at exactly those whom it concerns."""
    if seed and not long_form:
        pytest.skip("four more seeds belong to the long form")
    size = LONG if long_form else SHORT
    killed = run(tmp_path, size, seed)

    audited = audit(tmp_path)

    assert audited.returncode == 0, audited.stderr[-2000:]
    figures = json.loads(audited.stdout)
    print(f"seed {seed}: {killed} killed, {figures}")  # noqa: T201  # the figures of the bar
    assert figures["events"] == size.rows
    assert figures["requests repeated"] > 0
    kinds = {"mentioned", "still", "except", "unsent", "changed_holder"}
    assert kinds | {f"suppressed: {reason}" for reason in ("role", "tlp", "filter", "too_old")} <= set(
        figures["places"]
    )


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world in which everything was delivered, untouched by whoever tampers with a copy of it."""
    folder = tmp_path_factory.mktemp("delivered")
    run(folder, TINY, 7)
    deliveries.audit(folder)
    return folder


def _mails(folder: Path, to: str) -> list[Path]:
    found = [
        path for path in sorted((folder / "maildir" / "new").iterdir()) if f"To: {to}".encode() in path.read_bytes()
    ]
    assert found
    return found


def _lose_a_mail(folder: Path) -> None:
    _mails(folder, "desk@m000.example")[0].unlink()


def _send_twice(folder: Path) -> None:
    mail = _mails(folder, "desk@m000.example")[0]
    mail.with_name("again").write_bytes(mail.read_bytes())


def _send_again_under_another_name(folder: Path) -> None:
    mail = _mails(folder, "desk@m000.example")[0]
    other = re.sub(rb"(Message-ID: <|X-Cleanbots-Reference: )", rb"\1x", mail.read_bytes())
    mail.with_name("again").write_bytes(other)


def _send_to_another_member(folder: Path) -> None:
    mail = _mails(folder, "desk@m000.example")[0]
    mail.write_bytes(mail.read_bytes().replace(b"To: desk@m000.example", b"To: desk@m001.example"))


def _tell_what_is_anothers(folder: Path) -> None:
    mail = _mails(folder, "desk@m000.example")[0]
    mail.write_bytes(mail.read_bytes().replace(b"\r\n--", b"\r\n2001:db8:3::99\r\n--", 2))


def _lose_a_request(folder: Path) -> None:
    log = folder / "hooks.jsonl"
    lines = [line for line in log.read_text().splitlines(keepends=True) if '"path": "/m000"' in line]
    telling = next(line for line in reversed(lines) if r"\"id\":\"f-" in line)
    identifier = json.loads(telling)["id"]
    log.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if identifier not in line))


def _change_a_body(folder: Path) -> None:
    log = folder / "hooks.jsonl"
    log.write_text(log.read_text().replace(r"\"state\":\"new\"", r"\"state\":\"back\"", 1))


def _cook_the_books(folder: Path) -> None:
    books = json.loads((folder / "balance.json").read_text())
    book = next(each for each in books["deliveries"] if each["mentioned"])
    book["mentioned"], book["still"] = book["mentioned"] - 1, book["still"] + 1
    (folder / "balance.json").write_text(json.dumps(books))


def _add_an_event(folder: Path) -> None:
    lines = (folder / "events.jsonl").read_text().splitlines()
    row = next(row for row in map(json.loads, lines) if row["fields"]["source.ip"] == "2001:db8::1")
    row["fields"]["id"] = "r9999-1"
    (folder / "events.jsonl").write_text("\n".join([*lines, json.dumps(row)]))


FAULTS: dict[Callable[[Path], None], str] = {
    _lose_a_mail: "is still|never was mentioned|by the books",
    _send_twice: "arrived twice",
    _send_again_under_another_name: "is told twice",
    _send_to_another_member: "went to desk@m001.example",
    _tell_what_is_anothers: "names .*2001:db8:3::99",
    _lose_a_request: "it is lost|by the books",
    _change_a_body: "is not signed",
    _cook_the_books: "by the books",
    _add_an_event: "by the books|it is lost",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
def test_the_audit_notices(fault: Callable[[Path], None], delivered: Path, tmp_path: Path) -> None:
    """Something lost, told twice, told to somebody else or booked wrongly makes the audit fail."""
    folder = tmp_path / "copy"
    shutil.copytree(delivered, folder)
    fault(folder)

    with pytest.raises(AssertionError, match=FAULTS[fault]):
        deliveries.audit(folder)
