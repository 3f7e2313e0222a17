"""parser/csv: tables by a mapping in the configuration."""

from typing import Any

import msgspec
import pytest

from bots.parsers.csv import Csv, CsvParams
from cleanbots.testing import Result, run


def parse(text: str | bytes, **params: Any) -> Result:
    """Run the parser on one report."""
    return run(Csv, [text], params={"type": "scanner", **params})


def fields(result: Result) -> list[dict[str, Any]]:
    """Give the fields of the events that the mapping made."""
    known = {"id", "raw", "classification.type", "time.observation"}
    return [{name: event[name] for name in event if name not in known} for event in result.sent]


def test_columns_by_position():
    """A list maps by position; null leaves a column out."""
    result = parse("192.0.2.1,x,80\n", columns=["source.ip", None, "source.port"], header=False)

    assert fields(result) == [{"source.ip": "192.0.2.1", "source.port": 80}]
    assert result.sent[0]["classification.type"] == "scanner"
    assert result.sent[0]["raw"] == "192.0.2.1,x,80"


def test_columns_by_name_number_and_pattern():
    """A mapping goes by name, then number, then pattern; groups of a pattern may stand in the field."""
    result = parse(
        "ip,port,geo_City,geo_Zip Code,other\n192.0.2.1,80,Delft,2600,x\n",
        columns={"ip": "source.ip", "2": "source.port", "/geo_city/": "extra.no", r"/geo_(.*)/": r"extra.\1"},
    )

    assert fields(result) == [
        {"source.ip": "192.0.2.1", "source.port": 80, "extra.city": "Delft", "extra.zip_code": "2600"}
    ]


def test_odd_names_of_columns_make_good_fields():
    """Whatever a column is called, a pattern makes a field of it."""
    result = parse("a..b,.c,d.,Größe (m)\n1,2,3,4\n", columns={r"/(.+)/": r"extra.\1"})

    assert fields(result) == [{"extra.a._b": "1", "extra._c": "2", "extra.d_": "3", "extra.gr_e_m_": "4"}]


def test_a_wrong_delimiter_is_told():
    """A header that is one column of several names asks about the delimiter."""
    result = parse("ip;port\n192.0.2.1;80\n", columns={"ip": "source.ip"})

    assert str(result.failed[0].error) == (
        "line 2: the report has no column 'ip'; it has 'ip;port'; is the delimiter a semicolon (;)? set `delimiter`"
    )


def test_the_first_field_that_fits():
    """A list of fields is tried until the value fits one; a value that fits none is kept with its reasons."""
    result = parse("a\n192.0.2.1\nwww.example.net\n//\n", columns={"a": ["source.ip", "source.fqdn"]})

    one, two, none = fields(result)
    assert (one, two) == ({"source.ip": "192.0.2.1"}, {"source.fqdn": "www.example.net"})
    assert set(none) == {"extra.rejected.source.ip", "extra.rejected.source.fqdn"}


def test_a_bad_value_is_kept_unless_its_field_is_required():
    """A bad value stays in the event with its reason; in a required field it fails the row alone."""
    result = parse(
        "ip,port\n192.0.2.1,0\nnope,80\n,80\n192.0.2.4,80\n",
        columns={"ip": "source.ip", "port": "source.port"},
        required=["source.ip"],
    )

    first, last = fields(result)
    assert first["extra.rejected.source.port"]["value"] == "0"
    assert last == {"source.ip": "192.0.2.4", "source.port": 80}
    bad, absent = (str(failure.error) for failure in result.failed)
    assert bad.startswith("line 3: source.ip: 'nope': ")
    assert absent == "line 4: source.ip: no value, and it is required"


@pytest.mark.parametrize(
    ("params", "text", "expected"),
    [
        ({}, "2026-11-20T07:30:00+01:00", "2026-11-20T06:30:00+00:00"),
        ({"time_zone": "Europe/Amsterdam"}, "2026-07-20 07:30:00", "2026-07-20T05:30:00+00:00"),
        ({"time_zone": "Europe/Amsterdam"}, "2026-07-20 07:30:00Z", "2026-07-20T07:30:00+00:00"),
        ({"time_format": "epoch"}, "1795000000", "2026-11-18T11:06:40+00:00"),
        ({"time_format": "epoch_ms"}, "1795000000000", "2026-11-18T11:06:40+00:00"),
        ({"time_format": "%d.%m.%Y %H:%M %z"}, "20.11.2026 07:30 +0100", "2026-11-20T06:30:00+00:00"),
        ({"time_format": "%d.%m.%Y", "time_zone": "UTC"}, "20.11.2026", "2026-11-20T00:00:00+00:00"),
    ],
)
def test_times(params, text, expected):
    """Times are read by format and zone."""
    assert fields(parse(f"t\n{text}\n", columns={"t": "time.source"}, **params)) == [{"time.source": expected}]


def test_a_time_without_a_zone_is_not_guessed():
    """Without time_zone a naive time is refused and kept with the reason."""
    (event,) = fields(parse("t\n2026-11-20 07:30:00\n", columns={"t": "time.source"}))

    assert "zone" in event["extra.rejected.time.source"]["reason"]


