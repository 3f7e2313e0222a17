"""Backups and restores: what came after the backup is caught up with, or everything is held until an operator speaks."""

import json
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from outbox_world import ACCEPTED, LATER, World

from cleanbots.broker import connect
from cleanbots.clearinghouse.backup import back_up
from cleanbots.clearinghouse.witness import Witness
from cleanbots.cli import cli
from cleanbots.clock import SystemClock
from cleanbots.config import snapshot
from cleanbots.config.check import check
from cleanbots.errors import CleanbotsError, ConfigError, Retry

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
  approve: {first_to_member: false}
  limits: {mails_per_hour: 100000, per_domain: 100000/min}
  couriers: {mail: {transport: maildir, path: maildir}}
"""


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Give all rows of all tables of a store, but who holds a lease, who reconciled, and that this was a change."""
    with sqlite3.connect(path) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {
            name: sorted(database.execute(f"SELECT * FROM {name}").fetchall(), key=repr)  # noqa: S608
            for name in tables
            if name not in {"leases", "audit"} and not name.startswith("sqlite_")
        }
    database.close()
    found["numbers"] = [row for row in found["numbers"] if row[0] not in {"audit", "changes"}]
    return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A hub in miniature, with three members."""
    made = World(tmp_path)
    made.many(3, when="immediately", group="10m")
    yield made
    made.store.close_connections()


def traffic(world: World, chance: random.Random, hours: float) -> None:
    """Let events come and deliveries go; some are put off, so that something always waits."""
    world.postman.answers = lambda message: LATER if message.id[-20:].encode()[0] % 7 == 0 else ACCEPTED
    end = world.clock.now() + timedelta(hours=hours)
    while world.clock.now() < end:
        for _ in range(chance.randrange(3)):
            number = chance.randrange(3)
            world.record(f"2001:db8:{number:x}::{chance.randrange(40):x}", member=f"m{number:03}")
        world.step()
        world.pass_(minutes=chance.uniform(1, 15))


def bring_back(world: World, backup: Path) -> None:
    """Put a copy in the place of the store, as an operator would by hand."""
    world._boxes.clear()
    world.store.close_connections()
    for ending in ("-wal", "-shm"):
        world.where.with_name(world.where.name + ending).unlink(missing_ok=True)
    shutil.copyfile(backup, world.where)


def settle(world: World) -> None:
    """Let everything be handed over."""
    world.postman.answers = lambda _: ACCEPTED
    world.run(hours=6, minutes=20)


@pytest.mark.parametrize("seed", range(3))
def test_six_hours_after_the_backup_are_not_lost(seed, world, tmp_path, long_form):
    """Backup, six hours of traffic, killed, restored: one command, nothing lost, nothing told twice."""
    chance = random.Random(seed)
    traffic(world, chance, 2)
    world.store.back_up(tmp_path / "backup")
    for _ in range(8 if long_form else 1):
        traffic(world, chance, 6)
    before = dump(world.where)
    given = len(world.postman.given)
    bring_back(world, tmp_path / "backup")

    world.restart()
    with pytest.raises(Retry, match="later changes are not in it"):
        world.record("2001:db8:1::1", member="m001")
    assert "restored from an older copy" in world.step().shut
    assert len(world.postman.given) == given
    assert world.store.adopt("operator") > 50
    assert dump(world.where) == before

    settle(world)
    ids = [(message.id, message.recipient) for message in world.postman.given]
    later = {m["id"] for row in world.store.rows(most=10_000) for m in row.messages if m["attempts"] > 1}
    assert {id_ for id_, _ in ids if ids.count((id_, _)) > 1} == later  # tried again after LATER, as ever
    for book in world.store.balance()["deliveries"]:
        # What is still there is owed until there is something new to tell.
        assert book["matched"] == book["mentioned"] + book["still"] + book["owed"]
        assert book["mentioned"] > book["owed"]


def test_a_restore_onto_an_empty_disk_keeps_its_journal(world, tmp_path):
    """The file is gone and the journal lies on another disk: nothing begins anew, and a backup catches up."""
    chance = random.Random(1)
    traffic(world, chance, 1)
    world.store.back_up(tmp_path / "backup")
    traffic(world, chance, 2)
    before = dump(world.where)
    world.store.close_connections()
    world.where.unlink()

    with pytest.raises(ConfigError, match=r"tells of \d+ changes: the store was lost. 'cleanbots restore"):
        world.restart()
    bring_back(world, tmp_path / "backup")
    world.restart()
    world.store.adopt("operator")
    assert dump(world.where) == before


@pytest.mark.parametrize("sent", [True, False])
def test_without_its_journal_the_operator_says_what_was_sent(sent, world, tmp_path):
    """Nothing leaves until it is said; sent means never again, and no reference is given twice in any case."""
    chance = random.Random(2)
    traffic(world, chance, 2)
    world.store.back_up(tmp_path / "backup")
    traffic(world, chance, 2)
    known = set(world.references(most=10_000))
    bring_back(world, tmp_path / "backup")
    shutil.rmtree(world.where.with_name(f"{world.where.name}.journal"))
    world.restart()
    given = len(world.postman.given)
    assert "missing or damaged" in world.step().shut
    assert world.store.missing() is None
    waited = {m["id"] for row in world.store.rows(most=10_000) for m in row.messages if m["state"] == "waiting"}
    owed = sum(due.owed for due in world.store.due(world.clock.now()))
    assert waited

    world.store.adopt("operator", sent=sent)
    settle(world)

    again = {message.id for message in world.postman.given[given:]}
    assert again >= waited if not sent else not again
    assert {row.reference for row in world.store.rows(most=10_000)} & known < known
    world.record("2001:db8:1::77", member="m001")
    settle(world)
    (fresh,) = set(world.references(most=10_000)) - known if sent else [None]
    books = world.store.balance()["deliveries"]
    assert sum(book["given_up"].get("taken_as_sent", 0) for book in books) == (owed if sent else 0)
    assert fresh is None or int(fresh.rpartition("-")[2]) > 5000


def test_a_copy_that_both_use_is_noticed(world, tmp_path):
    """Two hubs from one folder: the copy holds everything, whatever its journal says."""
    traffic(world, random.Random(3), 1)
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    world.store.back_up(tmp_path / "copy")
    bring_back(other, tmp_path / "copy")
    shutil.rmtree(f"{other.where}.journal")
    shutil.copytree(f"{world.where}.journal", f"{other.where}.journal")
    other.members((tmp_path / "members.yaml").read_text("utf-8"))
    other.clock.move(world.clock.now())
    other.restart()

    settle(other)
    assert not other.postman.given
    assert "was copied, moved or restored" in other.step().shut
    settle(world)
    assert world.postman.given
    other.store.close_connections()


def test_a_store_that_went_back_with_its_journal_is_noticed(world, tmp_path, broker):
    """The whole folder is an older copy: the queue server knows that it was further, and everything is held."""
    traffic(world, random.Random(4), 1)
    world.store.close_connections()
    for name in ("store.db", "store.db-wal", "store.db.journal"):
        if (path := tmp_path / name).is_dir():
            shutil.copytree(path, tmp_path / "copy" / name)
        elif path.exists():
            (tmp_path / "copy").mkdir(exist_ok=True)
            shutil.copyfile(path, tmp_path / "copy" / name)
    world.restart()
    witness = Witness(world.store, broker, world.clock)
    traffic(world, random.Random(5), 1)
    witness.look()
    assert world.store.check() is None

    bring_back(world, tmp_path / "copy" / "store.db")
    shutil.rmtree(tmp_path / "store.db.journal")
    shutil.copytree(tmp_path / "copy" / "store.db.journal", tmp_path / "store.db.journal")
    world.restart()
    assert world.store.check() is None  # file and journal go together
    Witness(world.store, broker, world.clock).look()

    assert "the queue server knows of" in world.step().shut
    assert world.store.missing() is None
    world.store.adopt("operator", sent=True)
    Witness(world.store, broker, world.clock).look()
    assert world.store.check() is None


def test_deliveries_do_not_wait_for_the_queue_server(world, tmp_path):
    """A queue server that is away witnesses nothing, and holds nothing up."""
    away = connect(f"unix://{tmp_path}/nobody.sock", "t")
    Witness(world.store, away, world.clock).look()
    assert world.store.check() is None
    away.close()


def test_erasing_leaves_nothing_in_the_journal(world):
    """What is erased is not in the journal either; a backup from before can't catch up any more."""
    world.record("2001:db8:1::dead", member="m001", source__fqdn="canary.example.net")
    folder = world.where.with_name(f"{world.where.name}.journal")
    before = sum(path.stat().st_size for path in folder.iterdir())

    world.store.erase(domain="canary.example.net")

    assert sum(path.stat().st_size for path in folder.iterdir()) < min(before, 500)
    assert world.store.check() is None


