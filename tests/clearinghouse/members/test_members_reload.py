"""The members while they are in use: shared by all workers, changed over with care."""

import fcntl
import os
from datetime import UTC, datetime, timedelta

import pytest
from members_world import member, roles, write_members

from cleanbots.clearinghouse.members import RegistryFile, check, current, reload
from cleanbots.clock import FixedClock
from cleanbots.errors import Retry

SEEN = "2026-11-19T10:00:00+00:00"
MANY = [member(f"m{number}", f"198.51.{100 + number}.0/24") for number in range(30)]


@pytest.fixture
def clock() -> FixedClock:
    """A clock that moves when told, well after the files' times."""
    return FixedClock(datetime(2036, 1, 1, tzinfo=UTC))


class World:
    """A file of members and the one who reads it."""

    def __init__(self, folder, clock):
        self.folder, self.clock = folder, clock
        self.path = folder / "members.yaml"
        self.ticks = 0

    def write(self, *members, text=None):
        """Write the file; its time differs from that of all versions before."""
        if text is None:
            write_members(self.path, members)
        else:
            self.path.write_text(text)
        self.ticks += 1
        os.utime(self.path, (1_700_000_000 + self.ticks, 1_700_000_000 + self.ticks))

    def open(self):
        """Give another reader, as another worker has."""
        return RegistryFile(self.path, self.folder / "compiled", self.clock)

    def later(self):
        """Let more than a second go by."""
        self.clock.move(self.clock.now() + timedelta(seconds=2))


@pytest.fixture
def world(tmp_path, clock):
    """A world of its own."""
    return World(tmp_path, clock)


def holder(reader) -> dict[str, str]:
    """Ask who holds an address."""
    return roles(reader.get().match({"source.ip": "198.51.100.1", "time.source": SEEN}).matches)


def test_change_is_seen_within_a_second(world):
    """A change that few members notice is used at the next look, by every reader, each with the same version."""
    world.write(*MANY)
    one, two = world.open(), world.open()
    before = one.get().version
    assert two.get().version == before

    world.write(*MANY[:29], {**MANY[29], "name": "New name"})
    assert one.get().version == before
    world.later()

    assert one.get().version != before
    assert two.get().version == one.get().version


def test_compiled_once_for_all(world):
    """The second reader maps the table that the first one made; it reads no YAML."""
    world.write(*MANY)
    made = world.open().get().version
    table = world.folder / "compiled" / f"{made}.table"
    before = table.stat().st_ino

    assert world.open().get().version == made
    assert table.stat().st_ino == before
    assert list((world.folder / "compiled").glob("*.table")) == [table]


def test_mistakes_change_nothing(world, caplog):
    """A file with mistakes is not used: what was there before counts on, and the log says why once."""
    world.write(*MANY)
    reader = world.open()
    before = reader.get().version

    world.write(text="members: [{id: A}]")
    for _ in range(3):
        world.later()
        assert reader.get().version == before
    assert holder(world.open()) == {"m0": "act"}
    assert sum("has 2 mistakes" in each.getMessage() for each in caplog.records) == 1

    world.write(*MANY)
    world.later()
    assert reader.get().version == before


def test_without_good_members_the_work_waits(world):
    """As long as there never was a good file, work waits; it goes on when the file is mended."""
    world.write(text="members: [")
    reader = world.open()
    with pytest.raises(Retry, match="mistakes"):
        reader.get()

    world.write(*MANY)
    assert holder(reader) == {"m0": "act"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda: MANY[:26], id="more than a tenth left"),
        pytest.param(lambda: [{**each, "name": "x"} for each in MANY], id="all were touched"),
        pytest.param(lambda: [member("m0", "198.51.100.0/26"), *MANY[1:]], id="less than half"),
        pytest.param(lambda: [member("m0", "198.51.100.0/24", "203.0.112.0/23"), *MANY[1:]], id="more than double"),
        pytest.param(
            lambda: [member("m0", {"prefix": "198.51.100.0/24", "until": "2035-01-01"}), *MANY[1:]], id="ended"
        ),
    ],
)
def test_large_change_waits_to_be_confirmed(world, change, caplog):
    """A change of many members or much address space is refused, also by readers that start later, until confirmed."""
    world.write(*MANY)
    reader = world.open()
    before = reader.get().version

    world.write(*change())
    world.later()

    assert reader.get().version == before
    assert world.open().get().version == before
    state = current(world.folder / "compiled")
    assert state.refused
    assert state.why
    assert any("members check --yes" in each.getMessage() for each in caplog.records)
    world.open().confirm()
    world.later()
    assert reader.get().version == state.refused
    assert world.open().get().version == state.refused


def test_small_change_needs_nobody(world):
    """A member that gains less than it had passes without being confirmed."""
    world.write(*MANY)
    reader = world.open()
    before = reader.get().version

    world.write(member("m0", "198.51.100.0/24", "203.0.113.0/25"), *MANY[1:])
    world.later()

    assert reader.get().version != before
    assert current(world.folder / "compiled").refused == ""


def test_taking_a_refused_change_back(world):
    """If the file is put back, nothing waits to be confirmed any more."""
    world.write(*MANY)
    reader = world.open()
    before = reader.get().version
    world.write(*MANY[:5])
    world.later()
    reader.get()

    world.write(*MANY)
    world.later()

    assert reader.get().version == before
    assert current(world.folder / "compiled").refused == ""


def test_lost_and_damaged_tables_are_made_anew(world):
    """The compiled tables are a cache: without them, or with damaged ones, the file is compiled again."""
    world.write(*MANY)
    made = world.open().get().version
    table = world.folder / "compiled" / f"{made}.table"

    table.unlink()
    assert holder(world.open()) == {"m0": "act"}
    table.write_bytes(b"cleanbots claims 1\nrubbish")
    assert holder(world.open()) == {"m0": "act"}


def test_file_changed_in_place_within_its_time(world):
    """A file that was changed just now is looked at again, as its time alone may not tell."""
    write_members(world.path, MANY)
    moment = world.clock.now().timestamp()
    os.utime(world.path, (moment, moment))
    reader = world.open()
    before = reader.get().version
    text = world.path.read_text()
    world.path.write_text(text.replace("Member m7", "Member m8"))
    os.utime(world.path, (moment, moment))
    world.later()

    assert reader.get().version != before


def test_nobody_waits_while_another_compiles(world):
    """A reader that has members goes on with them while another process holds the lock, and looks again later."""
    world.write(*MANY)
    reader = world.open()
    before = reader.get().version
    world.write(*MANY[:29], {**MANY[29], "name": "New name"})
    world.later()

    with (world.folder / "compiled" / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert reader.get().version == before
    world.later()

    assert reader.get().version != before


def test_a_file_from_a_host_whose_clock_is_ahead_is_read_once(world, monkeypatch):
    """A time that lies ahead doesn't let the file be checked again with every look; a change is still seen."""
    world.write(*MANY)
    os.utime(world.path, (3_000_000_000, 3_000_000_000))
    reader = world.open()
    before = reader.get().version
    looks = []
    monkeypatch.setattr(reload, "check", lambda *args, **kwargs: looks.append(1) or check(*args, **kwargs))

    for _ in range(3):
        world.later()
        reader.get()
    assert not looks
    world.write(*MANY[:29], {**MANY[29], "name": "New name"})
    world.later()

    assert reader.get().version != before
