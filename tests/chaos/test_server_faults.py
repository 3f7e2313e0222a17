"""The promise while the queue server dies, loses its last seconds, runs out of memory or disk, or comes back older."""

import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from accounts import Accounts, place, read_lines
from campaign import Campaign
from processes import signalled
from server import QueueServer
from slow_sync import slow_sync

REDIS = shutil.which("redis-server")
PROGRAMS = [None, pytest.param(REDIS, marks=pytest.mark.skipif(REDIS is None, reason="redis-server is not installed"))]

StartServer = Callable[..., QueueServer]
MakeCampaign = Callable[..., Campaign]
SmallDisk = Callable[[Path, int], Path]
Until = Callable[..., None]


def _program(path: str | None) -> Path | None:
    return Path(path) if path else None


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill the disk of *folder* but for *leave* bytes; give the file that does so."""
    ballast = folder / "ballast"
    free = shutil.disk_usage(folder).free
    with ballast.open("wb", buffering=0) as file, suppress(OSError):  # somebody else may take the last of it
        file.write(bytes(max(0, free - leave)))
    return ballast


def kill_server(campaign: Campaign, times: int, seed: int, pause: float = 0.3) -> int:
    """Kill the server so many times, spread over the work, and start it again on what it left.

    Returns:
        how many times it came back without something that it had answered for.
    """
    chance = random.Random(seed)
    rolled_back = 0
    for at in sorted(chance.uniform(0.02, 0.9) for _ in range(times)):
        campaign.reach(at)
        time.sleep(chance.uniform(0.0, pause))  # also in the middle of a sync
        before = _work_done(campaign)
        campaign.server.kill()
        campaign.start_server()
        rolled_back += _work_done(campaign) < before
    return rolled_back


def _work_done(campaign: Campaign) -> int:
    return sum(number for key, number in campaign.broker.statistics().items() if key.endswith(":in"))


# -- kill -9


@pytest.mark.parametrize("program", PROGRAMS, ids=["bundled", "redis"])
@pytest.mark.parametrize(("policy", "slow"), [("always", 0.0), ("everysec", 1.5), ("everysec", 0.0), ("always", 1.5)])
def test_kills_of_the_server(
    policy: str,
    slow: float,
    program: str | None,
    start_server: StartServer,
    make_campaign: MakeCampaign,
    tmp_path: Path,
    long_form: bool,
    until: Until,
) -> None:
    """Nothing is lost or doubled end to end, though collected files are deleted and 'everysec' loses answered commits."""
    if not long_form and (policy, slow, program) != ("always", 0.0, None):
        pytest.skip("the other combinations belong to the long form")
    environment = slow_sync(tmp_path, slow) if slow else None
    server = start_server(_program(program), {"appendfsync": policy}, environment)
    campaign = make_campaign(server, 2)
    rows, kills = (60_000, 20) if long_form and not (policy == "always" and slow) else (3_000, 3)
    campaign.feed(rows, files=10 if long_form else 3)
    campaign.up()
    rolled_back = kill_server(campaign, kills, seed=2)
    campaign.drain(240.0)
    until(lambda: not list((campaign.folder / "inbox").iterdir()), "the sources to be told", 240.0)
    counts = campaign.account()
    print(server.version, policy, f"+{slow} s, {kills} kills, {rolled_back} rolled back:", counts)  # noqa: T201
    assert counts["in"] == rows
    if policy == "always":
        assert rolled_back == 0


# -- memory and disk


def test_full_memory(campaign: Campaign, long_form: bool, until: Until) -> None:
    """At 'maxmemory' nothing exits, what is queued drains, and then collectors go on by themselves."""
    rows = 100_000 if long_form else 5_000
    campaign.settings["lease"] = "60s"  # the held worker is not dead
    campaign.feed(rows)
    campaign.up()
    held = campaign.processes("worker")
    held = [process for process in held if process.name == "route"]
    for process in held:
        signalled(process.pid, signal.SIGSTOP)
    until(lambda: _deduplicated(campaign) >= rows * 0.95, "the rows to be queued before the held worker", 300.0)
    pids = {process.pid for process in campaign.processes("worker", "scheduler", "supervisord")}
    memory = campaign.server.call("INFO", "memory")
    campaign.server.call("CONFIG", "SET", "maxmemory", memory["used_memory"] - 100_000)
    campaign.feed(100)
    until(lambda: "memory limit" in campaign.log(), "the collector to say why it waits")
    for process in held:
        signalled(process.pid, signal.SIGCONT)
    until(lambda: campaign.broker.drained(list(campaign.bots)), "what is queued to drain", 300.0)
    if not long_form:  # so few rows may free less than the connections take
        campaign.server.call("CONFIG", "SET", "maxmemory", 0)
    campaign.drain()
    assert pids <= {process.pid for process in campaign.processes()}
    counts = campaign.account()
    print(f"used {memory['used_memory_human']}:", counts)  # noqa: T201
    assert counts["in"] == rows + 100


def _deduplicated(campaign: Campaign) -> int:
    counters = campaign.broker.statistics()
    return counters.get("dedup:in", 0) + counters.get("parse:failed", 0)


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_full_disk_of_the_server(
    policy: str,
    start_server: StartServer,
    make_campaign: MakeCampaign,
    small_disk: SmallDisk,
    tmp_path: Path,
    long_form: bool,
    until: Until,
) -> None:
    """A server that can't write refuses (everysec) or ends (always); with room again all goes on, and nothing is lost."""
    if policy == "always" and not long_form:
        pytest.skip("a server that ends is killed in the other tests, too")
    small_disk(tmp_path / "server", 64)
    server = start_server(None, {"appendfsync": policy})
    campaign = make_campaign(server, 3)
    campaign.feed(2_000)
    campaign.up()
    until(lambda: campaign.progress() > 0.1, "the work to begin", 300.0)
    ballast = fill(server.folder)
    campaign.feed(500)
    if policy == "always":
        until(lambda: server.process is not None and server.process.poll() is not None, "the server to end")
    until(lambda: "can't" in campaign.log(), "the workers to say why they wait")
    ballast.unlink()
    if policy == "always":
        campaign.start_server()
    campaign.drain()
    counts = campaign.account()
    assert counts["in"] == 2_500


