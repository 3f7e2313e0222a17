"""The real supervisord with small programs."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanbots.supervisor import Process, Program, Supervisor, SupervisorError
from cleanbots.supervisor.orphans import orphans

WAITER = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('up', flush=True); signal.pause()"
)


def program(name: str, code: str = WAITER, digest: str = "1", *, first: bool = False) -> Program:
    """Give a program that runs Python code."""
    return Program(name, [sys.executable, "-c", code], digest, 5, worker=name, directory="/", first=first)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Give a supervisor that is stopped in the end."""
    control = Supervisor(tmp_path / "state")
    yield control
    control.down()
    control.close()


def pids(supervisor: Supervisor) -> dict[str, int]:
    """Give the process ids by program."""
    return {process.name: process.pid for process in supervisor.processes()}


def wait_for(supervisor: Supervisor, name: str, condition) -> Process:
    """Wait until a program is in a certain state, and give it."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = next((p for p in supervisor.processes() if p.name == name), None)
        if found is not None and condition(found):
            return found
        time.sleep(0.02)
    raise AssertionError(f"{name} never got there: {supervisor.processes()}")


def test_up_starts_everything_and_is_idempotent(supervisor):
    """What is applied runs; applying the same again disturbs nobody."""
    changes = supervisor.apply([program("a-1"), program("b-1")], "graph")
    before = pids(supervisor)

    again = supervisor.apply([program("a-1"), program("b-1")], "graph")

    assert changes.started == ["a-1", "b-1"]
    assert again.kept == ["a-1", "b-1"]
    assert pids(supervisor) == before
    assert all(before.values())


def test_only_what_differs_restarts(supervisor):
    """After a change, programs with the same digest keep their process, also if their arguments name a new file."""
    supervisor.apply([program("same-1"), program("other-1"), program("gone-1")], "graph")
    before = pids(supervisor)

    changes = supervisor.apply(
        [program("same-1", WAITER + " # new snapshot"), program("other-1", WAITER + " # new", "2"), program("new-1")],
        "graph",
    )

    after = pids(supervisor)
    assert (changes.kept, changes.restarted, changes.started, changes.ended) == (
        ["same-1"],
        ["other-1"],
        ["new-1"],
        ["gone-1"],
    )
    assert after["same-1"] == before["same-1"]
    assert after["other-1"] != before["other-1"]
    assert "gone-1" not in after


def test_a_killed_program_is_started_again(supervisor):
    """A process that dies is started anew, however often."""
    supervisor.apply([program("a-1")], "graph")
    for _ in range(6):
        pid = pids(supervisor)["a-1"]
        os.kill(pid, signal.SIGKILL)
        wait_for(supervisor, "a-1", lambda process, old=pid: process.pid not in (0, old))


def test_restart_gives_new_processes(supervisor):
    """A restart replaces exactly the named programs."""
    supervisor.apply([program("a-1"), program("b-1")], "graph")
    before = pids(supervisor)

    supervisor.restart(["a-1"])

    after = pids(supervisor)
    assert after["a-1"] != before["a-1"]
    assert after["b-1"] == before["b-1"]


def test_down_stops_workers_before_the_server(supervisor, tmp_path):
    """Workers end first, so that their last commit still finds the server."""
    diary = tmp_path / "diary"
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, sys\n"
        "def end(*_):\n"
        f"    open({str(diary)!r}, 'a').write(sys.argv[1])\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    supervisor.apply(
        [
            Program("server", [sys.executable, str(script), "S"], "1", 5, first=True),
            Program("w-1", [sys.executable, str(script), "W"], "1", 5, worker="w"),
        ],
        "graph",
    )
    for name in ("server", "w-1"):
        wait_for_line(supervisor.paths.logs / f"{name}.log", "ready")

    assert supervisor.down()

    assert diary.read_text() == "WS"
    assert not supervisor.running()


def test_a_killed_supervisord_leaves_no_twins(supervisor):
    """What a killed supervisord left behind is ended before the same is started again."""
    supervisor.apply([program("a-1")], "graph")
    orphan = pids(supervisor)["a-1"]
    os.kill(int(supervisor.paths.pid.read_text()), signal.SIGKILL)
    wait_until(lambda: not supervisor.running())

    supervisor.apply([program("a-1")], "graph")

    assert pids(supervisor)["a-1"] != orphan
    assert orphans(supervisor.paths.socket) == [pids(supervisor)["a-1"]]


def test_down_ends_what_a_killed_supervisord_left(supervisor):
    """After `down` nothing runs, also if supervisord itself was gone."""
    supervisor.apply([program("a-1")], "graph")
    os.kill(int(supervisor.paths.pid.read_text()), signal.SIGKILL)
    wait_until(lambda: not supervisor.running())

    assert supervisor.down()

    assert orphans(supervisor.paths.socket) == []


def test_two_commands_at_once_are_refused(supervisor):
    """While one command changes what runs, another says so and changes nothing."""
    other = Supervisor(supervisor.paths.folder.parent)

    with supervisor.alone(), pytest.raises(SupervisorError, match="another command"):
        other.apply([program("a-1")], "graph")

    assert not other.running()


def test_down_without_up_says_so(supervisor):
    """Stopping what does not run is no error."""
    assert supervisor.down() is False


def test_a_program_that_does_not_exist_is_named(supervisor):
    """A program that can't be executed is an error that names it."""
    with pytest.raises(SupervisorError, match="a-1"):
        supervisor.apply([Program("a-1", ["/nowhere/python"], "1", 5)], "graph")


def test_arguments_arrive_as_they_are(supervisor, tmp_path):
    """No character of an argument means anything on the way to the process."""
    odd = ["%(here)s", "a ;b # c", "$HOME `id` 'x' \"y\"", "é", "%"]
    seen = tmp_path / "seen"
    code = f"import sys, signal; open({str(seen)!r}, 'w').write(repr(sys.argv[1:])); print('up', flush=True); signal.pause()"

    supervisor.apply([Program("a-1", [sys.executable, "-c", code, *odd], "1", 5)], "graph")

    wait_for_line(supervisor.paths.logs / "a-1.log", "up")
    assert seen.read_text() == repr(odd)


def test_a_deep_state_folder_works(tmp_path):
    """The control socket is moved when the state folder is too deep for a socket's path."""
    control = Supervisor(tmp_path / ("d" * 120))
    try:
        control.apply([program("a-1")], "graph")
        assert control.running()
        assert control.paths.socket.parent.stat().st_mode & 0o777 == 0o700
    finally:
        control.down()
        control.close()


def test_files_are_for_their_owner_alone(supervisor):
    """Control socket, configuration and logs can't be read by others."""
    supervisor.apply([program("a-1")], "graph")

    assert supervisor.paths.folder.stat().st_mode & 0o077 == 0
    assert supervisor.paths.logs.stat().st_mode & 0o077 == 0
    assert supervisor.paths.socket.stat().st_mode & 0o077 == 0


def wait_until(condition) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def wait_for_line(path: Path, text: str) -> None:
    """Wait until a file holds a text."""
    wait_until(lambda: path.exists() and text in path.read_text())
