"""A small graph under the real supervisord, operated from the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cleanbots

COLLECTOR = '''
"""Collect the files of a folder."""
from collections.abc import Iterator
from cleanbots import Collector, Params, Report

class SpoolParams(Params):
    """Where they are."""
    path: str

class Spool(Collector[SpoolParams]):
    """Collect the files of a folder."""
    def collect(self) -> Iterator[Report | None]:
        for file in sorted(self.context.path(self.params.path).glob("*.txt")):
            yield Report(key=str(file), payload=file.read_bytes(), name=file.name)
'''
PARSER = '''
"""Parse addresses, one a line."""
from collections.abc import Iterator
from cleanbots import Chunk, Cut, Event, Params, Parser

class Lines(Parser[Params]):
    """An address a line."""
    @classmethod
    def cut(cls, params):
        return Cut(unit="lines")
    def units(self, item):
        for number, line in enumerate(item.payload.splitlines(keepends=True), item.line):
            yield number, Chunk(item.id, line, number, fields=item.fields)
    def parse(self, report: Chunk) -> Iterator[Event]:
        event = self.event(report, report.line, report.payload.decode().strip())
        event["source.ip"] = event["raw"]
        yield event
'''
EXPERT = '''
"""Mark events."""
from cleanbots import Event, Expert, Params

class MarkParams(Params):
    """How."""
    text: str = "first"
    needs: str = ""

class Mark(Expert[MarkParams]):
    """Mark events, if a file is there."""
    def process(self, event: Event) -> Event:
        if self.params.needs and not self.context.path(self.params.needs).exists():
            raise ValueError(f"the table {self.params.needs!r} is missing")
        event["event_description.text"] = self.params.text
        return event
'''
OUTPUT = '''
"""Write events."""
from cleanbots import Event, Output, Params, Retry

class WriteParams(Params):
    """Where to."""
    path: str

class Write(Output[WriteParams]):
    """Append a line for each event."""
    def write(self, event: Event) -> None:
        if self.context.path("closed").exists():
            raise Retry("the door is closed", after=0.2)
        with self.context.path(self.params.path).open("a") as file:
            file.write(f"{event['source.ip']} {event['event_description.text']}\\n")
'''
CONFIG = """
name: small
plugins: [site]
bots:
  fetch: {use: collector/spool, every: 1s, params: {path: spool}, to: parse}
  parse: {use: parser/lines, to: mark}
  mark:  {use: expert/mark, params: {needs: table}, to: out}
  out:   {use: output/write, isolate: true, params: {path: out.txt}}
