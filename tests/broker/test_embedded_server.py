"""The private server: one per folder, private, found again, stopped by its owner."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cleanbots
from cleanbots.broker import EmbeddedServer, connect
from cleanbots.broker.protocol import DONE, Commit, ReportGuard
from cleanbots.errors import BrokerRefused, BrokerUnavailable

CHECKOUT = Path(cleanbots.__file__).parent.parent


def test_started_and_stopped(tmp_path):
    """It answers when `start` returns and is gone when `stop` returns."""
    server = EmbeddedServer(tmp_path)
    assert not server.running()

    server.start()
    assert server.running()
    assert server.owned

    server.stop()
    assert not server.running()
    server.stop()


def test_data_survives(tmp_path):
    """What was committed is there after a restart."""
    for expected in ("", DONE):
        broker = connect("embedded", "g", tmp_path, start=True)
        assert broker.position("r") == expected
        broker.commit(Commit(ReportGuard("c", "r", "", DONE)))
        broker.close()

    assert not EmbeddedServer(tmp_path).running()


def test_only_its_user_can_enter(tmp_path):
    """Folder and socket are closed to others, and there is no network port."""
    with EmbeddedServer(tmp_path) as server:
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
        broker = connect("embedded", "g", tmp_path)
        assert broker._client.call("CONFIG GET", "port") == {"port": "0"}
        with pytest.raises(BrokerRefused):
            broker._client.call("CONFIG SET", "dir", "/")
        broker.close()


def test_one_server_per_folder(tmp_path):
    """A second start finds the first server and does not end it."""
    with EmbeddedServer(tmp_path) as first:
        second = EmbeddedServer(tmp_path)
        second.start()
        assert not second.owned
        second.stop()
        assert first.running()


def test_server_of_a_killed_owner_is_taken_over(tmp_path):
    """When the owner was killed, its server goes on; the next start owns and stops it."""
    code = (
        "import os, pathlib, sys\n"
        "from cleanbots.broker import EmbeddedServer\n"
        "EmbeddedServer(pathlib.Path(sys.argv[1])).start()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, check=False)
    server = EmbeddedServer(tmp_path)
    assert server.running()

    server.start()
    assert server.owned
    server.stop()

    assert not server.running()


def test_killed_server_is_started_again(tmp_path):
    """A stale socket of a killed server is no obstacle."""
    with EmbeddedServer(tmp_path) as server:
        server._process.kill()
        server._process.wait()
        assert server.socket.exists()
        assert not server.running()

        server.start()
        assert server.running()


def test_supervisor_runs_it_in_the_foreground(tmp_path):
    """The command for a supervisor becomes the server; a second one is refused with a sentence."""
    server = EmbeddedServer(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    process = subprocess.Popen(server.argv(), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not server.running():
        assert process.poll() is None

    second = subprocess.run(server.argv(), env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert second.stderr.strip().endswith("is running already")
    server.start()
    assert not server.owned

    process.terminate()
    assert process.wait(10) == 0
    assert not server.running()


def test_deep_folder(tmp_path):
    """A folder too deep for a socket's address gets one elsewhere, which every process finds."""
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)

    with EmbeddedServer(deep) as server:
        assert len(os.fsencode(server.socket)) < 104
        assert server.socket.parent != server.folder
        assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
        broker = connect("embedded", "g", deep)
        assert broker.check() == []
        broker.close()
    assert not server.socket.parent.exists()


def test_server_that_ends_at_once(tmp_path):
    """A server that can't start is told with its own last word, and leaves no lock behind."""
    server = EmbeddedServer(tmp_path, {"appendfsync": "sometimes"})

    with pytest.raises(BrokerUnavailable, match=r"ended at once; its last word in .*server\.log"):
        server.start()

    with EmbeddedServer(tmp_path) as second:
        assert second.owned


def test_a_full_disk_is_waited_out(
    tmp_path: Path, small_disk: Callable[[Path, int], Path], until: Callable[..., None]
) -> None:
    """Under a supervisor it doesn't start into a full disk, which would end it at once: it says so, waits, and starts."""
    folder = small_disk(tmp_path / "small", 32)
    server = EmbeddedServer(folder)
    (folder / "ballast").write_bytes(bytes(28 * 2**20))
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(server.argv(), stdout=log, stderr=log)
    until(lambda: "make room" in (tmp_path / "log").read_text(), "the server to say what it waits for")
    assert process.poll() is None
    (folder / "ballast").unlink()
    until(server.running, "the server to start")
    process.terminate()
    process.wait(60)
