"""Deliveries audited from outside: whoever is killed when, nothing is lost, told twice, or told to another member."""

import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import deliveries
import delivery_world
import pytest
from delivery_servers import Mailboxes, endpoints
from servers import Shares

HERE = Path(__file__).parent
CLEANBOTS = Path(sys.executable).with_name("cleanbots")
SECRET = "whsec_Y2xlYW5ib3RzLXRlc3QtdmVjdG9yLXNlY3JldC0zMmI="  # noqa: S105  # for tests
SHORT = delivery_world.Size(members=20, days=6, rows=2000, kills=6, transient=0.05, hang=0.002, cut=0.02)
TINY = delivery_world.Size(members=8, days=2, rows=300, kills=0)
ROUGH = replace(SHORT, transient=0.3, hang=0.05, cut=0.05)
LONG = delivery_world.Size(members=500, days=30, rows=100_000, kills=50, transient=0.05, hang=0.0005, cut=0.02)


def live_and_die(folder: Path, phases: int, chance: random.Random, size: delivery_world.Size) -> int:
    """Let the hub do its phases, killed in some of them at a random point; give how often it was killed."""
    command = [sys.executable, str(HERE / "delivery_hub.py"), str(folder)]
    env = {**os.environ, "AUDIT_HOOK": SECRET}
    killed = 0
    for phase in sorted(chance.sample(range(phases), size.kills)):
        number = int(2 ** chance.uniform(0, math.log2(size.rows)))  # a phase does more, the larger the world
        done = subprocess.run([*command, str(phase), str(number)], env=env, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-4000:]
        killed += 1
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return killed


def run(folder: Path, size: delivery_world.Size, seed: int) -> int:
    """Make a world, let the hub live in it, and take its books; give how often it was killed."""
    chance = random.Random(seed)
    shares = Shares(transient=size.transient, hang=size.hang, cut=size.cut)
    with endpoints(folder / "hooks.jsonl", size.turning) as hooks, Mailboxes(folder / "maildir", shares, seed) as smtp:
        delivery_world.make(folder, size, seed, hooks, smtp.port)
        plan = json.loads((folder / "plan.json").read_text())
        killed = live_and_die(folder, len(plan["phases"]), chance, size)
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
    assert figures["repeated"] > 0
    assert figures["told instead"] > 0
    kinds = {"mentioned", "still", "except", "unsent", "changed_holder", "given up", "fails"}
    assert kinds | {f"suppressed: {reason}" for reason in ("role", "tlp", "filter", "too_old")} <= set(
        figures["places"]
    )


def test_what_can_be_delivered_arrives_through_bad_servers(tmp_path: Path, long_form: bool) -> None:
    """Of mails three in ten are put off, one in twenty is left hanging, another cut off: the books balance all the same."""
    if not long_form:
        pytest.skip("it waits for servers that hang: the long form")
    run(tmp_path, ROUGH, 3)

    audited = audit(tmp_path)

    assert audited.returncode == 0, audited.stderr[-2000:]
    assert json.loads(audited.stdout)["events"] == ROUGH.rows


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
    _lose_a_mail: "is still|never was mentioned|without ever mentioning|by the books",
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
