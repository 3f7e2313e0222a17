"""The section ``delivery:``: what it compiles to, and what ``check`` refuses."""

from pathlib import Path

import pytest

from cleanbots.clearinghouse.settings import hub, store_address
from cleanbots.config.check import check

GRAPH = """
name: t
bots:
  drop: {use: collector/file, every: 1m, params: {path: /var/spool/x, pattern: "*.csv"}, to: csv}
  csv: {use: parser/csv, params: {columns: [source.ip]}, to: out}
  out: {use: output/file, params: {path: out.jsonl}}
"""


def checked(folder: Path, text: str):
    file = folder / "cleanbots.yaml"
    file.write_text(GRAPH + text, "utf-8")
    return check(file)


def test_nothing_said_is_a_preview(tmp_path):
    """Without the section everything is rendered and nothing leaves; the store lies in the state folder."""
    settings = checked(tmp_path, "").require()

    assert hub(settings).mode == "preview"
    assert store_address(settings) == str(tmp_path / "state" / "clearinghouse.db")


def test_the_section_is_compiled(tmp_path):
    """Durations become seconds, factors and rates numbers, and what isn't said follows from what is."""
    text = """
delivery:
  from: {mail: meldpunt@hub.example.net, name: Meldpunt}
  reference: MP
  settle: 10m
  approve: {growth: 3.5x, over: 100}
  limits: {mails_per_hour: 60, per_domain: 7/min}
  blackout: [{from: 2026-12-24T16:00, until: 2026-12-27T00:00, except: urgent}]
  archive: {sent: 30d}
  texts: texts/
"""
    made = hub(checked(tmp_path, text).require())

    assert (made.name, made.domain, made.reply_to) == ("Meldpunt", "hub.example.net", "meldpunt@hub.example.net")
    assert (made.subject, made.reference, made.settle, made.growth, made.over) == ("[Meldpunt]", "MP", 600.0, 3.5, 100)
    assert (made.mails_per_hour, made.per_domain_per_minute, made.keep_sent) == (60, 7, 30 * 86400.0)
    assert made.blackout == ({"from": "2026-12-24T16:00", "until": "2026-12-27T00:00", "except": "urgent"},)
    assert made.texts == str(tmp_path / "texts")


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("delivery: {mode: test}", "delivery.mode", "testers"),
        ("delivery: {mode: live}", "delivery.mode", "who sends"),
        ("delivery: {mode: live, from: {mail: a@b.example}}", "delivery.mode", "courier"),
        ("delivery: {mode: live, from: {mail: a@b.example}}", "delivery.mode", "members"),
        ("delivery: {mode: live, reply_to: no-reply@b.example}", "delivery.reply_to", "answer"),
        ("delivery: {test_to: nobody}", "delivery.test_to", "no mail address"),
        ("delivery: {settle: 15}", "delivery.settle", "has no unit"),
        ("delivery: {settle: 2h}", "delivery.settle", "longer than"),
        ("delivery: {approve: {growth: 5}}", "delivery.approve.growth", "expected text"),
        ("delivery: {approve: {growth: five}}", "delivery.approve.growth", "no factor"),
        ("delivery: {limits: {per_domain: 20/h}}", "delivery.limits.per_domain", "no rate"),
        ("delivery: {archive: {sent: 0d}}", "delivery.archive.sent", "no time at all"),
        ("delivery: {blackout: [{from: soon, until: later}]}", "delivery.blackout[0].from", "no time"),
        (
            "delivery: {blackout: [{from: 2026-12-27T00:00, until: 2026-12-24T00:00}]}",
            "delivery.blackout[0].until",
            "before it begins",
        ),
        ("delivery: {host: other}", "delivery.host", "no host"),
        (
            "delivery: {mode: live, operator: a@b.example, couriers: {webhook: {}}}",
            "delivery.operator",
            "no courier takes mail",
        ),
        ("delivery: {limits: {mails_per_contact: 0}}", "delivery.limits.mails_per_contact", "1"),
        ("delivery: {sign: {}}", "delivery.sign", "key"),
        ("delivery: {couriers: {pigeon: {}}}", "delivery.couriers.pigeon", "no courier"),
        ("delivery: {couriers: {file: {}}}", "delivery.couriers.file", "takes events"),
        ("delivery: {moed: live}", "delivery.moed", "no such key"),
    ],
)
def test_check_refuses(tmp_path, text, where, what):
    """Each mistake is found at its place, with what is wrong."""
    findings = [str(finding) for finding in checked(tmp_path, text).findings]

    assert any(where in finding and what in finding for finding in findings), findings
