"""The database itself: brought forward, refused when newer, noticed when it is not the one that was left."""

import shutil
import sqlite3

import pytest
import sqlalchemy
from store_world import START, Desk, mail, service

from cleanbots.clearinghouse.store import open_store
from cleanbots.clearinghouse.store.database import Database
from cleanbots.clearinghouse.store.migrate import migrate, steps
from cleanbots.clock import FixedClock
from cleanbots.errors import ConfigError, Retry


def test_an_old_store_is_brought_forward_and_keeps_its_data(where):
    """A store of the first version is opened by this one."""
    old = Database(where)
    migrate(old, to=1)
    with old.writing() as connection:
        for statement in (
            "INSERT INTO numbers VALUES ('deliveries', 1), ('kinds', 1), ('events', 1), ('shared', 1)",
            "INSERT INTO deliveries VALUES (1, 'm', 'daily')",
            "INSERT INTO kinds VALUES (1, 'vulnerable', 'ddos-amplifier', 'dns-open-resolver')",
            "INSERT INTO findings VALUES (7, 1, 1, NULL, NULL, 0, 0, 3)",
            "INSERT INTO events VALUES (1, 'old-1', 7, 0, 0, 2, NULL)",
            "INSERT INTO dues VALUES (1, 1, 1, 0, 0, 0, 0, '', NULL)",
            "INSERT INTO facts VALUES ('flag:stop', 'all')",
        ):
            connection.exec_driver_sql(statement)
    old.close()

    store = open_store(where, FixedClock(START))
    assert store.flag("stop") == "all"
    assert [due.owed for due in store.due(START)] == [1]
    assert [f.times_seen for f in Desk(store, FixedClock(START)).close().findings] == [3]
    with store._database.reading() as connection:
        version = connection.exec_driver_sql("SELECT MAX(version) FROM schema_version").scalar()
        assert version == max(steps())
    store.close_connections()


def test_steps_are_numbered_without_gaps():
    """Each version has one step."""
    assert list(steps()) == list(range(1, len(steps()) + 1))


def test_a_store_of_a_newer_version_is_refused(where):
    """The sentence says which versions, and what to do."""
    open_store(where, FixedClock(START)).close_connections()
    database = Database(where)
    with database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO schema_version VALUES (99)")
    with pytest.raises(ConfigError, match=r"schema 99, this cleanbots knows up to \d; upgrade"):
        migrate(database)
    database.close()


@pytest.mark.parametrize(
    ("where", "reason"),
    [("mysql://h/db", "can't be a mysql"), ("://", "can't be read")],
)
def test_other_databases_are_refused(where, reason):
    """Only SQLite and PostgreSQL serve; a password in a URL is never shown."""
    with pytest.raises(ConfigError, match=reason):
        open_store(where, FixedClock(START))


def test_a_server_that_is_away_is_waited_for(tmp_path):
    """The world is at fault, not the item; the password is not in the sentence."""
    with pytest.raises(Retry, match="can't be used for now") as caught:
        open_store(f"postgresql://u:secret@/db?host={tmp_path}", FixedClock(START))
    assert "secret" not in str(caught.value)


def test_a_locked_file_is_waited_for(file_desk):
    """Another writer has it."""
    path = file_desk.store._database.path
    sqlalchemy.event.listen(
        file_desk.store._database.engine, "checkout", lambda c, *_: c.execute("PRAGMA busy_timeout = 1").close()
    )
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Retry, match="locked"):
        file_desk.record([service(1)])
    other.execute("ROLLBACK")
    other.close()
    assert file_desk.record([service(1)])["recorded"] == 1


def test_the_file_is_for_its_owner_only(file_desk):
    """It holds addresses of people."""
    path = file_desk.store._database.path
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


