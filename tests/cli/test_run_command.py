"""``cleanbots run``: the graph in the foreground."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CLEANBOTS = Path(sys.executable).with_name("cleanbots")

CONFIG = """
name: small
state: state
bots:
  inbox: {use: collector/file, every: 1h, params: {path: inbox, settle: 0s}, to: list}
  list: {use: parser/csv, params: {columns: {address: source.ip}, type: scanner, required: [source.ip]}, to: out}
  out: {use: output/file, params: {path: out.jsonl}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration, and one report with a good and a bad row."""
    (tmp_path / "cleanbots.yaml").write_text(CONFIG)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "list.csv").write_text("address\n192.0.2.1\nnowhere\n")
    return tmp_path


def _say(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CLEANBOTS, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_draining_ends_with_the_books(folder: Path) -> None:
    """Everything is collected and worked off once, and the counts of each bot are told."""
    done = _say(folder, "run", "--drain", "--json")
    assert done.returncode == 0, done.stderr
    books = {row["bot"]: row for row in json.loads(done.stdout)}
    assert (books["list"]["in"], books["list"]["out"], books["list"]["failed"]) == (2, 1, 1)
    assert json.loads((folder / "out.jsonl").read_text())["source.ip"] == "192.0.2.1"


def test_draining_waits_for_files_that_settle(folder: Path) -> None:
    """A file that has only just been written is part of the drain; nobody has to come back for it."""
    (folder / "cleanbots.yaml").write_text(CONFIG.replace(", settle: 0s", ""))
    (folder / "inbox" / "list.csv").touch()
    assert _say(folder, "run", "--drain").returncode == 0
    assert (folder / "out.jsonl").read_text().count("\n") == 1


def test_the_books_are_of_this_run(folder: Path) -> None:
    """A second drain that finds nothing new says so by its figures."""
    _say(folder, "run", "--drain")
    books = json.loads(_say(folder, "run", "--drain", "--json").stdout)
    assert [row["out"] for row in books] == [0, 0, 0]


def test_a_mistake_runs_nothing(folder: Path) -> None:
    """A configuration with mistakes is told with line and column, and no process starts."""
    (folder / "cleanbots.yaml").write_text(CONFIG.replace("parser/csv", "parser/cvs"))
    done = _say(folder, "run", "--drain")
    assert done.returncode == 1
    assert "cleanbots.yaml:6:15" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "state").exists()


def test_it_ends_when_asked(folder: Path, until: Callable[..., None]) -> None:
    """SIGTERM ends the workers and the private server, and leaves no process behind."""
    process = subprocess.Popen([CLEANBOTS, "run"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out = folder / "out.jsonl"
    until(lambda: out.exists() and out.read_text().endswith("\n"), "the event to be written")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert children
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def test_an_emptied_server_is_noticed_and_adopted(folder: Path) -> None:
    """A server without its data is refused with the way out; after 'queues adopt' reports are collected again."""
    _say(folder, "run", "--drain")
    shutil.rmtree(folder / "state" / "broker" / "appendonlydir")
    refused = _say(folder, "run", "--drain")
    assert refused.returncode == 1
    assert "'cleanbots queues adopt'" in refused.stderr
    assert _say(folder, "queues", "adopt", "--yes").returncode == 0
    assert _say(folder, "run", "--drain").returncode == 0
    assert "queues adopt" in (folder / "state" / "audit.jsonl").read_text()
