"""What the processes write, and how it is read again."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanbots.cli.logfiles import LogFile, last_lines
from cleanbots.services.logs import bot_logger, escape, readable, setup


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """Leave the logging of the test run as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def written(stream: io.StringIO) -> list[dict]:
    """Give the records in a stream."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("evil", ["\n", "\r", "\x1b[2J", "\u202e", "\u2028", "\x85", "\x00", "\udc80"])
def test_a_record_is_one_line(evil):
    """No character of a value ends its line or reaches the terminal as a command, as JSON and as text."""
    for stream in (io.StringIO(), Terminal()):
        setup("INFO", stream)
        bot_logger("parse").info("value %s", f"a{evil}b", extra={"more": f"c{evil}d"})
        text = stream.getvalue()
        assert text.count("\n") == len(text.splitlines()) == 1
        assert evil not in text.removesuffix("\n")


def test_json_lines_carry_bot_bound_facts_and_extras():
    """A line says when, how bad, which bot, what is bound to the process, and what is given besides."""
    stream = io.StringIO()
    setup("INFO", stream, bound={"worker": "parse", "number": "0"})

    bot_logger("enrich").warning("table is old", extra={"days": 9})
    bot_logger("enrich").debug("not shown")

    (line,) = written(stream)
    assert line["time"].endswith("+00:00")
    assert {key: line[key] for key in ("level", "bot", "message", "worker", "number", "days")} == {
        "level": "warning",
        "bot": "enrich",
        "message": "table is old",
        "worker": "parse",
        "number": "0",
        "days": 9,
    }


def test_secrets_are_never_written():
    """A secret's value is masked in sentences, in facts and in tracebacks."""
    stream = io.StringIO()
    setup("INFO", stream, secrets=["hunter22", "hunter22-long"])

    try:
        int("hunter22-long")
    except ValueError:
        bot_logger("x").exception("used hunter22", extra={"url": "https://u:hunter22@example.net"})

    assert "hunter22" not in stream.getvalue()
    (line,) = written(stream)
    assert line["url"] == "https://u:***@example.net"
    assert line["traceback"].endswith("base 10: '***'")


def test_long_values_are_cut():
    """A value of megabytes costs one line of kilobytes."""
    stream = io.StringIO()
    setup("INFO", stream)

    bot_logger("x").info("%s", "y" * 10**6)

    assert len(stream.getvalue()) < 10_000


def test_readable_text_shows_the_traceback_below():
    """A person reads time, level, bot and sentence on one line, and the traceback on lines of its own."""
    text = readable(
        {
            "time": "2026-01-02T03:04:05.678+00:00",
            "level": "error",
            "bot": "parse",
            "message": "ended",
            "traceback": "Traceback:\n  boom\x1b",
        }
    )

    assert text == "2026-01-02 03:04:05 ERROR    parse: ended\n    Traceback:\n      boom\\u001b"


def test_escape_leaves_letters_alone():
    """Letters of every script stay as they are."""
    assert escape("Zürich → 東京") == "Zürich → 東京"


def record(second: int, message: str, level: str = "info") -> str:
    """Give a line of a log."""
    return json.dumps({"time": f"2026-01-01T00:00:{second:02}+00:00", "level": level, "message": message}) + "\n"


def everything(_: dict) -> bool:
    """Want every line."""
    return True


def messages(lines: list[dict]) -> list[str]:
    """Give what the lines say."""
    return [line["message"] for line in lines]


def test_the_last_lines_of_several_files_come_in_the_order_of_time(tmp_path):
    """Lines of different processes are merged by their time; only the last ones are given."""
    (tmp_path / "a-0.log").write_text(record(1, "one") + record(4, "four"))
    (tmp_path / "b-0.log").write_text(record(2, "two") + record(3, "three"))

    files = [LogFile(tmp_path / name, everything) for name in ("a-0.log", "b-0.log")]

    assert messages(last_lines(files, 3)) == ["two", "three", "four"]


def test_wanted_lines_are_found_far_from_the_end(tmp_path):
    """A rare line is found in a file much larger than what is read at first."""
    path = tmp_path / "a-0.log"
    path.write_text(record(1, "rare", "error") + record(2, "x" * 100) * 10_000)

    found = LogFile(path, lambda line: line["level"] == "error").last(5)

    assert messages(found) == ["rare"]


def test_following_gives_each_new_line_once(tmp_path):
    """What is appended is given once, and half a line only when it is whole."""
    path = tmp_path / "a-0.log"
    path.write_text(record(1, "old"))
    file = LogFile(path, everything)
    file.last(1)

    with path.open("a") as stream:
        whole = record(2, "new")
        stream.write(whole[:10])
        stream.flush()
        assert file.new() == []
        stream.write(whole[10:])
    assert messages(file.new()) == ["new"]
    assert file.new() == []


def test_following_goes_on_after_a_rotation(tmp_path):
    """When the file is rotated away, its successor is read from the beginning."""
    path = tmp_path / "a-0.log"
    path.write_text(record(1, "old"))
    file = LogFile(path, everything)
    file.last(1)

    path.rename(tmp_path / "a-0.log.1")
    assert file.new() == []
    path.write_text(record(2, "new"))

    assert messages(file.new()) == ["new"]


def test_stray_output_of_a_worker_is_shown_with_the_record_before(tmp_path):
    """What is no JSON (the last words of a crash) is a warning at the time of the line before."""
    path = tmp_path / "a-0.log"
    path.write_text(record(7, "fine") + "Fatal Python error: Segmentation fault\n")

    line = LogFile(path, everything).last(1)[0]

    assert (line["level"], line["part"], line["time"]) == ("warning", "a-0", "2026-01-01T00:00:07+00:00")


def test_supervisord_and_server_lines_have_time_and_level(tmp_path):
    """Lines of programs that are not ours are understood as far as they go."""
    (tmp_path / "supervisord.log").write_text("2026-01-01 12:00:00,123 WARN exited: a-0 (exit status 1)\n")
    (tmp_path / "server.log").write_text("12:M 01 Jan 2026 12:00:01.123 # Out of memory\n")

    lines = last_lines([LogFile(tmp_path / f"{name}.log", everything) for name in ("supervisord", "server")], 9)

    assert [(line["part"], line["level"], line["message"]) for line in lines] == [
        ("supervisord", "warning", "exited: a-0 (exit status 1)"),
        ("server", "warning", "Out of memory"),
    ]
    assert lines[0]["time"] < lines[1]["time"]


def test_a_line_without_end_is_bounded(tmp_path: Path):
    """A process that writes megabytes without a line end neither stops the reader nor fills its memory."""
    path = tmp_path / "a-0.log"
    path.write_text("")
    file = LogFile(path, everything)
    file.last(0)
    path.write_bytes(b"x" * 10**6)

    assert all(len(line["message"]) <= 65536 for line in file.new())
