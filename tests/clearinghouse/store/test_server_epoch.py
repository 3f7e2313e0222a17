"""A PostgreSQL database that is not the one that was left holds everything, and hosts may take it up at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from postgresql_server import PostgresqlServer
from store_world import START, Desk, mail, service

from cleanbots.clearinghouse.store import open_store
from cleanbots.clearinghouse.store.database import Database
from cleanbots.clearinghouse.store.migrate import migrate, steps
from cleanbots.clock import FixedClock


def tell(desk, host):
    """Close and give a delivery."""
    desk.record([service(host)])
    closed = desk.close()
    desk.freeze(closed, mail(1))
    desk.attempt(closed.reference, mail(1).id, "accepted")


@pytest.fixture
def url(postgresql):
    """Where an empty database is."""
    return postgresql.database()


@pytest.fixture
def open_desk(url, tmp_path, clock):
    """Open the store as a host does: with its own state folder."""
    desks = []

    def opened(host="a"):
        desks.append(Desk(open_store(url, clock, tmp_path / host), clock))
        return desks[-1]

    yield opened
    for desk in desks:
        desk.store.close_connections()


def test_work_and_restarts_are_nothing_to_notice(open_desk):
    """The same database, opened again, also by a host that doesn't deliver."""
    desk = open_desk()
    assert desk.store.check() is None
    tell(desk, 1)
    assert desk.store.check() is None
    assert open_desk().store.check() is None
    assert not desk.store.one_host


def test_a_restored_dump_is_noticed_and_adopted_once_for_all_hosts(open_desk, postgresql, url):
    """The tables are others; one host's operator adopts them, and what nobody misses is not asked about."""
    desk, other = open_desk("a"), open_desk("b")
    assert (desk.store.check(), other.store.check()) == (None, None)
    tell(desk, 1)
    for used in (desk, other):
        used.store.close_connections()
    postgresql.dump_and_restore(url)

    desk, other = open_desk("a"), open_desk("b")
    assert "copied or restored" in desk.store.check()
    assert "reconcile" in other.store.check()
    assert desk.store.missing() == 0
    desk.store.adopt("alice")
    assert (desk.store.check(), other.store.check()) == (None, None)
    tell(desk, 2)
    assert (desk.store.check(), other.store.check()) == (None, None)


def test_an_older_copy_of_the_server_is_noticed(tmp_path, clock):
    """It lacks what this host knows to have left the house."""
    with TemporaryDirectory(prefix="cleanbots-pg-", ignore_cleanup_errors=True) as folder:
        server = PostgresqlServer(Path(folder))
        server.make()
        server.start()
        url = server.database()
        desk = Desk(open_store(url, clock, tmp_path), clock)
        tell(desk, 1)
        assert desk.store.check() is None
        desk.store.close_connections()
        server.stop()
        server.copy()
        server.start()
        tell(desk, 2)
        desk.store.close_connections()
        server.stop()
        server.put_back()
        server.start()

        store = open_store(url, clock, tmp_path)
        assert "older copy: 1 later hand-overs and 1 later events are not in it" in store.check()
        assert store.missing() is None
        store.adopt("alice", sent=True)
        assert store.check() is None
        store.close_connections()
        server.stop()


def test_a_host_without_a_note_waits_unless_another_one_delivers(open_desk, tmp_path, clock):
    """A lost state folder and an old database look the same as a new host; a lease in use tells them apart."""
    desk = open_desk("a")
    tell(desk, 1)
    assert desk.store.check() is None

    assert "is missing, so it may be an older copy" in open_desk("b").store.check()
    desk.store.lease("mail", "a", START, 60.0)
    assert open_desk("b").store.check() is None
    clock.move(START + timedelta(days=1))
    assert open_desk("b").store.check() is None


def test_another_database_is_noticed(open_desk, postgresql, tmp_path, clock):
    """The note is of another one."""
    desk = open_desk()
    tell(desk, 1)
    assert desk.store.check() is None
    store = open_store(postgresql.database(), clock, tmp_path / "a")
    assert "not the database that" in store.check()
    store.close_connections()


@pytest.mark.parametrize("version", [0, 1])
def test_hosts_may_bring_a_database_forward_at_once(url, version):
    """Each step is taken once, whoever comes first."""
    if version:
        old = Database(url)
        migrate(old, to=version)
        old.close()

    with ThreadPoolExecutor(6) as hosts:
        stores = list(hosts.map(lambda _: open_store(url, FixedClock(START)), range(6)))

    with stores[0]._database.reading() as connection:
        taken = connection.exec_driver_sql("SELECT version FROM schema_version ORDER BY version").scalars().all()
    assert taken == list(steps())
    for store in stores:
        store.close_connections()
