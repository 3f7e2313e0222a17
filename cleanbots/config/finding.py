"""A mistake in a configuration: where it is, what it is, and what would mend it."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NamedTuple

Path = tuple[str | int, ...]
"""Where a value stands in the configuration, for example ``("bots", "fetch", "params", "url")``."""


class Place(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int


class Finding(NamedTuple):
    """One mistake.

    Args:
        file: the file it is in, as the reader named it.
        line: counted from 1.
        column: counted from 1, in characters.
        text: what is wrong: the place in dotted form, what was found; one sentence without a full stop.
        hint: what to do about it, or "".
    """

    file: str
    line: int
    column: int
    text: str
    hint: str = ""

    def __str__(self) -> str:
        """Give ``file:line:column: text → hint`` on exactly one line, without what would steer a terminal."""
        text = f"{self.file}:{self.line}:{self.column}: {self.text}"
        whole = f"{text} → {self.hint}" if self.hint else text
        return "".join(each if each.isprintable() else " " for each in whole)

    def as_dict(self) -> dict[str, Any]:
        """Give the finding as JSON-ready mapping."""
        return self._asdict()


def dotted(path: Path) -> str:
    """Give a path as a person writes it: ``bots.fetch.params.urls[2]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def closest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Give a hint: the known name closest to *word*, else all known names if they are few, else *otherwise*."""
    names = sorted(set(known))
    close = get_close_matches(word, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    if names and len(names) <= 12:
        return f"known: {', '.join(names)}"
    return otherwise
