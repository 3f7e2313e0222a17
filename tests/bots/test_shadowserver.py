"""parser/shadowserver: types, conversions, drift, bad rows; with our own small schema."""

import csv
import io
import json
import logging
import os

import msgspec
import pytest

from benchmarks.samples import COLUMNS, blocklist_csv, shadowserver_csv
from bots.parsers._shadowserver_schema import SchemaError, read_schema
from bots.parsers.shadowserver import Shadowserver, ShadowserverParams
from cleanbots import Chunk, Context
from cleanbots.data import data_path
from cleanbots.errors import CleanbotsError
from cleanbots.testing import run

REDIS = "2026-11-20-scan_redis-nl-geo.csv"
ROW = {
    "timestamp": "2026-11-20 07:30:00",
    "severity": "high",
    "ip": "192.0.2.25",
    "protocol": "tcp",
    "port": "6379",
    "hostname": "db.example.net",
    "tag": "redis;cve-2022-0543",
    "asn": "64500",
    "geo": "NL",
    "region": "UTRECHT",
    "city": "UTRECHT",
    "naics": "0",
    "hostname_source": "ptr",
    "sector": "",
    "version": "7.2.4",
    "os": "Linux",
    "architecture": "64",
    "uptime": "86400",
    "connected_clients": "12",
}


def table(*rows, columns=None):
    """Write rows as CSV below the header of the first."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns or list(rows[0]), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def parsed(*rows, name=REDIS, columns=None, **options):
    """Parse rows as one report."""
    return run(Shadowserver, [table(*rows, columns=columns)], name=name, **options)


def one(*rows, **options):
    """Parse rows of which one event comes; gives its fields."""
    result = parsed(*rows, **options)
    assert [str(failure.error) for failure in result.failed] == []
    (event,) = result.sent
    return event.fields


def test_a_row_becomes_an_event():
    """Columns, constants and what the type says all arrive, harmonised."""
    fields = one(ROW, fields={"feed.provider": "Shadowserver", "time.observation": "2026-11-20T08:00:00+00:00"})

    assert fields.pop("raw").startswith("2026-11-20 07:30:00,high,192.0.2.25,tcp,6379")
    assert fields.pop("id").endswith("-2")
    assert fields == {
        "feed.provider": "Shadowserver",
        "feed.name": "Open-Redis",
        "feed.code": "scan_redis",
        "feed.documentation": "https://reports.example.net/open-redis",
        "time.observation": "2026-11-20T08:00:00+00:00",
        "time.source": "2026-11-20T07:30:00+00:00",
        "time_precision": "second",
        "classification.taxonomy": "vulnerable",
        "classification.type": "vulnerable-system",
        "classification.identifier": "open-redis",
        "protocol.application": "redis",
        "protocol.transport": "tcp",
        "severity": "high",
        "source.ip": "192.0.2.25",
        "source.port": 6379,
        "port_is": "service",
        "source.reverse_dns": "db.example.net",
        "source.asn": 64500,
        "source.geolocation.cc": "NL",
        "source.geolocation.region": "UTRECHT",
        "source.geolocation.city": "UTRECHT",
        "product.vulnerabilities": ["CVE-2022-0543"],
        "extra.tag": "redis;cve-2022-0543",
        "extra.hostname_source": "ptr",
        "extra.version": "7.2.4",
        "extra.os.name": "Linux",
        "extra.architecture": "64",
        "extra.uptime": 86400,
        "extra.connected_clients": 12,
    }


def test_the_order_of_columns_does_not_matter():
    """A report whose columns come in another order gives the same event."""
    there, back = one(ROW), one(ROW, columns=list(reversed(ROW)))

    assert {**there, "raw": ""} == {**back, "raw": ""}


def test_the_collectors_names_stay():
    """What the collector says about the feed is not overwritten by the type's own names."""
    fields = one(ROW, fields={"feed.name": "Shadowserver NL", "feed.code": "SS"})

    assert (fields["feed.name"], fields["feed.code"]) == ("Shadowserver NL", "SS")


