"""The file output: paths, formats, and that no line is torn or doubled whenever its process dies."""

import csv
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.outputs._path import PathTemplate
from bots.outputs.file import File, FileParams
from cleanbots import Context, Event, Outlet, Retry
from cleanbots.clock import FixedClock
from cleanbots.testing import run
from cleanbots.testing.services import MemoryServices

EVENT = {"source.ip": "192.0.2.1", "source.asn": 64496, "time.observation": "2026-11-20T07:30:00+00:00"}


class Desk:
    """A file output at work, with a state whose commits the test makes."""

    def __init__(self, base: Path, **params: object) -> None:
        self.params = msgspec.convert({"path": "events.jsonl", **params}, FileParams)
        self.clock = FixedClock(datetime(2026, 11, 20, tzinfo=UTC))
        self.services = MemoryServices(self.clock)
        self.committed: dict[str, bytes] = {}
        self.base = base
        self.bot = self._new()

    def _new(self) -> File:
        bot = File(self.params, Context(bot="archive", base=self.base, clock=self.clock, services=self.services))
        bot.open()
        return bot

    def write(self, *ids: str, **fields: object) -> None:
        self.bot.process_batch([Event({**EVENT, **fields, "id": name}) for name in ids], Outlet())

    def commit(self) -> None:
        self.committed = dict(self.services.memory.values)

    def discard(self) -> None:
        self.services.memory.values = dict(self.committed)

    def restart(self) -> None:
        self.discard()
        self.bot.close()
        self.bot = self._new()

    def ids(self, path: str = "events.jsonl") -> list[str]:
        return [json.loads(line)["id"] for line in (self.base / path).read_text().splitlines()]


@pytest.fixture
def desk(tmp_path):
    """A desk that is tidied up."""
    made = []

    def make(**params: object) -> Desk:
        made.append(Desk(tmp_path, **params))
        return made[-1]

    yield make
    for each in made:
        each.bot.close()


def lines(path: Path) -> list[dict]:
    """Read JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def rows(path: Path) -> list[list[str]]:
    """Read CSV."""
    return list(csv.reader(StringIO(path.read_text())))


def test_events_become_json_lines_with_the_id_first(tmp_path):
    """Each event is a line, a JSON object that begins with the id."""
    run(File, [EVENT, {**EVENT, "extra.tags": ["a", "ü\n"]}], params={"path": "out/events.jsonl"}, base=tmp_path)

    first, second = lines(tmp_path / "out" / "events.jsonl")
    assert next(iter(first)) == "id"
    assert first == {"id": "test-1", **EVENT}
    assert second["extra.tags"] == ["a", "ü\n"]


def test_chosen_fields_only(tmp_path):
    """With 'fields' a line holds these, in their order, where the event has them."""
    run(File, [EVENT], params={"path": "e.jsonl", "fields": ["source.asn", "source.fqdn", "id"]}, base=tmp_path)

    assert (tmp_path / "e.jsonl").read_text() == '{"source.asn":64496,"id":"test-1"}\n'


def test_intelmq_lines(tmp_path):
    """In IntelMQ's format each line is an event that IntelMQ can read: typed, our own fields below extra."""
    run(File, [{**EVENT, "priority": "high"}], params={"path": "e.jsonl", "format": "intelmq"}, base=tmp_path)

    (event,) = lines(tmp_path / "e.jsonl")
    assert event["__type"] == "Event"
    assert event["source.ip"] == "192.0.2.1"
    assert "priority" not in event


def test_csv_has_one_header_and_one_line_per_event(tmp_path):
    """A new CSV file begins with the columns' names, an old one goes on; a record is always one line."""
    params = {"path": "e.csv", "format": "csv", "fields": ["id", "source.asn", "comment", "extra"]}
    events = [{**EVENT, "comment": "two\nlines, and more", "extra.a": [1]}, EVENT]

    run(File, events, params=params, base=tmp_path)
    run(File, [{**EVENT, "id": "x-1"}], params=params, base=tmp_path)

    assert (tmp_path / "e.csv").read_text().splitlines() == [
        "id,source.asn,comment,extra",
        r'test-1,64496,"two\nlines, and more","{""a"":[1]}"',
        "test-2,64496,,",
        "x-1,64496,,",
    ]


