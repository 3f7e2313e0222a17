"""Reading log files: the last lines of several in the order of time, and what is appended to them."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from heapq import merge
from pathlib import Path
from typing import Any

import orjson

from ..clock import iso

LEVELS = ("debug", "info", "warning", "error", "critical")

Line = dict[str, Any]
"""One record: ``time``, ``level``, ``message``, perhaps ``bot``, ``worker`` and further facts."""

_BLOCK = 256 * 1024
_LONGEST = 64 * 1024
_SUPERVISORD = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ (DEBG|INFO|WARN|ERRO|CRIT) (.*)", re.DOTALL)
_SERVER = re.compile(r"\d+:\w (\d\d \w{3} \d{4} \d\d:\d\d:\d\d)\.\d+ ([.*#-]) (.*)", re.DOTALL)
_LEVEL_OF = {"DEBG": "debug", "INFO": "info", "WARN": "warning", "ERRO": "error", "CRIT": "critical"}
_LEVEL_OF |= {".": "debug", "-": "debug", "*": "info", "#": "warning"}
FOREIGN = {"supervisord": (_SUPERVISORD, "%Y-%m-%d %H:%M:%S"), "server": (_SERVER, "%d %b %Y %H:%M:%S")}
"""Programs that are not ours: how their lines look, and how they write the time."""

# the socket is in a folder that only its owner can enter
_HARMLESS = "running without any HTTP authentication checking"


class LogFile:
    """One log file, read from its end and then on; a rotated file is followed to its successor.

    Args:
        path: the file. Its stem names the program that wrote it.
        wanted: which lines to give.
    """

    def __init__(self, path: Path, wanted: Callable[[Line], bool]) -> None:
        self._path = path
        self._wanted = wanted
        self._position = 0
        self._inode = 0
        self._time = ""

    def last(self, count: int) -> list[Line]:
        """Give up to *count* last lines that are wanted; `new` goes on after them."""
        with self._path.open("rb") as file:
            self._inode = self._stat()[0]
            size = file.seek(0, 2)
            block = _BLOCK
            while True:
                start = max(0, size - block)
                file.seek(start)
                data = file.read(size - start)
                begin = data.find(b"\n") + 1 if start else 0
                end = data.rfind(b"\n") + 1
                self._position = start + end
                self._time = ""
                found = [line for line in self._lines(data[begin:end]) if self._wanted(line)]
                if len(found) >= count or not start:
                    return found[-count:] if count else []
                block *= 4

    def new(self) -> list[Line]:
        """Give the wanted lines that were appended since the last call, whole lines only."""
        inode, size = self._stat()
        if inode != self._inode or size < self._position:
            self._inode, self._position = inode, 0
        if size <= self._position:
            return []
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                data = file.read(_BLOCK)
        except FileNotFoundError:  # it is being rotated just now
            return []
        end = data.rfind(b"\n") + 1 or (len(data) if len(data) == _BLOCK else 0)
        self._position += end
        return [line for line in self._lines(data[:end]) if self._wanted(line)]

    def _stat(self) -> tuple[int, int]:
        try:
            facts = self._path.stat()
        except FileNotFoundError:  # between two files of a rotation
            return self._inode, self._position
        return facts.st_ino, facts.st_size

    def _lines(self, data: bytes) -> Iterator[Line]:
        for raw in data.splitlines():
            line = _parse(raw[:_LONGEST], self._path.stem)
            line.setdefault("time", self._time)  # what is no record belongs to the one before
            self._time = line["time"]
            yield line


def last_lines(files: Sequence[LogFile], count: int) -> list[Line]:
    """Give the last *count* lines of all *files* together, in the order of time."""
    found = list(merge(*(file.last(count) for file in files), key=lambda line: line["time"]))
    return found[-count:] if count else []


def _parse(raw: bytes, program: str) -> Line:
    try:
        line = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _plain(raw.decode("utf-8", "replace"), program)
    if not isinstance(line, dict) or line.get("level") not in LEVELS or not isinstance(line.get("time"), str):
        return _plain(raw.decode("utf-8", "replace"), program)
    return {"program": program, **line}


def _plain(text: str, program: str) -> Line:
    if program not in FOREIGN:
        # a worker's own lines are JSON, so anything else is a stray print or the traceback of a death
        return {"program": program, "level": "warning", "part": program, "message": text}
    pattern, times = FOREIGN[program]
    found = pattern.fullmatch(text)
    if found is None:
        return {"program": program, "level": "info", "part": program, "message": text}
    time, level, message = found.groups()
    return {
        "program": program,
        "time": iso(datetime.strptime(time, times).astimezone()),  # both write the machine's local time
        "level": "debug" if _HARMLESS in message else _LEVEL_OF[level],
        "part": program,
        "message": message,
    }
