"""Plans: rows become events by a mapping that was compiled once."""

from collections.abc import Sequence

import pytest

from cleanbots.errors import InvalidRow, InvalidValue, UnknownField
from cleanbots.event import Event
from cleanbots.harmonization import Column, compile_plan, harmonise
from cleanbots.harmonization.plan import CACHED
from cleanbots.harmonization.times import zoned

COLUMNS = (
    Column("time.source", 0, zoned),
    Column("source.ip", 1, required=True),
    Column("source.port", 2),
    Column("product.vulnerabilities", 3),
    Column("extra.tag", 4),
)
ROW = ["2026-11-20 07:30:00", " 192.0.2.1", "80", "cve-2026-12345", "iot"]
FIELDS = {
    "time.source": "2026-11-20T07:30:00+00:00",
    "source.ip": "192.0.2.1",
    "source.port": 80,
    "product.vulnerabilities": ["CVE-2026-12345"],
    "extra.tag": "iot",
}


def test_row_becomes_fields_between_base_and_columns():
    """The fields are the base, the constants and the converted cells."""
    plan = compile_plan(COLUMNS, {"classification.type": "Scanner"})
    base = {"id": "abc-2"}

    assert plan.build(ROW, base) == {"id": "abc-2", "classification.type": "scanner", **FIELDS}
    assert base == {"id": "abc-2"}


def test_second_row_is_built_as_the_first():
    """Remembered conversions give the same fields as fresh ones."""
    plan = compile_plan(COLUMNS)

    assert plan.build(ROW, {}) == plan.build(ROW, {}) == FIELDS


def test_events_share_no_lists():
    """Changing a list in one event leaves the next event of an equal row alone."""
    plan = compile_plan(COLUMNS)
    plan.build(ROW, {})["product.vulnerabilities"].append("CVE-2026-99999")

    assert plan.build(ROW, {}) == FIELDS


def test_empty_cells_are_no_values():
    """An empty or blank cell sets nothing and rejects nothing, every time."""
    plan = compile_plan(COLUMNS)
    row = ["", " 192.0.2.1", "  ", "", "\t"]

    for _ in range(2):
        assert plan.build(row, {}) == {"source.ip": "192.0.2.1"}


def test_bad_cell_is_kept_with_its_reason():
    """A cell that does not fit moves below ``extra.rejected.`` and the row lives on, every time."""
    plan = compile_plan(COLUMNS)
    row = [*ROW[:2], "99999", *ROW[3:]]
    fields = {name: value for name, value in FIELDS.items() if name != "source.port"}
    fields["extra.rejected.source.port"] = {"value": "99999", "reason": "must be from 1 to 65535"}

    for _ in range(2):
        assert plan.build(row, {}) == fields


def test_bad_cell_of_a_required_column_makes_the_row_bad():
    """A required cell that does not fit raises, naming field, value and reason, every time."""
    plan = compile_plan(COLUMNS)

    for _ in range(2):
        with pytest.raises(InvalidValue, match=r"source\.ip: 'nope': not an IP address"):
            plan.build([ROW[0], "nope", *ROW[2:]], {})


def test_reason_of_a_column_function_is_kept():
    """What a column's own function refuses is kept with that function's reason."""
    plan = compile_plan([Column("time.source", 0, zoned)])

    (rejected,) = plan.build(["20/11"], {}).values()

    assert rejected["value"] == "20/11"
    assert rejected["reason"].startswith("not a time")


def test_column_function_may_say_no_value():
    """A column's function that gives None leaves the field unset, every time."""
    plan = compile_plan([Column("source.port", 0, lambda text: None if text == "0" else text)])

    assert [plan.build([text], {}) for text in ("0", "0", "80")] == [{}, {}, {"source.port": 80}]