def test_full_disk_of_the_outputs(campaign: Campaign, small_disk: SmallDisk, until: Until) -> None:
    """Outputs wait for room, say so, and go on without a lost, doubled or torn line."""
    out = small_disk(campaign.folder / "main" / "out", 32)
    campaign.feed(1_500)
    ballast = fill(out, leave=150_000)
    campaign.up()
    until(lambda: "make room on the disk" in campaign.log(), "an output to say that the disk is full")
    ballast.unlink()
    campaign.drain()
    counts = campaign.account()
    assert counts["in"] == 1_500


# -- the server comes back with other data


def _in_order(campaign: Campaign) -> None:
    """Let each bot be one process, and files stay: so a second run makes the same of the same rows."""
    campaign.bots["inbox"]["params"]["after"] = "keep"
    for bot in ("parse", "deadly", "dedup", "record"):
        del campaign.bots[bot]["instances"]


def _serials(campaign: Campaign, name: str) -> set[str]:
    return {event["extra.serial"] for event in read_lines([campaign.folder / "main" / "out" / f"{name}.jsonl"])}


def _sightings(campaign: Campaign) -> int:
    with sqlite3.connect(campaign.folder / "main" / "state" / "store.db") as store:
        seen, events = (store.execute(f"SELECT {what}").fetchone()[0] for what in (_SEEN, _EVENTS))
    assert seen == events
    return int(events)


_SEEN = "SUM(times_seen) FROM findings"
_EVENTS = "COUNT(*) FROM events"


def test_an_emptied_server(campaign: Campaign, until: Until) -> None:
    """It is told at once, nothing is worked on unseen; once accepted, all is collected again, and the store is unharmed."""
    _in_order(campaign)
    campaign.feed(1_500, files=3)
    campaign.up()
    until(lambda: campaign.progress() > 0.5, "half of the work")
    campaign.server.kill()
    campaign.server.empty()
    campaign.start_server()
    until(lambda: "the server was emptied" in campaign.command("status", code=1), "the status to tell of it")
    assert "the server was emptied" in campaign.log()
    assert campaign.broker.statistics() == {}
    campaign.command("queues", "adopt", "--yes")
    campaign.drain()
    campaign.down()
    wanted = {serial for serial, row in _rows(campaign).items() if place(row) == "all"}
    assert _serials(campaign, "all") == wanted
    assert _sightings(campaign) == sum(_rows(campaign)[serial]["address"].startswith("192.0.2.") for serial in wanted)


