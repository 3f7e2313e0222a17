"""What a mail's body is made of: blocks of words without layout, so that its text and its HTML say the same."""

from typing import NamedTuple


class Banner(NamedTuple):
    """One line with something at either end; what is on the right is never cut."""

    left: str
    right: str


class Heading(NamedTuple):
    """A heading; in text it is underlined."""

    text: str


class Paragraph(NamedTuple):
    """Prose.

    Args:
        text: is wrapped.
        indent: how far it stands in.
        apart: whether a blank line goes before.
    """

    text: str
    indent: int = 0
    apart: bool = False


class Counts(NamedTuple):
    """A few numbers with their words, side by side."""

    texts: tuple[str, ...]


class Entry(NamedTuple):
    """The head of a group of findings.

    Args:
        severity: an English word, as it is data.
        titles: in each language of the mail.
        number: of the group's findings.
    """

    severity: str
    titles: tuple[str, ...]
    number: int


class Row(NamedTuple):
    """A finding: cells side by side, and further facts below them."""

    cells: tuple[str, ...]
    details: tuple[str, ...] = ()


class Table(NamedTuple):
    """Rows whose cells stand below each other.

    Args:
        rows: all with the same number of cells; the last ones may be "".
        floors: the least widths of the first cells.
    """

    rows: tuple[Row, ...]
    floors: tuple[int, ...] = ()


class Labelled(NamedTuple):
    """Prose after a label: ``Wat:  …``; *width* is how far the prose stands in."""

    label: str
    text: str
    indent: int = 2
    width: int = 6


class Commands(NamedTuple):
    """Lines to copy into a terminal."""

    lines: tuple[str, ...]


class Rule(NamedTuple):
    """A line across, between languages."""


Block = Banner | Heading | Paragraph | Counts | Entry | Table | Labelled | Commands | Rule
