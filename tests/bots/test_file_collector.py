"""collector/file: files of a folder, whole ones only, each once."""

import gzip
import io
import os
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bots.collectors.file import File, FileParams
from cleanbots import Context, Report, Retry
from cleanbots.clock import FixedClock
from cleanbots.errors import CleanbotsError

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def put(path: Path, data: bytes = b"a,b\n", age: float = 60) -> Path:
    """Write a file that was last changed *age* seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    moment = (NOW - timedelta(seconds=age)).timestamp()
    os.utime(path, (moment, moment))
    return path


def collector(base: Path, **params: Any) -> File:
    """Make a collector whose clock stands still."""
    made = msgspec.convert({"path": "in", **params}, FileParams)
    return File(made, Context(clock=FixedClock(NOW), base=base))


def read(report: Report) -> bytes:
    """Read a report's payload as the worker does."""
    assert callable(report.payload)
    with report.payload() as stream:
        return stream.read()


def collect(base: Path, **params: Any) -> dict[str, bytes]:
    """Collect, and give the payloads by name; each report is done at once."""
    bot = collector(base, **params)
    found: dict[str, bytes] = {}
    for report in bot.collect():
        if report is None:
            continue
        found[report.name] = read(report)
        bot.done(report)
    return found


def keys(base: Path, **params: Any) -> list[str]:
    """Give the keys of what is collected."""
    return [report.key for report in collector(base, **params).collect() if report is not None]


def zip_of(**members: bytes) -> bytes:
    """Make a zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_files_in_their_order(tmp_path):
    """Files are collected by name, those of the pattern only."""
    for name in ("b.csv", "a.csv", "c.txt", "sub/d.csv"):
        put(tmp_path / "in" / name, name.encode())

    assert list(collect(tmp_path, pattern="*.csv").items()) == [("a.csv", b"a.csv"), ("b.csv", b"b.csv")]
    assert list(collect(tmp_path, pattern="*.csv", recursive=True)) == ["a.csv", "b.csv", "d.csv"]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("in/a.csv", ["a.csv"]),
        ("in/*.csv", ["a.csv", "b.csv"]),
        ("in/*/c*.csv", ["c.csv"]),
        ("in/s?b/[cd].csv", ["c.csv", "d.csv"]),
    ],
)
def test_paths_with_wildcards(tmp_path, path, names):
    """A path may be a file, and may have wildcards at any level."""
    for name in ("a.csv", "b.csv", "sub/c.csv", "sub/d.csv"):
        put(tmp_path / "in" / name)

    assert list(collect(tmp_path, path=path)) == names


def test_half_written_files_wait(tmp_path):
    """A file that was changed just now waits, and so do names of unfinished ones."""
    put(tmp_path / "in" / "new.csv", age=1)
    put(tmp_path / "in" / "old.csv", age=3)
    put(tmp_path / "in" / "ahead.csv", age=-86400)
    for name in (".hidden.csv", "x.csv.tmp", "x.csv.part"):
        put(tmp_path / "in" / name)

    assert list(collect(tmp_path)) == ["ahead.csv", "old.csv"]
    assert "new.csv" in collect(tmp_path, settle="500ms")


def test_the_key_names_the_content(tmp_path):
    """The same file has the same key; a changed one has another."""
    path = put(tmp_path / "in" / "a.csv")
    first = keys(tmp_path)
    assert keys(tmp_path) == first

    put(path, age=30)
    assert keys(tmp_path) != first


def test_links_stay_in_the_folder(tmp_path):
    """A link to a file outside of the folder is not followed, nor one to a folder or to nothing."""
    outside = put(tmp_path / "out" / "secret.csv")
    inside = put(tmp_path / "in" / "a.csv")
    (tmp_path / "in" / "b.csv").symlink_to(inside)
    (tmp_path / "in" / "c.csv").symlink_to(outside)
    (tmp_path / "in" / "d").symlink_to(outside.parent)
    (tmp_path / "in" / "e.csv").symlink_to(tmp_path / "in" / "nothing")

    assert list(collect(tmp_path, recursive=True)) == ["a.csv", "b.csv"]


def test_only_regular_files(tmp_path):
    """A pipe is no report."""
    put(tmp_path / "in" / "a.csv")
    os.mkfifo(tmp_path / "in" / "pipe.csv")

    assert list(collect(tmp_path, settle="0s")) == ["a.csv"]


def test_archives_are_opened(tmp_path):
    """Members of archives are reports of their own; without `unpack` the archive is one."""
    put(tmp_path / "in" / "a.csv.gz", gzip.compress(b"1\n"))
    put(tmp_path / "in" / "b.zip", zip_of(x=b"2\n", y=b"3\n"))

    assert collect(tmp_path) == {"a.csv": b"1\n", "x": b"2\n", "y": b"3\n"}
    assert len(set(keys(tmp_path))) == 3
    assert list(collect(tmp_path, unpack=False)) == ["a.csv.gz", "b.zip"]


def test_a_bomb_is_refused(tmp_path):
    """An archive with too much inside fails with a sentence; the next file is collected."""
    put(tmp_path / "in" / "a.gz", gzip.compress(bytes(2**20)))
    put(tmp_path / "in" / "b.csv")
    reports = collector(tmp_path, max_size="1KiB").collect()

    first = next(reports)
    assert first is not None
    with pytest.raises(CleanbotsError, match="more than 1024 bytes come out"):
        read(first)
    last = next(reports)
    assert last is not None
    assert read(last) == b"a,b\n"


def test_what_is_kept_stays(tmp_path):
    """By default a collected file stays."""
    path = put(tmp_path / "in" / "a.csv")
    collect(tmp_path)

    assert path.exists()


def test_a_file_is_deleted_when_it_is_done(tmp_path):
    """Nothing is deleted before the report is done; afterwards the file is gone, and twice is harmless."""
    path = put(tmp_path / "in" / "a.csv")
    bot = collector(tmp_path, after="delete")
    (report,) = bot.collect()
    assert report is not None
    read(report)
    assert path.exists()

    bot.done(report)
    bot.done(report)
    assert not path.exists()


def test_a_file_is_moved_when_it_is_done(tmp_path):
    """A moved file never replaces another."""
    put(tmp_path / "in" / "a.csv", b"new")
    put(tmp_path / "done" / "a.csv", b"old")
    collect(tmp_path, after="move", to="done")

    assert not list((tmp_path / "in").iterdir())
    assert {path.read_bytes() for path in (tmp_path / "done").iterdir()} == {b"old", b"new"}


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_an_archive_waits_for_all_its_members(tmp_path, order):
    """An archive is deleted with the last of its members, also if they are done after all were collected."""
    path = put(tmp_path / "in" / "a.zip", zip_of(x=b"1", y=b"2", z=b"3"))
    bot = collector(tmp_path, after="delete")
    reports = [report for report in bot.collect() if report is not None]

    for number in order:
        assert path.exists()
        bot.done(reports[number])
    assert not path.exists()


def test_an_archive_with_a_bad_member_stays(tmp_path):
    """A member that can't be read is never done, so its archive stays for whoever mends it."""
    data = zip_of(x=b"1" * 50, y=b"2" * 50).replace(b"2" * 50, b"3" * 50)
    path = put(tmp_path / "in" / "a.zip", data)
    bot = collector(tmp_path, after="delete")
    for report in bot.collect():
        assert report is not None
        if report.name == "x":
            read(report)
            bot.done(report)
        else:
            with pytest.raises(CleanbotsError, match="a damaged archive"):
                read(report)

    assert path.exists()


