"""check, status, explain and deliveries on a hub that told a member something: real members, store, outbox, Maildir."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bots.experts.constituency import Constituency, ConstituencyParams
from cleanbots import Event
from cleanbots.bot import Context
from cleanbots.clearinghouse.crew import Alone
from cleanbots.clearinghouse.equipment import Equipment, Trusted
from cleanbots.clearinghouse.outbox import Outbox
from cleanbots.clearinghouse.recorder import Recorder
from cleanbots.cli import cli
from cleanbots.clock import FixedClock, iso
from cleanbots.config import snapshot
from cleanbots.config.check import check
from cleanbots.plugins import discover
from cleanbots.services.logs import bot_logger
from cleanbots.testing.services import MemoryServices

CONFIG = """
name: hub
members: members.yaml
delivery:
  mode: live
  from: {mail: hub@hub.example.net, name: Example Hub}
  reference: EH
  approve: {first_to_member: false}
  couriers: {mail: {transport: maildir, path: maildir}}
bots:
  drop: {use: collector/file, every: 1m, params: {path: in, pattern: "*.csv"}, to: rows}
  rows: {use: parser/csv, params: {columns: [source.ip]}, to: who}
  who: {use: expert/constituency, to: {default: record, unmatched: [], ambiguous: [], guarded: [], excluded: []}}
  record: {use: output/members}
"""
MEMBERS = """
members:
  - id: acme
    name: Acme
    kind: provider
    state: live
    language: en
    resources: {networks: [{prefix: 198.51.100.0/24}]}
    contacts: [{id: desk, mail: desk@acme.example}]
    deliveries: [{id: fast, to: [desk], channel: mail, format: [text], when: immediately, group: 1s}]
  - id: invited
    name: Invited
    kind: provider
    state: invited
    language: en
    resources: {networks: [{prefix: 203.0.113.0/24}]}
    contacts: [{id: desk, mail: desk@invited.example}]
    deliveries: [{id: fast, to: [desk], channel: mail, format: [text], when: immediately, group: 1s}]
"""


class Kept:
    """An outlet that keeps what concerns members."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def send(self, item: Event, path: str = "default") -> None:
        if path == "default":
            self.events.append(item)