def test_raw_can_be_left_out():
    """`raw: false` keeps no row."""
    assert "raw" not in one(ROW, params={"raw": False})


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [
        ("port", "0", "source.port"),
        ("port", "http", "source.port"),
        ("asn", "none", "source.asn"),
        ("severity", "dreadful", "severity"),
        ("hostname", "no host", "source.reverse_dns"),
        ("uptime", "3 days", "extra.uptime"),
    ],
)
def test_a_bad_optional_value_does_not_lose_the_row(column, value, field):
    """A value that doesn't fit is kept with its reason, and the rest of the row is used."""
    fields = one({**ROW, column: value})

    assert field not in fields
    assert fields[f"extra.rejected.{field}"]["value"] == value
    assert fields["source.ip"] == "192.0.2.25"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("timestamp", "yesterday", "time.source: 'yesterday'"),
        ("timestamp", "2026-11-31 07:30:00", "time.source"),
        ("timestamp", "", "the row has no time"),
        ("ip", "192.0.2.256", "source.ip: '192.0.2.256'"),
        ("ip", "", "the row has no address"),
        ("ip", "0.0.0.0", "the row has no address"),
    ],
)
def test_a_row_without_time_or_address_fails_alone(column, value, said):
    """Without its time or address a row says nothing; its neighbours pass."""
    result = parsed(ROW, {**ROW, column: value}, ROW)

    assert len(result.sent) == 2
    (failure,) = result.failed
    assert str(failure.error).startswith("line 3: ")
    assert said in str(failure.error)


def test_a_row_set_aside_can_be_tried_again():
    """The item of a failed row holds that row alone, and its id stays."""
    (failure,) = parsed(ROW, {**ROW, "ip": ""}).failed

    mended = msgspec.structs.replace(failure.item, payload=failure.item.payload.replace(b",,tcp", b",192.0.2.7,tcp"))
    (event,) = run(Shadowserver, [mended]).sent

    assert event["source.ip"] == "192.0.2.7"
    assert event.id.endswith("-3")


def test_a_quoted_newline_stays_in_its_row():
    """A newline between quotes breaks no row, and the next row's line is counted physically."""
    first, second = parsed({**ROW, "version": "7.2\nstandalone"}, ROW).sent

    assert first["extra.version"] == "7.2\nstandalone"
    assert (first.id[-2:], second.id[-2:]) == ("-2", "-4")


def test_unknown_columns_go_to_extra():
    """A column that the schema doesn't know is kept under its name, whatever letters it is made of."""
    fields = one({**ROW, "new_column": "a", "JA3 Hash": "b"})

    assert (fields["extra.new_column"], fields["extra.ja3_hash"]) == ("a", "b")


def test_drift_is_told_once_per_column(caplog):
    """Missing and unknown columns are named in one line per report type, not per row or report."""
    row = {column: value for column, value in ROW.items() if column != "sector"} | {"new_column": "a"}
    report = table(row, row)
    with caplog.at_level(logging.WARNING):
        run(Shadowserver, [report, report], name=REDIS)

    (line,) = [record.getMessage() for record in caplog.records if "differ" in record.getMessage()]
    assert "scan_redis" in line
    assert "missing: sector; unknown: new_column" in line


def test_a_missing_required_column_fails_the_rows():
    """Without a required column no row is used, and the sentence names the column and the way out."""
    row = {column: value for column, value in ROW.items() if column != "ip"}
    result = parsed(row, row)

    assert result.sent == []
    assert len(result.failed) == 2
    assert "needs the column 'ip'" in str(result.failed[0].error)
    assert "cleanbots update shadowserver-schema" in str(result.failed[0].error)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("2026-11-20-scan_unheard_of-x.csv", "no report type 'scan_unheard_of'; run 'cleanbots update"),
        ("report.csv", "set `report_type`"),
        ("", "set `report_type`"),
    ],
)
def test_a_report_of_unknown_type_fails_as_one_item(name, said):
    """A report whose type nobody knows is set aside whole, and can be retried whole."""
    text = table(ROW, ROW, ROW)
    result = run(Shadowserver, [text], name=name)

    assert result.sent == []
    (failure,) = result.failed
    assert said in str(failure.error)
    assert failure.item.header + failure.item.payload == text.encode()


@pytest.mark.parametrize("name", ["2026-11-20-scan_redis.csv", "in/2026-11-20-scan_redis-2-nl-asn.csv"])
def test_the_file_name_tells_the_type(name):
    """The type stands between the date and the next hyphen."""
    assert one(ROW, name=name)["feed.code"] == "scan_redis"


def test_the_parameter_tells_the_type():
    """`report_type` goes before the file name."""
    assert one(ROW, name="x.csv", params={"report_type": "scan_redis"})["feed.code"] == "scan_redis"