def test_csv_has_all_fields_unless_told_otherwise(tmp_path):
    """Without 'fields' every field of the catalogue is a column, and the free ones are one more."""
    run(File, [{**EVENT, "extra.a": 1}], params={"path": "e.csv", "format": "csv"}, base=tmp_path)

    (row,) = csv.DictReader(StringIO((tmp_path / "e.csv").read_text()))
    assert {name: value for name, value in row.items() if value} == {
        "id": "test-1",
        "source.ip": "192.0.2.1",
        "source.asn": "64496",
        "time.observation": "2026-11-20T07:30:00+00:00",
        "extra": '{"a":1}',
    }


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "=cmd|' /C calc'!A0"])
def test_csv_disarms_formulas_but_not_numbers(tmp_path, text):
    """A text that a spreadsheet would run gets an apostrophe, unless that is switched off; numbers stay numbers."""
    event = {**EVENT, "comment": text, "source.geolocation.longitude": -74.01}
    fields = ["comment", "source.geolocation.longitude"]

    run(File, [event], params={"path": "safe.csv", "format": "csv", "fields": fields}, base=tmp_path)
    params = {"path": "raw.csv", "format": "csv", "fields": fields, "formula_safe": False}
    run(File, [{**event, "id": "x-1"}], params=params, base=tmp_path)

    assert rows(tmp_path / "safe.csv")[1] == [f"'{text}", "-74.01"]
    assert rows(tmp_path / "raw.csv")[1] == [text, "-74.01"]


def test_path_takes_fields_and_dates(tmp_path):
    """Events go to the file that their fields name; a missing field has its word."""
    path = "out/{time.observation:%Y-%m-%d}/{source.asn|none}-{source.fqdn}.jsonl"

    run(File, [EVENT, {"time.observation": EVENT["time.observation"]}], params={"path": path}, base=tmp_path)

    found = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.jsonl"))
    assert found == ["out/2026-11-20/64496-unknown.jsonl", "out/2026-11-20/none-unknown.jsonl"]


@given(st.text(max_size=300), st.text(max_size=5))
def test_no_value_leads_out_of_the_folder(value, other):
    """Whatever a value is, the path made of it has plain names only, none hidden, none of them too long."""
    template = PathTemplate("base/{extra.a}/x{extra.b}/{comment}.jsonl")

    path = template({"extra.a": value, "extra.b": other, "comment": value})

    assert str(template.root) == "base"
    names = path.split("/")
    assert len(names) == 3
    for name in names:
        assert name.isascii()
        assert 0 < len(name) <= 200
        assert not name.startswith(".")
        assert not set(name) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"path": "x/{sorce.ip}"}, "did you mean 'source.ip'"),
        ({"path": "x/{source.ip:%Y}"}, "no time"),
        ({"path": "x/{time.source:%y}"}, "%y is not known"),
        ({"path": "x/{time.source:%Y..%m}"}, "can't stand"),
        ({"path": "x/{source.ip"}, "lone brace"),
        ({"path": "{source.asn}/../x"}, "only before the first field"),
        ({"path": "x/"}, "names no file"),
        ({"path": "x", "fields": ["sorce.ip"]}, "did you mean"),
        ({"path": "x", "fields": ["source.ip"], "format": "intelmq"}, "written whole"),
    ],
)
def test_mistakes_in_parameters_are_named(params, reason):
    """What can't work is refused when the configuration is checked."""
    with pytest.raises(Exception, match=reason) as caught:
        msgspec.convert(params, FileParams)
    assert isinstance(caught.value, ValueError | KeyError)


