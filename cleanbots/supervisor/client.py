"""supervisord's XML-RPC over its unix socket."""

import socket
import xmlrpc.client  # speaks to our own supervisord only, on a socket that nobody else can open
from collections.abc import Callable, Iterable
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from ..errors import CleanbotsError

_TIMEOUT = 10.0
_SHUTTING_DOWN = 6
State = Literal["stopped", "starting", "running", "backoff", "stopping", "exited", "fatal", "unknown"]


class SupervisorError(CleanbotsError):
    """supervisord is not there, or can't do what it was asked for."""


class _AwayError(SupervisorError):
    """Nobody answers on the control socket."""


class Process(msgspec.Struct, frozen=True):
    """What supervisord knows of one program.

    Args:
        name: the program's name.
        state: as supervisord calls it, in lower case.
        pid: 0 if it does not run.
        started: seconds since the epoch, 0 if never.
        stopped: when it ended the last time, likewise.
        now: supervisord's time.
        error: why it could not be started, or "".
    """

    name: str
    state: State
    pid: int
    started: int
    stopped: int
    now: int
    error: str

    @property
    def uptime(self) -> int:
        """Seconds since it started; 0 if it does not run."""
        return max(0, self.now - self.started) if self.state == "running" else 0

    @property
    def over(self) -> bool:
        """Whether no process is left of it."""
        return self.state in ("stopped", "exited", "fatal", "backoff")


class _Connection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(_TIMEOUT)
            sock.connect(str(self._path))
        except OSError:
            sock.close()
            raise
        self.sock = sock


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> HTTPConnection:
        if self._connection[1] is None:
            self._connection = host, _Connection(self._path)
        return cast("HTTPConnection", self._connection[1])


class Client:
    """The calls that are needed, with names and errors of ours.

    Args:
        path: supervisord's socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(path))

    def close(self) -> None:
        """Close the connection."""
        self._server("close")()

    def running(self) -> bool:
        """Tell whether supervisord answers and is not on its way out.

        Raises:
            SupervisorError: if something answers that is no supervisord.
        """
        try:
            state: Any = self._call(self._server.supervisor.getState)
        except _AwayError:
            return False
        except SupervisorError as error:
            if isinstance(error.__cause__, xmlrpc.client.Fault) and error.__cause__.faultCode == _SHUTTING_DOWN:
                return False
            raise
        return bool(state["statecode"] == 1)

    def pid(self) -> int:
        """Give supervisord's process id."""
        return int(self._call(self._server.supervisor.getPID))

    def processes(self) -> list[Process]:
        """Give all programs that supervisord holds, by name."""
        found: Any = self._call(self._server.supervisor.getAllProcessInfo)
        return [
            Process(
                name=info["name"],
                state=info["statename"].lower(),
                pid=info["pid"],
                started=info["start"],
                stopped=info["stop"],
                now=info["now"],
                error=info["spawnerr"],
            )
            for info in found
        ]

    def reread(self) -> tuple[list[str], list[str], list[str]]:
        """Have the configuration file read again; give the programs that are new, that differ and that are gone."""
        ((added, changed, removed),) = self._call(self._server.supervisor.reloadConfig)
        return added, changed, removed

    def start(self, names: Iterable[str]) -> None:
        """Start programs, without waiting."""
        self._each("supervisor.startProcess", [[name, False] for name in names])

    def stop(self, names: Iterable[str]) -> None:
        """Ask programs to stop, all at once, without waiting."""
        self._each("supervisor.stopProcess", [[name, False] for name in names])

    def add(self, names: Iterable[str]) -> None:
        """Take programs of the configuration file in, which starts them."""
        self._each("supervisor.addProcessGroup", [[name] for name in names])

    def remove(self, names: Iterable[str]) -> None:
        """Forget programs that have stopped."""
        self._each("supervisor.removeProcessGroup", [[name] for name in names])

    def shutdown(self) -> None:
        """End supervisord."""
        self._call(self._server.supervisor.shutdown)

    def _each(self, method: str, arguments: list[list[Any]]) -> None:
        # system.multicall itself: xmlrpc.client.MultiCall can't read supervisord's answer
        if not arguments:
            return
        calls = [{"methodName": method, "params": params} for params in arguments]
        answers: Any = self._call(self._server.system.multicall, calls)
        faults = [
            f"{params[0]}: {answer['faultString']}"
            for params, answer in zip(arguments, answers, strict=True)
            if isinstance(answer, dict) and not answer["faultString"].startswith(_HARMLESS)
        ]
        if faults:
            raise SupervisorError(f"supervisord refused: {'; '.join(faults)}")

    def _call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return method(*arguments)
        except xmlrpc.client.Fault as error:
            raise SupervisorError(f"supervisord refused: {error.faultString}") from error
        except (ConnectionError, FileNotFoundError) as error:
            raise _AwayError(f"{self._path}: no supervisord answers") from error
        except (OSError, HTTPException, xmlrpc.client.Error) as error:
            raise SupervisorError(f"{self._path}: supervisord can't be asked: {error}") from error


# somebody else (or the program itself) was quicker, and the wish is fulfilled
_HARMLESS = ("ALREADY_STARTED", "NOT_RUNNING", "ALREADY_ADDED")
