"""Prefix tables are looked up, replaced while in use, and complain in a sentence."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cleanbots.clock import FixedClock
from cleanbots.errors import Retry
from cleanbots.services.mmdb import write_mmdb
from cleanbots.services.tables import TablesService

START = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def clock() -> FixedClock:
    """A clock that the test moves."""
    return FixedClock(START)


@pytest.fixture
def tables(clock):
    """The service, closed at the end."""
    service = TablesService(clock)
    yield service
    service.close()


def write(path: Path, record: object) -> None:
    """Write a table of one prefix."""
    write_mmdb(path, [("192.0.2.0/24", record)], database_type="test", built=START)


def test_longest_prefix_is_found(tables, tmp_path):
    """An address gets its record; one outside the table, and text that is no address, get None."""
    write(tmp_path / "t.mmdb", {"asn": 64496})
    table = tables.open(str(tmp_path / "t.mmdb"))

    assert table.get("192.0.2.1") == {"asn": 64496}
    assert table.get("198.51.100.1") is None
    assert table.get("no address") is None


def test_a_record_tells_for_whom_it_holds(tables, tmp_path):
    """Whoever shares the bits that decided has the same record, or none just the same."""
    write_mmdb(
        tmp_path / "a.mmdb",
        [("192.0.2.0/24", 1), ("198.51.100.0/25", 2), ("2001:db8::/32", 6)],
        database_type="t",
        built=START,
    )
    table = tables.open(str(tmp_path / "a.mmdb"))

    assert table.find("192.0.2.9") == (1, 24)
    assert table.find("198.51.100.9") == (2, 25)
    assert table.find("198.51.100.200") == (None, 25)
    assert table.find("2001:db8::1") == (6, 32)
    assert table.find("no address") == (None, 128)


def test_replaced_file_is_read_within_a_second(tables, clock, tmp_path):
    """A file that was replaced is used from the next look on, which comes at most a second later."""
    write(tmp_path / "t.mmdb", "old")
    table = tables.open(str(tmp_path / "t.mmdb"))

    write(tmp_path / "t.mmdb", "new")

    assert table.get("192.0.2.1") == "old"
    clock.move(START + timedelta(seconds=1))
    assert table.get("192.0.2.1") == "new"


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"no table"), lambda path: path.unlink()])
def test_damaged_replacement_leaves_the_old_table_in_use(tables, clock, tmp_path, damage):
    """A replacement that can't be read changes nothing; a good one after it is taken."""
    path = tmp_path / "t.mmdb"
    write(path, "old")
    table = tables.open(str(path))

    path.rename(tmp_path / "kept.mmdb")
    path.touch()
    damage(path)
    clock.move(START + timedelta(seconds=1))
    assert table.get("192.0.2.1") == "old"

    write(path, "new")
    clock.move(START + timedelta(hours=1))
    assert table.get("192.0.2.1") == "new"


def test_missing_file_is_the_worlds_fault(tables, tmp_path):
    """Without the file the work waits; the sentence names the file."""
    with pytest.raises(Retry, match=r"none\.mmdb: prefix table: No such file"):
        tables.open(str(tmp_path / "none.mmdb"))


def test_unreadable_file_is_the_worlds_fault(tables, tmp_path):
    """A file that is no table makes the work wait; the sentence names the file."""
    (tmp_path / "bad.mmdb").write_bytes(b"no table")

    with pytest.raises(Retry, match=r"bad\.mmdb: no readable prefix table"):
        tables.open(str(tmp_path / "bad.mmdb"))


def test_same_file_is_mapped_once(tables, tmp_path):
    """Two bots of a process that open the same file share the table."""
    write(tmp_path / "t.mmdb", 1)

    assert tables.open(str(tmp_path / "t.mmdb")) is tables.open(str(tmp_path / "t.mmdb"))


def test_damage_found_by_a_look_up_is_the_worlds_fault(tables, tmp_path):
    """A table whose data are damaged makes the work wait instead of failing each event."""
    path = tmp_path / "t.mmdb"
    write(path, {"asn": 64496})
    content = bytearray(path.read_bytes())
    start = content.index(b"Casn")
    content[start : start + 4] = b"\xff" * 4
    path.write_bytes(content)
    table = tables.open(str(path))

    with pytest.raises(Retry, match=r"t\.mmdb: a damaged prefix table"):
        table.get("192.0.2.1")