def test_a_file_that_was_replaced_is_not_deleted(tmp_path):
    """A newer file under the same name is never deleted for the older one."""
    path = put(tmp_path / "in" / "a.csv")
    bot = collector(tmp_path, after="delete")
    (report,) = bot.collect()
    assert report is not None
    put(path, b"newer", age=5)

    with pytest.raises(CleanbotsError, match="was changed while it was collected"):
        read(report)
    bot.done(report)
    assert path.read_bytes() == b"newer"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_one_sentence(tmp_path):
    """A file without permission fails alone; the others are collected."""
    put(tmp_path / "in" / "a.csv").chmod(0)
    put(tmp_path / "in" / "b.csv")
    first, second = collector(tmp_path).collect()

    assert first is not None
    assert second is not None
    with pytest.raises(CleanbotsError, match=r"a\.csv: can't be read: Permission denied"):
        read(first)
    assert read(second) == b"a,b\n"


def test_a_file_that_went_away_is_one_sentence(tmp_path):
    """A file that is gone when it is read fails alone."""
    path = put(tmp_path / "in" / "a.csv")
    reports = collector(tmp_path, unpack=False).collect()
    report = next(reports)
    assert report is not None
    path.unlink()

    with pytest.raises(CleanbotsError, match=r"a\.csv: can't be read: No such file"):
        read(report)


def test_a_missing_folder_is_the_worlds_fault(tmp_path):
    """A folder that isn't there (an unmounted disk) is waited for, with a sentence."""
    with pytest.raises(Retry, match="this folder can't be read: No such file"):
        collect(tmp_path)


def test_names_of_odd_bytes(tmp_path):
    """A name that is no UTF-8 is collected under a readable one."""
    (tmp_path / "in").mkdir()
    put(Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/caf\xe9.csv")))

    assert list(collect(tmp_path)) == ["caf\\xe9.csv"]
    assert all(key.isprintable() for key in keys(tmp_path))


@pytest.mark.parametrize(
    "params",
    [
        {"after": "move"},
        {"to": "done"},
        {"after": "move", "to": "in"},
        {"after": "move", "to": "in/done", "recursive": True},
        {"settle": "2"},
    ],
)
def test_mistakes_are_found_before_anything_runs(params):
    """Parameters that don't go together are refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"path": "in", **params}, FileParams)
