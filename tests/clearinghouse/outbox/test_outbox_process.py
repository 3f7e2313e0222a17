"""The courier's process and the operator's commands, on a real installation."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from outbox_world import World, member_yaml

from cleanbots.cli import cli
from cleanbots.cli.deliveries_hub import send_test
from cleanbots.clock import SystemClock
from cleanbots.config import snapshot
from cleanbots.config.check import check
from cleanbots.config.model import Settings
from cleanbots.errors import CleanbotsError

CONFIG = """
name: t
members: members.yaml
bots:
  drop: {use: collector/file, every: 1m, params: {path: in, pattern: "*.csv"}, to: csv}
  csv: {use: parser/csv, params: {columns: [source.ip]}, to: out}
  out: {use: output/file, params: {path: out.jsonl}}
delivery:
  mode: live
  from: {mail: hub@hub.example.net, name: Meldpunt}
  reference: MP
  couriers: {mail: {transport: maildir, path: maildir}}
"""


class Site(World):
    """An installation on disk, with the machine's own clock."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.config = folder / "cleanbots.yaml"
        self.config.write_text(CONFIG, "utf-8")
        self.members(member_yaml(when="immediately", group="1s"))
        self.store.close_connections()
        self.where = folder / "state" / "clearinghouse.db"
        self.clock = SystemClock()  # type: ignore[assignment]
        self.restart()
        self.settings: Settings = check(self.config).require()
        self.snapshot = snapshot.publish(self.settings)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def mails(self) -> list[Path]:
        return sorted((self.folder / "maildir" / "new").glob("*"))

    def courier(self) -> subprocess.Popen[bytes]:
        """Start the courier's process."""
        argv = [sys.executable, "-m", "cleanbots.runtime.courier", str(self.snapshot), "mail"]
        process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        self._processes.append(process)
        return process

    def run_command(self, *arguments: str) -> Result:
        """Run a command of the operator's."""
        name, *rest = arguments
        return CliRunner().invoke(cli, ["deliveries", name, "-c", str(self.config), *rest], catch_exceptions=False)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self.store.close_connections()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.end()