def test_the_journal_is_kept_for_eight_days(world):
    """Old files go with the daily purge; what is left still brings a copy of yesterday up to today."""
    folder = world.where.with_name(f"{world.where.name}.journal")
    names = []
    for _ in range(12):
        world.record("2001:db8:1::7", member="m001")
        world.store.purge(world.clock.now(), 60 * 86400.0, 730 * 86400.0)
        names.append({path.name for path in folder.glob("*.log")})
        world.pass_(days=1)
    assert len(names[-1]) <= 10
    assert min(names[-1]) > min(names[0])


# -- an installation


class Site:
    """An installation on disk: real processes, the operator's commands, the machine's own clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "cleanbots.yaml"
        self.config.write_text(CONFIG, "utf-8")
        self.world = World(folder)
        self.world.store.close_connections()
        self.world.clock = SystemClock()  # type: ignore[assignment]
        self.world.many(3, when="immediately", group="1s", member={"limits": {"mails_per_day": 1000}})
        self.world.where = self.store = folder / "state" / "clearinghouse.db"
        self.world.restart()
        self.settings = check(self.config).require()
        self.snapshot = snapshot.publish(self.settings)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.recorded = 0

    @property
    def mails(self) -> list[Path]:
        return sorted((self.folder / "maildir" / "new").glob("*"))

    def record(self, number: int) -> None:
        for _ in range(number):
            member = self.recorded % 3
            self.world.record(f"2001:db8:{member:x}::{self.recorded:x}", member=f"m{member:03}")
            self.recorded += 1

    def courier(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "cleanbots.runtime.courier", str(self.snapshot), "mail"]
        with (self.folder / "courier.log").open("ab") as log:
            self.processes.append(process := subprocess.Popen(argv, stderr=log))
        return process

    def command(self, *arguments: str) -> Result:
        """Run a command of the operator's."""
        result = CliRunner().invoke(
            cli, [*arguments, "-c", str(self.config)], catch_exceptions=False, standalone_mode=False
        )
        assert result.exit_code == 0, result.output
        return result

    def all_told(self) -> bool:
        books = self.world.store.balance()["deliveries"]
        told = sum(book["mentioned"] for book in books) == self.recorded
        return told and {row.state for row in self.world.store.rows(most=10_000)} == {"given"}

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.world.store.close_connections()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An installation of this test's own."""
    made = Site(tmp_path)
    yield made
    made.end()


