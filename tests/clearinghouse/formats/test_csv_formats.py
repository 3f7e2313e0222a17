"""Tests of ``csv``, ``csv-excel-nl`` and ``csv-intelmq``."""

import base64
import csv
import io
import json
import zipfile

import pytest
from format_digests import HEADER, ROW, changed, digest, finding
from hypothesis import given
from hypothesis import strategies as st

from cleanbots.clearinghouse.formats.delimited import Csv, CsvExcelNl
from cleanbots.clearinghouse.formats.intelmq import CsvIntelmq
from cleanbots.harmonization.exchange import from_intelmq

VERSION_1 = (
    "state,severity,priority,type,identifier,ip,port,port_is,transport,time_utc,time_precision,first_seen_utc,"
    "last_seen_utc,times_seen,hostname,url,malware,cve,asn,matched,customer_ref,notifier,feed,tlp,finding_id,event_id,"
    "reference,description,advice_url,original"
)

TRIGGERS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def rows(attachment, delimiter=","):
    """Read an attachment's rows by their header."""
    return list(csv.DictReader(io.StringIO(attachment.data.decode("utf-8-sig"), newline=""), delimiter=delimiter))


def test_header_is_version_1():
    """The columns of version 1 are a contract: none is renamed, moved or dropped."""
    (file,) = Csv().render(digest(finding()))

    assert file.data.decode().startswith(VERSION_1 + "\r\n")


def test_row_says_what_was_found_where_and_why():
    """A row has the facts of the finding, times in UTC with Z, and the notifier's row."""
    (file,) = Csv().render(digest(changed(finding(times_seen=4), customer_ref="c-4711")))

    (row,) = rows(file)
    assert (file.name, file.rows, file.unexpressed) == ("MP-20261120-0042.csv", 1, 0)
    assert row == {
        "state": "new",
        "severity": "critical",
        "priority": "normal",
        "type": "vulnerable-system",
        "identifier": "open-redis",
        "ip": "203.0.113.25",
        "port": "6379",
        "port_is": "service",
        "transport": "tcp",
        "time_utc": "2026-11-19T23:14:07Z",
        "time_precision": "second",
        "first_seen_utc": "2026-11-19T23:14:07Z",
        "last_seen_utc": "2026-11-19T23:14:07Z",
        "times_seen": "4",
        "hostname": "vps25.example.net",
        "url": "",
        "malware": "",
        "cve": "",
        "asn": "64500",
        "matched": "prefix 203.0.113.0/24",
        "customer_ref": "c-4711",
        "notifier": "Shadowserver",
        "feed": "Open-Redis",
        "tlp": "TLP:AMBER",
        "finding_id": "f-3kq9zt",
        "event_id": "abcdefgh12345678-117",
        "reference": "MP-20261120-0042",
        "description": row["description"],
        "advice_url": "",
        "original": "timestamp=2026-11-19 23:14:07;ip=203.0.113.25;port=6379;protocol=tcp;version=6.0.16",
    }
    assert "Redis" in row["description"]


def test_unknown_time_is_as_exact_as_its_report():
    """Without a time of its own a finding has the report's time, and no more than its day."""
    (file,) = Csv().render(digest(finding(without=("time.source",))))

    (row,) = rows(file)
    assert (row["time_utc"], row["time_precision"]) == ("2026-11-20T05:41:22Z", "day")


def test_rows_are_in_the_order_of_the_digest():
    """The store sorts: new before back before still, worst first, then by address; a format keeps its order."""
    wanted = [
        ("new", "critical", "203.0.113.9"),
        ("new", "critical", "203.0.113.10"),
        ("new", "critical", "2001:db8::1"),
        ("new", "low", "192.0.2.1"),
        ("back", "high", "192.0.2.1"),
        ("still", "critical", "192.0.2.1"),
    ]
    findings = [finding({"severity": severity, "source.ip": ip}, state=state) for state, severity, ip in wanted]

    (file,) = Csv().render(digest(*findings))

    assert [(row["state"], row["severity"], row["ip"]) for row in rows(file)] == wanted


def test_excel_variant_has_mark_and_semicolons():
    """A Dutch Excel opens it with a double click: byte order mark, semicolon, the same columns."""
    (file,) = CsvExcelNl().render(digest(finding()))

    assert file.data.startswith(b"\xef\xbb\xbfstate;severity;")
    assert list(rows(file, ";")[0]) == VERSION_1.split(",")


@pytest.mark.parametrize("format_", [Csv(), CsvExcelNl(), CsvIntelmq()])
def test_nothing_to_say_is_no_attachment(format_):
    """A digest without findings has no file."""
    assert format_.render(digest()) == []


