"""The commands check, graph and plan."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cleanbots.cli import cli
from cleanbots.config import snapshot
from cleanbots.config.check import check
from cleanbots.config.probe import probe
from cleanbots.data import data_path
from cleanbots.errors import ConfigError, Retry
from cleanbots.services.probing import ProbeServices


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Give a copy of the smallest example."""
    path = tmp_path / "c.yaml"
    path.write_bytes(data_path("config", "examples", "minimal.yaml").read_bytes())
    return path


def run(*arguments: object):
    """Run the command line."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_check_says_what_would_run(config):
    """A good configuration is summed up; the exit code is 0."""
    result = run("check", "-c", config)

    assert result.exit_code == 0
    assert result.output == "minimal: fine; 3 bots, 2 workers, 2 edges\n"


def test_check_prints_each_mistake_and_fails(config):
    """Each mistake is one line; the exit code is 1."""
    config.write_text(config.read_text().replace("every: 1m", "evry: 1m").replace("to: events", "to: event"))

    result = run("check", "-c", config)

    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert [line.removeprefix(f"{config}:").partition(": ")[0] for line in lines] == ["8:5", "17:9", "18:3"]
    assert result.stderr == "3 mistakes\n"


def test_check_prints_json(config):
    """With --json the findings are a list of objects, empty if there are none."""
    assert json.loads(run("check", "-c", config, "--json").stdout) == []

    config.write_text("bots: 5\n")
    (finding,) = json.loads(run("check", "-c", config, "--json").stdout)
    assert (finding["file"], finding["line"], finding["column"]) == (str(config), 1, 7)


def test_graph_is_drawn_to_the_terminal_or_a_file(config, tmp_path: Path):
    """The drawing goes to standard output or where -o says."""
    assert "collector/file" in run("graph", "-c", config).stdout
    assert run("graph", "-c", config, "--format", "mermaid").stdout.startswith("flowchart")

    result = run("graph", "-c", config, "--format", "svg", "-o", tmp_path / "g.svg")

    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / "g.svg").read_text().startswith("<svg")


def test_graph_of_a_faulty_configuration_is_an_expected_error(config):
    """A configuration with mistakes isn't drawn; they are listed."""
    config.write_text("bots: 5\n")

    result = run("graph", "-c", config)

    assert isinstance(result.exception, ConfigError)
    assert f"{config}:1:7" in str(result.exception)


def test_plan_shows_the_difference_to_what_was_published(config):
    """The plan compares the file with the snapshot; publishing is what empties it."""
    assert "nothing was published yet" in run("plan", "-c", config).stdout
    snapshot.publish(check(config).require())
    assert run("plan", "-c", config).stdout == "nothing would change\n"

    config.write_text(config.read_text().replace("every: 1m", "every: 5m"))

    assert run("plan", "-c", config).stdout.splitlines() == [
        "~ bot drop",
        "    every: 60.0 → 300.0",
        "restart: drop",
    ]
    assert json.loads(run("plan", "-c", config, "--json").stdout)["restart"] == ["drop"]


def test_online_asks_the_bots_that_can_tell(write, bots):
    """What a bot's probe raises is a finding at that bot; bots without a probe are not made at all."""

    class Away(bots.bots["output/keep"]):
        def probe(self) -> None:
            raise Retry("the server does not answer")

    bots.bots["output/away"] = Away
    text = "bots:\n  a: {use: collector/listen, to: b}\n  b: {use: parser/rows, to: c}\n  c: {use: output/away}\n"

    (finding,) = probe(check(write(text), bots), ProbeServices())

    assert finding.line == 4
    assert "the server does not answer" in finding.text


def test_a_missing_table_is_found_by_asking_the_bot(write):
    """Online, a bot says which file it lacks; the sentence stands at its place."""
    text = """name: x
bots:
  in: {use: collector/file, params: {path: in}, to: list}
  list: {use: parser/csv, params: {columns: [source.ip], header: false, type: scanner}, to: geo}
  geo: {use: expert/geoip, params: {database: nowhere.mmdb}, to: out}
  out: {use: output/file, params: {path: out.jsonl}}
"""
    (finding,) = probe(check(write(text)), ProbeServices())
    assert finding.line == 5
    assert "nowhere.mmdb" in finding.text
