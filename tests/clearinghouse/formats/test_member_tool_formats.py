"""Tests of ``shadowserver`` and ``abusehub``: what AbuseIO's two parsers expect, restated from their published settings."""

import csv
import io
import re
import zipfile

import pytest
from format_digests import HEADER, ROW, changed, digest, finding

from cleanbots.clearinghouse.formats.abusehub import COLUMNS, REPORT_TYPES, AbuseHub
from cleanbots.clearinghouse.formats.shadowserver import Shadowserver

OTHER = '"timestamp","ip","port"\n2026-11-20 01:00:00,203.0.113.53,53\n'

ABUSEIO_FILE = re.compile(r"\d{4}-\d{2}-\d{2}-(.*)-[^-]+-[^-]+\.csv", re.IGNORECASE)
"""How AbuseIO tells the report type from the name of the file in the zip: all before the last two hyphens."""

ABUSEIO_REDIS = {"ip", "timestamp", "protocol", "port", "version"}
"""Columns that AbuseIO demands of scan_redis, of those that the sample here has."""

ABUSEHUB_FILE = re.compile(r"^abusehubcsv-.*\.csv", re.IGNORECASE)
"""How AbuseIO tells the table among the attachments; there is no end in it."""

ABUSEHUB_KNOWN = {
    *("ACM", "ACM Possible Malware", "AOL FBL", "COX FBL", "CleanMX", "Google Safe Browsing", "Hotmail FBL"),
    *("KPN ShadowServer Drone Report", "Lotus FBL", "NCSC Brobot URL", "NCSC Cryptoware infections"),
    *("NCSC Ebury Infections", "NCSC Mongodb report", "NCSC Mumblehard infections", "NCSC Mumblehartt"),
    *("NCSC RAT Report", "Rackspace FBL", "ShadowServer Open Elasticsearch Server Report"),
    *("ShadowServer Open Memcached Server Report", "ShadowServer Open MongoDB Service Report"),
    *("ShadowServer Open Redis Servers Report", "ShadowServer SSL/Freak Vulnerable Servers report"),
    *("ShadowServer Vulnerable NAT-PMP Systems report", "Shadowserver Botnet DDOS", "Shadowserver Botnet Drone"),
    *("Shadowserver Command and Control", "Shadowserver Compromised Website", "Shadowserver IPMI"),
    *("Shadowserver Microsoft Sinkhole HTTP Drone", "Shadowserver NTP Monitor", "Shadowserver NTP Version"),
    *("Shadowserver Open CharGen", "Shadowserver Open DNS Resolvers"),
    *("Shadowserver Open MS-SQL Server Resolution Service Report", "Shadowserver Open NetBIOS"),
    *("Shadowserver Open Proxy", "Shadowserver Open QOTD", "Shadowserver Open SNMP", "Shadowserver Open SSDP"),
    *("Shadowserver SSLv3/Poodle Vulnerable Servers", "Shadowserver Sandbox url"),
    *("Shadowserver Sinkhole HTTP Drone", "Shadowserver Spam url", "Spamhaus Bot Report"),
    *("Team Cymru Malevolence Monitoring", "Terra FBL", "TrendMicro"),
}