def test_a_key_may_differ_from_the_file_name():
    """Types are known by their file names; a client's port is told from a service's."""
    row = {"timestamp": "2026-11-20 07:30:00", "src_ip": "198.51.100.7", "src_port": "51234", "infection": "Examplebot"}
    fields = one(row, name="2026-11-20-event4_sinkhole-x.csv")

    assert (fields["source.port"], fields["port_is"]) == (51234, "source")
    assert (fields["malware.name"], fields["classification.identifier"]) == ("examplebot", "Examplebot")


def test_without_a_port_nothing_is_said_about_it():
    """`port_is` goes with `source.port` only."""
    assert "port_is" not in one({**ROW, "port": ""})


def test_inventories_are_marked():
    """Reports that only count what is there are of the kind inventory."""
    row = {
        "timestamp": "2026-11-20 07:30:00",
        "ip": "2001:db8::7",
        "port": "80",
        "http_date": "Fri, 20 Nov 2026 07:30:00 GMT",
    }
    fields = one(row, name="2026-11-20-scan_http-x.csv")

    assert fields["kind"] == "inventory"
    assert fields["extra.http_date"] == "2026-11-20T07:30:00+00:00"
    assert "kind" not in one(ROW)


@pytest.mark.parametrize(
    ("tag", "kind"),
    [("exchange;webshell", "system-compromise"), ("exchange", "vulnerable-system"), ("", "vulnerable-system")],
)
def test_the_tag_tells_what_an_exchange_server_is(tag, kind):
    """A web shell is a compromise; no tag at all still is a vulnerability."""
    row = {"timestamp": "2026-11-20 07:30:00", "ip": "192.0.2.9", "port": "443", "tag": tag}

    assert one(row, name="2026-11-20-scan_exchange-x.csv")["classification.type"] == kind


def test_a_network_may_stand_for_an_address():
    """Where one column holds addresses and networks, either is enough."""
    row = {"timestamp": "2026-11-20 07:30:00", "ip": "198.51.100.0/24", "score": "0.5"}
    fields = one(row, name="2026-11-20-blocklist-x.csv")

    assert fields["source.network"] == "198.51.100.0/24"
    assert "source.ip" not in fields
    assert fields["extra.score"] == 0.5


def test_whole_rows_are_looked_at_where_the_schema_says_so():
    """A URL is made of path, host and application; the detail stands in for an empty category."""
    row = {
        "timestamp": "2026-11-20 07:30:00",
        "ip": "192.0.2.9",
        "port": "443",
        "application": "https",
        "http_host": "www.example.org",
        "url": "/shell.php",
        "category": "",
        "detail": "a shell",
    }
    fields = one(row, name="2026-11-20-compromised_website-x.csv")

    assert fields["source.url"] == "https://www.example.org/shell.php"
    assert fields["event_description.text"] == "a shell"


def schema(optional, required=(), **more):
    """Write a schema of one type ``tiny`` with the columns ``timestamp`` and *optional*."""
    time = ["time.source", "timestamp", "add_UTC_to_timestamp"]
    entry = {"feed_name": "Tiny", "file_name": "tiny", "constant_fields": {}, "required_fields": [time, *required]}
    return json.dumps({"_meta": {}, "tiny": {**entry, "optional_fields": optional, **more}})


def tiny(tmp_path, optional, **columns):
    """Parse one row of a type whose optional columns are given."""
    (tmp_path / "schema.json").write_text(schema(optional))
    row = {"timestamp": "2026-11-20 07:30:00", **columns}
    return one(row, name="2026-11-20-tiny-x.csv", params={"schema": "schema.json"}, base=tmp_path)


@pytest.mark.parametrize(("value", "field"), [("192.0.2.0/24", "source.network"), ("192.0.2.7", "source.ip")])
def test_one_column_may_fill_several_fields(tmp_path, value, field):
    """Each field takes the column's value if it fits."""
    fields = tiny(
        tmp_path, [["source.network", "at", "validate_network"], ["source.ip", "at", "validate_ip"]], at=value
    )

    assert fields[field] == value
    assert not [name for name in fields if name.startswith("extra.rejected")]


@pytest.mark.parametrize(("first", "second", "taken"), [("a", "b", "a"), ("0", "b", "b")])
def test_of_two_columns_for_one_field_the_first_that_fits_wins(tmp_path, first, second, taken):
    """The schema's order decides, and an absent value doesn't count."""
    mapping = [["status", "one", "validate_to_none"], ["status", "two", "validate_to_none"]]

    assert tiny(tmp_path, mapping, one=first, two=second)["status"] == taken


def test_false_drops_a_column(tmp_path):
    """A column mapped to false goes nowhere."""
    fields = tiny(tmp_path, [[False, "noise"]], noise="x")

    assert "x" not in fields.values()


