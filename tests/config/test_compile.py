"""Compiling: defaults, units, order, groups, the hash."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanbots.config.check import check
from cleanbots.config.graph import groups, upstream_first
from cleanbots.config.model import ArchiveSettings, ErrorPolicy, LimitSettings
from cleanbots.errors import ConfigError

HOSTS = "hosts: [main, b]\nbroker: redis://queue.example\n"
BOTS = """\
bots:
  keep: {use: output/keep, host: b}
  fetch: {use: collector/fetch, every: 15m, params: {url: "https://feed.example/"}, feed: {tlp: WHITE}, to: rows}
  listen: {use: collector/listen, to: other}
  rows: {use: parser/rows, to: clean}
  other: {use: parser/rows, to: merged}
  clean: {use: expert/window, to: [merged]}
  merged: {use: expert/window, to: split}
  split: {use: expert/split, params: {rules: {a: b}}, to: {a: left, rest: [right, keep]}}
  left: {use: expert/window, to: ask}
  right: {use: expert/window, instances: {main: 2, b: 1}, to: keep}
  ask: {use: expert/lookup, to: last}
  last: {use: expert/window, to: keep}
"""


def settings(write, bots, text):
    """Compile a text."""
    return check(write(text), bots).require()


def test_bots_stand_upstream_first(write, bots):
    """A bot stands after all that send to it, whatever the order in the file."""
    order = list(settings(write, bots, HOSTS + BOTS).bots)

    assert order.index("fetch") < order.index("rows") < order.index("clean") < order.index("merged")
    assert order[-1] == "keep"


def test_groups_become_workers(write, bots):
    """Parsers and experts with one predecessor join its worker; all others start their own."""
    compiled = settings(write, bots, HOSTS + BOTS)

    assert {name: worker.bots for name, worker in compiled.workers.items()} == {
        "fetch": ["fetch"],
        "listen": ["listen"],
        "rows": ["rows", "clean"],
        "other": ["other"],
        "merged": ["merged", "split", "left"],
        "right": ["right"],
        "ask": ["ask"],
        "last": ["last"],
        "keep": ["keep"],
    }


CHAIN = """\
bots:
  fetch: {use: collector/fetch, every: 15m, params: {url: "https://feed.example/"}, to: rows}
  rows: {use: parser/rows, to: clean}
  clean: {use: expert/window, to: keep}
  keep: {use: output/keep}
"""


def test_an_output_joins_the_worker_whose_only_exit_it_is(write, bots):
    """Nothing else can be held up there; so the events need no queue on their way."""
    assert settings(write, bots, CHAIN).workers["rows"].bots == ["rows", "clean", "keep"]
    here = CHAIN.replace("output/keep}", "output/keep, host: main}")
    assert settings(write, bots, HOSTS + here).workers["rows"].bots == ["rows", "clean", "keep"]


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        (
            "clean: {use: expert/window, to: keep}",
            "clean: {use: expert/window, to: [keep, more]}\n  more: {use: output/keep}",
        ),
        ("rows: {use: parser/rows, to: clean}", "rows: {use: parser/rows, to: [clean, keep]}"),
        ("keep: {use: output/keep}", "keep: {use: output/keep, isolate: true}"),
        ("keep: {use: output/keep}", "keep: {use: output/keep, host: b}"),
        ("clean: {use: expert/window, to", "clean: {use: expert/window, isolate: true, to"),
    ],
    ids=["two exits", "two senders", "isolated", "on another host", "behind an isolated bot"],
)
def test_other_outputs_stand_alone(write, bots, written, instead):
    """An output that could hold up another's events, or that was told to, has a worker of its own."""
    workers = settings(write, bots, HOSTS + CHAIN.replace(written, instead)).workers

    assert workers["keep"].bots == ["keep"]


def test_workers_know_their_hosts(write, bots):
    """A worker runs on its bot's host, on the first one by default, or as ``instances`` says."""
    workers = settings(write, bots, HOSTS + BOTS).workers

    assert workers["rows"].hosts == {"main": 1}
    assert workers["keep"].hosts == {"b": 1}
    assert workers["right"].hosts == {"main": 2, "b": 1}


