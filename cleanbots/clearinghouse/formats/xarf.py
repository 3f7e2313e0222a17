"""XARF 4: each finding as a report of its own, validated before it leaves."""

import base64
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final
from urllib.parse import quote
from uuid import NAMESPACE_DNS, UUID, uuid5

import orjson

from ..model import Attachment, Digest, Finding
from .base import RowFormat
from .finding import observed, tlp, utc
from .titles import title
from .xarf_shapes import VERSION, fault

_log = logging.getLogger("cleanbots.clearinghouse.formats")

Extras = dict[str, Any] | None
"""What a type has beside the core, None values left out; None if the finding can't be expressed as that type."""

_DESCRIPTION = 1000
_EVIDENCE = 5 * 2**20
_CVES = 10
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]+")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+")
_NOT_IN_TAGS = re.compile("[^a-z0-9_+-]")
_URI_SAFE = "!#$%&'()*+,/:;=?@[]~"


class Xarf(RowFormat):
    """One XARF 4.2 object a line; a single urgent finding is ``xarf.json``, as XARF's mail transport names it.

    XARF itself asks for one report per incident, at once; many in one file is our packaging of a digest.
    """

    name: ClassVar[str] = "xarf"
    suffix: ClassVar[str] = ".xarf.jsonl"
    content_type: ClassVar[str] = "application/x-ndjson"

    def render(self, digest: Digest) -> list[Attachment]:
        """Give the reports of a digest; what XARF can't express is counted only."""
        files = super().render(digest)
        if digest.kind == "urgent" and len(digest.findings) == 1 and files:
            (file,) = files
            return [Attachment(name="xarf.json", content_type="application/json", data=file.data, rows=1)]
        return files

    def rows(self, digest: Digest, findings: Iterable[Finding]) -> Iterator[bytes]:
        """Write each finding; b"" for one that can't be expressed or is no valid report."""
        invalid: Counter[str] = Counter()
        for finding in findings:
            found = report(digest, finding)
            data = b"" if found is None else orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)
            if data and (wrong := fault(data)):
                invalid[wrong] += 1
                data = b""
            yield data
        for wrong, count in invalid.items():
            _log.warning("%s: %d finding(s) left out of XARF: %s", digest.reference, count, wrong)


def report(digest: Digest, finding: Finding) -> dict[str, Any] | None:
    """Give a finding as a XARF 4.2 report, or None if XARF has no type for it or lacks something that the type needs.

    Args:
        digest: the frozen delivery that mentions it.
        finding: one of its findings.
    """
    get, accuracy = finding.event.get, finding.event.get("feed.accuracy")
    express = OUTBOUND.get(get("classification.type", ""))
    extras = express(finding) if express is not None else None
    source = get("source.ip") or get("source.fqdn") or get("source.url")
    if extras is None or source is None:
        return None
    core = {
        "xarf_version": VERSION,
        "report_id": str(report_id(digest.hub.domain, finding)),
        "timestamp": observed(finding) or utc(finding.last_seen),
        "reporter": _reporter(digest, finding),
        "sender": _hub(digest),
        "source_identifier": source,
        "source_port": get("source.port"),
        "confidence": None if accuracy is None else accuracy / 100,
        "description": title(digest, finding)[:_DESCRIPTION],
        "evidence": _evidence(finding.original),
        "tags": _tags(digest, finding),
        "first_seen": utc(finding.first_seen),
        "last_seen": utc(finding.last_seen),
    }
    return {name: value for name, value in (core | extras).items() if value is not None}


def report_id(hub: str, finding: Finding) -> UUID:
    """Give the report's id: the same for the same observation on every attempt and in every delivery of this hub."""
    return uuid5(_namespace(hub), finding.event.get("id") or f"{finding.id} {finding.last_seen}")


@lru_cache(maxsize=8)
def _namespace(hub: str) -> UUID:
    return uuid5(NAMESPACE_DNS, hub)


def _hub(digest: Digest) -> dict[str, str]:
    hub = digest.hub
    return {"org": hub.name[:200], "contact": hub.mail, "domain": hub.domain}


def _reporter(digest: Digest, finding: Finding) -> dict[str, str]:
    """Name the notifier if its feed says so and tells its address, else the hub: nobody is exposed by default."""
    get = finding.event.get
    contact = get("feed.contact", "")
    if not (get("feed.disclose") and contact):
        return _hub(digest)
    domain = contact.rpartition("@")[2]
    return {"org": get("feed.provider", domain)[:200], "contact": contact, "domain": domain}


def _evidence(original: str) -> list[dict[str, Any]] | None:
    data = original.encode()
    if not 0 < len(data) <= _EVIDENCE:
        return None
    content_type, description = _kind_of(original)
    return [
        {
            "content_type": content_type,
            "description": description,
            "payload": base64.b64encode(data).decode(),
            "hash": f"sha256:{hashlib.sha256(data).hexdigest()}",
            "size": len(data),
        }
    ]


def _kind_of(original: str) -> tuple[str, str]:
    if original.lstrip().startswith(("{", "[")):
        return "application/json", "Object of the notifier's report"
    if "\n" in original.strip():
        return "text/csv", "Row of the notifier's report, below its header"
    return "text/plain", "Row of the notifier's report"


def _tags(digest: Digest, finding: Finding) -> list[str]:
    facts = {
        "finding": finding.id,
        "state": finding.state,
        "severity": finding.event.get("severity", ""),
        "tlp": tlp(finding),
        "reference": digest.reference,
        "rsit": finding.event.get("classification.type", ""),
        "lifecycle": "test" if digest.test else "",
    }
    return [f"{name}:{_NOT_IN_TAGS.sub('-', value.lower())}" for name, value in facts.items() if value]


