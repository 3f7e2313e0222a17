"""Shadowserver's own files, for whatever a member runs that reads Shadowserver's mails (AbuseIO, scripts)."""

import re
from typing import ClassVar, NamedTuple

from ..model import Attachment, Digest, Finding
from . import originals
from .base import Format
from .parcel import ZIP, Zip

_REPORT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})-([a-z0-9_]+)-[^/]*")
_TYPE = re.compile(r"[a-z0-9_]+")
_PROVIDER = "shadowserver"


class Shadowserver(Format):
    """One ``<date>-<report type>-<id>-asn.csv.zip`` for each report type, with the original header and own rows.

    Only findings whose feed shares its originals have them. The id is the digest's reference, written without hyphens,
    because AbuseIO takes all before the last two hyphens as the report type. Rows are as Shadowserver wrote them.
    """

    name: ClassVar[str] = "shadowserver"

    def render(self, digest: Digest) -> list[Attachment]:
        """Give one zip for each report type, and a further one where the columns of a type changed."""
        kinds: dict[str, _Kind] = {}
        for finding in self.findings(digest):
            if name := _kind(finding):
                kinds.setdefault(name, _Kind({}, set())).add(finding)
        return [
            _file(digest, f"{_day(digest, kind.reports)}-{name}-{_id(digest, number)}-asn.csv", table)
            for name, kind in sorted(kinds.items())
            for number, table in enumerate(kind.with_header(), 1)
        ]


class _Kind(NamedTuple):
    """The original rows of a report type, and the names of the reports that they are from."""

    tables: dict[str, originals.Table]
    reports: set[str]

    def add(self, finding: Finding) -> None:
        originals.gather(self.tables, finding)
        self.reports.add(finding.report)

    def with_header(self) -> list[originals.Table]:
        return [table for header, table in self.tables.items() if header]


def _kind(finding: Finding) -> str:
    """Tell the type of Shadowserver's report that a finding is of, or ""."""
    get = finding.event.get
    if not finding.original or get("feed.provider", "").lower() != _PROVIDER:
        return ""
    named = _REPORT.fullmatch(finding.report)
    kind = get("feed.code") or (named[2] if named else "")
    return kind if _TYPE.fullmatch(kind) else ""


def _day(digest: Digest, reports: set[str]) -> str:
    """Give the day of the newest report, or of the digest if the reports' names don't tell."""
    days = {named[1] for report in reports if (named := _REPORT.fullmatch(report))}
    return max(days, default=digest.frozen[:10])


def _id(digest: Digest, number: int) -> str:
    part = f"_p{digest.part}" if digest.parts > 1 else ""
    return f"{digest.reference}{part}{f'_{number}' if number > 1 else ''}".replace("-", "_")


def _file(digest: Digest, name: str, table: originals.Table) -> Attachment:
    archive = Zip(digest.frozen)
    with archive.file(name) as file:
        file.write(table.data)
    return Attachment(name=f"{name}.zip", content_type=ZIP, data=archive.done(), rows=table.rows)
