"""Records of CSV text: which physical lines make a record, also where a stray quote would swallow its neighbours.

The one reader of CSV (RFC 4180, read leniently): the cutter and the parsers share it, so that both see the same rows.
"""

import csv
from collections.abc import Generator, Iterator
from itertools import chain
from typing import NamedTuple

from .errors import InvalidRow

RECORD_LIMIT = 2**20
"""The longest record that is read, in characters; a longer one is set aside."""

REREAD = 16
"""How often a text may be read again, all in all, because of stray quotes: hostile input must not cost its square."""

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


def records(lines: list[str], dialect: Dialect, *, final: bool = True) -> Iterator[Record]:
    """Read the records of whole lines.

    A record that can't be right (its quote is never closed, it is longer than `RECORD_LIMIT`, or it spans lines and
    has a wrong number of columns) is given up with its first line only; reading goes on at the next line.

    Args:
        lines: physical lines with their line ends.
        dialect: how they are written.
        final: whether nothing follows; else a record that is still open at the end is left out.
    """
    start, budget = 0, -1
    while start < len(lines):
        start, end, mistake = yield from _good_records(lines, start, dialect, final=final)
        if not mistake:
            return
        if budget < 0:
            budget = REREAD * sum(map(len, lines))
        budget -= sum(map(len, lines[start:end]))
        end = start + 1 if budget > 0 else min(end, len(lines))
        comment = dialect.comment and lines[start].startswith(dialect.comment)
        yield Record(start, end, [] if comment else InvalidRow(mistake))
        start = end


def _good_records(
    lines: list[str], start: int, dialect: Dialect, *, final: bool
) -> Generator[Record, None, tuple[int, int, str]]:
    """Read up to the first record that can't be right; give where that starts, where it would end, and why."""
    base, comment = start, dialect.comment
    quote = dialect.quote
    reader = csv.reader(
        chain(map(lines.__getitem__, range(start, len(lines))), ("",)),  # an open quote takes the last one in
        delimiter=dialect.delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )
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
            yield Record(start, end, [] if comment and lines[start].startswith(comment) else values)
            start = end
    except csv.Error as error:
        return start, base + reader.line_num, _sentence(error)
    return start, start, ""


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
