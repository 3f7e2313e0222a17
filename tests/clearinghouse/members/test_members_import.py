"""Members taken from a CSV: only what is new or different is written, and every comment stays."""

import pytest
from click.testing import CliRunner

from cleanbots.clearinghouse.members import Registry
from cleanbots.clearinghouse.members.importing import import_csv
from cleanbots.cli.members_command import command
from cleanbots.errors import ConfigError

FILE = """\
# our members
defaults: {language: nl}

members:
  # the first one
  - id: a            # never change this
    name: "A, Inc."  # as in the contract
    state: test
    resources:
      asns: [{asn: 64500}]  # checked
      networks:
        # the old office
        - prefix: 198.51.100.0/25
          since: 2020-01-01
    contacts: [{id: desk, mail: abuse@a.example}]
    deliveries:
      - {id: daily, to: [desk], when: "daily 07:30"}   # agreed by phone
  - id: b
    name: B
"""


@pytest.fixture
def members(tmp_path):
    """A file of members with comments."""
    path = tmp_path / "members.yaml"
    path.write_text(FILE)
    return path


def imported(members, *lines):
    """Import a CSV of these lines."""
    table = members.parent / "in.csv"
    table.write_text("\n".join(lines) + "\n")
    return import_csv(members, table)


def test_known_member_is_changed_in_place(members):
    """Values are replaced and claims added where they stand; comments and everything else stay as they are."""
    found = imported(
        members,
        "id,name,state,language,asns,networks,domains,mail,delivery,when",
        'a,"A, Ltd.",live,en,64500 AS64501,198.51.100.0/25 198.51.100.128/25,a.example,abuse@a.example,daily,daily 08:00',
    )

    assert found.findings == []
    before, after = FILE.splitlines(), found.text.splitlines()
    comments = [line.partition("#")[2] for line in before if "#" in line]
    assert [line.partition("#")[2] for line in after if "#" in line] == comments
    found.write()
    known = Registry.load(members)
    assert (known.members["a"].name, known.members["a"].state) == ("A, Ltd.", "live")
    assert set(known.members["a"].asns) == {64500, 64501}
    assert known.members["a"].deliveries["daily"].when == "daily 08:00"
    assert [match.value for match in known.match({"source.ip": "198.51.100.200"}).matches] == ["198.51.100.128/25"]
    assert imported(members, "id,name,state", 'a,"A, Ltd.",live').difference == ""


def test_new_member_is_added(members):
    """An unknown id becomes a new member at the end, in test until somebody says otherwise."""
    found = imported(members, "id,name,networks,mail,role", "c,C,203.0.113.0/24,abuse@c.example,security")

    assert found.findings == []
    assert found.text.startswith(FILE)
    found.write()
    added = Registry.load(members).members["c"]
    assert (added.state, added.contacts["desk"].role, list(added.deliveries)) == ("test", "security", ["daily"])


def test_first_member(tmp_path):
    """A file that is not there yet is begun."""
    found = imported(tmp_path / "members.yaml", "id,name", "a,A")

    found.write()

    assert set(Registry.load(tmp_path / "members.yaml").members) == {"a"}


def test_member_without_resources_gets_some(members):
    """What a member does not have yet is added as a whole."""
    found = imported(members, "id,networks,mail", "b,203.0.113.0/24,abuse@b.example")

    found.write()

    assert [m.member for m in Registry.load(members).match({"source.ip": "203.0.113.1"}).matches] == ["b"]


def test_importing_twice_changes_nothing(members):
    """The same CSV again has no effect."""
    lines = ("id,name,kind,asns,networks,mail,delivery", "d,D,relay,64510,203.0.113.0/24,abuse@d.example,daily")
    imported(members, *lines).write()

    assert imported(members, *lines).difference == ""


def test_mistakes_are_found_before_anything_is_written(members):
    """What the check would refuse is said, with its place in the file as it would be."""
    found = imported(members, "id,networks,mail", "b,10.0.0.0/24,nobody")

    assert len(found.findings) == 2
    assert all(each.file == str(members) for each in found.findings)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("name", "A"), "no column 'id'"),
        (("id,colour", "a,A"), "unknown columns colour"),
        (("id,name", "a"), "cells"),
        (("id,name", ",A"), "without an id"),
    ],
)
def test_bad_tables(members, lines, reason):
    """A table that can't be understood is refused with its line."""
    with pytest.raises(ConfigError, match=reason):
        imported(members, *lines)


def test_command_writes_only_when_told(members):
    """Without --write only the difference is printed."""
    (members.parent / "in.csv").write_text("id,state\nb,live\n")
    arguments = ["import", "--file", str(members), str(members.parent / "in.csv")]

    shown = CliRunner().invoke(command, arguments)
    assert "+    state: live" in shown.stdout
    assert members.read_text() == FILE

    CliRunner().invoke(command, [*arguments, "--write"])
    assert "state: live" in members.read_text()