def test_translations_and_additions():
    """Types are translated, schemes put before, JSON read, constants added."""
    result = parse(
        'kind,url,tags\nbot,www.example.net/x,"[""a"",1]"\nscanner,ftp://www.example.net/,\n',
        columns={"kind": "classification.type", "url": "source.url", "tags": "extra.tags"},
        type_translation={"bot": "infected-system"},
        default_url_scheme="https",
        json_fields=["extra.tags"],
        constants={"protocol.transport": "tcp"},
    )

    assert [event["classification.type"] for event in result.sent] == ["infected-system", "scanner"]
    assert fields(result) == [
        {"source.url": "https://www.example.net/x", "extra.tags": ["a", 1], "protocol.transport": "tcp"},
        {"source.url": "ftp://www.example.net/", "protocol.transport": "tcp"},
    ]


def test_composed_fields():
    """A template takes values by name or number, as plain text; without one of them there is no value."""
    result = parse(
        "host,path\nwww.example.net,/a\nwww.example.net,\n{path},/b\n",
        columns={"host": "extra.host"},
        compose={"source.url": "http://{host}{2}", "extra.note": "{path}!"},
    )

    one, two, three = fields(result)
    assert (one["source.url"], one["extra.note"]) == ("http://www.example.net/a", "/a!")
    assert two == {"extra.host": "www.example.net"}
    assert three["extra.note"] == "/b!"


def test_rows_are_kept_and_skipped_by_pattern():
    """`keep` wants all its patterns, `skip` any; rows left out are counted."""
    result = parse(
        "ip,cc,port\n192.0.2.1,NL,80\n192.0.2.2,DE,80\n192.0.2.3,NL,22\n",
        columns={"ip": "source.ip"},
        keep={"cc": "^NL$"},
        skip={"3": "^22$"},
    )

    assert [event["source.ip"] for event in result.sent] == ["192.0.2.1"]
    assert result.dropped == {"skipped": 2}


def test_other_shapes_of_tables():
    """Delimiter, quote, comments, lines before the table and the character set are settings."""
    text = "Report, made today\n\n# x\nip;name\n192.0.2.1;'caf\xe9; bar'\n#end\n".encode("cp1252")
    result = parse(
        text,
        columns={"ip": "source.ip", "name": "extra.name"},
        delimiter=";",
        quote="'",
        comments=["#"],
        skip_lines=2,
        encoding="cp1252",
    )

    assert fields(result) == [{"source.ip": "192.0.2.1", "extra.name": "café; bar"}]
    assert result.sent[0].id.endswith("-5")


def test_without_quotes():
    """With an empty quote a quote is a character like any other."""
    result = parse('192.0.2.1\t"x\n', columns=["source.ip", "extra.name"], header=False, delimiter="\t", quote="")

    assert fields(result) == [{"source.ip": "192.0.2.1", "extra.name": '"x'}]


def test_a_missing_column_fails_the_rows():
    """A report without a mapped column is no silent loss: the rows fail, and the error names what there is."""
    result = parse("a,b\n1,2\n", columns={"ip": "source.ip"})

    assert not result.sent
    assert "line 2: the report has no column 'ip'; it has 'a', 'b'" in str(result.failed[0].error)


def test_a_failed_row_can_be_tried_again():
    """What is kept of a failed row gives the same event id once the mapping is mended."""
    text = "a,ip\n\nx,192.0.2.1\nx,nope\n"
    ((item, _),) = parse(text, columns={"ip": "source.ip"}, required=["source.ip"]).failed

    (event,) = run(Csv, [item], params={"columns": {"ip": "extra.ip"}}).sent

    assert event.id == f"{item.id}-4"
    assert event["extra.ip"] == "nope"


def test_the_cut_is_that_of_the_table():
    """Reports are cut by the table's own shape."""
    params = CsvParams(
        columns=["source.ip"], header=False, delimiter="|", quote="'", comments=["#"], encoding="cp1252", skip_lines=3
    )
    cut = Csv.cut(params)

    assert (cut.unit, cut.header, cut.delimiter, cut.quote) == ("rows", 0, "|", "'")
    assert (cut.skip, cut.encoding, cut.skip_lines) == (("#",), "cp1252", 3)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"columns": []}, "no column fills a field"),
        ({"columns": ["source.ipp"]}, "did you mean 'source.ip'"),
        ({"columns": {"/(/": "source.ip"}}, "no regular expression"),
        ({"columns": {"/(.)/": r"extra.\2"}}, "does not go with"),
        ({"columns": {"ip": "source.ip"}, "header": False}, "columns have numbers only"),
        ({"columns": ["source.ip"], "header": False, "keep": {"cc": "NL"}}, "columns have numbers only"),
        ({"columns": ["source.ip"], "type": "botnet"}, "classification.type"),
        ({"columns": ["source.ip"], "constants": {"source.port": 0}}, "source.port"),
        ({"columns": ["source.ip"], "time_format": "rfc"}, "time_format"),
        ({"columns": ["source.ip"], "time_format": "%d.%m.%Y"}, "has no zone"),
        ({"columns": ["source.ip"], "time_zone": "Mars/Base"}, "no zone of the IANA data base"),
        ({"columns": ["source.ip"], "encoding": "latin-99"}, "no such character set"),
        ({"columns": ["source.ip"], "skip": {"1": "("}}, "no regular expression"),
        ({"columns": ["source.ip"], "required": ["source.pi"]}, "no such field"),
        ({"columns": ["source.ip"], "delimiter": ";;"}, "length <= 1"),
    ],
)
def test_mistakes_are_found_before_anything_runs(params, reason):
    """Wrong parameters are refused with a sentence."""
    with pytest.raises(msgspec.ValidationError, match=reason.replace("(", r"\(")):
        msgspec.convert(params, CsvParams)
