"""CSV in IntelMQ's words, for members whose own IntelMQ reads it."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import orjson

from ...harmonization.exchange import to_intelmq
from ..model import Digest, Finding
from .base import RowFormat
from .delimited import Line

_OURS_ALONE = frozenset(
    (
        *("members", "matches"),  # who else was told
        *("comment", "constituency", "rtir_id", "output", "event_hash"),  # our own handling
        *("feed.url", "feed.contact", "feed.disclose"),  # our agreement with the notifier; a URL may hold a key
    )
)
"""Fields that no member gets."""


class CsvIntelmq(RowFormat):
    """One event a row; the columns are those fields of IntelMQ 3.5 that the digest has, ``extra`` as JSON in one.

    ``raw`` and the notifier's further columns (``extra``) leave only if the feed shares its originals.
    """

    name: ClassVar[str] = "csv-intelmq"
    suffix: ClassVar[str] = ".intelmq.csv"
    content_type: ClassVar[str] = "text/csv; charset=utf-8; header=present"

    def rows(self, digest: Digest, findings: Iterable[Finding]) -> Iterator[bytes]:
        """Write the header row with the first row, then each event."""
        line = Line()
        kinds = {
            (*finding.event, finding.event.get("tlp"), bool(finding.original)): finding for finding in digest.findings
        }
        columns = sorted({name for finding in kinds.values() for name in _event(finding)})
        header = line.row(columns)
        for finding in findings:
            event = _event(finding)
            yield header + line.row(map(event.get, columns))
            header = b""


class _Shared:
    """What of an event a member may see, as IntelMQ's exchange takes events."""

    def __init__(self, finding: Finding) -> None:
        self._original = finding.original
        self.fields = {name: value for name, value in finding.event.items() if self._may_leave(name)}

    def _may_leave(self, name: str) -> bool:
        if name.startswith("extra.") or name == "raw":
            return bool(self._original)
        return name not in _OURS_ALONE

    def original(self) -> str | None:
        return self._original or None


def _event(finding: Finding) -> dict[str, Any]:
    shared = to_intelmq(_Shared(finding))
    del shared["__type"]
    flat = {name: value for name, value in shared.items() if not name.startswith("extra.")}
    extra = {name.removeprefix("extra."): value for name, value in shared.items() if name.startswith("extra.")}
    if extra:
        flat["extra"] = orjson.dumps(extra).decode()
    return flat