def _vulnerable(finding: Finding) -> Extras:
    cves = [each for each in dict.fromkeys(finding.event.get("product.vulnerabilities", ())) if _CVE.fullmatch(each)]
    if not cves:
        return _service("open_service")(finding)
    found = _service("cve")(finding)
    return found | {"cve_id": cves[0], "cve_ids": cves[:_CVES]} if found and found["service_port"] else None


def _service(kind: str) -> Callable[[Finding], Extras]:
    def express(finding: Finding) -> Extras:
        service = _service_name(finding)
        if not service:
            return None
        return {
            "category": "vulnerability",
            "type": kind,
            "evidence_source": "vulnerability_scan",
            "service": service,
            "service_port": finding.event.get("source.port"),
        }

    return express


def _service_name(finding: Finding) -> str:
    get = finding.event.get
    return str(get("protocol.application") or get("classification.identifier") or "")


def _botnet(finding: Finding) -> Extras:
    get = finding.event.get
    evidence = get("event_description.text") or get("feed.name") or get("classification.identifier")
    return evidence and {
        "category": "infrastructure",
        "type": "botnet",
        "compromise_evidence": evidence[:_DESCRIPTION],
        "malware_family": _cut(get("malware.name"), 200),
        "c2_server": get("destination.fqdn") if finding.original else None,  # often a sinkhole, to be named with leave
    }


def _always(**extras: Any) -> Callable[[Finding], Extras]:
    return lambda _finding: extras


def _content(kind: str, **fixed: Any) -> Callable[[Finding], Extras]:
    def express(finding: Finding) -> Extras:
        get = finding.event.get
        found = {"category": "content", "type": kind, "url": _uri(get("source.url")), **fixed}
        return found | {"target_brand": get("event_description.target")} if found["url"] else None

    return express


def _malware(finding: Finding) -> Extras:
    get, found = finding.event.get, _content("malware")(finding)
    hashes = {kind: digest for kind in ("md5", "sha1", "sha256") if (digest := get(f"malware.hash.{kind}"))}
    return found and found | {"malware_family": get("malware.name"), "file_hashes": hashes or None}


def _connection(kind: str, **fixed: Any) -> Callable[[Finding], Extras]:
    """Make what expresses an attack: from an address, with the port it came from where the type asks for one."""

    def express(finding: Finding) -> Extras:
        get = finding.event.get
        port = _client_port(finding)
        if not (get("source.ip") and get("protocol.transport")) or (port is None and kind != "vulnerability_scan"):
            return None
        return {
            "category": "connection",
            "type": kind,
            "protocol": get("protocol.transport"),
            "source_port": port,
            "destination_port": get("destination.port"),
            **fixed,
        }

    return express


def _spam(finding: Finding) -> Extras:
    get, port = finding.event.get, _client_port(finding)
    sender = get("source.account", "")
    found = {"category": "messaging", "type": "spam", "source_port": port}
    if port and _MAIL.fullmatch(sender):
        return found | {"protocol": "smtp", "smtp_from": sender}
    return found | {"protocol": "other"}


def _copyright(finding: Finding) -> Extras:
    url = _uri(finding.event.get("source.url"))
    return {"category": "copyright", "type": "copyright", "infringing_url": url} if url else None


def _blocklist(finding: Finding) -> Extras:
    kind = finding.event.get("classification.identifier") or "blocklist"
    return {"category": "reputation", "type": "blocklist", "threat_type": kind}


def _client_port(finding: Finding) -> int | None:
    get = finding.event.get
    return None if get("port_is") == "service" else get("source.port")


def _uri(url: str | None) -> str | None:
    """Give a URL with everything escaped that RFC 3986 does not allow to stand in one."""
    return quote(url, safe=_URI_SAFE) if url else None


def _cut(text: str | None, length: int) -> str | None:
    return text[:length] if text else None


_compromised = _always(category="infrastructure", type="compromised_server", compromise_method="unknown")

OUTBOUND: Final[Mapping[str, Callable[[Finding], Extras] | None]] = {
    "vulnerable-system": _vulnerable,
    "ddos-amplifier": _service("open_service"),
    "potentially-unwanted-accessible": _service("open_service"),
    "weak-crypto": _service("misconfiguration"),
    "misconfiguration": _service("misconfiguration"),
    "information-disclosure": _service("misconfiguration"),
    "infected-system": _botnet,
    "system-compromise": _compromised,
    "application-compromise": _compromised,
    "privileged-account-compromise": _compromised,
    "unprivileged-account-compromise": _compromised,
    "c2-server": _compromised,
    "phishing": _content("phishing"),
    "malware-distribution": _malware,
    "malware-configuration": _malware,
    "masquerade": _content("fraud", fraud_type="other"),
    "social-engineering": _content("fraud", fraud_type="other"),
    "data-leak": _content("exposed_data", data_types=["other"], exposure_method="other"),
    "brute-force": _connection("login_attack"),
    "scanner": _connection("port_scan"),
    "ddos": _connection("ddos"),
    "dos": _connection("ddos"),
    "exploit": _connection("vulnerability_scan", scan_type="vulnerability_scan"),
    "ids-alert": _connection("vulnerability_scan", scan_type="vulnerability_scan"),
    "spam": _spam,
    "copyright": _copyright,
    "blacklist": _blocklist,
    "violence": None,  # never automatically
    "burglary": None,
    "data-loss": None,
    "dga-domain": None,
    "harmful-speech": None,
    "malware": None,
    "other": None,
    "outage": None,
    "proxy": None,
    "sabotage": None,
    "sniffing": None,
    "test": None,
    "tor": None,
    "unauthorised-information-access": None,
    "unauthorised-information-modification": None,
    "unauthorised-use-of-resources": None,
    "undetermined": None,
}
"""RSIT type to what expresses it; None where XARF has nothing that says the same."""
