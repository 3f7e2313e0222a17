"""JSON lines: the exact values, the same object for each finding that the webhook sends."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import orjson

from ..model import Digest, Finding
from .base import RowFormat
from .finding import finding_object


class JsonLines(RowFormat):
    """One finding object a line, UTF-8, LF."""

    name: ClassVar[str] = "jsonl"
    suffix: ClassVar[str] = ".jsonl"
    content_type: ClassVar[str] = "application/x-ndjson"

    def rows(self, digest: Digest, findings: Iterable[Finding]) -> Iterator[bytes]:
        """Write each finding; there is none that can't be written."""
        for finding in findings:
            yield encoded(finding_object(digest, finding))


def encoded(value: Any) -> bytes:
    """Give a value as one line of JSON."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