def test_backups_under_load_are_whole_and_catch_up(site, tmp_path, until, long_form):
    """Made while events come and mails leave, each backup is consistent, and its journal makes it what the store is."""
    site.courier()
    until(lambda: site.world.store.holder("mail"), "the courier")
    ended = threading.Event()
    files: list[Path] = []

    def back_up_often() -> None:
        while not ended.is_set():
            files.append(tmp_path / f"backup-{len(files)}.tar")
            back_up(site.settings, files[-1], SystemClock())

    thread = threading.Thread(target=back_up_often)
    thread.start()
    site.record(2000 if long_form else 150)
    until(lambda: len(site.mails) >= 3 and len(files) >= 3, "mails and backups")
    ended.set()
    thread.join()
    until(site.all_told, "the rest")
    site.end()
    live = dump(site.store)

    for file in files if long_form else files[:1] + files[-1:]:
        place = tmp_path / "place"
        with tarfile.open(file) as archive:
            archive.extract("store.db", place, filter="data")
        with sqlite3.connect(place / "store.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()
        site.world.where = site.store
        bring_back(site.world, place / "store.db")
        site.world.restart()
        site.world.store.adopt("operator")
        site.world.store.close_connections()
        assert dump(site.store) == live


def documented(repository: Path, file: Path) -> list[list[str]]:
    """Give the commands of the documented steps, with this backup's file."""
    text = (repository / "docs" / "operating.md").read_text("utf-8").partition("## Backup")[2].partition("\n## ")[0]
    lines = re.findall(r"^\$ cleanbots (.+?)(?: +#.*)?$", text, re.MULTILINE)
    return [re.sub(r"/var/backups/\S+", str(file), line).split() for line in lines]


def test_last_nights_backup_at_four_in_the_morning(site, tmp_path, until, repository):
    """The steps of docs/operating.md: the disk of the store is gone, and everything goes on as if nothing had been."""
    site.courier()
    site.record(10)
    until(site.all_told, "the evening's mails")
    file = tmp_path / "backup.tar"
    backup, down, restore, up, *_ = documented(repository, file)
    assert (down, up) == (["down"], ["up"])
    assert "backup of t" in site.command(*backup).output
    site.record(20)
    until(site.all_told, "the night's mails")
    mails = {path.name: path.read_bytes() for path in site.mails}
    books = site.world.store.balance()
    with pytest.raises(CleanbotsError, match="everything must stand still"):
        site.command(*restore, "--yes")
    for process in site.processes:
        process.kill()
        process.wait()
    site.world.store.close_connections()
    site.store.write_bytes(b"\0" * 4096)  # what the disk left of it
    for ending in ("-wal", "-shm"):
        site.store.with_name(site.store.name + ending).unlink(missing_ok=True)

    restored = site.command(*restore, "--yes").output

    assert "later changes from its journal: nothing is missing" in restored
    assert "HELD" not in restored
    site.world.restart()
    assert site.world.store.balance() == books
    site.courier()
    site.record(5)
    until(site.all_told, "the morning's mails")
    assert {path.name: path.read_bytes() for path in site.mails if path.name in mails} == mails
    attempts = [m["attempts"] for row in site.world.store.rows(most=10_000) for m in row.messages]
    assert set(attempts) == {1}
    audit = [json.loads(line)["command"] for line in (site.folder / "state" / "audit.jsonl").read_text().splitlines()]
    assert audit == ["backup", "restore"]


def test_a_machine_that_is_gone_is_held_until_somebody_speaks(site, tmp_path, until, repository):
    """A new machine has the backup alone: everything is held, and one command says what was sent."""
    site.courier()
    site.record(10)
    until(site.all_told, "the mails")
    file = tmp_path / "backup.tar"
    site.command("backup", str(file))
    site.end()
    with tarfile.open(file) as archive:
        names = archive.getnames()
    shutil.rmtree(site.folder / "state")

    restore, reconcile, sent, _ = documented(repository, file)[4:]
    assert "HELD" in site.command(*restore, "--yes").output
    assert {"config/cleanbots.yaml", "config/members.yaml", "backup.json", "snapshot.json", "store.db"} == set(names)
    with pytest.raises(click.UsageError, match="say --sent or --unsent"):
        site.command(*reconcile)
    assert "nothing that was made since" in site.command(*sent, "--yes").output
    assert "nothing is held for it" in site.command(*reconcile).output


def test_two_state_folders_on_one_store_double_nothing(site, until):
    """A second installation on the same store sees who sends, and sends nothing."""
    text = CONFIG.replace("reference: MP", f"reference: MP\n  store: {site.store}")
    other = site.folder / "other.yaml"
    other.write_text(text.replace("name: t", "name: t\nstate: elsewhere"), "utf-8")
    second = snapshot.publish(check(other).require())
    argv = [sys.executable, "-m", "cleanbots.runtime.courier", str(second), "mail"]
    site.courier()
    site.processes.append(subprocess.Popen(argv, stderr=subprocess.DEVNULL))
    site.record(60)

    until(site.all_told, "the mails")

    rows = site.world.store.rows(most=10_000)
    assert {m["attempts"] for row in rows for m in row.messages} == {1}
    assert len(site.mails) == sum(len(row.messages) for row in rows)
