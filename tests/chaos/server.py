"""A queue server of the campaign's own: on a port of the loopback, killed and started again as a test likes."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import redis

from cleanbots.broker.embedded import _programs, _version

SETTINGS = {
    "bind": "127.0.0.1",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
}


def programs() -> list[str]:
    """Give the server programs that are installed and not too old, the newest first; one of each version."""
    found = {version: str(path) for path in _programs() if (version := _version(path)) is not None}
    return [found[version] for version in sorted(found, reverse=True)]


class QueueServer:
    """Valkey or Redis with an append-only file in *folder*.

    Args:
        folder: its data and its log lie there.
        program: the server's executable; the newest that is installed if "".
        settings: further settings, over `SETTINGS`.
        environment: of the process, for example with ``LD_PRELOAD``; the own one if None.
    """

    def __init__(
        self,
        folder: Path,
        program: str = "",
        settings: dict[str, str] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.program = program or programs()[0]
        self.settings = {**SETTINGS, **(settings or {})}
        self.environment = environment
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What a configuration names as its broker."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def version(self) -> str:
        """What the program calls itself."""
        return subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True).stdout.strip()

    def command(self) -> list[str]:
        """Give what runs the server."""
        words = [str(self.program), "--port", str(self.port), "--dir", str(self.folder)]
        return [*words, *[word for name, value in self.settings.items() for word in (f"--{name}", value)]]

    def start(self, seconds: float = 60.0) -> None:
        """Start it on the data that is there, and wait until it answers and has loaded them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env=self.environment, start_new_session=True
            )
        deadline = time.monotonic() + seconds
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.folder / "server.log").read_text()[-2000:])
            time.sleep(0.02)

    def answers(self) -> bool:
        """Tell whether it answers and has loaded its data."""
        try:
            return bool(self.call("PING"))
        except redis.RedisError:
            return False

    def call(self, *words: Any) -> Any:
        """Send one command on a connection of its own."""
        with contextlib.closing(redis.Redis(port=self.port, socket_timeout=30)) as client:
            return client.execute_command(*words)

    def kill(self) -> None:
        """End it by SIGKILL, without a last word."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def empty(self) -> None:
        """Delete its data; it must not run."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
