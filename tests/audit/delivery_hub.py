"""The hub of the audit as a process that may be killed: it records and delivers, simulated day after day.

``python delivery_hub.py FOLDER [PHASE NUMBER]`` carries out the phases of ``plan.json`` from the first that is not done.
With PHASE and NUMBER it kills itself in that phase, at the *number*-th thing that it does (a statement, a commit, a
file opened or renamed, a hand-over), at the latest when the phase is over, but not noted as done. Registry, recorder, store, outbox and couriers
are the real ones; only the clock is simulated, and it never goes back.
"""

import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Engine, event

from bots.experts.constituency import Constituency, ConstituencyParams
from cleanbots import Event
from cleanbots.clearinghouse.crew import Team
from cleanbots.clearinghouse.equipment import Equipment, Trusted
from cleanbots.clearinghouse.handling import Handling
from cleanbots.clearinghouse.outbox import Outbox
from cleanbots.clearinghouse.recorder import Recorder
from cleanbots.clock import FixedClock
from cleanbots.config.check import check
from cleanbots.context import Context
from cleanbots.message import Message, Outcome
from cleanbots.plugins import discover
from cleanbots.services.logs import bot_logger
from cleanbots.testing.services import MemoryServices

CHANNELS = ("mail", "webhook")
FILE_OPERATIONS = ("open", "os.rename")
"""As Python's audit events name them."""


class FileClock(FixedClock):
    """A simulated clock that a killed process' successor goes on with."""

    def __init__(self, path: Path, start: datetime) -> None:
        left = path.read_text() if path.exists() else ""
        super().__init__(datetime.fromisoformat(left) if left else start)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)

    def move(self, to: datetime) -> None:
        super().move(to)
        os.pwrite(self._file, to.isoformat().encode(), 0)

    def at_least(self, to: datetime) -> None:
        """Move to *to* unless that is past."""
        self.move(max(to, self.now()))


class Fate:
    """Decides when this process dies.

    Args:
        phase: in which; -1 is never.
        number: at the how manieth thing that it does there.
    """

    def __init__(self, phase: int, number: int) -> None:
        self._phase, self._left, self._here = phase, number, False

    def enter(self, phase: int) -> None:
        self._here = phase == self._phase

    def leave(self) -> None:
        if self._here:
            os.kill(os.getpid(), signal.SIGKILL)

    def step(self, *_: Any, **__: Any) -> None:
        if self._here:
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """A courier whose process may die before or after each hand-over."""

    def __init__(self, courier: Trusted, fate: Fate) -> None:
        self._courier, self._fate = courier, fate

    @property
    def at_once(self) -> int:
        return self._courier.at_once

    def close(self) -> None:
        self._courier.close()

    def give(self, message: Message) -> Outcome:
        self._fate.step()
        outcome = self._courier.give(message)
        self._fate.step()
        return outcome


class Matched:
    """An outlet that keeps the events that concern members."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def send(self, item: Event, path: str = "default") -> None:
        if path == "default":
            self.events.append(item)


class Hub:
    """Recorder, operator and couriers of a folder."""

    def __init__(self, folder: Path, fate: Fate) -> None:
        self._plan = json.loads((folder / "plan.json").read_text())
        self._folder, self._fate = folder, fate
        self._done = folder / "done"
        self.clock = FileClock(folder / "clock", datetime.fromisoformat(self._plan["phases"][0]["at"]))
        checked = check(folder / "cleanbots.yaml")
        assert checked.settings is not None, checked.findings
        self._equipment = equipment = Equipment(checked.settings, discover(), self.clock)
        services = MemoryServices(self.clock, base=folder)
        services.members = SimpleNamespace(get=equipment.members)  # type: ignore[assignment]
        context = Context("members", bot_logger("members"), self.clock, folder, services=services)
        self._expert = Constituency(ConstituencyParams(), context)
        self._expert.open()
        self._recorder = Recorder(equipment.store, equipment.members, self.clock)  # type: ignore[arg-type]
        self._crews = {channel: Team(partial(self._hire, channel)) for channel in CHANNELS}
        self._outboxes = {channel: self._outbox(channel) for channel in CHANNELS}

    def run(self) -> None:
        """Do what is not done yet."""
        first = int(self._done.read_text()) if self._done.exists() else 0
        for number, phase in enumerate(self._plan["phases"][first:], first):
            self._fate.enter(number)
            self.clock.at_least(datetime.fromisoformat(phase["at"]))
            if phase["do"] == "record":
                self._record(phase["batch"])
            else:
                self._tick(noon=self.clock.now().hour == 12)
            self._fate.leave()
            self._note(number + 1)
        for channel, outbox in self._outboxes.items():
            outbox.release()
            self._crews[channel].close()

    def _note(self, number: int) -> None:
        beside = self._done.with_suffix(".new")
        beside.write_text(str(number))
        beside.replace(self._done)

    def _record(self, batch: int) -> None:
        matched = Matched()
        self._expert.process_batch([Event(fields) for fields in self._batch(batch)], matched)  # type: ignore[arg-type]
        for start in range(0, len(matched.events), 500):
            self._recorder.record(matched.events[start : start + 500])

    def _batch(self, batch: int) -> Iterator[dict[str, Any]]:
        if (start := self._plan["starts"].get(str(batch))) is None:
            return
        with (self._folder / "events.jsonl").open() as file:
            file.seek(start)
            for line in file:
                row = json.loads(line)
                if row["batch"] != batch:
                    return
                yield row["fields"]

    def _tick(self, *, noon: bool) -> None:
        if noon:
            self._approve()
        for channel, outbox in self._outboxes.items():
            self.clock.move(self.clock.now() + timedelta(seconds=5))  # it has to look for what is due
            busy = True
            while busy:
                self.clock.move(self.clock.now() + timedelta(seconds=1))
                step = outbox.step()
                assert not step.shut, step.shut
                busy = bool(step.made or step.offered or step.away)
                if not step.offered and step.away:
                    select.select([self._crews[channel].bell], [], [], 0.5)

    def _approve(self) -> None:
        equipment = self._equipment
        handling = Handling(equipment.kit, "audit")
        held = [row for row in handling.held() if row.member != self._plan["unapproved"]]
        handling.approve(held, self.clock.now())

    def _hire(self, channel: str) -> "Mortal":
        return Mortal(self._equipment.hire(channel), self._fate)

    def _outbox(self, channel: str) -> Outbox:
        return Outbox(
            self._equipment.kit,
            self._crews[channel],
            channel=channel,
            owner="audit",
            clock=self.clock,
        )


def main() -> None:
    folder = Path(sys.argv[1])
    fate = Fate(*map(int, sys.argv[2:4])) if len(sys.argv) > 2 else Fate(-1, 0)
    for name in ("before_cursor_execute", "commit"):
        event.listen(Engine, name, fate.step)
    sys.addaudithook(lambda name, _: fate.step() if name in FILE_OPERATIONS else None)
    Hub(folder, fate).run()


if __name__ == "__main__":
    main()