def test_an_older_server(campaign: Campaign, tmp_path: Path, until: Until) -> None:
    """Queues that were set back beside a store that was not double no finding, and lose nothing."""
    _in_order(campaign)
    campaign.feed(1_500, files=3)
    campaign.up()
    until(lambda: campaign.progress() > 0.3, "a part of the work")
    campaign.server.kill()
    shutil.copytree(campaign.server.folder, tmp_path / "copy")
    campaign.start_server()
    campaign.drain()
    before = _sightings(campaign)
    campaign.server.kill()
    campaign.server.empty()
    shutil.copytree(tmp_path / "copy", campaign.server.folder, dirs_exist_ok=True)
    _later(campaign, 3 * 3600)
    campaign.start_server()
    until(lambda: "3 hours older" in campaign.command("status", code=1), "the status to tell of it")
    campaign.command("queues", "adopt", "--yes")
    campaign.drain()
    campaign.down()
    assert _serials(campaign, "all") == {serial for serial, row in _rows(campaign).items() if place(row) == "all"}
    assert _sightings(campaign) == before


def _rows(campaign: Campaign) -> dict[str, dict[str, str]]:
    (campaign.folder / "failed.jsonl").touch()
    (campaign.folder / "books.json").write_text("{}")
    return Accounts(campaign.folder).rows


def _later(campaign: Campaign, seconds: int) -> None:
    """Let this host remember that the server's data reached further, as if so much time had passed with them."""
    file = campaign.folder / "main" / "state" / "epoch"
    epoch, mark = file.read_text().split()
    file.write_text(f"{epoch} {int(mark) + seconds}\n")


# -- growth


def test_a_stopped_output_is_bounded(campaign: Campaign, long_form: bool, until: Until) -> None:
    """Memory stays within the limits and the deduplication's bound, other branches keep up, and later all arrives."""
    rows, limit = (60_000, 2**19) if long_form else (12_000, 64 * 2**10)
    campaign.settings["lease"] = "1h"  # the stopped worker is not dead
    campaign.settings["defaults"]["limit"] = {"bytes": f"{limit >> 10}KiB"}
    campaign.up()
    until(lambda: campaign.broker.last_slot("inbox"), "the graph to run")
    (stopped,) = (process for process in campaign.processes("worker") if process.name == "rest")
    signalled(stopped.pid, signal.SIGSTOP)
    start = campaign.server.call("INFO", "memory")["used_memory"]
    campaign.feed(rows, files=20)
    until(lambda: _bytes(campaign, "rest") >= limit, "the stopped output's queue to be full", 900.0)
    until(lambda: _bytes(campaign, "route") >= limit, "the queue before it to be full", 900.0)
    until(lambda: not _bytes(campaign, "all"), "the other branch to have kept up")
    until(lambda: not _moves(campaign), "everything before it to stand still", 300.0)
    used = campaign.server.call("INFO", "memory")["used_memory"] - start
    bound = limit * len(campaign.bots) + SEEN_KEY * rows
    slack = 0 if long_form else 2**20  # queues so short are exceeded by their last frame, and buffers weigh
    signalled(stopped.pid, signal.SIGCONT)
    campaign.drain()
    counts = campaign.account()
    print(f"used {used:,} bytes more, at most {bound:,} were allowed:", counts)  # noqa: T201
    assert used <= 1.1 * bound + slack
    assert counts["in"] == rows


SEEN_KEY = 70
"""Bytes that a key of the deduplication takes at most; ``benchmarks/broker.py`` measures it."""


def _bytes(campaign: Campaign, queue: str) -> int:
    return campaign.broker.depths([queue])[queue].bytes


def _moves(campaign: Campaign, seconds: float = 2.0) -> bool:
    """Tell whether anything is worked off within some seconds."""
    before = campaign.broker.statistics()
    time.sleep(seconds)
    return campaign.broker.statistics() != before
