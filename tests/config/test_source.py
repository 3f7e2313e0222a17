"""Includes: several files make one configuration, and each value keeps its own file."""

from pathlib import Path

from cleanbots.config.source import load


def test_included_files_are_merged_and_keep_their_places(write, tmp_path: Path):
    """Bots of included files join those of the main one; their places name their own file."""
    main = write("include: [more/*.yaml, tests.yaml]\nbots:\n  a: {use: output/keep}\n")
    more = write("bots:\n  b:\n    use: output/keep\n", "more/b.yaml")
    write("tests:\n  - name: one\n", "tests.yaml")

    source = load(main)

    assert source.findings == []
    assert list(source.value["bots"]) == ["a", "b"]
    assert source.value_place(("bots", "b", "use")) == (str(more), 3, 10)
    assert source.value["tests"] == [{"name": "one"}]
    assert source.files == [main, more, tmp_path / "tests.yaml"]


def test_lists_of_several_files_are_joined_with_their_places(write):
    """The n-th element of a joined list has the place where it was written."""
    main = write("include: more.yaml\ntests:\n  - {name: one}\n")
    more = write("tests:\n  - {name: two}\n", "more.yaml")

    source = load(main)

    assert source.value_place(("tests", 1, "name")) == (str(more), 2, 12)


def test_a_bot_in_two_files_is_found_with_both_places(write):
    """The same bot in two files is a finding that names both."""
    main = write("include: more.yaml\nbots:\n  a: {use: output/keep}\n")
    more = write("bots:\n  a: {use: output/keep}\n", "more.yaml")

    (finding,) = load(main).findings

    assert str(finding) == f"{more}:2:3: bots.a: given twice → the first is at {main}:3:3; keep one"


def test_a_circle_of_includes_is_found(write):
    """A file that includes one that includes it is a finding at that line."""
    main = write("include: more.yaml\n")
    more = write("include:\n  - cleanbots.yaml\n", "more.yaml")

    (finding,) = load(main).findings

    assert (finding.file, finding.line, finding.column) == (str(more), 2, 5)
    assert "includes itself" in finding.text


def test_a_file_included_twice_is_found(write):
    """Two ways to the same file are a finding."""
    main = write("include: [more.yaml, '*.yaml']\nname: x\n", "main/c.yaml")
    write("lease: 30s\n", "main/more.yaml")

    texts = sorted(finding.text for finding in load(main).findings)

    assert texts == [
        "include[1]: 'c.yaml' includes itself",
        "include[1]: 'more.yaml' is included twice",
    ]


def test_a_missing_include_is_found_where_it_is_named(write):
    """A named file must exist; a glob may match nothing."""
    main = write("include:\n  - gone.yaml\n  - none/*.yaml\nname: x\n")

    (finding,) = load(main).findings

    assert (finding.line, finding.column) == (2, 5)
    assert "there is no file 'gone.yaml'" in finding.text


def test_a_missing_configuration_is_one_finding(tmp_path: Path):
    """A configuration that isn't there is a finding, not an exception."""
    (finding,) = load(tmp_path / "none.yaml").findings

    assert "No such file" in finding.text


def test_an_empty_file_and_a_list_are_found(write):
    """A configuration is a mapping."""
    assert [f.text for f in load(write("")).findings] == ["an empty configuration"]
    assert [f.text for f in load(write("- a\n")).findings] == ["not a mapping"]


def test_mistakes_of_all_files_are_found_at_once(write):
    """A broken included file doesn't hide the mistakes of the others."""
    main = write("include: [a.yaml, b.yaml]\nname: x\nname: y\n")
    write("bots: [\n", "a.yaml")
    write("bots: {}\nbots: {}\n", "b.yaml")

    assert len({finding.file for finding in load(main).findings}) == 3
