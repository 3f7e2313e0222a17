"""An expert whose mood depends on the event: for tests of the worker."""

import os
import signal
import time
from pathlib import Path

from cleanbots import Event, Expert, Params, Retry


class MoodyParams(Params):
    """Parameters of ``expert/moody``."""

    folder: str = "."


class Moody(Expert[MoodyParams]):
    """Do what the event's ``comment`` says: pass, drop, raise, wait, kill, loop, hoard."""

    def process(self, event: Event) -> Event | None:
        mood = str(event.get("comment", "pass"))
        event["status"] = "seen"
        match mood:
            case "drop":
                return None
            case "raise":
                raise ValueError("in a bad mood")
            case "wait":
                if not (Path(self.params.folder) / "open").exists():
                    raise Retry("the door is closed")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "loop":
                while True:
                    time.sleep(0)
            case "hoard":
                hoard = []
                while True:
                    hoard.append(bytearray(2**24))
        return event
