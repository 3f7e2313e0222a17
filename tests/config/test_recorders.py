"""The rules of the bots that record for members: what they get, whom they know, and which hosts share the store."""

from pathlib import Path

import pytest

from cleanbots.config.check import check

GRAPH = """
members: members.yaml
bots:
  drop: {use: collector/file, every: 1m, params: {path: in, pattern: "*.csv"}, to: rows}
  rows: {use: parser/csv, params: {columns: [source.ip]}, to: who}
  who: {use: expert/constituency, to: {default: record, unmatched: [], ambiguous: [], guarded: [], excluded: []}}
  record: {use: output/members}
"""
COURIERS = "delivery: {couriers: {mail: {transport: maildir, path: mail}}}\n"


@pytest.fixture
def found(tmp_path: Path):
    """Give what is found in a configuration."""

    def findings(text: str) -> list[str]:
        file = tmp_path / "c.yaml"
        file.write_text(text)
        return [f"{each.line}: {each.text}" for each in check(file).findings]

    return findings


def test_matched_events_may_be_recorded(found):
    """Members that are known, matching in front, one host: fine."""
    assert found(GRAPH + COURIERS) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("to: who}", "to: record}"),
        ("to: who}", "to: [who, record]}"),
        ("to: who}", "to: [who, other]}\n  other: {use: expert/taxonomy, to: record}"),
    ],
)
def test_nothing_is_recorded_that_was_not_matched_here(found, old, new):
    """Each way from a parser passes the matching, or a sender could say by itself whom to tell."""
    problems = [each for each in found(GRAPH.replace(old, new)) if "bots.record: " in each]

    assert len(problems) == 1
    assert "events of 'rows' come here without passing expert/constituency" in problems[0]


def test_recording_needs_members(found):
    """Without a file of members nobody can be matched, and nobody told."""
    problems = found(GRAPH.replace("members: members.yaml\n", ""))

    assert ["it decides about members" in problems[0], "it records for members" in problems[1]] == [True, True]
    assert len(problems) == 2


@pytest.mark.parametrize(
    "text",
    [
        GRAPH.replace("output/members}", "output/members, instances: {a: 1, b: 1}}"),
        GRAPH.replace("output/members}", "output/members, host: b}") + COURIERS,
        GRAPH + COURIERS.replace("{couriers", "{host: b, couriers"),
    ],
)
def test_a_store_in_a_file_has_one_host(found, text):
    """Recorders and couriers on two hosts can't share a file; they can share a PostgreSQL server."""
    hosts = "hosts: [a, b]\nbroker: redis://queue.example.net/0\n"

    (problem,) = found(hosts + text)

    assert "hosts a, b use the store" in problem
    store = "store: 'postgresql://hub@db.example.net/hub'"
    shared = (
        text.replace("delivery: {", f"delivery: {{{store}, ")
        if COURIERS[:9] in text
        else f"{text}delivery: {{{store}}}\n"
    )
    assert found(hosts + shared) == []