def test_row_function_sees_the_whole_row():
    """A column's row function is given its cell and the row, and equal cells may give different values."""

    def scheme(text: str, row: Sequence[str]) -> str:
        return f"{row[1]}://{text}/"

    plan = compile_plan([Column("source.url", 0, row_convert=scheme)])

    assert plan.build(["example.com", "http"], {}) == {"source.url": "http://example.com/"}
    assert plan.build(["example.com", "https"], {}) == {"source.url": "https://example.com/"}


def test_short_row_is_bad():
    """A row with fewer columns than the mapping needs is refused whole; a longer one is fine."""
    plan = compile_plan(COLUMNS)

    with pytest.raises(InvalidRow, match="4 columns where at least 5 are expected"):
        plan.build(ROW[:4], {})
    assert plan.build([*ROW, "more"], {}) == FIELDS


def test_memory_of_a_column_is_bounded():
    """However many values a column has, it remembers a bounded number, and converts all of them."""
    plan = compile_plan([Column("source.port", 0), Column("extra.serial", 1)])

    for number in range(2 * CACHED + 10):
        assert plan.build(["80", str(number)], {}) == {"source.port": 80, "extra.serial": str(number)}


def test_a_column_whose_texts_hardly_repeat_is_no_longer_remembered():
    """After its memory filled up in vain, a column is converted cell by cell; one whose texts repeat is not."""
    plan = compile_plan([Column("source.port", 0), Column("extra.serial", 1)])

    plan.fill([["80", str(number)] for number in range(CACHED + 1)], [{} for _ in range(CACHED + 1)])

    assert [cell.remembers for cell in plan._cells] == [True, False]
    assert plan.build(["80", " 7 "], {}) == {"source.port": 80, "extra.serial": "7"}


def test_rows_are_filled_together_and_fail_alone():
    """Of many rows each good one fills its event, and each bad one is named with its error."""
    plan = compile_plan([Column("source.ip", 0, required=True), Column("source.port", 1)])
    events = [{"id": str(number)} for number in range(4)]

    failed = plan.fill([["192.0.2.1", "80"], ["nope", "x"], ["192.0.2.3"], ["192.0.2.4", "0"]], events)

    assert [(index, type(error)) for index, error in failed] == [(1, InvalidValue), (2, InvalidRow)]
    assert events[0] == {"id": "0", "source.ip": "192.0.2.1", "source.port": 80}
    assert events[3]["extra.rejected.source.port"]["value"] == "0"
    assert not any(name.startswith("extra.rejected") for name in events[0])


def test_a_canonical_value_is_not_converted_again():
    """What a column's function gives is taken as it is, if it says that it is canonical."""
    plan = compile_plan([Column("source.port", 0, lambda text: f"port {text}", canonical=True)])

    assert plan.build(["80"], {}) == {"source.port": "port 80"}


def test_plan_is_checked_when_it_is_compiled():
    """Unknown fields and unfit constants are found before any row is read."""
    with pytest.raises(UnknownField, match=r"did you mean 'source\.ip'"):
        compile_plan([Column("source.ipp", 0)])
    with pytest.raises(UnknownField):
        compile_plan([], {"source.ipp": 1})
    with pytest.raises(InvalidValue):
        compile_plan([], {"tlp": "PURPLE"})


def test_plan_gives_what_setting_each_field_gives():
    """A plan without functions is the same as harmonising cell by cell."""
    plan = compile_plan([Column("source.fqdn", 0), Column("source.asn", 1), Column("tlp", 2)])
    row = ["WWW.example.COM", "AS64496", "white"]

    assert plan.build(row, {}) == {column.field: harmonise(column.field, row[column.index]) for column in plan.columns}


def test_event_is_built_by_a_plan():
    """`Event.build` wraps the fields, and knows the origins of its report."""
    event = Event.build(compile_plan(COLUMNS), ROW, {"id": "abc-2", "raw": "row\n"}, {"abc": {"header": "head\n"}})

    assert event.id == "abc-2"
    assert event["source.port"] == 80
    assert event.original() == "head\nrow\n"
