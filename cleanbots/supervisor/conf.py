"""supervisord's configuration file, written from the list of programs."""

import os
import re
import shlex
import stat
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from ..errors import ConfigError
from .programs import Program

# sun_path has 108 bytes on Linux and 104 on BSD; supervisord binds to "<path>.<pid>" first
_MAX_SOCKET = 92
# supervisord's reader takes " ;" and " #" for the start of a comment, and a value ends with its line
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f]|\s[;#]|^\s|\s$")


class Paths:
    """Where supervision keeps its files, all below the graph's state folder.

    Args:
        state: the state folder.
    """

    def __init__(self, state: Path) -> None:
        self.folder = state / "supervisor"
        self.logs = state / "logs"
        self.conf = self.folder / "supervisord.conf"
        self.programs = self.folder / "programs.json"
        self.lock = self.folder / "lock"
        self.pid = self.folder / "supervisord.pid"
        self.host = self.folder / "host"
        self.snapshots = self.folder / "snapshots"

    @property
    def socket(self) -> Path:
        """The control socket: in the state folder, or in a private temporary folder if that lies too deep."""
        path = self.folder / "supervisor.sock"
        if len(os.fsencode(path)) <= _MAX_SOCKET:
            return path
        name = blake2b(os.fsencode(path), digest_size=8).hexdigest()
        # not the TMPDIR of the environment, as later commands must find the same place; `make` refuses a stranger's
        return Path(f"/tmp/cleanbots-{os.getuid()}-{name}/supervisor.sock")  # noqa: S108

    def make(self) -> None:
        """Make the folders, for the own user alone.

        Raises:
            ConfigError: if the socket's folder belongs to somebody else.
        """
        self.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in {self.folder, self.socket.parent}:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
                raise ConfigError(f"{folder}: must be a folder of user {os.getuid()}, as it holds the control socket")
            folder.chmod(0o700)


def render(programs: Sequence[Program], paths: Paths, identifier: str) -> str:
    """Give the text of supervisord's configuration file.

    Raises:
        ConfigError: if a path or an argument can't be written in this format.
    """
    sections = [
        _section("unix_http_server", {"file": paths.socket, "chmod": "0700"}),
        _section(
            "supervisord",
            {
                "identifier": identifier,
                "logfile": paths.logs / "supervisord.log",
                "logfile_maxbytes": "5MB",
                "logfile_backups": 3,
                "pidfile": paths.pid,
                "umask": "077",
                "childlogdir": paths.logs,
                "nocleanup": "true",
                "directory": paths.folder,
                # said on purpose, or supervisord complains; without privileges it must not be said
                **({"user": "root"} if os.getuid() == 0 else {}),
            },
        ),
        # the one control interface, and only on the socket above
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n",
        *(_program(program, paths) for program in programs),
    ]
    return "\n".join(sections)


def _program(program: Program, paths: Paths) -> str:
    return _section(
        f"program:{program.name}",
        {
            "command": command(program.argv),
            "directory": program.directory,
            "priority": 1 if program.first else 100,
            "autostart": "true",
            "autorestart": "true",
            "startsecs": 0,
            "stopwaitsecs": program.stop_seconds,
            "stopasgroup": "true",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": paths.logs / f"{program.name}.log",
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": 5,
        },
    )


def command(argv: Sequence[str]) -> str:
    """Give *argv* as supervisord reads a command: `shlex` takes it apart again, no shell is involved."""
    # two quotes before a comment sign mean nothing to shlex and keep the blank away from it
    return re.sub(r"(\s)([;#])", r"\1''\2", shlex.join(argv))


def _section(name: str, values: dict[str, object]) -> str:
    lines = [f"{key} = {_value(key, str(value))}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _value(key: str, text: str) -> str:
    if _UNWRITABLE.search(text):
        raise ConfigError(
            f"{key} {text!r}: supervisord can't be told this; use a path without control characters,"
            " and without a blank before ';' or '#'"
        )
    return text.replace("%", "%%")