@pytest.mark.parametrize("place", ["64496.jsonl", "64496"])
def test_symbolic_links_are_not_followed(tmp_path, place):
    """A link where the file or a folder should be makes the work wait; what it points to is untouched."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine")
    path = "out/{source.asn}.jsonl" if "." in place else "out/{source.asn}/file"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / place).symlink_to(victim / "file" if "." in place else victim)

    with pytest.raises(Retry, match="symbolic link"):
        run(File, [EVENT], params={"path": path}, base=tmp_path)
    assert (victim / "file").read_text() == "mine"


def test_more_files_than_may_be_open(desk, tmp_path):
    """A batch may go to more files than are kept open at once."""
    at = desk(path="{source.asn}.jsonl", max_open=3)

    events = [Event({"id": f"a-{n}", "source.asn": 64496 + n % 10}) for n in range(40)]
    at.bot.process_batch(events, Outlet())

    assert {path.name: len(lines(path)) for path in tmp_path.glob("*.jsonl")} == {
        f"{64496 + n}.jsonl": 4 for n in range(10)
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="the lock beside /dev/full needs root")
def test_full_disk_makes_the_work_wait_and_leaves_no_part_of_a_batch():
    """If the disk is full the work waits, with a sentence that says what to do."""
    with pytest.raises(Retry, match=r"/dev/full: No space left on device; make room"):
        run(File, [EVENT], params={"path": "/dev/full"})


def test_failed_write_is_taken_back(desk, monkeypatch):
    """What a failed batch wrote before it failed is cut off again, in all its files."""
    at = desk(path="{source.asn}.jsonl")
    at.write("a-1")
    at.commit()
    real = os.write

    def full(file: int, data: bytes) -> int:
        if b"a-3" in bytes(data) and b"previous" not in bytes(data):
            real(file, bytes(data)[:5])
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr("bots.outputs._append.os.write", full)
    events = [Event({**EVENT, "id": "a-2"}), Event({"id": "a-3", "source.asn": 64500})]
    with pytest.raises(Retry, match="64500"):
        at.bot.process_batch(events, Outlet())

    assert at.ids("64496.jsonl") == ["a-1"]
    assert (at.base / "64500.jsonl").read_bytes() == b""


def test_discarded_batch_is_taken_back(desk):
    """A batch whose commit failed is cut off before the next one is written."""
    at = desk()
    at.write("a-1", "a-2")
    at.commit()
    at.write("a-3", "a-4")

    at.discard()
    at.write("a-3", "a-4")
    at.commit()

    assert at.ids() == ["a-1", "a-2", "a-3", "a-4"]


def test_items_of_one_commit_written_one_by_one_all_stay(desk):
    """A slice that is worked off item by item, with one commit at its end, is written whole."""
    at = desk()
    at.write("a-1")
    at.write("a-2")
    at.commit()
    at.write("a-3")

    assert at.ids() == ["a-1", "a-2", "a-3"]


@pytest.mark.parametrize("restart", [True, False])
def test_items_written_one_by_one_and_discarded_are_all_taken_back(desk, restart):
    """If such a slice isn't committed, all its items are cut off, also by the process that comes next."""
    at = desk()
    at.write("a-1")
    at.commit()
    for number in range(2, 6):
        at.write(f"a-{number}")

    at.restart() if restart else at.discard()
    at.write("a-2", "a-3")

    assert at.ids() == ["a-1", "a-2", "a-3"]


def test_batches_of_one_slice_are_taken_back_together(desk):
    """An output that two paths lead to is called twice for a slice; both batches go if the commit fails."""
    at = desk()
    at.write("a-1")
    at.commit()
    at.write("a-2", "a-3")
    at.write("a-4", "a-5")

    at.discard()
    at.write("a-2")

    assert at.ids() == ["a-1", "a-2"]


@pytest.mark.parametrize("emptied", [True, False])
def test_lost_state_never_cuts_what_was_committed(desk, caplog, emptied):
    """If the queue server was emptied or restored from an old copy, nothing is cut off; the log says so."""
    at = desk()
    copies = []
    for number in range(5):
        at.write(f"a-{number}", f"b-{number}")
        at.commit()
        copies.append(at.committed)
        at.clock.move(at.clock.now() + timedelta(minutes=5))

    at.committed = {} if emptied else copies[0]
    at.restart()
    at.write("c-1")

    assert len(at.ids()) == 11
    assert "may be there twice" in caplog.text


def test_new_state_does_not_cut_the_only_batch_of_an_old_one(desk):
    """Where nothing was committed, one batch in the journal is cut off only if the same comes again."""
    at = desk()
    at.write("a-1", "a-2")

    at.restart()
    at.write("b-1")

    assert at.ids() == ["a-1", "a-2", "b-1"]


@pytest.mark.parametrize("rotate", [lambda path: path.rename(f"{path}.1"), lambda path: path.unlink()])
def test_rotated_file_is_begun_anew(desk, rotate):
    """A file that was renamed or deleted is not written to any more; a new one begins."""
    at = desk()
    at.write("a-1")
    at.commit()

    rotate(at.base / "events.jsonl")
    at.write("a-2")

    assert at.ids() == ["a-2"]


