"""Reading YAML: plain values, exact places, nothing dangerous."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanbots.config import yaml


def findings(text: str) -> list[tuple[int, int, str]]:
    """Parse a text and give place and sentence of each finding."""
    return [(f.line, f.column, f.text) for f in yaml.parse(text, "c.yaml").findings]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("FALSE", False),
        ("12:30:45", "12:30:45"),
        ("2026-11-22", "2026-11-22"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("~", None),
        ("", None),
        ("null", None),
        ('"12"', "12"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    """A plain scalar is what the core schema of YAML 1.2 says, not what YAML 1.1 made of it."""
    read = yaml.parse(f"key: {text}\n", "c.yaml")

    assert read.findings == []
    assert read.value == {"key": value}
    assert type(read.value["key"]) is type(value)


def test_every_value_and_key_has_its_place():
    """Line and column of each value and each key are known, counted from 1."""
    read = yaml.parse("a:\n  b: [x, {c: y}]\n", "c.yaml")

    assert read.places["a", "b", 1, "c"] == ("c.yaml", 2, 14)
    assert read.keys["a", "b", 1, "c"] == ("c.yaml", 2, 11)
    assert read.keys["a", "b"] == ("c.yaml", 2, 3)


def test_a_key_given_twice_is_found_and_the_first_kept():
    """A duplicate key is a finding at the second, which names the line of the first."""
    read = yaml.parse("a: 1\nb: 2\na: 3\n", "c.yaml")

    assert read.value == {"a": 1, "b": 2}
    assert [str(f) for f in read.findings] == ["c.yaml:3:1: a: given twice → the first is in line 1; keep one"]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!str", "!mine"])
def test_tags_are_refused(tag):
    """No tag is obeyed, whatever it asks for."""
    ((line, column, text),) = findings(f"a: {tag} [x]\n")

    assert (line, column) == (1, 4)
    assert "is not allowed" in text


def test_few_aliases_are_fine():
    """An alias stands for the value of its anchor."""
    assert yaml.parse("a: &x {b: 1}\nc: *x\n", "c.yaml").value == {"a": {"b": 1}, "c": {"b": 1}}


def test_aliases_cannot_blow_up():
    """Aliases of aliases that would expand to millions of values are stopped."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    ((_, _, text),) = findings("\n".join(lines))

    assert "once its aliases are expanded" in text


def test_an_alias_cannot_hold_itself():
    """An alias inside of its own anchor is a finding, not an endless value."""
    ((line, _, text),) = findings("a: &a [*a]\n")

    assert line == 1
    assert "has no anchor before it" in text


def test_depth_is_limited():
    """Deep nesting is a finding, not a crash."""
    ((_, _, text),) = findings("[" * 900)

    assert "levels deep" in text


def test_a_large_file_is_refused(tmp_path: Path):
    """A file over 1 MiB is not read."""
    file = tmp_path / "c.yaml"
    file.write_text("#" * (yaml.MAX_BYTES + 1))

    (finding,) = yaml.read(file).findings

    assert "larger than 1 MiB" in finding.text


def test_text_in_another_encoding_is_found(tmp_path: Path):
    """A file that isn't UTF-8 is a finding at the first bad byte."""
    file = tmp_path / "c.yaml"
    file.write_bytes(b"a: 1\nb: caf\xe9\n")

    (finding,) = yaml.read(file).findings

    assert (finding.line, finding.column) == (2, 7)


@pytest.mark.parametrize("number", [".inf", "-.INF", ".nan", "1e999", "9" * 30, "9" * 5000, "18446744073709551616"])
def test_numbers_that_json_lacks_are_found(number):
    """Infinite, undefined and huge numbers are findings."""
    ((line, column, _),) = findings(f"a: {number}\n")

    assert (line, column) == (1, 4)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [1\nb: 2\n", 2), ("a: 1\n\tb: 2\n", 2), ("a: 'x\n", 2), ("a: 1\n---\nb: 2\n", 2), ("a: \x01", 1)],
)
def test_broken_yaml_is_one_finding_with_its_line(text, line):
    """What YAML can't read is a finding with a place and a hint."""
    (finding,) = yaml.parse(text, "c.yaml").findings

    assert finding.line == line
    assert finding.hint


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_read_or_found(text):
    """Whatever stands in the file, reading it ends with a value or with findings."""
    read = yaml.parse(text, "c.yaml")

    assert read.findings or read.value is None or () in read.places
