"""Tests of reading originals."""

import pytest
from format_digests import HEADER, ROW, finding
from hypothesis import given
from hypothesis import strategies as st

from cleanbots.clearinghouse.formats.originals import cells, split, tables


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            HEADER + ROW,
            {
                "timestamp": "2026-11-19 23:14:07",
                "ip": "203.0.113.25",
                "port": "6379",
                "protocol": "tcp",
                "version": "6.0.16",
            },
        ),
        ("a;b\n1;2", {"a": "1", "b": "2"}),
        ("a\tb\n1\t2\n", {"a": "1", "b": "2"}),
        ('a,b\n"1\nx",2\n', {"a": "1\nx", "b": "2"}),
        ('{"ip": "192.0.2.1", "n": 1}', {"ip": "192.0.2.1", "n": 1}),
        ("192.0.2.1", {"row": "192.0.2.1"}),
        ("a,b\n1\n", {"row": "a,b\n1\n"}),
        ("a,a\n1,2\n", {"row": "a,a\n1,2\n"}),
        ('{"broken', {"row": '{"broken'}),
        ("one\ntwo\nthree\n", {"row": "one\ntwo\nthree\n"}),
        ("", {}),
    ],
)
def test_original_is_read_by_its_header(text, expected):
    """An original gives names and values; one that doesn't fit its header is kept as text."""
    assert cells(text) == expected


@given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text('a,;"\r\n\t{', max_size=30))
def test_nothing_of_an_original_is_lost(text):
    """Header and row are the original, to the character, whatever it is; and it can always be read as something."""
    header, row, _ = split(text)

    assert header + row == text
    assert bool(cells(text)) == bool(text) or text.lstrip() == "{}"


def test_rows_are_gathered_below_their_header():
    """Rows of one report share its header; a last row without a line end gets the report's."""
    found = tables([finding(original=HEADER + ROW.strip()), finding(original=HEADER + ROW), finding(original="x")])

    assert {header: table.data.decode() for header, table in found.items()} == {HEADER: HEADER + ROW + ROW, "": "x\n"}
    assert [table.rows for table in found.values()] == [2, 1]
