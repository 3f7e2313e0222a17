"""CSV for people and scripts: ``csv``, and ``csv-excel-nl`` for a Dutch Excel. The header row is the contract."""

import csv
import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from ..model import Digest, Finding
from . import originals
from .base import RowFormat
from .finding import advice, hostname, observed, precision, tlp, utc
from .titles import title

COLUMNS = (
    *("state", "severity", "priority", "type", "identifier"),
    *("ip", "port", "port_is", "transport", "time_utc", "time_precision"),
    *("first_seen_utc", "last_seen_utc", "times_seen"),
    *("hostname", "url", "malware", "cve", "asn"),
    *("matched", "customer_ref", "notifier", "feed", "tlp"),
    *("finding_id", "event_id", "reference"),
    *("description", "advice_url", "original"),
)
"""Version 1. Columns are only ever appended."""

_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]+")
_TRIGGERS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet read a cell as a formula, also in full width (OWASP, "CSV Injection")."""

_SUSPECT = frozenset((*_TRIGGERS, " "))


def cell(value: Any) -> str:
    """Give a value as one cell: on one line, and never a formula.

    Lossy on purpose: control characters become one blank, and a cell that a spreadsheet would calculate gets a leading
    ``'``. ``jsonl`` has the exact values.
    """
    if value is None:
        return ""
    text = str(value)
    if text.isprintable() and text[:1] not in _SUSPECT:  # nearly all are neither
        return text
    if isinstance(value, int | float):
        return text
    text = _CONTROL.sub(" ", text)
    return f"'{text}" if text.lstrip().startswith(_TRIGGERS) else text


class Line:
    """Writes one CSV row at a time (RFC 4180, CRLF) and gives its bytes.

    Args:
        delimiter: between two cells.
    """

    def __init__(self, delimiter: str = ",") -> None:
        self._writer = csv.writer(self, delimiter=delimiter)
        self._text = ""

    def write(self, text: str) -> None:
        """Take what the writer of the standard library writes."""
        self._text = text

    def row(self, values: Iterable[Any]) -> bytes:
        """Write a row of values, each as its `cell`."""
        self._writer.writerow([each if each is None or each.__class__ is int else cell(each) for each in values])
        return self._text.encode()


class Csv(RowFormat):
    """One row for each finding, comma, UTF-8, times in UTC."""

    name: ClassVar[str] = "csv"
    suffix: ClassVar[str] = ".csv"
    content_type: ClassVar[str] = "text/csv; charset=utf-8; header=present"
    delimiter: ClassVar[str] = ","

    def head(self, digest: Digest) -> bytes:
        """Give the header row."""
        return Line(self.delimiter).row(COLUMNS)

    def rows(self, digest: Digest, findings: Iterable[Finding]) -> Iterator[bytes]:
        """Write each finding; there is none that can't be written."""
        line = Line(self.delimiter)
        for finding in findings:
            yield line.row(values(digest, finding))


class CsvExcelNl(Csv):
    """The same columns for an Excel with Dutch settings: semicolon, and a byte order mark that says UTF-8."""

    name: ClassVar[str] = "csv-excel-nl"
    suffix: ClassVar[str] = ".excel.csv"
    delimiter: ClassVar[str] = ";"

    def head(self, digest: Digest) -> bytes:
        """Give the byte order mark and the header row."""
        return b"\xef\xbb\xbf" + super().head(digest)


def values(digest: Digest, finding: Finding) -> tuple[Any, ...]:
    """Give a finding's values in the order of `COLUMNS`; None is an empty cell."""
    get, match = finding.event.get, finding.match
    port = get("source.port")
    return (
        *(finding.state, get("severity"), get("priority", "normal")),
        *(get("classification.type"), get("classification.identifier")),
        *(get("source.ip"), port, get("port_is") if port is not None else None, get("protocol.transport")),
        *(observed(finding), precision(finding)),
        *(utc(finding.first_seen), utc(finding.last_seen), finding.times_seen),
        *(hostname(finding), get("source.url"), get("malware.name")),
        *(" ".join(get("product.vulnerabilities", ())), get("source.asn")),
        *(f"{match.by} {match.value}".strip(), match.customer_ref),
        *(get("feed.provider"), get("feed.name"), f"TLP:{tlp(finding)}"),
        *(finding.id, get("id"), digest.reference),
        *(title(digest, finding), advice(finding)),
        ";".join(f"{name}={value}" for name, value in originals.cells(finding.original).items()),
    )
