"""Logging of every process: short text on a terminal, JSON lines everywhere else, always one record a line."""

import json
import logging
import re
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from ..clock import iso

_ROOT = "cleanbots."
_BOTS = "cleanbots.bots."
_OURS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_MAX_VALUE = 8192
_MIN_SECRET = 4
# C0, DEL, C1, line separators, and the marks that change the direction of text
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def setup(
    level: str = "INFO",
    stream: TextIO | None = None,
    *,
    secrets: Collection[str] = (),
    bound: Mapping[str, str] | None = None,
) -> None:
    """Set the process's logging up; a second call replaces the first.

    Args:
        level: the least level that is written, by its name.
        stream: where to; standard error by default. Text if it is a terminal, otherwise JSON lines.
        secrets: values that are never written; those shorter than four characters would hide half the log and stay.
        bound: facts that stand in every line, such as ``{"worker": "shadowserver", "number": "1"}``.

    Raises:
        ValueError: if *level* is no level.
    """
    stream = stream or sys.stderr
    hidden = sorted((secret for secret in secrets if len(secret) >= _MIN_SECRET), key=len, reverse=True)
    formatter = _TextFormatter if stream.isatty() else _JsonFormatter
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(hidden, bound or {}))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)


def bot_logger(bot: str) -> logging.Logger:
    """Give the logger of a bot; its lines carry the bot's id."""
    return logging.getLogger(_BOTS + bot)


def escape(text: str) -> str:
    r"""Give *text* with its control characters written out (``\n``, ``\u001b``), so that it can't leave its line."""
    return _CONTROL.sub(lambda found: json.dumps(found[0])[1:-1] if found[0] < "\x80" else _code(found[0]), text)


def _code(character: str) -> str:
    return f"\\u{ord(character):04x}"


class _Formatter(logging.Formatter):
    def __init__(self, hidden: Collection[str], bound: Mapping[str, str]) -> None:
        super().__init__()
        self._hidden = hidden
        self._bound = bound

    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        """Give what a line says: time, level, what is bound, the bot, the sentence, further facts, the traceback."""
        facts: dict[str, Any] = {
            "time": iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            **self._bound,
        }
        if record.name.startswith(_BOTS):
            facts["bot"] = record.name.removeprefix(_BOTS)
        else:
            facts["part"] = record.name.removeprefix(_ROOT)
        facts["message"] = self._clean(record.getMessage())
        for key, value in vars(record).items():
            if key not in _OURS:
                facts[key] = (
                    value if value is None or isinstance(value, (bool, int, float)) else self._clean(str(value))
                )
        if record.exc_info:
            facts["traceback"] = self._clean(self.formatException(record.exc_info))
        return facts

    def _clean(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}… ({len(text)} characters)"


class _JsonFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.facts(record), default=str)


class _TextFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return readable(self.facts(record))


def readable(facts: Mapping[str, Any]) -> str:
    """Give a line's facts (of a JSON log line) as text for a person; a traceback follows on lines of its own."""
    rest = dict(facts)
    time, level, part, bot = (str(rest.pop(key, "")) for key in ("time", "level", "part", "bot"))
    message, traceback = str(rest.pop("message", "")), str(rest.pop("traceback", ""))
    head = f"{time[:19].replace('T', ' ')} {level.upper():<8} {bot or part}: "
    text = escape(head + message + "".join(f" {key}={value}" for key, value in rest.items()))
    return text + "".join(f"\n    {escape(line)}" for line in traceback.splitlines())
