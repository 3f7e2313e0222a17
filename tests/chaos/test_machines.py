"""The promise beyond one machine and one life: more hosts and supervisors than one, losses of power, upgrades."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import CLEANBOTS, Campaign
from faults import plan
from processes import signalled
from server import QueueServer

pytestmark = pytest.mark.usefixtures("long_only")

ROWS = 20_000


def test_two_hosts(start_server: Callable[..., QueueServer], make_campaign: Callable[..., Campaign]) -> None:
    """Two hosts with state folders of their own share the work; processes of both are killed and frozen."""
    campaign = make_campaign(start_server(), 5, hosts=("main", "b"), slice_=100, instances=1)
    campaign.feed(ROWS, killers=3, files=4)
    campaign.up()
    kinds = {"kill": 20, "freeze": 6, "supervisord": 2}
    hit = campaign.inject(plan(5, kinds))
    campaign.drain()
    worked = {process.host for process in campaign.processes("worker")}
    counts = campaign.account()
    print(f"seed 5: {hit}; {counts}")  # noqa: T201
    assert worked == {"main", "b"}


def test_a_second_supervisor_of_the_same_state_does_nothing(campaign: Campaign) -> None:
    """Processes that another supervisord starts on the same state folder wait for their slots; nothing is done twice."""
    campaign.feed(ROWS // 2, files=2)
    campaign.up()
    conf = campaign.folder / "main" / "state" / "supervisor" / "supervisord.conf"
    second = conf.with_name("second.conf")
    text = conf.read_text().replace("supervisor.sock", "second.sock").replace("supervisord.pid", "second.pid")
    second.write_text(text.replace(f"{conf.parent.parent}/logs", f"{conf.parent}"))
    argv = [sys.executable, "-P", "-m", "supervisor.supervisord", "-n", "-c", str(second)]
    twin = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        campaign.drain()
        said = "".join(path.read_text() for path in conf.parent.glob("deadly-*.log"))
        assert "is there a second supervisor?" in said
    finally:
        twin.terminate()
        twin.wait(120)
    campaign.account()


def test_a_clone_with_the_same_names_doubles_nothing(campaign: Campaign) -> None:
    """A copy of a host's folder that is started beside it, by mistake, costs work and no event."""
    campaign.settings["delivery"]["store"] = str(campaign.folder / "main" / "state" / "store.db")
    campaign.feed(ROWS // 2, files=2)
    campaign.up()
    clone = campaign.folder / "clone"
    clone.mkdir()
    for name in ("cleanbots.yaml", "members.yaml"):
        shutil.copy(campaign.folder / "main" / name, clone)
    # The same files and the same store, as on a shared disk: what two worlds know of, no queue can tell apart.
    for name in ("out", "maildir"):
        (clone / name).symlink_to(campaign.folder / "main" / name)
    try:
        done = subprocess.run([CLEANBOTS, "up"], cwd=clone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        campaign.feed(ROWS // 2, files=2)
        campaign.drain()
    finally:
        subprocess.run([CLEANBOTS, "down"], cwd=clone, capture_output=True, check=False)
        (clone / "out").unlink()
    campaign.account()


def test_a_loss_of_power_and_a_lost_state_folder(campaign: Campaign) -> None:
    """Everything dies at once and starts again, twice; then a host starts with an empty state folder but its store."""
    campaign.bots["inbox"]["params"]["after"] = "keep"
    campaign.feed(ROWS, killers=2, files=4)
    campaign.up()
    hit = campaign.inject(plan(7, {"machine": 2, "kill": 5}))
    campaign.feed(ROWS // 2, files=2)
    for process in campaign.processes():
        signalled(process.pid, signal.SIGKILL)
    state = campaign.folder / "main" / "state"
    for path in state.iterdir():
        if not path.name.startswith("store.db"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    campaign.up()
    campaign.drain()
    counts = campaign.account()
    print(f"seed 7: {hit}; {counts}")  # noqa: T201


def test_a_rolling_upgrade(
    start_server: Callable[..., QueueServer],
    make_campaign: Callable[..., Campaign],
    repository: Path,
    tmp_path: Path,
    until: Callable[..., None],
) -> None:
    """Hosts of two versions share the queues: the older one stands still at newer frames, the newer one goes on.

    The newer version writes another version of frames and knows a further field. After all are upgraded everything
    arrives; then all go back to the older one.
    """
    newer = tmp_path / "newer"
    newer.mkdir()
    for part in ("cleanbots", "bots", "harmonization", "config"):
        shutil.copytree(repository / part, newer / part, ignore=shutil.ignore_patterns("__pycache__"))
    frame = newer / "cleanbots" / "frame.py"
    frame.write_text(frame.read_text().replace("VERSION = 1\n", "VERSION = 2\n"))
    upgraded = {**os.environ, "PYTHONPATH": str(newer)}

    campaign = make_campaign(start_server(), 9, hosts=("main", "b"), slice_=100, instances=1)
    campaign.feed(ROWS // 4, files=2)
    campaign.up()
    until(lambda: campaign.progress() > 0.2, "some of the work to be done", 300)
    campaign.down("b")
    campaign.environments["b"] = upgraded
    campaign.settings["fields"] = {"hint": {"type": "text", "description": "A field of the newer version."}}
    campaign.up("b")
    campaign.feed(ROWS // 4, files=2)
    until(lambda: "upgrade it" in campaign.log(1000), "the older version to say so", 300)
    campaign.down("main")
    campaign.environments["main"] = upgraded
    campaign.up("main")
    campaign.feed(ROWS // 4, files=2)
    campaign.drain()
    campaign.down()
    campaign.environments.clear()
    del campaign.settings["fields"]
    campaign.up()
    campaign.feed(ROWS // 4, files=2)
    campaign.drain()
    campaign.environments["main"] = upgraded  # what the newer version set aside, only it can read
    print(campaign.account())  # noqa: T201
