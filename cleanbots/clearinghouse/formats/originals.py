"""Reading a finding's original: the notifier's row below its report's header."""

import csv
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from ..model import Finding

_DELIMITERS = ",;\t|"
_LONGEST = 2**20
_LINES = re.compile(r"[^\n]*\n|[^\n]+")


class Original(NamedTuple):
    """An original, taken apart; header plus row are the text that came, to the byte.

    Args:
        header: of the report, with its line end; "" if there is none.
        row: the notifier's row as it came.
        delimiter: what parts the columns; "" if there is no header.
    """

    header: str
    row: str
    delimiter: str = ""


def split(text: str) -> Original:
    """Part an original into header and row; a quoted line end is part of its record."""
    if "\n" not in text.strip("\r\n") or len(text) > _LONGEST or text.lstrip().startswith(("{", "[")):
        return Original("", text)
    head = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    lines = _LINES.findall(text)
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        ends = [reader.line_num for values in reader if values]
    except csv.Error:
        return Original("", text)
    if len(ends) != 2:
        return Original("", text)
    return Original("".join(lines[: ends[0]]), "".join(lines[ends[0] :]), delimiter)


def cells(text: str) -> dict[str, Any]:
    """Read an original as names and values: those of its header or of its JSON object.

    Returns:
        ``{"row": text}`` if it has neither, or if header and row don't fit each other; {} if there is no original.
    """
    if not text:
        return {}
    if text.lstrip().startswith("{"):
        try:
            return dict(orjson.loads(text))
        except orjson.JSONDecodeError:
            return {"row": text}
    header, row, delimiter = split(text)
    if header:
        names, values = _columns(header, delimiter), _record(row, delimiter)
        if len(set(names)) == len(values) == len(names):
            return dict(zip(names, values, strict=True))
    return {"row": text}


class Table:
    """The rows of findings below the one header they came with, as bytes.

    Attributes:
        data: header and rows.
        rows: how many there are.
    """

    def __init__(self, header: str) -> None:
        self.data = bytearray(header.encode())
        self.rows = 0
        self._end = b"\r\n" if header.endswith("\r\n") else b"\n"

    def add(self, row: str) -> None:
        """Add a row as it came; a report's last one may lack its line end."""
        self.data += row.encode()
        if not row.endswith("\n"):
            self.data += self._end
        self.rows += 1


def gather(tables: dict[str, Table], finding: Finding) -> None:
    """Add a finding's original, if it has one, to the table of its header; rows without one are under ""."""
    if finding.original:
        header, row, _ = split(finding.original)
        if header not in tables:
            tables[header] = Table(header)
        tables[header].add(row)


def tables(findings: Iterable[Finding]) -> dict[str, Table]:
    """Gather the originals of findings by their headers; rows without one are under ""."""
    found: dict[str, Table] = {}
    for finding in findings:
        gather(found, finding)
    return found


@lru_cache(maxsize=256)
def _columns(header: str, delimiter: str) -> list[str]:
    return _record(header, delimiter)


def _record(text: str, delimiter: str) -> list[str]:
    """Read the last record of a text that `split` could read."""
    return next(values for values in reversed(list(csv.reader(_LINES.findall(text), delimiter=delimiter))) if values)