def unzipped(file):
    """Give the files of a zip by name."""
    with zipfile.ZipFile(io.BytesIO(file.data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_abuseio_takes_our_shadowserver_files():
    """A zip, in it one CSV of the same name, whose name gives the report type and whose header has what is demanded."""
    (file,) = Shadowserver().render(digest(finding()))

    ((name, text),) = unzipped(file).items()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert file.content_type == "application/zip"
    assert file.name == f"{name}.zip" == "2026-11-19-scan_redis-MP_20261120_0042-asn.csv.zip"
    assert ABUSEIO_FILE.fullmatch(name)[1] == "scan_redis"
    assert set(row) >= ABUSEIO_REDIS


def test_shadowserver_rows_are_those_that_came():
    """Header and rows are the original's, to the byte; each report type has its own file."""
    dns = finding({"feed.code": "scan_dns"}, original=OTHER, report="2026-11-20-scan_dns-nl.csv")

    files = Shadowserver().render(digest(finding(), finding({"source.ip": "203.0.113.26"}), dns))

    assert [file.rows for file in files] == [1, 2]
    assert [text for file in files for text in unzipped(file).values()] == [OTHER, HEADER + ROW + ROW]


def test_changed_columns_make_a_second_file():
    """Rows below another header are not put below this one; their file has a name of its own."""
    files = Shadowserver().render(digest(finding(), finding(original=OTHER)))

    assert [file.name for file in files] == [
        "2026-11-19-scan_redis-MP_20261120_0042-asn.csv.zip",
        "2026-11-19-scan_redis-MP_20261120_0042_2-asn.csv.zip",
    ]


@pytest.mark.parametrize(
    "other",
    [
        finding({"feed.provider": "DIVD"}),
        finding(original=""),
        finding(original="no header"),
        finding(without=("feed.code",), report="upload.csv"),
        finding({"feed.code": "../../evil"}),
    ],
)
def test_what_is_no_shadowserver_row_is_left_out(other):
    """Rows of others, rows that may not be shared, and rows without a header or a report type have no file."""
    assert Shadowserver().render(digest(other)) == []


def test_abuseio_takes_our_abusehub_file():
    """The table is told by its name, has the 26 columns, and each row's report type is one that AbuseIO knows."""
    file, originals = AbuseHub().render(digest(finding()))

    (row,) = csv.DictReader(io.StringIO(file.data.decode(), newline=""))
    assert ABUSEHUB_FILE.match(file.name)
    assert not ABUSEHUB_FILE.match(originals.name)
    assert tuple(row) == COLUMNS
    assert len(COLUMNS) == 26
    assert row["report_type"] in ABUSEHUB_KNOWN
    assert row["src_ip"] == "203.0.113.25"
    assert set(REPORT_TYPES.values()) <= ABUSEHUB_KNOWN


def test_abusehub_times_are_local():
    """AbuseHubCSV has the member's local time, in the rows and in its name; the original stays as it came."""
    file, originals = AbuseHub().render(digest(finding()))

    (row,) = csv.DictReader(io.StringIO(file.data.decode(), newline=""))
    assert (row["event_date"], row["event_time"]) == ("2026-11-20", "00:14:07")
    assert file.name == "abusehubcsv-1.0.0_1.0.0_20261120T073004+0100.csv"
    assert (originals.name, originals.data.decode()) == ("MP-20261120-0042-originals.csv", HEADER + ROW)
    assert (file.rows, originals.rows) == (1, 0)


def test_abusehub_leaves_out_what_abuseio_does_not_know():
    """One unknown report type would make AbuseIO give up on the whole mail, so such a finding is counted only."""
    unknown = finding({"feed.code": "scan_something_new", "source.ip": "203.0.113.99"})

    file, originals = AbuseHub().render(digest(finding(), unknown))

    assert (file.rows, file.unexpressed) == (1, 1)
    assert b"203.0.113.99" not in file.data
    assert originals.data.decode() == HEADER + ROW
    assert AbuseHub().render(digest(unknown)) == []


def test_abusehub_originals_of_several_reports_are_a_zip():
    """Rows below different headers are different files, in one zip."""
    dns = finding({"feed.code": "scan_dns", "severity": "low"}, original=OTHER)

    _, originals = AbuseHub().render(digest(finding(), dns))

    assert originals.name == "MP-20261120-0042-originals.zip"
    assert list(unzipped(originals).values()) == [HEADER + ROW, OTHER]


def test_abusehub_table_is_never_zipped():
    """AbuseIO would read a zip of that name as if it were the table."""
    file, *_ = AbuseHub().render(digest(*(finding(id=f"f-{n}") for n in range(50)), delivery={"attachment": 1000}))

    assert file.name.endswith(".csv")
    assert file.rows == 50


@pytest.mark.parametrize("format_", [Shadowserver(), AbuseHub()])
def test_strict_rows_are_withheld(format_):
    """A row above the delivery's ceiling is in none of the files, not even as an original."""
    strict = finding({"tlp": "AMBER+STRICT"})

    assert format_.render(digest(strict)) == []
    assert sum(file.rows for file in format_.render(digest(finding(), changed(strict)))) == 1