class Hub:
    """An installation that was published; `tell` does what its processes do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, folder / "cleanbots.yaml"
        self.config.write_text(CONFIG)
        (folder / "members.yaml").write_text(MEMBERS)
        self.settings = check(self.config).require()
        snapshot.publish(self.settings)
        self.clock = FixedClock(datetime(2026, 11, 20, 8, 0, tzinfo=UTC))
        self.store = folder / "state" / "clearinghouse.db"

    def tell(self, *addresses: str) -> None:
        """Match and record an event for each address, and give what is due to the courier."""
        equipment = Equipment(self.settings, discover(), self.clock)
        try:
            self._record(equipment, addresses)
            courier = equipment.courier("mail")
            courier.open()
            outbox = Outbox(
                equipment.kit,
                Alone(Trusted(courier, equipment.base)),
                channel="mail",
                owner="test",
                clock=self.clock,
            )
            for _ in range(5):
                self.clock.move(self.clock.now() + timedelta(seconds=10))
                outbox.step()
            outbox.release()
            courier.close()
        finally:
            equipment.close()

    def _record(self, equipment: Equipment, addresses: tuple[str, ...]) -> None:
        services = MemoryServices(self.clock, base=self.folder)
        context = Context("who", bot_logger("who"), self.clock, self.folder, services=services)
        expert, kept = Constituency(ConstituencyParams(), context), Kept()
        expert.open()
        expert.process_batch([self._event(number, each) for number, each in enumerate(addresses, 1)], kept)  # type: ignore[arg-type]
        expert.close()
        Recorder(equipment.store, equipment.members, self.clock).record(kept.events)  # type: ignore[arg-type]

    def _event(self, number: int, address: str) -> Event:
        return Event(
            {
                "id": f"aaaaaaaaaaaaaaaa-{number}",
                "source.ip": address,
                "source.port": 6379,
                "protocol.transport": "tcp",
                "classification.taxonomy": "vulnerable",
                "classification.type": "vulnerable-system",
                "classification.identifier": "open-redis",
                "severity": "high",
                "time.source": iso(self.clock.now()),
                "time.observation": iso(self.clock.now()),
                "tlp": "AMBER",
                "feed.provider": "Example",
            }
        )

    def __call__(self, *arguments: str) -> Result:
        """Run a command."""
        names, rest = (arguments[:2], arguments[2:]) if arguments[0] == "deliveries" else (arguments[:1], arguments[1:])
        return CliRunner().invoke(cli, [*names, "-c", str(self.config), *rest])


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """Give a hub with one live member."""
    return Hub(tmp_path)


def test_an_address_and_a_day_lead_to_mail_bytes_and_reason(hub):
    """Two commands tell who was told of an address, in which mail, with which bytes, and why."""
    hub.tell("198.51.100.77", "203.0.113.9")

    (found,) = json.loads(hub("deliveries", "search", "198.51.100.77", "--since", "2026-11-20", "--json").stdout)
    shown = json.loads(hub("deliveries", "show", found["reference"], "--json").stdout)
    raw = hub("deliveries", "show", found["reference"], "--bytes").stdout_bytes

    (mail,) = (hub.folder / "maildir" / "new").iterdir()
    lines = mail.read_bytes().replace(b"\r\n", b"\n")
    assert (found["reference"], found["member"]) == ("EH-20261120-0001", "acme")
    assert [(each["recipient"], each["state"]) for each in shown["messages"]] == [("desk@acme.example", "accepted")]
    assert shown["findings"][0]["why"] == "prefix 198.51.100.0/24"
    assert lines.endswith(raw.replace(b"\r\n", b"\n").removesuffix(b"\n"))
    assert len(raw) > 500


def test_explain_goes_from_event_finding_and_reference_to_the_mail(hub):
    """An event, its finding and its delivery lead to the same delivery and the same mail."""
    hub.tell("198.51.100.77")
    (found,) = json.loads(hub("deliveries", "search", "198.51.100.77", "--json").stdout)

    for name in (found["finding"], found["reference"], found["reference"].lower(), found["event"]):
        result = hub("explain", name, "--json")
        (telling,) = json.loads(result.stdout)["deliveries"]
        assert result.exit_code == 0
        assert (telling["reference"], telling["member"]) == (found["reference"], "acme")
        assert (telling["findings"], telling["events"]) == ([found["finding"]], [found["event"]])
        assert telling["mails"][0]["recipient"] == "desk@acme.example"


def test_explain_prints_who_was_told(hub):
    """As text, explain names the delivery, the recipient, and the events that lead on."""
    hub.tell("198.51.100.77")

    text = hub("explain", "EH-20261120-0001").stdout

    assert "EH-20261120-0001 to acme/fast: mode live, given" in text
    assert "desk@acme.example: accepted" in text
    assert "'cleanbots explain aaaaaaaaaaaaaaaa-1'" in text


@pytest.mark.parametrize("name", ["f-3kq7ztab2cde", "EH-20261120-0004"])
def test_explaining_what_was_never_told_fails_and_makes_no_store(hub, name):
    """What no delivery mentions is exit code 1; looking for it makes no store."""
    result = hub("explain", name)

    assert result.exit_code == 1
    assert "no delivery mentions it" in result.stdout
    assert not hub.store.exists()


def test_status_shouts_that_deliveries_are_stopped(hub):
    """The first line begins with the stop and names the mode; the problem names the command that takes it back."""
    hub.tell("198.51.100.77")
    hub("deliveries", "stop")

    lines = hub("status").stdout.splitlines()

    assert lines[0].startswith("DELIVERIES STOPPED (everything): hub on main: ")
    assert lines[0].endswith("deliveries in mode live")
    assert "  - deliveries are stopped; 'cleanbots deliveries start' lets them go on" in lines


def test_status_names_each_held_delivery_with_its_remedy(hub):
    """A held delivery is a problem with the command that lets it go."""
    hub.config.write_text(CONFIG.replace("first_to_member: false", "first_to_member: true"))
    hub.settings = check(hub.config).require()
    hub.tell("198.51.100.77")

    status = json.loads(hub("status", "--json").stdout)

    (problem,) = [each for each in status["problems"] if "is held" in each]
    assert "acme/fast: first delivery to this member" in problem
    assert problem.endswith("'cleanbots deliveries approve EH-20261120-0001'")
    assert list(status["deliveries"]["held"]) == ["EH-20261120-0001"]


def test_status_makes_no_store(hub):
    """Without a store nothing is said of deliveries, and looking makes none."""
    assert json.loads(hub("status", "--json").stdout)["deliveries"] is None
    assert not hub.store.exists()


def test_check_says_whom_the_mode_reaches(hub):
    """The last line tells how many members are reached in the hub's mode."""
    assert hub("check").stdout.endswith("delivery.mode: live: 1 of 2 members are live\n")

    hub.config.write_text(CONFIG.replace("mode: live", "mode: preview"))
    assert hub("check").stdout.endswith("delivery.mode: preview: nothing leaves; 2 members\n")

    hub.config.write_text(CONFIG.replace("mode: live", "mode: test\n  test_to: testers@hub.example.net"))
    assert hub("check").stdout.endswith("members' deliveries go to testers@hub.example.net\n")


