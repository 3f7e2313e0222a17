"""Start, change over and stop what runs on this host."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from ..clock import Clock, SystemClock
from .client import Client, Process, SupervisorError
from .conf import Paths, render
from .held import release
from .orphans import orphans
from .programs import Program

_PAUSE = 0.05
_START_SECONDS = 15.0
_SPARE_SECONDS = 15.0

Progress = Callable[[str], None]
"""Told a sentence about what is being waited for, whenever that changes."""


class Changes(msgspec.Struct, frozen=True):
    """What changed: programs that are new, were restarted, were ended, and that went on undisturbed."""

    started: list[str] = []
    restarted: list[str] = []
    ended: list[str] = []
    kept: list[str] = []


class Supervisor:
    """The supervisord of one graph on this host.

    Args:
        state: the graph's state folder.
        progress: told what is being waited for.
        clock: for deadlines.
    """

    def __init__(self, state: Path, progress: Progress = lambda _: None, clock: Clock | None = None) -> None:
        self._paths = Paths(state)
        self._progress = progress
        self._clock = clock or SystemClock()
        self._client = Client(self._paths.socket)
        self._held = False

    @property
    def paths(self) -> Paths:
        """Where its files are."""
        return self._paths

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def running(self) -> bool:
        """Tell whether supervisord runs."""
        return self._client.running()

    def processes(self) -> list[Process]:
        """Give what it runs, by name; nothing if it does not run."""
        return self._client.processes() if self.running() else []

    def programs(self) -> list[Program]:
        """Give the programs as they were last applied."""
        try:
            return msgspec.json.decode(self._paths.programs.read_bytes(), type=list[Program])
        except FileNotFoundError:
            return []

    def apply(self, programs: Sequence[Program], identifier: str, ready: Callable[[], bool] = lambda: True) -> Changes:
        """Make *programs* what runs. Those whose digest is the same are left alone, with the arguments they have.

        Args:
            programs: all that shall run on this host.
            identifier: the graph's name, for supervisord's log.
            ready: whether the programs that others need do their work by now; asked before the others are started.

        Raises:
            SupervisorError: if supervisord can't be started or asked, or another command is changing things.
            ConfigError: if a path can't be written in supervisord's format.
        """
        with self.alone():
            if not self.running():
                first = [program for program in programs if program.first]
                self._write(first, identifier)
                self._start()
                self._wait(
                    "to get ready", lambda: [] if ready() else [program.name for program in first], _START_SECONDS
                )
                self._change_over(self._write(programs, identifier), first)
                changes = Changes(started=[program.name for program in programs])
            else:
                before = self.programs()
                changes = self._change_over(self._write(programs, identifier), before)
            release(self._paths, self.programs())
        return changes

    def restart(self, names: Sequence[str]) -> None:
        """Stop and start programs of these names, all at the same time."""
        with self.alone():
            self._stop(names, self.programs())
            # forgotten and taken in again, so that only a program that died by itself has an end on record
            self._client.remove(names)
            self._client.add(names)
            self._wait_started(names)

    def down(self) -> bool:
        """Stop everything: workers first, each at the end of its slice, then the server, then supervisord.

        Returns:
            whether anything ran.
        """
        with self.alone():
            if not self.running():
                return self._end_orphans()
            known = self.programs()
            first = {program.name for program in known if program.first}
            names = [process.name for process in self.processes()]
            self._stop([name for name in names if name not in first], known)
            self._stop([name for name in names if name in first], known)
            self._client.shutdown()
            self._wait("to end", self._gone, _SPARE_SECONDS)
        return True

    def _write(self, programs: Sequence[Program], identifier: str) -> list[Program]:
        """Write down what shall run; a program that would work as it does now keeps the arguments it runs with."""
        former = {program.name: program for program in self.programs()} if self.running() else {}
        wanted = [_same(former.get(program.name), program) for program in programs]
        _replace(self._paths.conf, render(wanted, self._paths, identifier).encode())
        _replace(self._paths.programs, msgspec.json.encode(wanted))
        return wanted

    def _start(self) -> None:
        self._end_orphans()
        argv = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(self._paths.conf)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise SupervisorError(f"supervisord does not start: {said[-1] if said else f'exit {done.returncode}'}")
        self._wait("to answer", lambda: [] if self.running() else ["supervisord"], _START_SECONDS)
        self._wait_started([program.name for program in self.programs()])

    def _change_over(self, programs: Sequence[Program], before: Sequence[Program]) -> Changes:
        added, changed, removed = self._client.reread()
        self._stop([*changed, *removed], before)
        self._client.remove([*changed, *removed])
        self._client.add([*changed, *added])
        names = [program.name for program in programs]
        idle = [process.name for process in self.processes() if process.name in names and process.over]
        self._client.start(idle)
        self._wait_started(names)
        touched = {*added, *changed, *idle}
        return Changes(
            started=[*added, *(name for name in idle if name not in changed and name not in added)],
            restarted=changed,
            ended=removed,
            kept=[name for name in names if name not in touched],
        )

    def _stop(self, names: Sequence[str], known: Sequence[Program]) -> None:
        self._client.stop([p.name for p in self.processes() if p.name in names and not p.over])
        limit = _longest([program for program in known if program.name in names])
        self._wait("to finish", lambda: [p.name for p in self.processes() if p.name in names and not p.over], limit)

    def _wait_started(self, names: Sequence[str]) -> None:
        def missing() -> list[str]:
            states = {process.name: process for process in self.processes()}
            broken = [
                f"{n}: {states[n].error}" for n in names if n in states and states[n].state in ("backoff", "fatal")
            ]
            if broken:
                raise SupervisorError(f"can't be started: {'; '.join(broken)}")
            # a process that ended at once was started too: supervisord starts it again, and status tells of it
            return [n for n in names if n not in states or not states[n].started]

        self._wait("to start", missing, _START_SECONDS)

    def _wait(self, what: str, missing: Callable[[], list[str]], limit: float) -> None:
        end = self._clock.monotonic() + limit
        said = ""
        while names := missing():
            if self._clock.monotonic() > end:
                raise SupervisorError(f"waited {limit:.0f} s in vain for {', '.join(names)} {what}")
            sentence = f"waiting for {', '.join(names)} {what}"
            if sentence != said:
                self._progress(sentence)
                said = sentence
            time.sleep(_PAUSE)

    def _gone(self) -> list[str]:
        # supervisord answers until its last moment; its process id file goes with it
        return ["supervisord"] if self._paths.pid.exists() else []

    def _end_orphans(self) -> bool:
        """End what a supervisord that was killed has left, so that nothing runs twice."""

        def left() -> list[str]:
            return [str(pid) for pid in orphans(self._paths.socket)]

        found = left()
        try:
            self._signal_orphans(signal.SIGTERM)
            self._wait("(left by a killed supervisord) to finish", left, _longest(self.programs()))
        except SupervisorError:
            self._signal_orphans(signal.SIGKILL)
            self._wait("(left by a killed supervisord) to end", left, _SPARE_SECONDS)
        return bool(found)

    def _signal_orphans(self, number: signal.Signals) -> None:
        for pid in orphans(self._paths.socket):
            with suppress(ProcessLookupError):  # it ended just now
                os.kill(pid, number)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands from changing what runs; may be nested.

        Raises:
            SupervisorError: if another command is at it.
        """
        if self._held:
            yield
            return
        self._paths.make()
        with self._paths.lock.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SupervisorError("another command is starting or stopping things; try again later") from error
            self._held = True
            try:
                yield
            finally:
                self._held = False


def _same(former: Program | None, program: Program) -> Program:
    return former if former is not None and former.digest == program.digest else program


def _longest(programs: Sequence[Program]) -> float:
    return max((program.stop_seconds for program in programs), default=0) + _SPARE_SECONDS


def _replace(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)
