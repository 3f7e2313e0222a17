"""The watchdog ends work that never ends, and nothing else."""

import subprocess
import sys

_PROGRAM = """
from cleanbots.clock import SystemClock
from cleanbots.runtime.watchdog import Watchdog

watchdog = Watchdog(SystemClock(), 0.2)
watchdog.watch()
{then}
"""


def _run(then: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", _PROGRAM.format(then=then)]
    return subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)


def test_endless_work_ends_the_process() -> None:
    """A loop without end is left by ending the process; the traceback says where it was."""
    done = _run("def stuck():\n    while True: pass\nstuck()")
    assert done.returncode != 0
    assert "in stuck" in done.stderr


def test_waiting_is_no_endless_work() -> None:
    """Who says that it rests may take as long as it likes."""
    done = _run("import threading\nwatchdog.rest()\nthreading.Event().wait(0.6)")
    assert (done.returncode, done.stderr) == (0, "")


def test_work_that_goes_on_is_left_alone() -> None:
    """Who is heard of in time lives on, however long it takes in all."""
    pause = (
        "import threading\nfor _ in range(8):\n    threading.Event().wait(0.08)\n    watchdog.watch()\nwatchdog.rest()"
    )
    assert _run(pause).returncode == 0