def test_nothing_is_made_anew_to_take_back_what_is_gone(desk):
    """If a file vanished before its batch is taken back, it stays away until an event goes there."""
    at = desk(path="{source.asn}.jsonl")
    at.write("a-1")
    (at.base / "64496.jsonl").unlink()

    at.discard()
    at.write("a-1", **{"source.asn": 64500})

    assert [path.name for path in at.base.glob("*.jsonl")] == ["64500.jsonl"]


def test_line_of_somebody_else_is_not_cut(desk):
    """If another program appended after a batch that wasn't committed, its lines stay."""
    at = desk()
    at.write("a-1")
    with (at.base / "events.jsonl").open("a") as file:
        file.write('{"id":"other"}\n')

    at.discard()
    at.write("a-1")

    assert "other" in at.ids()


def test_torn_last_line_is_cut_off(tmp_path):
    """A file whose last line lacks its end is repaired before anything is appended."""
    (tmp_path / "e.jsonl").write_bytes(b'{"id":"a-1"}\n{"id":"a-' + b"x" * 100_000)

    run(File, [EVENT], params={"path": "e.jsonl"}, base=tmp_path)

    assert [line["id"] for line in lines(tmp_path / "e.jsonl")] == ["a-1", "test-1"]


def test_second_process_waits(desk, tmp_path):
    """Two outputs of one name can't write to one folder at the same time."""
    desk()

    with pytest.raises(Retry, match="another process"):
        desk()


def test_long_journal_is_shortened(desk, monkeypatch):
    """The journal doesn't grow for ever, and what it is for still works after it was shortened."""
    monkeypatch.setattr("bots.outputs._append._COMPACT_ABOVE", 2000)
    at = desk()
    for number in range(100):
        at.write(f"a-{number}", f"b-{number}")
        at.commit()
    at.write("c-1")

    at.restart()
    at.write("c-1")

    assert len(at.ids()) == 201
    assert (tmp_journal := at.base / ".archive.journal").stat().st_size < 4000, tmp_journal


CHILD = """
import json, os, signal, sys
from pathlib import Path
import msgspec
from bots.outputs import _append
from bots.outputs.file import File, FileParams
from cleanbots import Context, Event, Outlet
from cleanbots.clock import SystemClock
from cleanbots.testing.services import MemoryServices

base, fatal = Path(sys.argv[1]), int(sys.argv[2])
calls = 0
real = os.write

def step():
    global calls
    calls += 1
    return calls == fatal

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def write(file, data):
    if step():
        real(file, bytes(data)[: len(data) // 2])
        die()
    written = real(file, data)
    if step():
        die()
    return written

_append.os.write = write
store = base / "commits.json"
saved = json.loads(store.read_text()) if store.exists() else {"done": 0, "state": {}}
services = MemoryServices(SystemClock(), state={k: v.encode() for k, v in saved["state"].items()})
params = msgspec.convert({"path": "{source.asn}.csv", "format": "csv", "fields": ["id", "comment"]}, FileParams)
bot = File(params, Context(bot="archive", base=base, services=services))
bot.open()
for start in range(saved["done"], 40, 10):
    if start == 20:
        batches = [[number] for number in range(20, 30)]
    else:
        batches = [range(start, start + 10)]
    for batch in batches:
        events = [{"id": f"a-{n}", "source.asn": 64496 + n % 2, "comment": "x\\ny" * 50} for n in batch]
        bot.process_batch([Event(fields) for fields in events], Outlet())
    if step():
        die()
    saved = {"done": start + 10, "state": {k: v.decode() for k, v in services.memory.values.items()}}
    (base / "new.json").write_text(json.dumps(saved))
    os.replace(base / "new.json", store)
    if step():
        die()
"""


@pytest.mark.parametrize("seed", [0, 1])
def test_kill_at_any_moment_neither_tears_nor_doubles_a_line(tmp_path, seed):
    """Killed in the middle of a write, after it, before or after the commit: each event is there once, whole."""
    deaths = 0
    for attempt in range(7):
        fatal = 1 + (attempt * 5 + seed * 3) % 17 if attempt < 6 else 10**9
        ended = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), str(fatal)], check=False)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
        deaths += 1

    assert deaths == 6
    for asn in (0, 1):
        found = rows(tmp_path / f"{64496 + asn}.csv")
        assert found[0] == ["id", "comment"]
        assert [row[0] for row in found[1:]] == [f"a-{number}" for number in range(asn, 40, 2)]
        assert all(row[1] == r"x\ny" * 50 for row in found[1:])
    assert orjson.loads((tmp_path / "commits.json").read_bytes())["done"] == 40