class TestEpoch:
    """A file that is not the one that was left holds everything."""

    @pytest.fixture
    def used(self, file_desk):
        """A store that has told something; gives its desk and its file."""
        self.tell(file_desk, 1)
        assert file_desk.store.check() is None
        return file_desk, file_desk.store._database.path

    def tell(self, desk, host):
        """Close and give a delivery."""
        desk.record([service(host)])
        closed = desk.close()
        desk.freeze(closed, mail(1))
        desk.attempt(closed.reference, mail(1).id, "accepted")

    def back_up(self, path, to):
        """Make a consistent copy."""
        with sqlite3.connect(path) as source, sqlite3.connect(to) as target:
            source.backup(target)
        source.close()
        target.close()

    def test_a_restored_backup_is_noticed(self, used, tmp_path):
        """The journal beside the file knows of later changes, and the file catches up with them."""
        desk, path = used
        self.back_up(path, tmp_path / "backup")
        self.tell(desk, 2)
        desk.store.close_connections()
        with (tmp_path / "backup").open("rb") as source, path.open("r+b") as target:
            target.truncate()
            shutil.copyfileobj(source, target)
        for name in ("-wal", "-shm"):
            path.with_name(path.name + name).unlink(missing_ok=True)

        store = open_store(path, desk.clock)
        assert "restored from an older copy: 4 later changes" in store.check()
        assert store.adopt("alice") == store.balance()["deliveries"][0]["mentioned"] + 2 == 4
        assert store.check() is None
        self.tell(Desk(store, desk.clock), 3)
        assert store.check() is None
        store.close_connections()

    def test_a_copy_of_the_folder_is_noticed(self, used, tmp_path):
        """It has its journal beside it, but it is another file."""
        desk, path = used
        desk.store.close_connections()
        shutil.copytree(path.parent, tmp_path / "copy")
        store = open_store(tmp_path / "copy" / path.name, desk.clock)
        assert "copied, moved or restored" in store.check()
        store.close_connections()

    def test_a_copy_of_the_file_alone_is_noticed(self, used, tmp_path):
        """Nothing is beside it."""
        desk, path = used
        self.back_up(path, tmp_path / "elsewhere.db")
        store = open_store(tmp_path / "elsewhere.db", desk.clock)
        assert "missing or damaged" in store.check()
        store.close_connections()

    def test_a_new_file_in_an_old_place_is_refused(self, used):
        """The journal beside it is that of a store that was lost: nothing begins anew by itself."""
        desk, path = used
        desk.store.close_connections()
        path.unlink()
        with pytest.raises(ConfigError, match=r"tells of 4 changes: the store was lost"):
            open_store(path, desk.clock)

    def test_another_store_in_its_place_is_noticed(self, used, tmp_path):
        """The journal beside it belongs to another one."""
        desk, path = used
        desk.store.close_connections()
        other = open_store(tmp_path / "other" / path.name, desk.clock)
        self.tell(Desk(other, desk.clock), 1)
        other.close_connections()
        (tmp_path / "other" / path.name).replace(path)
        store = open_store(path, desk.clock)
        assert "does not belong to" in store.check()
        store.close_connections()

    def test_a_process_that_a_newer_cleanbots_overtook_delivers_nothing(self, used):
        """The schema went forward while it ran: it says so, and waits for its restart."""
        desk, _ = used
        with desk.store._database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO schema_version VALUES (99)")
        assert "a newer cleanbots brought it to schema 99" in desk.store.check()

    def test_a_file_that_is_replaced_under_a_process_is_noticed(self, used, tmp_path):
        """Who still has the former file open writes and delivers nothing more."""
        desk, path = used
        self.back_up(path, tmp_path / "backup")
        (tmp_path / "backup").replace(path)
        with pytest.raises(Retry, match="replaced while this process ran"):
            desk.record([service(3)])
        assert "replaced while this process ran" in desk.store.check()

    def test_what_is_held_writes_nothing(self, used, tmp_path):
        """A copy that lacks changes takes no new ones: what comes waits until it has caught up."""
        desk, path = used
        self.back_up(path, tmp_path / "backup")
        self.tell(desk, 2)
        desk.store.close_connections()
        shutil.copyfile(tmp_path / "backup", path)
        desk = Desk(open_store(path, desk.clock), desk.clock)
        with pytest.raises(Retry, match="4 later changes are not in it"):
            desk.record([service(3)])
        desk.store.close_connections()

    def test_a_restart_is_nothing_to_notice(self, used):
        """The same file, opened again, also after a purge."""
        desk, path = used
        store = open_store(path, desk.clock)
        store.purge(desk.pass_time(days=61), 60 * 86400.0, 730 * 86400.0)
        store.erase(address="192.0.2.1")
        assert store.check() is None
        store.close_connections()
