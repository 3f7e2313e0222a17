"""Records of CSV text: which physical lines make a record, also where a stray quote would swallow its neighbours.

The one reader of CSV (RFC 4180, read leniently): the cutter and the parsers share it, so that both see the same rows.
"""

import csv
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from .errors import InvalidRow

RECORD_LIMIT = 2**20
"""The longest record that is read, in characters; a longer one is set aside."""

REREAD = 16
"""How often a text may be read again, all in all, because of stray quotes: hostile input must not cost its square."""

_RUN = 500
"""How many lines are tried at once whether each is a record."""

csv.field_size_limit(RECORD_LIMIT)


class Dialect(NamedTuple):
    """How CSV text is written.

    Args:
        delimiter: one ASCII character between two columns.
        quote: one ASCII character around a value, or "" if there is no quoting.
        comment: a line that starts with one of these is no record.
        columns: how many columns a record has; 0 if that is not known.
    """

    delimiter: str = ","
    quote: str = '"'
    comment: tuple[str, ...] = ()
    columns: int = 0


class Record(NamedTuple):
    """One record.

    Args:
        start: index of its first line.
        end: index after its last line.
        values: its columns (none for a blank line or a comment), or the error that says why it can't be read.
    """

    start: int
    end: int
    values: list[str] | InvalidRow


class Run(NamedTuple):
    """Records of one line each, none of them blank or a comment.

    Args:
        start: index of the first line.
        values: the columns of each record.
    """

    start: int
    values: list[list[str]]

    @property
    def end(self) -> int:
        """Index after the last line."""
        return self.start + len(self.values)

    def records(self) -> Iterator[Record]:
        """Give them one by one."""
        for start, values in enumerate(self.values, self.start):
            yield Record(start, start + 1, values)


def records(lines: list[str], dialect: Dialect, *, final: bool = True) -> Iterator[Record]:
    """Read the records of whole lines.

    A record that can't be right (its quote is never closed, it is longer than `RECORD_LIMIT`, or it spans lines and
    has a wrong number of columns) is given up with its first line only; reading goes on at the next line.

    Args:
        lines: physical lines with their line ends.
        dialect: how they are written.
        final: whether nothing follows; else a record that is still open at the end is left out.
    """
    for found in runs(lines, dialect, final=final):
        if isinstance(found, Run):
            yield from found.records()
        else:
            yield found


def runs(lines: list[str], dialect: Dialect, *, final: bool = True) -> Iterator[Run | Record]:
    """Read the records as `records` does, those of one line each in runs, which takes half the time."""
    start = special = 0
    budget = -1
    while start < len(lines):
        if start >= special:
            if run := _run(lines, start, dialect):
                yield Run(start, run)
                start += len(run)
                continue
            special = start + _RUN
        begun = start
        start, end, mistake = yield from _good_records(lines, start, dialect, final=final)
        if not mistake:
            if start == begun:
                return
            continue
        if budget < 0:
            budget = REREAD * sum(map(len, lines))
        budget -= sum(map(len, lines[start:end]))
        end = start + 1 if budget > 0 else min(end, len(lines))
        comment = dialect.comment and lines[start].startswith(dialect.comment)
        yield Record(start, end, [] if comment else InvalidRow(mistake))
        start = end


def _run(lines: list[str], start: int, dialect: Dialect) -> list[list[str]]:
    """Give the columns of the next `_RUN` lines, if each of them is a record and nothing is special; else none."""
    run = lines[start : start + _RUN]
    if max(map(len, run)) > RECORD_LIMIT or (dialect.comment and any(line.startswith(dialect.comment) for line in run)):
        return []
    reader = _reader(run, dialect)
    found: list[list[str]] = []
    try:
        found.extend(reader)
    except csv.Error:
        return []
    # An open quote swallows the blank line at the end.
    return found[:-1] if len(found) == len(run) + 1 and all(found[:-1]) else []


def _good_records(
    lines: list[str], start: int, dialect: Dialect, *, final: bool
) -> Generator[Record, None, tuple[int, int, str]]:
    """Read some `_RUN` lines, up to the first record that can't be right.

    Returns:
        where the next record starts; if that is the one that can't be right, also where it would end, and why.
    """
    base, stop = start, start + _RUN
    reader = _reader(map(lines.__getitem__, range(start, len(lines))), dialect)
    try:
        for values in reader:
            end = base + reader.line_num
            if start == len(lines):
                break
            if end - start > 1 or len(lines[start]) > RECORD_LIMIT:
                if end > len(lines) and not final and sum(map(len, lines[start:])) <= RECORD_LIMIT:
                    break
                if mistake := _mistake(lines, start, end, values, dialect):
                    return start, end, mistake
            yield Record(start, end, [] if dialect.comment and lines[start].startswith(dialect.comment) else values)
            start = end
            if start >= stop:
                break
    except csv.Error as error:
        return start, base + reader.line_num, _sentence(error)
    return start, start, ""


def _reader(lines: Iterable[str], dialect: Dialect) -> Any:
    """Give a reader of *lines* and of a blank one below them, which an open quote takes in."""
    return csv.reader(
        chain(lines, ("",)),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
    )


def _mistake(lines: list[str], start: int, end: int, values: list[str], dialect: Dialect) -> str:
    below = end - start - 1
    if sum(map(len, lines[start:end])) > RECORD_LIMIT:
        return f"a record longer than {RECORD_LIMIT} characters"
    if end > len(lines):
        return "a quote is opened here and never closed"
    if dialect.comment and lines[start].startswith(dialect.comment):
        return "a comment"
    if dialect.columns and len(values) != dialect.columns:
        return (
            f"a quote is opened here that would take in the next {below} line(s) and then give "
            f"{len(values)} columns instead of {dialect.columns}"
        )
    return ""


def _sentence(error: csv.Error) -> str:
    text = str(error)
    if "field limit" in text:
        return f"a value longer than {RECORD_LIMIT} characters"
    if "new-line" in text:
        return "a carriage return in the middle of the line; lines must end with \\n or \\r\\n"
    return text
