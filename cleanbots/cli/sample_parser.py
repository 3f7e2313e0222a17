"""What ``cleanbots bots new parser NAME --from FILE`` writes: a parser for the columns of a sample, and its test.

Nothing is guessed that could be wrong unseen: a column becomes a field of its own only if its values leave no doubt
(addresses, times with a zone) or its name does; all others go to ``extra.``, for the author to look at.
"""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..charset import marked
from ..errors import CleanbotsError, InvalidRow, InvalidValue
from ..harmonization import harmonise
from ..records import Dialect, records
from .bot_templates import SAMPLE_BAD_ROW, SAMPLE_PARSER, SAMPLE_TEST, Template

_MOST_BYTES = 64 * 1024
_MOST_ROWS = 50
_DELIMITERS = (",", ";", "\t", "|")
_BY_NAME = {
    "source.port": re.compile(r"(src|source)?_?port"),
    "source.reverse_dns": re.compile(r"(hostname|host_name|reverse_dns|rdns|ptr)"),
    "source.asn": re.compile(r"asn?"),
    "malware.name": re.compile(r"(malware|family|malware_family|malware_name)"),
}


class Sample(NamedTuple):
    """How a sample of CSV is written.

    Args:
        delimiter: the character between columns.
        comment: whether lines that start with ``#`` are comments.
        header: the first row as text, if it names the columns; else "".
        names: the columns' names, each once.
        named: whether the header gives exactly these names.
        rows: the rows, each as text and as values.
    """

    delimiter: str
    comment: bool
    header: str
    names: tuple[str, ...]
    named: bool
    rows: list[tuple[str, list[str]]]


def sniff(file: Path) -> Sample:
    """Find out how the CSV text in *file* is written, by its first 64 KiB.

    Raises:
        CleanbotsError: if it holds no row.
    """
    with file.open("rb") as stream:
        start = stream.read(_MOST_BYTES)
        whole = not stream.read(1)
    text = start.decode(marked(start) or "utf-8", "replace").removeprefix("\ufeff")
    lines = list(io.StringIO(text, newline="\n"))
    comment = any(line.startswith("#") for line in lines)
    tables = {each: _table(lines if whole else lines[:-1], each, comment=comment) for each in _DELIMITERS}
    delimiter, rows = max(tables.items(), key=lambda item: _likelihood(item[1]))
    header = rows.pop(0) if rows and _is_header(rows[0][1]) else ("", [])
    if not rows:
        raise CleanbotsError(f"{file}: no row of a CSV file in it; give a sample with its header and some rows")
    names = _unique(header[1] or [""] * len(rows[0][1]))
    return Sample(delimiter, comment, header[0], names, list(names) == [name.strip() for name in header[1]], rows)


def parser_for(sample: Sample) -> tuple[Template, dict[str, str]]:
    """Give the template of a parser for *sample*, and the words to put in beside the usual ones."""
    targets: list[str] = []
    for at, name in enumerate(sample.names):
        target = _target(name, [values[at] for _, values in sample.rows])
        targets.append("" if target in targets else target)
    attributes = _attributes(sample)
    words = {
        "attributes": "".join(f"    {line}\n" for line in attributes) + "\n" * bool(attributes),
        "fill": "\n        ".join(map(_filled, sample.names, targets)),
        "header": _literal(f"{sample.header}\n" if sample.header else ""),
        "row": _literal(f"{sample.rows[0][0]}\n"),
        "expected": "",
    }
    if "source.ip" not in targets:
        return Template(SAMPLE_PARSER, SAMPLE_TEST), words
    at = targets.index("source.ip")
    row, address = next((row, values[at]) for row, values in sample.rows if values[at])
    words["row"], words["bad"] = _literal(f"{row}\n"), _literal(f"{row.replace(address, 'nonsense')}\n")
    words["expected"] = f'    assert event["source.ip"] == {_literal(harmonise("source.ip", address))}\n'
    return Template(SAMPLE_PARSER, SAMPLE_TEST + SAMPLE_BAD_ROW), words


def _filled(name: str, target: str) -> str:
    """Give the line that fills the field of a column."""
    value = f"row[{_literal(name)}]"
    if target == "source.ip":
        return f"event[{_literal(target)}] = {value}  # must fit: the row fails otherwise"
    return f"event.offer({_literal(target or _extra(name))}, {value})"


def _table(lines: list[str], delimiter: str, *, comment: bool) -> list[tuple[str, list[str]]]:
    """Give the first rows, each as text and as values; those of another width than the first are left out."""
    found: list[tuple[str, list[str]]] = []
    for record in records(lines, Dialect(delimiter, comment=("#",) if comment else ())):
        values = record.values
        if isinstance(values, InvalidRow) or not any(map(str.strip, values)):
            continue
        if not found or len(values) == len(found[0][1]):
            found.append(("".join(lines[record.start : record.end]).rstrip("\r\n"), values))
        if len(found) > _MOST_ROWS:
            break
    return found


def _likelihood(rows: list[tuple[str, list[str]]]) -> tuple[bool, int, int]:
    """Rate a delimiter: it divides at all, gives many rows of the same width, and many columns."""
    columns = len(rows[0][1]) if rows else 0
    return columns > 1, len(rows), columns


def _is_header(first: list[str]) -> bool:
    """Tell whether the first row names the columns: none of its cells is a value."""
    return not any(_is_value(cell.strip()) for cell in first)


def _is_value(text: str) -> bool:
    return text[:1].isdigit() or any(_fits(field, text) for field in ("source.ip", "time.source", "source.url"))


def _unique(cells: list[str]) -> tuple[str, ...]:
    """Give each column a name of its own."""
    names: list[str] = []
    for number, cell in enumerate(map(str.strip, cells), 1):
        names.append(cell if cell and cell not in names else f"{cell or 'column'}_{number}")
    return tuple(names)


def _target(name: str, values: Sequence[str]) -> str:
    """Give the field that a column fills without doubt, or ""."""
    given = [value for value in values if value]
    for field in ("source.ip", "time.source"):
        if given and all(_fits(field, value) for value in given):
            destination = field == "source.ip" and re.match(r"(?i)(dst|dest)", name)
            return "destination.ip" if destination else field
    word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return next((field for field, pattern in _BY_NAME.items() if pattern.fullmatch(word)), "")


def _fits(field: str, value: str) -> bool:
    try:
        harmonise(field, value)
    except InvalidValue:
        return False
    return True


def _extra(name: str) -> str:
    return "extra." + (re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_") or "column")


def _attributes(sample: Sample) -> list[str]:
    """Give the class attributes that differ from a CsvParser's own."""
    lines = []
    if sample.delimiter != ",":
        lines.append(f"delimiter = {_literal(sample.delimiter)}")
    if not sample.header:
        lines.append("header = False")
    if not sample.named:
        names = ", ".join(map(_literal, sample.names))
        lines.append(f"columns = ({names}{',' * (len(sample.names) == 1)})")
    if sample.comment:
        lines.append('comment = ("#",)')
    return lines


def _literal(text: str) -> str:
    """Give *text* as a literal: the escapes of JSON are Python's, too."""
    return json.dumps(text, ensure_ascii=False)
