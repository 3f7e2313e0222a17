from pathlib import Path

import pytest

from cleanbots import Event, Expert, Params, Secret
from cleanbots.data import data_path
from cleanbots.errors import PluginError
from cleanbots.plugins import discover
from cleanbots.testing import compliance

ROOT = Path(__file__).parents[2]

EXAMPLES: dict[str, dict[str, object]] = {
    "collector/file": {"path": "in"},
    "collector/watch": {"path": "in"},
    "expert/asn": {"database": "asn.mmdb"},
    "expert/filter": {"rules": {"scans": 'classification.type == "scanner"'}},
    "expert/geoip": {"database": "city.mmdb"},
    "expert/set": {"assign": {"malware.name": "example"}},
    "output/file": {"path": "out/events.jsonl"},
    "parser/csv": {"columns": ["source.ip", "source.port"]},
    "parser/json": {"fields": {"ip": "source.ip"}},
}
"""Parameters for the bots that can't do without."""

TABLES = {
    "asn.mmdb": {"192.0.2.0/24": {"autonomous_system_number": 64496, "autonomous_system_organization": "Example"}},
    "city.mmdb": {"192.0.2.0/24": {"country": {"iso_code": "NL"}}},
}

test_contract = compliance.tests_for("bots.", EXAMPLES, TABLES, members=data_path("config", "examples", "members.yaml"))

NAMES = discover().names()


def test_bot_is_loaded_by_name():
    """Every bot that ships is found."""
    assert NAMES


@pytest.mark.parametrize("use", NAMES)
def test_bot_has_a_test_module(use):
    """Every bot that ships is imported by a test of its own."""
    target = discover().ref(use).target

    files = [path for path in (ROOT / "tests").rglob("test_*.py") if target in path.read_text()]

    assert files, f"no test imports {target}"


class Keyless(Params):
    """Parameters."""

    key: Secret = ""
    plain: str = ""


class Bad(Expert[Keyless]):
    def process(self, event: Event) -> Event | None:
        event.fields["no.such.field"] = 1
        self.context.log.warning("key is %s", self.params.key)
        return event


class Vanishing(Expert[Params]):
    """Lose events."""

    def process_batch(self, items, out):
        pass

    def process(self, event: Event) -> Event | None:
        raise NotImplementedError


BAD = compliance.Subject("expert/bad", Bad)


@pytest.mark.parametrize(
    ("rule", "subject", "sentence"),
    [
        (compliance.says_what_it_does, BAD, "Bad has no docstring"),
        (compliance.describes_each_parameter, BAD, "plain has no description"),
        (compliance.sends_harmonised_fields_only, BAD, "no.such.field"),
        (compliance.loses_no_event, compliance.Subject("expert/v", Vanishing), "vanished"),
    ],
)
def test_rule_finds_the_bot_that_breaks_it(rule, subject, sentence):
    """Each rule can fail, and says what is wrong."""
    with pytest.raises(AssertionError, match=sentence):
        rule(subject)


def test_shown_secret_is_found(caplog):
    """A bot that logs its secret breaks the contract."""
    with pytest.raises(AssertionError, match="secret"):
        compliance.keeps_secrets(BAD, caplog)


def test_third_party_gets_all_rules_in_one_line():
    """A prefix gives one test, parametrised by bot and rule."""
    made = compliance.tests_for("bots.")

    marks = {mark.args[0]: mark.args[1] for mark in made.pytestmark}
    assert list(marks["rule"]) == list(compliance.RULES)
    assert marks["use"] == NAMES


def test_a_contract_without_bots_is_refused(tmp_path):
    """A prefix that no bot has would make a test of nothing; the reason is told, such as a refused folder."""
    (tmp_path / "experts").mkdir()
    tmp_path.chmod(0o777)

    with pytest.raises(PluginError, match=r"no bot in a module cleanbots_site_.*others can write to it"):
        compliance.tests_for("cleanbots_site_", registry=discover([tmp_path]))