@pytest.mark.parametrize("format_", [Csv(), CsvIntelmq()])
@pytest.mark.parametrize("label", ["AMBER+STRICT", "RED", None, "nonsense"])
def test_finding_above_the_ceiling_is_withheld_and_counted(format_, label, caplog):
    """What is too strict for a delivery, or has no label at all, never leaves, whatever was recorded."""
    strict = (
        finding({"tlp": label, "source.ip": "192.0.2.66"})
        if label
        else finding({"source.ip": "192.0.2.66"}, without=("tlp",))
    )

    (file,) = format_.render(digest(finding(), strict))

    assert b"192.0.2.66" not in file.data
    assert (file.rows, file.unexpressed) == (1, 1)
    assert "MP-20261120-0042" in caplog.text
    assert "192.0.2.66" not in caplog.text


def test_red_never_leaves():
    """No ceiling lets TLP:RED out."""
    assert Csv().render(digest(finding({"tlp": "RED"}), delivery={"tlp": "RED"})) == []


def test_relay_gets_nothing_above_amber():
    """A relay gets no AMBER+STRICT, though its delivery's ceiling would allow it."""
    strict = changed(finding({"tlp": "AMBER+STRICT"}), role="relay")

    assert Csv().render(digest(strict, delivery={"tlp": "AMBER+STRICT"})) == []


def test_large_file_is_zipped():
    """A file above the delivery's limit is sent as a zip of the same file; twice the same digest, twice the same bytes."""
    large = digest(*(finding(id=f"f-{n}") for n in range(50)), delivery={"attachment": 4096})

    (file,) = Csv().render(large)

    assert (file.name, file.content_type, file.rows) == ("MP-20261120-0042.csv.zip", "application/zip", 50)
    with zipfile.ZipFile(io.BytesIO(file.data)) as archive:
        (plain,) = Csv().render(digest(*large.findings))
        assert archive.namelist() == ["MP-20261120-0042.csv"]
        assert archive.read("MP-20261120-0042.csv") == plain.data
    assert Csv().render(large) == [file]


def test_part_is_in_the_name():
    """The files of a digest in parts have different names."""
    (file,) = Csv().render(digest(finding(), part=2, parts=3))

    assert file.name == "MP-20261120-0042-p2.csv"


hostile = st.text(st.characters(codec="utf-8"), max_size=30) | st.tuples(
    st.sampled_from(TRIGGERS), st.text(st.characters(codec="utf-8"), max_size=10)
).map("".join)


@given(identifier=hostile, url=hostile, reference=hostile, row=hostile)
def test_no_cell_is_a_formula_and_every_row_is_one_line(identifier, url, reference, row):
    """Whatever a notifier writes: no cell begins with what a spreadsheet would calculate, and the file parses back."""
    event = {"classification.identifier": identifier, "source.url": url, "source.account": row, "malware.name": row}
    made = digest(changed(finding(event, original=row), customer_ref=reference))

    for format_, delimiter in ((Csv(), ","), (CsvExcelNl(), ";"), (CsvIntelmq(), ",")):
        (file,) = format_.render(made)
        text = file.data.decode("utf-8-sig")
        lines = text.split("\r\n")
        assert len(lines) == 3
        assert len(text.splitlines()) == 2
        (parsed,) = rows(file, delimiter)
        assert all(not str(value).lstrip().startswith(TRIGGERS) for value in parsed.values())
        assert parsed.get("ip", parsed.get("source.ip")) == "203.0.113.25"


def test_intelmq_reads_back_what_was_written():
    """An IntelMQ that reads the row has the same event, with the original as its raw."""
    (file,) = CsvIntelmq().render(
        digest(finding({"extra.version": "6.0.16", "product.vulnerabilities": ["CVE-2026-12345"]}))
    )

    (row,) = rows(file)
    fields = from_intelmq({name: value for name, value in row.items() if value})
    assert fields == {
        **finding().event,
        "extra.version": "6.0.16",
        "product.vulnerabilities": ["CVE-2026-12345"],
        "raw": HEADER + ROW,
    }
    assert base64.b64decode(row["raw"]).decode() == HEADER + ROW


def test_intelmq_file_keeps_our_own_business():
    """A member doesn't learn who else was told, where we collect, what our analysts wrote, or originals not shared."""
    secrets = {
        "members": ["voorbeeldhost", "another-member"],
        "matches": [{"member": "another-member"}],
        "comment": "another-member asked",
        "feed.url": "https://feed.example/?key=another-member",
        "raw": "another-member",
        "extra.column": "another-member",
    }
    (file,) = CsvIntelmq().render(digest(finding(secrets, original="")))

    assert b"another-member" not in file.data
    assert set(json.loads(rows(file)[0]["extra"])) == {"cleanbots.id", "cleanbots.port_is"}
