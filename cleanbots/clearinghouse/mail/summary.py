"""Count a digest's findings in one pass: sections, groups with their first findings, claims. Memory is that of the groups."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from ..model import Finding
from ..texts import Catalogue

SHOWN: Final = 20
"""The most findings of one group that a body lists."""
GROUPS: Final = 30
"""The most groups of one section that a body lists."""
SEVERITIES: Final = ("critical", "high", "medium", "low", "info")
UNKNOWN: Final = "undefined"


class Group(msgspec.Struct):
    """Findings of one severity and kind.

    Args:
        severity: an RSIT severity, or `UNKNOWN`.
        fields: of its first event; they name the kind.
        count: of all.
        first: the first `SHOWN`.
        shared: its shared addresses, each once.
    """

    severity: str
    fields: dict[str, object]
    count: int = 0
    first: list[Finding] = []
    shared: dict[str, None] = {}

    def add(self, finding: Finding) -> None:
        """Count a finding in."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(finding)
        address = finding.event.get("source.ip")
        if finding.match.shared_address and address:
            self.shared[str(address)] = None


class Section(msgspec.Struct):
    """The groups of one state."""

    groups: dict[tuple[str, str], Group] = {}
    count: int = 0

    def ordered(self) -> list[Group]:
        """Give the groups: severest first, then largest, then by name."""
        order = {severity: place for place, severity in enumerate((*SEVERITIES, UNKNOWN))}
        ranked = sorted(self.groups.items(), key=lambda item: (order[item[1].severity], -item[1].count, item[0][1]))
        return [group for _, group in ranked]


class Summary(msgspec.Struct):
    """A digest's findings, counted.

    Args:
        new, back, still: what the member is expected to solve, by state.
        informed: what its customers are expected to solve, of any state.
        claims: (axis, by, value, since) to the number of findings.
        relayed: whether any of it came because the member is a relay.
    """

    new: Section
    back: Section
    still: Section
    informed: Section
    claims: Counter[tuple[str, str, str, str]]
    relayed: bool = False


def merged(sections: Iterable[Section]) -> Section:
    """Give the counts of several sections as one; their first findings are left out."""
    whole = Section()
    for section in sections:
        for key, group in section.groups.items():
            whole.groups.setdefault(key, Group(severity=group.severity, fields=group.fields)).count += group.count
        whole.count += section.count
    return whole


def summarise(findings: Iterable[Finding], catalogue: Catalogue) -> Summary:
    """Count findings.

    Args:
        findings: in the order in which they are to be listed within their groups.
        catalogue: names their kinds.
    """
    summary = Summary(new=Section(), back=Section(), still=Section(), informed=Section(), claims=Counter())
    sections = {"new": summary.new, "back": summary.back, "still": summary.still}
    for finding in findings:
        match, event = finding.match, finding.event
        section = summary.informed if match.role == "inform" else sections[finding.state]
        severity = event.get("severity", UNKNOWN)
        severity = severity if severity in SEVERITIES else UNKNOWN
        key = (severity, catalogue.title(event, "en"))
        group = section.groups.get(key)
        if group is None:
            group = section.groups[key] = Group(severity=severity, fields=event)
        group.add(finding)
        section.count += 1
        summary.claims[match.axis, match.by, match.value, match.since] += 1
        summary.relayed |= match.role == "relay"
    return summary
