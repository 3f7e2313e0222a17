"""AbuseHubCSV 1.0.0, as Dutch access providers took it from AbuseHUB and as AbuseIO's parser reads it."""

from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from ..model import Attachment, Digest, Finding
from . import originals
from .base import RowFormat, file_name
from .delimited import Line
from .finding import hostname, observed
from .parcel import ZIP, Parcel, Zip

COLUMNS: Final = (
    *("reliable_notifier", "report_type", "infection_type", "event_date", "event_time"),
    *("src_asn", "src_ip", "src_port", "protocol", "original_hotmail_recipient", "hotmail_reporting_ip"),
    *("dst_asn", "dst_ip", "dst_port", "agent_id", "src_url", "dst_url", "src_email", "dst_email"),
    *("src_hostname", "dst_hostname"),
    *("correlation_score1", "correlation_score2", "correlation_score3", "correlation_score4", "priority"),
)

_DRONE = "Shadowserver Botnet Drone"
_SINKHOLE = "Shadowserver Sinkhole HTTP Drone"
_MICROSOFT = "Shadowserver Microsoft Sinkhole HTTP Drone"

REPORT_TYPES: Final = {
    "compromised_website": "Shadowserver Compromised Website",
    "event4_ddos_participant": "Shadowserver Botnet DDOS",
    "event4_microsoft_sinkhole": _MICROSOFT,
    "event4_microsoft_sinkhole_http": _MICROSOFT,
    "event4_sinkhole": _DRONE,
    "event4_sinkhole_dns": _DRONE,
    "event4_sinkhole_http": _SINKHOLE,
    "event4_sinkhole_http_referer": _SINKHOLE,
    "event6_sinkhole": _DRONE,
    "event6_sinkhole_http": _SINKHOLE,
    "event6_sinkhole_http_referer": _SINKHOLE,
    "sandbox_url": "Shadowserver Sandbox url",
    "scan_chargen": "Shadowserver Open CharGen",
    "scan_dns": "Shadowserver Open DNS Resolvers",
    "scan_elasticsearch": "ShadowServer Open Elasticsearch Server Report",
    "scan_http_proxy": "Shadowserver Open Proxy",
    "scan_ipmi": "Shadowserver IPMI",
    "scan_memcached": "ShadowServer Open Memcached Server Report",
    "scan_mongodb": "ShadowServer Open MongoDB Service Report",
    "scan_mssql": "Shadowserver Open MS-SQL Server Resolution Service Report",
    "scan_nat_pmp": "ShadowServer Vulnerable NAT-PMP Systems report",
    "scan_netbios": "Shadowserver Open NetBIOS",
    "scan_ntp": "Shadowserver NTP Version",
    "scan_ntpmonitor": "Shadowserver NTP Monitor",
    "scan_qotd": "Shadowserver Open QOTD",
    "scan_redis": "ShadowServer Open Redis Servers Report",
    "scan_snmp": "Shadowserver Open SNMP",
    "scan_socks": "Shadowserver Open Proxy",
    "scan_ssdp": "Shadowserver Open SSDP",
    "scan_ssl_freak": "ShadowServer SSL/Freak Vulnerable Servers report",
    "scan_ssl_poodle": "Shadowserver SSLv3/Poodle Vulnerable Servers",
    "spam_url": "Shadowserver Spam url",
}
"""Shadowserver's report types (``feed.code``) to the names that AbuseIO knows, spelt as it spells them.

AbuseIO gives up on the whole mail at a name that it doesn't know, so a finding of any other report is left out.
"""


class AbuseHub(RowFormat):
    """One event a row in the 26 columns, in the member's local time; the original rows are in a second file."""

    name: ClassVar[str] = "abusehub"
    content_type: ClassVar[str] = "text/csv; charset=utf-8; header=present"
    zips: ClassVar[bool] = False  # AbuseIO would read a zip as if it were the table

    def render(self, digest: Digest) -> list[Attachment]:
        """Give the table, and a file of the original rows if any may be shared."""
        files = super().render(digest)
        return files + _originals(digest, filter(_known, self.findings(digest))) if files else []

    def file_name(self, digest: Digest) -> str:
        """Name the table by the local time of the freeze, as AbuseHUB did: AbuseIO tells it by the beginning."""
        frozen = datetime.fromisoformat(digest.frozen).astimezone(_zone(digest))
        part = f"_p{digest.part}" if digest.parts > 1 else ""
        return f"abusehubcsv-1.0.0_1.0.0_{frozen:%Y%m%dT%H%M%S%z}{part}.csv"

    def head(self, digest: Digest) -> bytes:
        """Give the header row."""
        return Line().row(COLUMNS)

    def rows(self, digest: Digest, findings: Iterable[Finding]) -> Iterator[bytes]:
        """Write each finding of a report that AbuseIO knows; b"" for the others, and for those without an address."""
        line, zone = Line(), _zone(digest)
        for finding in findings:
            yield line.row(_values(finding, zone)) if _known(finding) else b""


def _zone(digest: Digest) -> tzinfo:
    return ZoneInfo(digest.delivery.timezone)


def _known(finding: Finding) -> bool:
    get = finding.event.get
    return get("feed.code") in REPORT_TYPES and "source.ip" in finding.event and observed(finding) is not None


def _values(finding: Finding, zone: tzinfo) -> tuple[Any, ...]:
    get = finding.event.get
    local = datetime.fromisoformat(observed(finding) or finding.last_seen).astimezone(zone)
    return (
        *(
            get("feed.provider"),
            REPORT_TYPES[get("feed.code", "")],
            get("malware.name") or get("classification.identifier"),
        ),
        *(f"{local:%Y-%m-%d}", f"{local:%H:%M:%S}"),
        *(get("source.asn"), get("source.ip"), get("source.port"), get("protocol.transport"), None, None),
        *(get("destination.asn"), get("destination.ip"), get("destination.port"), None),
        *(get("source.url"), get("destination.url"), _mail(get("source.account")), _mail(get("destination.account"))),
        *(hostname(finding), get("destination.fqdn"), None, None, None, None, get("priority")),
    )


def _mail(account: str | None) -> str | None:
    return account if account and "@" in account else None


def _originals(digest: Digest, findings: Iterable[Finding]) -> list[Attachment]:
    """Give the original rows below their headers: one file, or a zip of one per header."""
    tables = list(originals.tables(findings).values())
    if len(tables) == 1:
        parcel = Parcel(file_name(digest, "-originals.csv"), "text/csv", digest.delivery.attachment, digest.frozen)
        parcel.write(tables[0].data)
        return [parcel.attachment(0)]
    if not tables:
        return []
    archive = Zip(digest.frozen)
    for number, table in enumerate(tables, 1):
        with archive.file(f"originals-{number}.csv") as file:
            file.write(table.data)
    return [Attachment(name=file_name(digest, "-originals.zip"), content_type=ZIP, data=archive.done())]