def test_an_approved_delivery_is_handed_over_by_the_process(site, until):
    """The process makes and holds the first delivery; approved by command, it lies in the Maildir, byte for byte."""
    site.record()
    process = site.courier()
    until(lambda: site.store.rows(state="held"), "a held delivery")
    (row,) = site.store.rows()
    assert not site.mails

    result = site.run_command("approve", row.reference)

    assert (result.exit_code, row.reference in result.output) == (0, True)
    until(lambda: site.store.row(row.reference).state == "given", "the delivery")
    (mail,) = site.mails
    (message,) = site.store.messages(row.reference)
    assert mail.read_bytes().replace(b"\r\n", b"\n").endswith(message.data.replace(b"\r\n", b"\n"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    audit = [json.loads(line) for line in (site.folder / "state" / "audit.jsonl").read_text().splitlines()]
    assert audit[-1]["command"] == "deliveries approve"


def test_a_killed_process_goes_on_where_it_was(site, until):
    """Killed without warning and started again at once, the courier sends what is left, each mail once."""
    site.run_command("approve", "--member", "acme")
    first = site.courier()
    site.record("198.51.100.1")
    until(lambda: len(site.mails) == 1, "the first mail")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    site.record("198.51.100.2")

    site.courier()
    until(lambda: len(site.mails) == 2, "the second mail")

    until(lambda: {row.state for row in site.store.rows()} == {"given"}, "the note of both")
    assert len(site.mails) == 2


def test_a_second_process_on_the_host_ends(site, until):
    """The slot of a courier is locked: a second supervisor doubles nothing."""
    site.record()
    site.courier()
    until(site.store.rows, "work")

    assert site.courier().wait(30) == 75


def test_the_commands_show_what_was_sent_and_why(site, until):
    """Given an address, two commands lead to the delivery, its recipients, its bytes and the reason."""
    site.run_command("approve", "--member", "acme")
    site.record("198.51.100.77")
    site.courier()
    until(lambda: site.mails, "the mail")
    until(lambda: site.store.rows(state="given"), "the note of it")

    (found,) = json.loads(site.run_command("search", "198.51.100.77", "--json").stdout)
    shown = json.loads(site.run_command("show", found["reference"], "--json").stdout)
    raw = site.run_command("show", found["reference"], "--bytes").stdout_bytes
    listed = json.loads(site.run_command("list", "--member", "acme", "--since", "1h", "--json").stdout)

    assert shown["messages"][0]["recipient"] == "desk@acme.example"
    assert shown["findings"][0]["why"] == "prefix 198.51.100.0/24"
    assert b"Subject: [Meldpunt]" in raw
    assert [row["reference"] for row in listed] == [found["reference"]]


def test_a_stop_is_shouted_and_started_again(site):
    """A stop stands above every listing until it is taken back; both are in the audit log."""
    assert "all deliveries of acme" in site.run_command("stop", "--member", "acme").output
    assert site.run_command("list").output.startswith("STOPPED: all deliveries of acme")

    assert "goes on: all deliveries of acme" in site.run_command("start").output
    assert "STOPPED" not in site.run_command("list").output
    commands = [
        json.loads(line)["command"] for line in (site.folder / "state" / "audit.jsonl").read_text().splitlines()
    ]
    assert commands == ["deliveries stop", "deliveries start"]


def test_a_preview_changes_nothing(site):
    """What would be sent is shown as it would read, as often as one likes."""
    site.record()

    first = site.run_command("preview", "--member", "acme")
    second = site.run_command("preview", "--member", "acme")

    assert "Subject: [Meldpunt]" in first.output
    assert "MP-PREVIEW" in first.output
    assert second.exit_code == 0
    assert not site.store.rows()
    assert [due.owed for due in site.store.due(site.clock.now())] == [1]


def test_a_resend_a_replay_and_a_correction_reach_those_who_had_it(site, until, tmp_path):
    """Sent again on request, repeated byte for byte, and corrected: each goes to exactly its recipients."""
    site.run_command("approve", "--member", "acme")
    site.record()
    site.courier()
    until(lambda: site.store.rows(state="given"), "the delivery")
    (row,) = site.store.rows()
    text = tmp_path / "text"
    text.write_text("Row 3 was wrong.", "utf-8")

    assert "1 message waits" in site.run_command("resend", row.reference).output
    until(lambda: len(site.mails) == 2, "the mail again")
    assert "corrects" in site.run_command("correct", row.reference, "--text", str(text)).output
    until(lambda: len(site.mails) == 3, "the correction")
    until(lambda: site.store.row(row.reference).state == "given", "the note of it")
    assert "2 messages of 1 delivery wait" in site.run_command("replay", "--delivery", "daily", "--since", "1h").output
    until(lambda: len(site.store.handed_over("mail", row.created)) == 5, "the same mails again")

    assert len(site.mails) == 3  # the Maildir knows them by their ids
    assert {m["recipient"] for each in site.store.rows() for m in each.messages} == {"desk@acme.example"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "MP-1"), "no such delivery"),
        (("approve", "MP-1"), "no such delivery"),
        (("stop", "--member", "nobody"), "no such member"),
        (("replay", "--delivery", "hook", "--since", "1d"), "no such member has"),
        (("preview", "--member", "acme", "--delivery", "weekly"), "it has daily"),
    ],
)
def test_a_wrong_name_is_one_clear_sentence(site, arguments, said):
    """What isn't there is said, with what is."""
    with pytest.raises(CleanbotsError, match=said):
        site.run_command(*arguments)


def test_the_books_are_shown(site):
    """The balance names each delivery with where its events are."""
    site.record()

    books = json.loads(site.run_command("balance", "--json").stdout)

    assert [(book["member"], book["matched"], book["owed"]) for book in books["deliveries"]] == [("acme", 1, 1)]


def test_a_members_test_reaches_it_before_it_is_live(site, until):
    """A test with invented findings goes to the member's own contacts when the hub is live, marked as a test."""
    site.members(member_yaml(state="invited"))
    site.courier()

    (reference,) = send_test(site.config, "acme")

    until(lambda: site.store.row(reference).state == "given", "the test")
    (message,) = site.store.messages(reference)
    assert message.recipient == "desk@acme.example"
    assert b"203.0.113.25" in message.data
