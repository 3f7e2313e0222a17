"""What should run on a host, what a change concerns, and what is a problem."""

import shlex
from pathlib import Path

import msgspec
import pytest

from cleanbots.broker.protocol import Depth
from cleanbots.config.model import BotSettings, LimitSettings, Settings, WorkerSettings
from cleanbots.errors import ConfigError
from cleanbots.supervisor import Counts, Process, Program, assess, hold, programs
from cleanbots.supervisor.conf import Paths, command, render
from cleanbots.supervisor.held import release

SNAPSHOT = Path("/state/snapshots/1.json")


def settings(**more) -> Settings:
    """Give a configuration on two hosts."""
    bots = {
        "fetch": BotSettings("fetch", "collector/x", "collector", to={"default": ["parse"]}),
        "parse": BotSettings("parse", "parser/x", "parser", to={"default": ["out"]}, time_limit=100),
        "out": BotSettings("out", "output/x", "output"),
    }
    workers = {
        "fetch": WorkerSettings("fetch", ["fetch"], {"main": 1}, scheduled=True),
        "parse": WorkerSettings("parse", ["parse"], {"main": 2, "b": 1}),
        "out": WorkerSettings("out", ["out"], {"main": 1}),
    }
    return msgspec.structs.replace(
        Settings("graph", "/base", "/state", hosts=["main", "b"], bots=bots, workers=workers), **more
    )


def digests(of: Settings) -> dict[str, str]:
    """Give the digest of each program."""
    return {program.name: program.digest for program in programs(of, SNAPSHOT, "main")}


def changed(bot: str, **more) -> set[str]:
    """Give the programs that a change of a bot concerns."""
    old = settings()
    new = settings(bots={**old.bots, bot: msgspec.structs.replace(old.bots[bot], **more)})
    before, after = digests(old), digests(new)
    return {name for name in before if before[name] != after[name]}


def test_each_host_runs_its_share():
    """A host runs as many processes of a worker as the configuration says, and the scheduler where it is needed."""
    main = programs(settings(), SNAPSHOT, "main", ["server", "x"])
    other = programs(settings(), SNAPSHOT, "b")

    assert [program.name for program in main] == ["server", "scheduler", "parse-0", "parse-1", "out-0"]
    assert [program.name for program in other] == ["parse-0"]
    assert [program.first for program in main] == [True, False, False, False, False]


def test_a_worker_has_more_time_to_stop_than_a_slice_may_take():
    """Nobody is killed in the middle of a slice that keeps its time limit."""
    by_name = {program.name: program for program in programs(settings(), SNAPSHOT, "main")}

    assert by_name["parse-0"].stop_seconds > 100


def test_an_unknown_host_is_refused():
    """A host that the configuration lacks would run nothing, without a word."""
    with pytest.raises(ConfigError, match="main, b"):
        programs(settings(), SNAPSHOT, "c")


def test_a_parameter_concerns_its_worker_alone():
    """A changed parameter restarts the processes of that bot's worker."""
    assert changed("parse", params={"a": 1}) == {"parse-0", "parse-1"}


def test_a_moved_line_concerns_nobody():
    """Where a bot stands in the file is no difference."""
    assert changed("parse", line="c.yaml:99") == set()


def test_a_queue_limit_concerns_who_writes_to_it():
    """The sender checks the limit of the queue, so it must know the new one."""
    assert changed("out", limit=LimitSettings(5, 5)) == {"parse-0", "parse-1", "out-0"}


def test_a_scheduled_collector_concerns_the_scheduler():
    """The scheduler starts collectors with the snapshot it knows."""
    assert changed("fetch", params={"a": 1}) == {"scheduler"}


def test_general_settings_concern_everybody():
    """What is not a bot's own (such as the lease) concerns every worker."""
    before, after = digests(settings()), digests(settings(lease=5.0))

    assert all(before[name] != after[name] for name in before)


