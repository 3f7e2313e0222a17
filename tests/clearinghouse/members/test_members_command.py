"""``cleanbots members``: listing, checking, matching, comparing and confirming."""

import orjson
import pytest
from click.testing import CliRunner
from members_world import member, write_members

from cleanbots.cli.members_command import command

DESK = [{"id": "desk", "mail": "abuse@p.example"}]


@pytest.fixture
def site(tmp_path):
    """A configuration with three members."""
    (tmp_path / "cleanbots.yaml").write_text("members: members.yaml\nstate: state\nbots: {}\n")
    write_members(
        tmp_path / "members.yaml",
        [
            member("c", "198.51.100.0/24", state="live"),
            member("p", "198.51.100.0/25", contacts=DESK, deliveries=[{"id": "daily", "to": ["desk"]}]),
            member("w", domains=["example.org"]),
        ],
    )
    return tmp_path


def call(site, *args, code=0):
    """Run a command; give what it printed."""
    config = [] if args[0] == "diff" else ["-c", str(site / "cleanbots.yaml")]
    found = CliRunner().invoke(command, [args[0], *config, *args[1:]])
    assert found.exit_code == code, found.output
    return found.stdout


def answer(site, *args):
    """Run a command with --json."""
    return orjson.loads(call(site, *args, "--json"))


def test_list_counts_addresses(site):
    """The list tells state, addresses and deliveries of each member."""
    rows = {row["id"]: row for row in answer(site, "list")}

    assert {name: (row["state"], row["ipv4"], row["deliveries"]) for name, row in rows.items()} == {
        "c": ("live", 256, ""),
        "p": ("test", 128, "daily"),
        "w": ("test", 0, ""),
    }
    assert [row["id"] for row in answer(site, "list", "--state", "live")] == ["c"]


def test_show_tells_what_is_written_and_every_default(site):
    """One member is shown as written and as compiled."""
    found = answer(site, "show", "p")

    assert found["written"]["contacts"] == DESK
    assert found["compiled"]["deliveries"]["daily"]["to"] == ["desk"]
    assert "daily 07:30" in call(site, "show", "p")


@pytest.mark.parametrize("subject", ["198.51.100.5", "198.51.100.0/30", "a.example.org", "http://a.example.org/x"])
def test_match_explains(site, subject):
    """An address, a network, a name or a URL is explained claim by claim, with the place of each."""
    found = answer(site, "match", subject)

    assert found["verdict"] == "matched"
    assert found["considered"]
    assert all("members.yaml:" in each["place"] for each in found["considered"])
    assert found["considered"][0]["value"] in call(site, "match", subject)


def test_match_of_a_file_of_events(site):
    """Each event of a file is matched at its own time."""
    events = [{"id": "a-1", "source.ip": "198.51.100.5", "time.source": "2026-01-01T00:00:00+00:00"}, {"id": "a-2"}]
    (site / "events.jsonl").write_bytes(b"\n".join(map(orjson.dumps, events)))

    found = answer(site, "match", str(site / "events.jsonl"))

    assert [(each["subject"], each["verdict"]) for each in found] == [("a-1", "matched"), ("a-2", "unmatched")]


def test_match_at_a_day(site):
    """'--at' asks for another day."""
    write_members(
        site / "members.yaml",
        [
            member("p", {"prefix": "198.51.100.0/25", "until": "2026-07-01"}),
            member("n", {"prefix": "198.51.100.0/25", "since": "2026-07-01"}),
        ],
    )

    def at(day):
        return [each["member"] for each in answer(site, "match", "198.51.100.5", "--at", day)["matches"]]

    assert (at("2026-06-30"), at("2026-07-01")) == (["p"], ["n"])


def test_check_prints_every_mistake(site):
    """Mistakes are printed with their places, and the exit code is 1."""
    write_members(site / "members.yaml", [member("p", "10.0.0.0/24"), member("p")])

    found = call(site, "check", code=1)

    assert found.count("members.yaml:") == 3  # the hint of the second id names the first
    assert "private" in found


def test_check_lists_overlaps(site):
    """Claims inside of others are listed with who acts."""
    assert "p acts, c is informed" in call(site, "check")


def test_diff(site):
    """Two files are compared: who came, who went, what each gains or loses, and what must be confirmed."""
    write_members(
        site / "new.yaml", [member("c", "198.51.100.0/25"), member("x"), member("w", domains=["example.org"])]
    )

    found = answer(site, "diff", str(site / "members.yaml"), str(site / "new.yaml"))

    changes = {each["member"]: each for each in found["members"]}
    assert {name: each["change"] for name, each in changes.items()} == {"c": "changed", "p": "removed", "x": "added"}
    assert changes["c"]["claims"] == ["-198.51.100.0/24", "+198.51.100.0/25"]
    assert any("touches 3 of 3" in reason for reason in found["to_confirm"])


def test_confirming_is_noted(site):
    """'check --yes' takes the file into use on this host, and the audit log says who did it."""
    assert "is in use" in call(site, "check", "--yes")

    (line,) = (site / "state" / "audit.jsonl").read_text().splitlines()
    assert orjson.loads(line)["command"] == "members check --yes"
    assert list((site / "state" / "members").glob("*.table"))


def test_unknown_subject_is_one_sentence(site):
    """What is no address, name or file is said to be none."""
    found = CliRunner().invoke(command, ["match", "-c", str(site / "cleanbots.yaml"), "no such thing"])

    assert "is no address, no network, no name and no file" in str(found.exception)