def test_only_collectors_that_do_not_stream_are_scheduled(write, bots):
    """A collector with time slots is started for each; a continuous one keeps its process."""
    workers = settings(write, bots, HOSTS + BOTS).workers

    assert [name for name, worker in workers.items() if worker.scheduled] == ["fetch"]


def test_isolate_stands_alone(write, bots):
    """``isolate: true`` gives a bot a worker of its own, and its successor starts anew."""
    text = BOTS.replace("rows: {use: parser/rows, to", "rows: {use: parser/rows, isolate: true, to").replace(
        ", host: b", ""
    )
    text = text.replace("instances: {main: 2, b: 1}, ", "")

    workers = settings(write, bots, text).workers

    assert workers["rows"].bots == ["rows"]
    assert workers["clean"].bots == ["clean"]


def test_units_are_converted_and_defaults_filled_in(write, bots, tmp_path: Path):
    """Durations become seconds, sizes bytes; what a bot leaves out comes from ``defaults``, then from the model."""
    text = """\
defaults: {on_error: {retries: 3, delay: 2s}, limit: {events: 10}, slice: 50}
archive: {keep: 2d, max: 1MiB}
bots:
  fetch: {use: collector/fetch, every: 15m, params: {url: "https://x.example"}, on_error: {delay: 5s}, to: rows}
  rows: {use: parser/rows, limit: {bytes: 1KiB}, time_limit: 2h, to: keep}
  keep: {use: output/keep}
"""
    compiled = settings(write, bots, text)

    assert compiled.bots["fetch"].every == 900.0
    assert compiled.bots["fetch"].on_error == ErrorPolicy(3, 5.0, 300.0, "fail")
    assert compiled.bots["rows"].limit == LimitSettings(10, 1024)
    assert compiled.bots["rows"].time_limit == 7200.0
    assert compiled.bots["keep"].slice == 50
    assert compiled.bots["keep"].failed_limit == LimitSettings(100_000, 64 * 2**20)
    assert compiled.archive == ArchiveSettings(172_800.0, 2**20)
    assert compiled.bots["rows"].line == f"{tmp_path / 'cleanbots.yaml'}:5"
    assert compiled.state == str(tmp_path / "state")


def test_archive_can_be_switched_off(write, bots):
    """``archive: false`` keeps nothing."""
    assert settings(write, bots, "archive: false\n" + HOSTS + BOTS).archive is None


def test_white_is_clear(write, bots):
    """The old word of the traffic light is compiled to that of TLP 2.0."""
    assert settings(write, bots, HOSTS + BOTS).bots["fetch"].feed.tlp == "CLEAR"


def test_the_hash_names_the_content(write, bots):
    """Comments and moved lines leave the hash alone; any value changes it."""
    one = settings(write, bots, HOSTS + BOTS)
    moved = settings(write, bots, "# a comment\n\n" + HOSTS + BOTS)
    other = settings(write, bots, "lease: 61s\n" + HOSTS + BOTS)

    assert one.hash == moved.hash != other.hash
    assert one.bots["rows"].line != moved.bots["rows"].line


def test_a_faulty_configuration_has_no_settings(write, bots):
    """Asking a configuration with findings for its settings raises an error that lists them."""
    checked = check(write("bots: {a: {use: output/keep}}\nx: 1\n"), bots)

    with pytest.raises(ConfigError, match="2 mistakes"):
        checked.require()


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=40), st.frozensets(st.integers(0, 14)))
def test_groups_are_trees_and_the_graph_of_workers_has_no_circle(pairs, alone):
    """For any acyclic graph, events enter a worker at its first bot only, so workers form no circle."""
    names = [f"b{number}" for number in range(15)]
    receivers = {name: [] for name in names}
    for left, right in pairs:
        if left < right and names[right] not in receivers[names[left]]:
            receivers[names[left]].append(names[right])
    order = upstream_first(receivers)

    found = groups(dict.fromkeys(order, "expert"), receivers, frozenset(names[number] for number in alone), {})

    home = {bot: worker for worker, members in found.items() for bot in members}
    assert sorted(home) == sorted(names)
    for sender, targets in receivers.items():
        for target in targets:
            assert home[sender] == home[target] or home[target] == target
    upstream_first({w: list({home[t] for b in bots for t in receivers[b]} - {w}) for w, bots in found.items()})
