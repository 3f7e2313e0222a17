"""Write blocks as plain text of at most 76 columns."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from .blocks import Banner, Block, Commands, Counts, Entry, Heading, Labelled, Paragraph, Row, Rule, Table

COLUMNS: Final = 76
_PROSE = 72
_EDGE = 70
_DETAIL_LINES = 4
_NAMES = 2


def as_text(blocks: Sequence[Block]) -> str:
    """Give the text; lines end in LF, none is longer than `COLUMNS`, none has blanks at its end."""
    lines: list[str] = []
    before: Block | None = None
    for block in blocks:
        if before is not None and _apart(block, before):
            lines.append("")
        lines.extend(each.rstrip() for each in _WRITERS[type(block)](*block))
        before = block
    return "\n".join(lines) + "\n"


def _apart(block: Block, before: Block) -> bool:
    if isinstance(block, Entry):
        return not isinstance(before, Heading)
    if isinstance(block, Paragraph):
        return block.apart or isinstance(before, Rule)
    return isinstance(block, Heading | Rule) or isinstance(before, Rule)


def _wrapped(text: str, width: int, first: int = 0, later: int = 0) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=" " * first, subsequent_indent=" " * later, break_on_hyphens=False
    ) or [""]


def _banner(left: str, right: str) -> Iterator[str]:
    room = _EDGE - len(right) - 1
    if len(left) <= room:
        yield left.ljust(room + 1) + right
        return
    head, *rest = _wrapped(left, max(room, 20), 0, 4)
    yield head.ljust(room + 1) + right
    yield from rest


def _heading(text: str) -> Iterator[str]:
    lines = _wrapped(text, _PROSE)
    yield from lines
    yield "-" * max(map(len, lines))


def _paragraph(text: str, indent: int, *_: object) -> Iterator[str]:
    yield from _wrapped(text, _PROSE, indent, indent)


def _labelled(label: str, text: str, indent: int, width: int) -> Iterator[str]:
    head = " " * indent + (label.ljust(width) if len(label) < width else f"{label} ")
    first, *rest = textwrap.wrap(
        text, _PROSE, initial_indent="." * len(head), subsequent_indent=" " * (indent + width), break_on_hyphens=False
    )
    yield head + first[len(head) :]
    yield from rest


def _commands(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield from _wrapped(line, COLUMNS, 4, 6)


def _rule() -> Iterator[str]:
    yield "=" * _EDGE


def _counts(texts: Sequence[str]) -> Iterator[str]:
    line = ""
    for text in texts:
        cell = text.ljust(11)
        if line and len(line) + 2 + len(text) > _PROSE:
            yield line
            line = ""
        line += "  " + cell
    yield line


def _entry(severity: str, titles: Sequence[str], number: int) -> Iterator[str]:
    mark = f"[{severity}] "
    room = _EDGE - len(str(number)) - 2
    head, *rest = _wrapped(mark + titles[0], room, 0, len(mark))
    yield head.ljust(_EDGE - len(str(number))) + str(number)
    yield from rest
    for title in titles[1:]:
        yield from _wrapped(title, room, len(mark), len(mark))


def _table(rows: Sequence[Row], floors: Sequence[int]) -> Iterator[str]:
    floors = (*floors, *[0] * (len(rows[0].cells) - len(floors)))
    widths = [max(floor, *(len(row.cells[at]) for row in rows), 0) for at, floor in enumerate(floors)]
    lines = [_on_one_line(row, widths, 2) for row in rows]
    if max(map(len, lines)) > COLUMNS:
        lines = [_on_one_line(row, widths, 1) for row in rows]
    fits = max(map(len, lines)) <= COLUMNS
    for row, line in zip(rows, lines, strict=True):
        if fits:
            yield line
        else:
            yield from _on_two_lines(row)
        for detail in row.details:
            yield from _detail(detail)


def _on_one_line(row: Row, widths: Sequence[int], gap: int) -> str:
    """Put the cells below those of other rows; *gap* is before the last one only."""
    *cells, last = (cell.ljust(width) for cell, width in zip(row.cells, widths, strict=True))
    return ("  " + "  ".join(cells) + " " * gap + last).rstrip()


def _on_two_lines(row: Row) -> Iterator[str]:
    yield from _wrapped("  ".join(filter(None, row.cells[:_NAMES])), COLUMNS, 2, 4)
    rest = "  ".join(filter(None, row.cells[_NAMES:]))
    if rest:
        yield from _wrapped(rest, COLUMNS, 4, 4)


def _detail(text: str) -> Iterator[str]:
    """Break a long fact, such as a URL; what is beyond a few lines stands in the attachment."""
    lines = textwrap.wrap(text, COLUMNS - 4, break_on_hyphens=False)
    if len(lines) > _DETAIL_LINES:
        lines = [*lines[: _DETAIL_LINES - 1], lines[_DETAIL_LINES - 1][: COLUMNS - 10] + " […]"]
    for line in lines:
        yield "    " + line


_WRITERS: Final[Mapping[type[Block], Callable[..., Iterator[str]]]] = {
    Banner: _banner,
    Heading: _heading,
    Paragraph: _paragraph,
    Counts: _counts,
    Entry: _entry,
    Table: _table,
    Labelled: _labelled,
    Commands: _commands,
    Rule: _rule,
}
