"""What is past its retention, or to be forgotten, is nowhere any more."""

import socket
from datetime import timedelta

import pytest
from store_world import infection, mail, service, weight

CANARY = "203.0.113.77"
NAME = "canary.example.org"
MAIL = "canary@example.net"
KEEP_SENT, KEEP_LEDGER = 60 * 86400.0, 730 * 86400.0


def fill(desk):
    """Tell a member of the canary, among others; leave one observation owed and one suppressed."""
    match = {"original": f"ip\n{CANARY}\n", "report": "scan.csv"}
    crowd = [service(host, id=f"c{host}") for host in range(300)]
    canary = [infection(1, id="canary-1", source__ip=CANARY, source__fqdn=NAME, raw=f"{CANARY}\n")]
    desk.record(crowd[:150])
    desk.record(canary, deliveries=["daily", "hook", "idle"], **match)
    desk.record(canary, deliveries=["none"], suppressed="filter")
    desk.record(crowd[150:])
    for delivery in ("daily", "hook"):
        closed = desk.close(delivery)
        data = f"To: {MAIL}\r\n\r\n{CANARY} {NAME}".encode()
        desk.freeze(closed, mail(1, MAIL, data), csv=CANARY.encode())
        desk.attempt(closed.reference, mail(1).id, "accepted", answer=f"250 {MAIL} {CANARY}")


def traces(folder):
    """Give the files that hold the canary, as text or packed as the store packs addresses."""
    needles = [CANARY.encode(), NAME.encode(), MAIL.encode(), b"\x04" + socket.inet_aton(CANARY)]
    return sorted(
        (path.name, needle)
        for path in folder.rglob("*")
        if path.is_file()
        for needle in needles
        if needle in path.read_bytes()
    )


def test_past_its_retention_an_address_is_in_no_file(file_desk, tmp_path):
    """The ledger stays, without addresses: who was told, when, how many, and whether they took it."""
    fill(file_desk)
    file_desk.store.close_connections()
    assert traces(tmp_path)

    now = file_desk.pass_time(days=61)
    removed = file_desk.store.purge(now, KEEP_SENT, KEEP_LEDGER)

    assert traces(tmp_path) == []
    assert removed["given_up"] == 1
    row = file_desk.store.row("CB-20261101-0001")
    assert (row.state, row.member, row.counts["new"]) == ("given", "m", 301)
    assert [(m["recipient"], m["state"], m["answer"]) for m in row.messages] == [("", "accepted", "")]
    assert file_desk.store.messages("CB-20261101-0001") == []
    for book in file_desk.store.balance()["deliveries"]:
        assert weight(book) == book["matched"]


def test_what_is_younger_stays(desk):
    """A purge takes only what is past its time."""
    fill(desk)
    now = desk.pass_time(days=59)
    assert desk.store.purge(now, KEEP_SENT, KEEP_LEDGER) == {}
    assert len(desk.store.search(CANARY)) == 2


def test_a_purge_is_done_once(desk):
    """The second finds nothing to do; what comes after it is kept."""
    fill(desk)
    now = desk.pass_time(days=61)
    assert desk.store.purge(now, KEEP_SENT, KEEP_LEDGER)
    assert desk.store.purge(now, KEEP_SENT, KEEP_LEDGER) == {}
    desk.record([service(1, now)])
    assert desk.store.purge(now, KEEP_SENT, KEEP_LEDGER) == {}
    assert [f.event["source.ip"] for f in desk.close().findings] == ["192.0.2.1"]


def test_a_purged_finding_is_still_known(desk):
    """That it was told once outlives its details."""
    desk.record([service(1)])
    closed = desk.close()
    desk.freeze(closed, mail(1))
    desk.attempt(closed.reference, mail(1).id, "accepted")
    desk.store.purge(desk.pass_time(days=61), KEEP_SENT, KEEP_LEDGER)
    desk.record([service(1, desk.clock.now())])

    assert desk.told() == [("192.0.2.1", "back")]
    assert len(desk.store.search("192.0.2.1")) == 2


