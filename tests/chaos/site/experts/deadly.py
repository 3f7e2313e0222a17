"""An expert in which some items kill: by a segmentation fault, by never ending, by taking all memory."""

import ctypes
from pathlib import Path

from cleanbots import Event, Expert, Params


class DeadlyParams(Params):
    """Parameters of ``expert/deadly``."""

    name: str
    deaths: str


class Deadly(Expert[DeadlyParams]):
    """Die of an event whose ``extra.kill`` is ``<how> <name>``; write it down before."""

    def process(self, event: Event) -> Event:
        how, _, where = str(event.get("extra.kill", "")).partition(" ")
        if where != self.params.name:
            return event
        with Path(self.params.deaths).open("a") as file:
            file.write(f"{event.id} {how} {where}\n")
        match how:
            case "fault":
                ctypes.string_at(0)
            case "loop":
                while True:
                    pass
            case "memory":
                hoard = []
                while True:
                    hoard.append(bytearray(2**26))
        return event
