"""XARF 4.2 as types: decoding the very bytes that would leave proves that they are a valid report.

The rules are those of the specification's JSON Schemas (https://github.com/xarf/xarf-spec, 4.2.0) for the types that we
send, and closed: a field that is not listed here does not leave. The tests hold them against the schemas themselves.
Decoding into types takes a few microseconds, a JSON Schema validator a hundred times that.
"""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

VERSION: Final = "4.2.0"

Time = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$")]
Uri = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:([A-Za-z0-9._~:/?#@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})+$")]
Mail = Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=320)]
Host = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$")
]
Port = Annotated[int, Meta(ge=1, le=65535)]
Tag = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_+-]*:[a-z0-9][a-z0-9_+-]*$")]
Cve = Annotated[str, Meta(pattern=r"^CVE-[0-9]{4}-[0-9]+$")]
Text = Annotated[str, Meta(min_length=1)]
Service = Annotated[str, Meta(min_length=1, max_length=200)]


class Party(msgspec.Struct, forbid_unknown_fields=True):
    """Who reports, or who sends the report."""

    org: Annotated[str, Meta(max_length=200)]
    contact: Mail
    domain: Host


class Evidence(msgspec.Struct, forbid_unknown_fields=True):
    """One piece of evidence; *payload* is Base64, *size* counts bytes before that."""

    content_type: Text
    payload: bytes
    hash: Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
    size: Annotated[int, Meta(ge=0, le=5242880)]
    description: Annotated[str, Meta(max_length=500)] = ""


class Core(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    """What all reports have; *first_seen* and *last_seen* are ours where a type doesn't ask for them."""

    xarf_version: Annotated[str, Meta(pattern=r"^4\.[0-9]+\.[0-9]+$")]
    report_id: UUID
    timestamp: Time
    reporter: Party
    sender: Party
    source_identifier: Text
    source_port: Port | None = None
    evidence_source: str = ""
    confidence: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    description: Annotated[str, Meta(max_length=1000)] = ""
    evidence: Annotated[list[Evidence], Meta(max_length=50)] = []
    tags: Annotated[list[Tag], Meta(max_length=20)] = []
    first_seen: Time
    last_seen: Time


class _Vulnerability(Core, kw_only=True):
    category: Literal["vulnerability"]
    evidence_source: Literal["vulnerability_scan"]
    service: Service


class CveReport(_Vulnerability, tag="cve", kw_only=True):
    """A service with a known vulnerability."""

    service_port: Port
    cve_id: Cve
    cve_ids: Annotated[list[Cve], Meta(max_length=10)] = []


class OpenService(_Vulnerability, tag="open_service", kw_only=True):
    """A service that should not be reachable."""

    service_port: Port | None = None


class Misconfiguration(_Vulnerability, tag="misconfiguration", kw_only=True):
    """A service that is set up badly."""

    service_port: Port | None = None


class Botnet(Core, tag="botnet", kw_only=True):
    """An infected system."""

    category: Literal["infrastructure"]
    compromise_evidence: Text
    malware_family: Annotated[str, Meta(max_length=200)] = ""
    c2_server: str = ""


class CompromisedServer(Core, tag="compromised_server", kw_only=True):
    """A system in other hands."""

    category: Literal["infrastructure"]
    compromise_method: Text


class _Content(Core, kw_only=True):
    category: Literal["content"]
    url: Uri
    target_brand: str = ""


class Phishing(_Content, tag="phishing", kw_only=True):
    """A page that asks for credentials."""


class Malware(_Content, tag="malware", kw_only=True):
    """A place that hands out malware."""

    malware_family: str = ""
    file_hashes: dict[Literal["md5", "sha1", "sha256"], Annotated[str, Meta(pattern="^[0-9a-fA-F]{32,64}$")]] = {}


class Fraud(_Content, tag="fraud", kw_only=True):
    """A page that cheats."""

    fraud_type: Literal["other"]


class ExposedData(_Content, tag="exposed_data", kw_only=True):
    """Data that everybody can read."""

    data_types: list[Literal["other"]]
    exposure_method: Literal["other"]


class _Attack(Core, kw_only=True):
    category: Literal["connection"]
    protocol: Literal["tcp", "udp", "icmp", "sctp"]
    destination_port: Port | None = None

    def __post_init__(self) -> None:
        """Refuse an attack without the port it came from: behind shared addresses nobody could tell who it was."""
        if self.source_port is None:
            raise ValueError("an attack from an address needs its source_port")


class LoginAttack(_Attack, tag="login_attack", kw_only=True):
    """Guessing of passwords."""


class PortScan(_Attack, tag="port_scan", kw_only=True):
    """Looking for open ports."""


class Ddos(_Attack, tag="ddos", kw_only=True):
    """Taking part in a flood."""


class VulnerabilityScan(Core, tag="vulnerability_scan", kw_only=True):
    """Looking for weaknesses, or using them."""

    category: Literal["connection"]
    protocol: Literal["tcp", "udp", "icmp"]
    destination_port: Port | None = None
    scan_type: Literal["vulnerability_scan"]


class Spam(Core, tag="spam", kw_only=True):
    """Unwanted mail or messages."""

    category: Literal["messaging"]
    protocol: Literal["smtp", "other"]
    smtp_from: Mail = ""

    def __post_init__(self) -> None:
        """Refuse mail without its sender and port, as the specification does."""
        if self.protocol == "smtp" and not (self.smtp_from and self.source_port):
            raise ValueError("smtp needs smtp_from and source_port")


class Copyright(Core, tag="copyright", kw_only=True):
    """A copy that its owner did not allow."""

    category: Literal["copyright"]
    infringing_url: Uri


class Blocklist(Core, tag="blocklist", kw_only=True):
    """An entry in a blocklist."""

    category: Literal["reputation"]
    threat_type: Text


Report = (
    CveReport
    | OpenService
    | Misconfiguration
    | Botnet
    | CompromisedServer
    | Phishing
    | Malware
    | Fraud
    | ExposedData
    | LoginAttack
    | PortScan
    | Ddos
    | VulnerabilityScan
    | Spam
    | Copyright
    | Blocklist
)

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Report)


def fault(data: bytes) -> str:
    """Say what makes *data* no valid report, or "" if it is one."""
    try:
        _decoder.decode(data)
    except msgspec.ValidationError as error:
        return str(error)
    return ""
