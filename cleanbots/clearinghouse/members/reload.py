"""The file of the members as workers see it: looked at once a second, compiled once for all, changed over with care.

A folder of the state directory holds one compiled table for each version in use, and ``current.json``, which says which
one that is. Whoever first sees that the file has changed checks and compiles it under a lock; the others map the table.
A file with mistakes changes nothing. A change that touches many members or much address space waits until an operator
has confirmed it by ``cleanbots members check --yes``.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from ...clock import Clock, SystemClock
from ...errors import CleanbotsError, Retry
from .check import CheckedMembers, check
from .diff import objections, touched
from .registry import Registry
from .table import Table, write

CHECK_EVERY = 1.0
"""Seconds between two looks at the file."""

_FRESH = 2 * 10**9
"""Nanoseconds: a file changed so short a time ago may change again without its time showing it."""

_log = logging.getLogger(__name__)

Signature = list[tuple[str, int, int, int]]


class State(msgspec.Struct):
    """What ``current.json`` says.

    Args:
        version: in use on this host, or "".
        refused: a version that waits to be confirmed, or "".
        why: it must be.
        mistakes: of the file as it was last looked at, if it has some.
        examined: the files' signatures when they were last looked at.
    """

    version: str = ""
    refused: str = ""
    why: list[str] = []
    mistakes: list[str] = []
    examined: Signature = []


class RegistryFile:
    """Gives the registry in use, however the file changes.

    Args:
        file: ``members.yaml``.
        folder: for compiled tables, shared by all workers of a host; None: a temporary one.
        clock: tells when to look again.
    """

    def __init__(self, file: Path, folder: Path | None = None, clock: Clock | None = None) -> None:
        self.file = file
        self._clock = clock or SystemClock()
        self._temporary = TemporaryDirectory(prefix="cleanbots-members-") if folder is None else None
        self.folder = Path(self._temporary.name) if self._temporary is not None else folder or Path()
        self._registry: Registry | None = None
        self._seen: tuple[Signature, Signature] = ([], [])
        self._state = State()
        self._next_look = 0.0

    def get(self) -> Registry:
        """Give the registry in use; at most once a second it is looked whether there is a newer one.

        Raises:
            Retry: if there is none yet, because the file has mistakes or can't be read.
        """
        now = self._clock.monotonic()
        if self._registry is None or now >= self._next_look:
            self._next_look = now + CHECK_EVERY
            self._look()
        if self._registry is None:
            mistakes = "\n".join(self._state.mistakes[:20])
            raise Retry(f"no members: {self.file} has mistakes; mend them and the work goes on\n{mistakes}")
        return self._registry

    def confirm(self) -> tuple[Registry | None, CheckedMembers]:
        """Take the file as it is now into use, whatever it changes; give what was in use before, and what was found."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder):
            before = self._opened(_read(self.folder).version)
            checked = check(self.file, formats=None, channels=None)
            if not checked.findings:
                self._put(checked)
                _write(self.folder, State(version=checked.version, examined=self._examined(checked.watch)))
                self._tidy({checked.version})
        return before, checked

    def close(self) -> None:
        """Let go of the temporary folder, if there is one."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def _look(self) -> None:
        watched = [path for path, *_ in self._state.examined] or [str(self.file)]
        seen = _signature([str(self.folder / "current.json")]), _signature(watched)
        if seen == self._seen and self._registry is not None and self._state.examined:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder, wait=self._registry is None):
                self._state = self._refreshed(_read(self.folder))
                self._use(self._state.version)
        except BlockingIOError:
            return  # another process compiles; what is in use serves until the next look
        except OSError as error:
            if self._registry is None:
                raise Retry(f"{self.folder}: {error.strerror}; the compiled members are kept there") from error
            _log.warning("%s: %s; the members read before stay in use", self.folder, error.strerror)
            return
        self._seen = _signature([str(self.folder / "current.json")]), self._state.examined

    def _refreshed(self, state: State) -> State:
        """Look at the file if it is not the one that was looked at, and say what is in use from now on."""
        examined = state.examined
        if examined and examined == _signature([path for path, *_ in examined]) and self._known(state):
            return state
        checked = check(self.file, formats=None, channels=None)
        found = State(state.version, state.refused, state.why, [], self._examined(checked.watch))
        if checked.findings:
            found.mistakes = [str(finding) for finding in checked.findings]
            if found.mistakes != state.mistakes:
                mistakes = "\n".join(found.mistakes[:20])
                _log.error("%s has %d mistakes and is not used\n%s", self.file, len(found.mistakes), mistakes)
        elif checked.version == state.version:
            found.refused, found.why = "", []
            self._put(checked)
        else:
            self._change_over(found, state, checked)
        _write(self.folder, found)
        self._tidy({found.version, found.refused})
        return found

    def _change_over(self, found: State, state: State, checked: CheckedMembers) -> None:
        """Take a new version into use, or keep it back until it is confirmed."""
        old = self._opened(state.version)
        new = Table(checked.data)
        why = objections(old.table, new, self._clock.now().toordinal()) if old is not None else []
        self._put(checked)
        if not why:
            found.version, found.refused, found.why = checked.version, "", []
            changes = touched(old.table, new) if old is not None else {}
            _log.info("members: version %s is in use; %d members changed", checked.version, len(changes))
            return
        found.refused, found.why = checked.version, why
        if state.refused != checked.version:
            reasons = "; ".join(why[:10])
            _log.warning(
                "members: version %s stays in use. The change to %s must be confirmed by "
                "'cleanbots members check --yes': %s",
                state.version,
                checked.version,
                reasons,
            )

    def _known(self, state: State) -> bool:
        """Tell whether the version in use can be read; a damaged table is removed, to be made anew."""
        if not state.version or (self._registry is not None and self._registry.version == state.version):
            return True
        self._registry = self._opened(state.version) or self._registry
        found = self._registry is not None and self._registry.version == state.version
        if not found:
            self._path(state.version).unlink(missing_ok=True)
        return found

    def _use(self, version: str) -> None:
        if version and (self._registry is None or self._registry.version != version):
            self._registry = self._opened(version) or self._registry

    def _opened(self, version: str) -> Registry | None:
        if not version:
            return None
        try:
            return Registry(Table.open(self._path(version)), self._clock)
        except (CleanbotsError, OSError) as error:
            _log.warning("%s: %s; it is compiled anew", self._path(version), error)
            return None

    def _put(self, checked: CheckedMembers) -> None:
        if not self._path(checked.version).is_file():
            write(self._path(checked.version), checked.data)

    def _path(self, version: str) -> Path:
        return self.folder / f"{version}.table"

    def _tidy(self, keep: set[str]) -> None:
        """Remove tables of versions that are not in use; whoever still has one mapped keeps it."""
        for path in self.folder.glob("*.table"):
            if path.stem not in keep:
                path.unlink(missing_ok=True)

    def _examined(self, watch: list[str]) -> Signature:
        """Give the signature of the files; none if one is so fresh that it must be looked at again."""
        found = _signature(watch)
        now = self._clock.now().timestamp() * 10**9
        # A time that lies ahead (another host's clock) is not fresh: the next change will have another one.
        return [] if any(abs(now - changed) < _FRESH for _, _, changed, _ in found) else found


def current(folder: Path) -> State:
    """Tell which version is in use on this host, and which one waits to be confirmed."""
    return _read(folder)


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _read(folder: Path) -> State:
    try:
        return msgspec.json.decode((folder / "current.json").read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return State()


def _write(folder: Path, state: State) -> None:
    data = msgspec.json.encode(state)
    path = folder / "current.json"
    if not path.is_file() or path.read_bytes() != data:
        write(path, data)


def _signature(paths: list[str]) -> Signature:
    found: Signature = []
    for path in paths:
        try:
            status = Path(path).stat()
            found.append((path, status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError:
            found.append((path, 0, 0, 0))
    return found
