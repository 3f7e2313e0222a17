"""Another rule of identity: known findings are taken over, none becomes new."""

import pytest
from store_world import infection, service

from cleanbots.clearinghouse.findings import finding_id, finding_number, finding_text
from cleanbots.clearinghouse.model import Match
from cleanbots.clearinghouse.store import open_store
from cleanbots.clearinghouse.store import store as module
from cleanbots.clearinghouse.store.protocol import Recorded
from cleanbots.clearinghouse.store.rekey import rekey
from cleanbots.errors import ConfigError


def by_another_hash(event):
    """Give each finding another number."""
    return finding_number(finding_id({**event, "malware.name": "rule 2"}))


def by_address(event):
    """Give one number to all findings of an address."""
    return finding_number(finding_id({"source.ip": event["source.ip"]}))


def by_event(event):
    """Give each event a number of its own."""
    return finding_number(finding_id({"id": event["id"]}))


def states(desk, identify, events):
    """Record by a rule and give address and state of what is told."""
    rows = [
        Recorded(
            event=event,
            finding=finding_text(identify(event)),
            version=2,
            member="m",
            delivery="daily",
            match=Match(member="m"),
        )
        for event in events
    ]
    desk.store.record(rows, desk.clock.now())
    return desk.told(repeat={"vulnerable": 0.0, "other": 0.0})


@pytest.mark.parametrize("identify", [by_another_hash, by_address])
def test_no_known_finding_becomes_new(desk, identify):
    """Told and owed ones are known by their new numbers, with their history."""
    events = [service(1), infection(1), service(2), infection(3)]
    desk.record(events)
    first = desk.close()
    desk.record([service(4)])

    assert rekey(desk.store._database, identify, 2) == 5
    assert rekey(desk.store._database, identify, 2) == 0
    now = desk.pass_time(days=1)
    told = states(desk, identify, [service(1, now), infection(1, now), service(2, now), infection(3, now)])
    known = {address for address, state in told if state == "still"}

    assert known == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
    assert [address for address, state in told if state == "new"] == ["192.0.2.4"]
    assert len(desk.store.search("192.0.2.2")) == 2
    assert len(desk.store.closed(first.reference).findings) == 4


def test_findings_that_are_split_keep_what_was_told(desk):
    """Each part was told when the whole was."""
    desk.record([infection(1, id="a"), infection(1, id="b")])
    desk.close()
    rekey(desk.store._database, by_event, 2)
    desk.pass_time(days=1)
    with desk.store._database.reading() as connection:
        told = connection.exec_driver_sql("SELECT COUNT(*) FROM mentions").scalar()
        findings = connection.exec_driver_sql("SELECT COUNT(*) FROM findings").scalar()
    assert (told, findings) == (2, 2)


def test_the_store_takes_findings_over_when_it_is_opened(file_desk, monkeypatch):
    """An upgrade needs no command; an older cleanbots then refuses."""
    file_desk.record([service(1)])
    path = file_desk.store._database.path
    monkeypatch.setattr(module, "VERSION", 2)
    open_store(path, file_desk.clock).close_connections()
    monkeypatch.setattr(module, "VERSION", 1)
    with pytest.raises(ConfigError, match="told apart by rule 2, this cleanbots knows rule 1"):
        open_store(path, file_desk.clock)
