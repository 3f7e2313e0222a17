"""collector/watch: files of a folder as soon as they are there."""

import sys
import threading
from pathlib import Path

import msgspec
import pytest

from bots.collectors.file import FileParams
from bots.collectors.watch import Watched
from cleanbots import Context


def collector(base: Path) -> Watched:
    """Make a collector of a folder, opened as the worker does."""
    (base / "in").mkdir()
    made = Watched(msgspec.convert({"path": "in", "settle": "0s", "after": "delete"}, FileParams), Context(base=base))
    made.open()
    return made


def test_it_never_ends(tmp_path):
    """It yields each file that is there, then None, again and again."""
    bot = collector(tmp_path)
    (tmp_path / "in" / "a.csv").write_text("1\n")
    reports = bot.collect()

    first = next(reports)
    assert first is not None
    bot.done(first)
    assert next(reports) is None
    assert next(reports) is None
    (tmp_path / "in" / "b.csv").write_text("2\n")
    second = next(reports)
    assert second is not None
    assert second.name == "b.csv"
    bot.close()


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_waiting_ends_when_a_file_comes(tmp_path):
    """A file ends the wait for it long before its time."""
    bot = collector(tmp_path)
    waiting = threading.Thread(target=bot.wait, args=(3600.0,))
    waiting.start()

    (tmp_path / "new").write_text("1\n")
    (tmp_path / "new").rename(tmp_path / "in" / "a.csv")

    waiting.join(60.0)
    assert not waiting.is_alive()
    bot.close()