def test_more_instances_leave_the_others_alone():
    """A further process of a worker is no reason to restart the first."""
    old = settings()
    more = msgspec.structs.replace(old.workers["parse"], hosts={"main": 3})

    assert digests(settings(workers={**old.workers, "parse": more})).items() > digests(old).items()


@pytest.mark.parametrize("odd", ["a b", "x ;y", "x #y", "it's ;so", "%", "", "\ttab ;", '"'])
def test_a_command_is_taken_apart_as_it_was(odd):
    """supervisord, which uses shlex and takes ' ;' for a comment, gets every argument back."""
    text = command(["run", odd, "end"])

    assert shlex.split(text) == ["run", odd, "end"]
    assert " ;" not in text
    assert " #" not in text


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    """A state folder whose name supervisord would take for a comment is an error that says so."""
    with pytest.raises(ConfigError, match="supervisord can't be told this"):
        render([], Paths(tmp_path / "a ;b"), "graph")


def test_snapshots_stay_while_a_program_names_them(tmp_path):
    """A worker that was not restarted keeps the file that it was started with, also when the snapshot is forgotten."""
    paths = Paths(tmp_path)
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("old")
    new.write_text("new")
    held = [hold(paths, old), hold(paths, new)]
    old.unlink()

    release(paths, [Program("a-0", ["run", str(held[0])], "", 1)])

    assert held[0].read_text() == "old"
    assert not held[1].exists()


def process(name: str, state: str = "running", **more) -> Process:
    """Give what supervisord says of a program."""
    facts = {"pid": 1, "started": 1000, "stopped": 0, "now": 2000, "error": ""}
    return Process(name=name, state=state, **{**facts, **more})


def problems(processes: list[Process] | None, counts: Counts | None = None) -> list[str]:
    """Give the problems of a host that should run one program."""
    wanted = [Program("parse-0", [], "", 1, worker="parse")]
    return assess(settings(), "main", "", wanted, processes, counts or Counts()).problems


def test_all_is_well():
    """A program that runs for long and empty queues are no problem."""
    assert problems([process("parse-0")]) == []


@pytest.mark.parametrize(
    ("processes", "said"),
    [
        (None, "not running on this host"),
        ([], "parse-0: not there"),
        ([process("parse-0", "fatal", error="can't find command")], "fatal (can't find command)"),
        ([process("parse-0", started=1995, stopped=1994)], "ended 6 s ago and was started again"),
    ],
)
def test_what_is_wrong_with_programs_is_said(processes, said):
    """A program that is missing, can't run or keeps dying is a problem with its remedy."""
    (problem,) = problems(processes)

    assert said in problem
    assert "cleanbots" in problem


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (Counts(depths={"out": Depth(900_000, 1, 1, 0)}), "queue out is 90% full"),
        (Counts(failed={"out": Depth(3, 1, 1, 0)}), "out has 3 failed items; 'cleanbots failed list out'"),
        (Counts(failed={"out": Depth(90_000, 1, 1, 0)}), "90% of its limit"),
        (Counts(failed={"gone": Depth(1, 1, 1, 0)}), "gone, configured no more, has 1 failed item:"),
        (Counts(error="the server is away"), "the server is away"),
    ],
)
def test_what_is_wrong_with_queues_is_said(counts, said):
    """Queues that fill up, failed items and a server that is away are problems."""
    (problem,) = problems([process("parse-0")], counts)

    assert said in problem


def test_counters_are_added_up_over_paths_and_reasons():
    """A bot's figures are its counters over all exits and all reasons."""
    statistics = {"parse:in": 5, "parse:out:default": 2, "parse:out:other": 1, "parse:dropped:old": 2, "parser:in": 9}

    bot = assess(settings(), "main", "", [], [], Counts(statistics)).bots[1]

    assert (bot.bot, bot.taken, bot.sent, bot.dropped) == ("parse", 5, 3, 2)