def test_check_finds_mistakes_of_the_members_among_those_of_the_configuration(hub):
    """Mistakes of both files are one sorted list, even if the configuration can't be compiled."""
    hub.config.write_text(CONFIG.replace("every: 1m", "evry: 1m"))
    (hub.folder / "members.yaml").write_text(MEMBERS.replace("203.0.113.0/24", "203.0.113.0/99"))

    result = hub("check", "--json")

    assert result.exit_code == 1
    assert [Path(each["file"]).name for each in json.loads(result.stdout)] == ["cleanbots.yaml", "members.yaml"]


def test_check_online_asks_couriers(hub):
    """A courier that can't reach what it needs is a finding at its place."""
    (hub.folder / "maildir").write_text("a file where the folder should be")

    result = hub("check", "--online")

    assert result.exit_code == 1
    assert "delivery.couriers.mail: " in result.stdout


def test_check_says_which_channel_lacks_its_courier(hub):
    """A webhook of a live member needs a courier webhook; in mode preview nothing leaves anyhow."""
    hook = "{id: hook, channel: webhook, url: 'https://hooks.acme.example/a', secrets: ['${env:HOME}']}"
    text = MEMBERS.replace("deliveries: [{id: fast", f"deliveries: [{hook}, {{id: fast", 1)
    (hub.folder / "members.yaml").write_text(text)

    done = hub("check")
    assert done.exit_code == 1
    assert "acme/hook goes by channel 'webhook', and no courier serves it" in done.stdout
    assert "members.yaml:3:" in done.stdout

    hub.config.write_text(CONFIG.replace("mode: live", "mode: preview"))
    assert hub("check").exit_code == 0


def test_hands_answer_in_json_if_asked(hub):
    """What an operator's script does can be read by it."""
    hub.tell("198.51.100.77")

    held = json.loads(hub("deliveries", "stop", "--member", "acme", "--json").stdout)
    started = json.loads(hub("deliveries", "start", "--json").stdout)
    again = json.loads(hub("deliveries", "resend", "EH-20261120-0001", "--json").stdout)

    assert (held, started) == ({"stopped": "acme"}, {"started": ["acme"]})
    assert again["messages"] == [
        {"id": "eh-20261120-0001.p1.r2@hub.example.net", "recipient": "desk@acme.example"},
    ]