def test_what_this_version_lacks_goes_to_extra(tmp_path):
    """A field or conversion of a newer schema costs no value."""
    fields = tiny(tmp_path, [["source.future", "one"], ["status", "two", "convert_future"]], one="a", two="b")

    assert (fields["extra.one"], fields["extra.two"]) == ("a", "b")
    assert "status" not in fields


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "no JSON object"),
        ("{", "no JSON object"),
        ("{}", "describes no report type"),
        (schema([["status"]]), "is not \\[field, column"),
        (schema([["status", "a", "b", "c"]]), "is not \\[field, column"),
        (schema([], file_name="a-b"), "can't stand in a report's file name"),
        (schema([], constant_fields={"status": 1}), "tiny: Expected `str`"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(text, said):
    """The sentence says which type and what is wrong with it."""
    with pytest.raises(SchemaError, match=said):
        read_schema(text.encode())


def test_a_schema_that_can_not_be_used_stops_the_bot_with_a_sentence(tmp_path):
    """A missing or damaged file is named, with the way out."""
    with pytest.raises(CleanbotsError, match=r"gone.json: no schema that can be used: .*cleanbots update"):
        run(Shadowserver, [], params={"schema": "gone.json"}, base=tmp_path)


def test_the_fetched_schema_goes_before_the_shipped_one(tmp_path, caplog):
    """What `update` put into the data folder is used, and the log says so."""
    (tmp_path / "shadowserver-schema.json").write_text(schema([]))
    row = {"timestamp": "2026-11-20 07:30:00"}
    with caplog.at_level(logging.INFO):
        assert one(row, name="2026-11-20-tiny-x.csv", data=tmp_path)["feed.name"] == "Tiny"

    assert f"using the schema {tmp_path / 'shadowserver-schema.json'} with 1 report types" in caplog.text


def test_an_updated_schema_is_taken_up_while_running(tmp_path, caplog):
    """A new schema counts from the next report on; a damaged one leaves the last good one in use."""
    path = tmp_path / "shadowserver-schema.json"
    path.write_text(schema([]))
    parser = Shadowserver(ShadowserverParams(), Context(data=tmp_path))
    parser.open()

    path.write_text(data_path("config", "shadowserver-schema.json").read_text())
    os.utime(path, ns=(1, 1))
    assert len(run_open(parser)) == 1

    path.write_text("damaged")
    os.utime(path, ns=(2, 2))
    assert len(run_open(parser)) == 1
    assert "keeping the schema read before" in caplog.text


def run_open(parser):
    """Parse one report with a parser that is open already."""
    return list(parser.parse(Chunk(id="r", payload=table(ROW).encode(), name=REDIS)))


def test_counts_add_up_on_a_big_report(tmp_path):
    """Of 5000 rows with newlines, repeats and breaks each is an event or set aside, to the unit."""
    path = tmp_path / REDIS
    sample = shadowserver_csv(path, 5000, seed=7, newlines=0.02, broken=0.01, duplicates=0.02)
    result = run(Shadowserver, [path.read_bytes()], name=REDIS)

    assert sample.broken > 20
    assert len(result.failed) == sample.broken
    assert len(result.sent) == sample.rows - sample.broken
    assert len({event.id for event in result.sent}) == len(result.sent)


def test_samples_are_the_same_for_the_same_seed(tmp_path):
    """The generator depends on its seed alone, and its columns are those of the schema's type."""
    for name in ("a", "b"):
        shadowserver_csv(tmp_path / name, 50, seed=3, newlines=0.1, broken=0.1, duplicates=0.1)
    kind = read_schema(data_path("config", "shadowserver-schema.json").read_bytes())["scan_redis"]

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert {one.column for one in kind.mapped} == set(COLUMNS)
    assert len(COLUMNS) == 19


def test_the_demo_list_is_what_the_generator_makes(tmp_path):
    """The list that is checked in can be made again, with 60 rows of which seven are broken."""
    sample = blocklist_csv(tmp_path / "list.csv")

    assert (sample.rows, sample.broken) == (60, 7)
    assert (tmp_path / "list.csv").read_bytes() == data_path(
        "config", "demo", "reports", "blocklist-demo.csv"
    ).read_bytes()


def test_a_header_beyond_reason_is_refused():
    """A file of thousands of columns is none of Shadowserver's, and costs no plan."""
    (failure,) = parsed({f"c{number}": "x" for number in range(2000)}).failed

    assert "2000 columns" in str(failure.error)