def test_a_delivery_that_waited_too_long_is_given_up(desk):
    """Held and waiting ones end; a preview stays what it is."""
    desk.record([service(1)], deliveries=["daily", "hook", "mine"])
    references = []
    for delivery, more in (("daily", {"hold": "first"}), ("hook", {}), ("mine", {"mode": "preview"})):
        closed = desk.close(delivery)
        desk.freeze(closed, mail(1), **more)
        references.append(closed.reference)
    now = desk.pass_time(days=61)
    desk.store.purge(now, KEEP_SENT, KEEP_LEDGER)

    assert [desk.store.row(reference).state for reference in references] == ["expired", "expired", "frozen"]
    assert desk.store.waiting("mail", now, 10) == []


def test_the_ledger_ends_too(desk):
    """After two years nothing is left but the store itself."""
    fill(desk)
    desk.store.record([], desk.clock.now(), {"u-1": "unmatched"})
    desk.store.flag("hold:CB-20261101-0001", "over")
    desk.store.purge(desk.pass_time(days=100), KEEP_SENT, KEEP_LEDGER)
    assert desk.store.balance()["events"] == {"matched": 301, "unmatched": 1}
    desk.store.purge(desk.pass_time(days=700), KEEP_SENT, KEEP_LEDGER)

    assert desk.store.balance() == {"events": {"matched": 0}, "deliveries": []}
    assert desk.store.rows() == []
    assert desk.store.flag("hold:CB-20261101-0001") == ""


@pytest.mark.parametrize("what", [{"address": CANARY}, {"domain": "example.org"}])
def test_erasing_an_address_or_a_domain_leaves_no_trace_of_it(file_desk, tmp_path, what):
    """Details, rendered bytes and what is owed go; everything else stays."""
    fill(file_desk)
    removed = file_desk.store.erase(**what)

    gone = [needle for _, needle in traces(tmp_path)]
    assert (CANARY if "address" in what else NAME).encode() not in gone
    if "address" in what:
        assert b"\x04" + socket.inet_aton(CANARY) not in gone
    assert removed["events"] == 1
    assert removed["messages"] == 2
    assert removed["owed"] == 1
    assert file_desk.store.search(CANARY) == []
    assert len(file_desk.store.search("192.0.2.7")) == 1
    assert file_desk.book("idle")["given_up"] == {"erased": 1}


def test_an_address_that_only_looks_alike_is_not_erased(desk):
    """192.0.2.1 is not 192.0.2.10, and example.org is not badexample.org."""
    desk.record(
        [service(10), service(11, source__fqdn="badexample.org"), service(12, source__fqdn="example.org.example")]
    )
    assert desk.store.erase(address="192.0.2.1") == {}
    assert desk.store.erase(domain="example.org") == {}


def test_erasing_a_member_takes_its_ledger_and_flags(desk):
    """Events that concern another member, too, stay for that one."""
    desk.record([service(1), service(2)])
    desk.record([service(2)], member="mm")
    desk.freeze(desk.close(), mail(1))
    desk.store.flag("approved:m", "yes")
    desk.store.flag("approved:mm", "yes")
    desk.store.erase(member="m")

    assert desk.store.rows() == []
    assert [(book["member"], book["matched"]) for book in desk.store.balance()["deliveries"]] == [("mm", 1)]
    assert (desk.store.flag("approved:m"), desk.store.flag("approved:mm")) == ("", "yes")
    assert desk.told(member="mm") == [("192.0.2.2", "new")]
    desk.record([service(3)])
    [finding] = desk.close().findings
    assert (finding.event["source.ip"], finding.match.member) == ("192.0.2.3", "m")


def test_erasing_a_mail_address_takes_what_was_sent_to_it(file_desk, tmp_path):
    """The whole message goes: its bytes name everybody it was sent to."""
    fill(file_desk)
    removed = file_desk.store.erase(mail=MAIL)

    assert MAIL.encode() not in [needle for _, needle in traces(tmp_path)]
    assert removed["messages"] == 2
    assert file_desk.store.search(MAIL) == []
    assert len(file_desk.store.search(CANARY)) == 2


def test_a_waiting_message_that_is_erased_is_not_sent(desk):
    """It ends as expired, and the finding is not taken for told."""
    desk.record([service(1)])
    desk.freeze(desk.close(), mail(1))
    desk.store.erase(mail=mail(1).recipient)

    assert desk.store.waiting("mail", desk.clock.now() + timedelta(days=1), 10) == []
    assert desk.store.rows()[0].state == "expired"