"""


class Graph:
    """A configuration in a folder, and the commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "cleanbots.yaml"
        for kind, name, code in (
            ("collectors", "spool", COLLECTOR),
            ("parsers", "lines", PARSER),
            ("experts", "mark", EXPERT),
            ("outputs", "write", OUTPUT),
        ):
            place = folder / "site" / kind
            place.mkdir(parents=True)
            (place / f"{name}.py").write_text(code.lstrip())
        (folder / "spool").mkdir()
        self.config.write_text(CONFIG)

    def __call__(self, *arguments: str, code: int | None = 0) -> str:
        """Run a command; give what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", "from cleanbots.cli import main; main()", *arguments, "-c", str(self.config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path(cleanbots.__file__).parents[1])},
        )
        assert code in (None, done.returncode), f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def json(self, *arguments: str, code: int | None = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))

    def status(self) -> Any:
        return self.json("status", code=None)

    def bot(self, name: str) -> Any:
        return next(bot for bot in self.status()["bots"] if bot["bot"] == name)

    def pids(self) -> dict[str, int]:
        return {worker["program"]: worker["pid"] for worker in self.status()["workers"]}

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, f"it never happened: {self.status()}\n{self('logs')}"
            time.sleep(0.1)

    def lines(self) -> list[str]:
        path = self.folder / "out.txt"
        return sorted(path.read_text().splitlines()) if path.exists() else []


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    """Give a graph that is stopped in the end."""
    made = Graph(tmp_path)
    yield made
    made("down")


def test_failed_items_are_listed_exported_and_retried(graph):
    """What failed can be seen with its reason, taken out as JSON lines, and retried once the cause is mended."""
    (graph.folder / "spool" / "a.txt").write_text("192.0.2.1\nnonsense\n192.0.2.2\n")
    graph("up")
    graph.until(lambda: graph.bot("mark")["failed"] == 2 and graph.bot("parse")["failed"] == 1)

    listed = {row["bot"]: row for row in graph.json("failed", "list")}
    out = graph.folder / "failed.jsonl"
    graph("failed", "export", "-o", str(out))
    (graph.folder / "table").touch()
    retried = graph("failed", "retry", "mark", "--all")
    graph.until(lambda: len(graph.lines()) == 2)
    dropped = graph("failed", "drop", "--error", "not an IP", "--yes")

    assert listed["mark"]["error"] == "the table '…' is missing (mark.py:13)"
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted((row["bot"], row["line"], row["raw"].strip()) for row in rows) == [
        ("mark", 1, "192.0.2.1"),
        ("mark", 3, "192.0.2.2"),
        ("parse", 2, "nonsense"),
    ]
    assert "2 items given back" in retried
    assert graph.lines() == ["192.0.2.1 first", "192.0.2.2 first"]
    assert "1 failed item" in dropped
    assert graph("status").startswith("small on main: running, all is well")


def test_reload_restarts_only_what_differs_and_rollback_undoes_it(graph):
    """A changed parameter restarts its worker alone; a rollback brings the former parameter back."""
    (graph.folder / "table").touch()
    graph("up")
    before = graph.pids()

    graph.config.write_text(CONFIG.replace("{needs: table}", "{needs: table, text: second}"))
    assert "restarted: parse-0" in graph("reload")
    after = graph.pids()
    (graph.folder / "spool" / "a.txt").write_text("192.0.2.1\n")
    graph.until(lambda: graph.lines() == ["192.0.2.1 second"])
    graph("rollback")
    (graph.folder / "spool" / "b.txt").write_text("192.0.2.2\n")
    graph.until(lambda: len(graph.lines()) == 2)

    assert {name for name in before if before[name] != after[name]} == {"parse-0"}
    assert graph.lines() == ["192.0.2.1 second", "192.0.2.2 first"]


def test_a_broken_configuration_changes_nothing(graph):
    """A reload with mistakes names them with file and line, and everything goes on as before."""
    graph("up")
    before = graph.pids()

    graph.config.write_text(CONFIG.replace("expert/mark", "expert/marc"))
    said = graph("reload", code=1)

    assert f"{graph.config}:7:" in said
    assert "nothing was changed" in said
    assert graph.pids() == before


def test_what_waits_for_a_removed_bot_is_told_and_kept(graph):
    """Items in the queue of a bot that is configured no more are named, listed as left over, and can be cleared."""
    for name in ("closed", "table"):
        (graph.folder / name).touch()
    (graph.folder / "spool" / "a.txt").write_text("192.0.2.1\n192.0.2.2\n")
    graph("up")
    graph.until(lambda: graph.bot("out")["queue"] == 2)

    graph.config.write_text(CONFIG.replace("to: out}", "to: other}").replace("  out: ", "  other: "))
    said = graph("reload")
    (left,) = [row for row in graph.json("queues", "list") if row["queue"] == "out"]
    cleared = graph("queues", "clear", "out", "--yes")

    assert "2 items wait for out, which is configured no more" in said
    assert (left["items"], left["full"]) == (2, "left over")
    assert "2 items deleted" in cleared
    assert graph.json("queues", "list") == []


def test_a_rollback_takes_up_what_a_removed_bot_left(graph):
    """What waits for a removed bot goes on where it was when the bot comes back."""
    for name in ("closed", "table"):
        (graph.folder / name).touch()
    (graph.folder / "spool" / "a.txt").write_text("192.0.2.1\n")
    graph("up")
    graph.until(lambda: graph.bot("out")["queue"] == 1)
    graph.config.write_text(CONFIG.replace("to: out}", "to: other}").replace("  out: ", "  other: "))
    graph("reload")

    (graph.folder / "closed").unlink()
    graph("rollback")

    graph.until(lambda: graph.lines() == ["192.0.2.1 first"])


@pytest.mark.parametrize(("words", "line"), [(("drain", "out"), "out.txt"), (("move", "out", "other"), "other.txt")])
def test_what_a_removed_bot_left_can_be_drained_or_moved(graph, words, line):
    """'queues drain' lets a removed bot finish its queue as it was configured; 'queues move' gives it to another bot."""
    for name in ("closed", "table"):
        (graph.folder / name).touch()
    (graph.folder / "spool" / "a.txt").write_text("192.0.2.1\n192.0.2.2\n")
    graph("up")
    graph.until(lambda: graph.bot("out")["queue"] == 2)
    graph.config.write_text(
        CONFIG.replace("to: out}", "to: other}").replace("  out: ", "  other: ").replace("out.txt", "other.txt")
    )
    graph("reload")
    (graph.folder / "closed").unlink()

    told = graph("status", code=1)
    said = graph("queues", *words)

    assert "2 items wait for out, which is configured no more" in told
    assert said.startswith("2 items")
    graph.until(lambda: (graph.folder / line).exists() and len((graph.folder / line).read_text().splitlines()) == 2)
    assert graph.json("queues", "list") == []


def test_queues_can_be_peeked_into(graph):
    """Peeking shows the events that wait, and takes nothing away."""
    for name in ("closed", "table"):
        (graph.folder / name).touch()
    (graph.folder / "spool" / "a.txt").write_text("192.0.2.1\n")
    graph("up")
    graph.until(lambda: graph.bot("out")["queue"] == 1)

    (event,) = graph.json("queues", "peek", "out")
    (graph.folder / "closed").unlink()

    assert event["source.ip"] == "192.0.2.1"
    graph.until(lambda: graph.lines() == ["192.0.2.1 first"])


def test_explain_tells_the_whole_way_of_a_row(graph):
    """From the archive: who collected it, the row, what each bot makes of it, and where it failed."""
    (graph.folder / "spool" / "a.txt").write_text("192.0.2.1\nnonsense\n")
    graph("up")
    graph.until(lambda: graph.bot("parse")["failed"] == 1 and graph.bot("mark")["failed"] == 1)
    (item,) = [row for row in graph.json("failed", "list") if row["bot"] == "mark"]
    (graph.folder / "table").touch()

    good = graph.json("explain", item["example"])
    bad = graph.json("explain", item["example"].replace("-1", "-2"))

    assert good["report"]["collector"] == "fetch"
    assert good["row"].strip() == "192.0.2.1"
    assert [step["bot"] for step in good["way"]] == ["parse", "mark", "out"]
    assert good["way"][1]["changes"] == {"event_description.text": [None, "first"]}
    assert "failed at mark" in good["now"][0]
    assert "not an IP address" in bad["way"][0]["did"]


def test_status_says_that_nothing_runs(graph):
    """After `down` the status is a problem with its remedy, and the exit code 1."""
    graph("up")
    graph("down")

    assert "'cleanbots up' starts it" in graph("status", code=1)


def test_status_tells_of_a_worker_that_died(graph):
    """A worker that was killed runs again, and the status says that it ended."""
    graph("up")
    old = graph.pids()["parse-0"]
    os.kill(old, signal.SIGKILL)
    graph.until(lambda: graph.pids()["parse-0"] not in (0, old))

    assert "parse-0: ended" in graph("status", code=1)


def test_changes_are_written_to_the_audit_log(graph):
    """Each changing command leaves a line with its user, its arguments and the snapshot; others can't read it."""
    graph("up")
    graph("restart", "parse")
    graph("status")

    path = graph.folder / "state" / "audit.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["command"] for line in lines] == ["up", "restart"]
    assert lines[1]["arguments"] == {"workers": ["parse-0"]}
    assert lines[0]["snapshot"]
    assert path.stat().st_mode & 0o077 == 0


def test_reload_without_up_is_refused(graph):
    """A reload starts nothing that does not run."""
    assert "'cleanbots up' starts it" in graph("reload", code=1)


def test_retry_wants_to_be_told_what(graph):
    """Without a choice nothing is retried or dropped; that is a mistake in the call."""
    graph("up")

    assert "--all" in graph("failed", "retry", "mark", code=2)
    assert "--all" in graph("failed", "drop", "mark", code=2)
