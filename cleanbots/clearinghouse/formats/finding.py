"""The finding object: what ``jsonl`` writes a line of and what a webhook sends, the same in both."""

from typing import Any

from ..model import Digest, Finding
from . import originals
from .titles import title

STATES = ("new", "back", "still", "gone")
SEVERITIES = ("critical", "high", "medium", "low", "info", "undefined")

_TLP_RANK = {label: rank for rank, label in enumerate(("CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"))}
_STRICT = "AMBER+STRICT"


def finding_object(digest: Digest, finding: Finding) -> dict[str, Any]:
    """Give a finding as JSON: ``docs/formats.md`` and the webhook's schema say what is in it.

    What is not known is ``None``, lists are never ``None``; times are RFC 3339 in UTC with ``Z``.

    Args:
        digest: the frozen delivery that mentions it; its language chooses the title.
        finding: one of its findings.
    """
    get, match, label = finding.event.get, finding.match, tlp(finding)
    port = get("source.port")
    return {
        "id": finding.id,
        "event_id": get("id"),
        "state": finding.state,
        "severity": get("severity", "undefined"),
        "priority": get("priority", "normal"),
        "kind": get("kind", "finding"),
        "classification": {
            "taxonomy": get("classification.taxonomy"),
            "type": get("classification.type"),
            "identifier": get("classification.identifier"),
        },
        "asset": {
            "ip": get("source.ip"),
            "port": port,
            "port_is": get("port_is") if port is not None else None,
            "transport": get("protocol.transport"),
            "hostname": hostname(finding),
            "asn": get("source.asn"),
            "url": get("source.url"),
            "shared_address": match.shared_address,
        },
        "time": {
            "observed": observed(finding),
            "precision": precision(finding),
            "first_seen": utc(finding.first_seen),
            "last_seen": utc(finding.last_seen),
            "times_seen": finding.times_seen,
            "received": utc(get("time.observation")),
        },
        "what": {
            "title": title(digest, finding),
            "advice": advice(finding),
            "cve": list(get("product.vulnerabilities", ())),
            "malware": get("malware.name"),
        },
        "why": {
            "role": match.role,
            "by": match.by,
            "value": match.value,
            "since": match.since or None,
            "customer_ref": match.customer_ref or None,
        },
        "source": {
            "notifier": get("feed.provider"),
            "feed": get("feed.name"),
            "report": finding.report or None,
            "documentation": get("feed.documentation"),
        },
        "tlp": f"TLP:{label}",
        "share_with_customer": _TLP_RANK[label] <= _TLP_RANK["AMBER"],
        "original": originals.cells(finding.original) or None,
    }


def utc(time: str | None) -> str | None:
    """Write a canonical time with ``Z``; None and "" are no time."""
    return time.replace("+00:00", "Z") if time else None


def observed(finding: Finding) -> str | None:
    """Say when the notifier saw it, else when the report was collected."""
    get = finding.event.get
    return utc(get("time.source") or get("time.observation"))


def precision(finding: Finding) -> str:
    """Say how exact `observed` is; a report without times of its own tells no more than the day."""
    get = finding.event.get
    return get("time_precision") or ("second" if "time.source" in finding.event else "day")


def hostname(finding: Finding) -> str | None:
    """Give the name that was seen, else the one that a PTR look-up gave; people recognise machines by either."""
    get = finding.event.get
    return get("source.fqdn") or get("source.reverse_dns")


def advice(finding: Finding) -> str | None:
    """Give a page that helps: of this event, else the notifier's documentation."""
    get = finding.event.get
    page = get("event_description.url") or get("feed.documentation")
    return page if page and page.startswith(("https://", "http://")) else None


def tlp(finding: Finding) -> str:
    """Give the label of a finding; what has none, or an unknown one, is ``AMBER+STRICT``."""
    label = finding.event.get("tlp", _STRICT)
    return label if label in _TLP_RANK else _STRICT


def may_leave(digest: Digest, finding: Finding) -> bool:
    """Tell whether a finding's label allows this delivery: under its ceiling, never RED, no AMBER+STRICT to a relay."""
    rank = _TLP_RANK[tlp(finding)]
    ceiling = "AMBER" if finding.match.role == "relay" else _STRICT
    return rank <= min(_TLP_RANK[ceiling], _TLP_RANK.get(digest.delivery.tlp, _TLP_RANK["CLEAR"]))
