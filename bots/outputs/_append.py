"""Append to files so that no line is torn or doubled, even if the process is killed at any moment.

Before a step writes, a journal beside the files says how long each file was and what will be added. The step's number
is committed together with the work. Whoever comes next compares: steps that were not committed are cut off again. So a
kill between writing and committing leaves lines only until the next step, which writes them anew.
"""

import errno
import fcntl
import logging
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from cleanbots import Retry

_COMPACT_ABOVE = 4 * 2**20
_BLOCK = 65536
_LONGEST_ATTEMPT = 600.0
"""Seconds that a slice takes at most, also item by item. Steps unknown to the state over a longer time mean that the
queue server was restored from an old copy: those are never taken back."""

_log = logging.getLogger(__name__)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

_REMEDIES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "raise the quota or make room",
    errno.EMFILE: "lower 'max_open', or let processes open more files (LimitNOFILE)",
    errno.ENFILE: "let this machine open more files (fs.file-max)",
    errno.EACCES: "let this user write there",
    errno.EPERM: "let this user write there",
    errno.EROFS: "mount the file system writable",
    errno.ELOOP: "a symbolic link is not followed here; remove it",
    errno.ENOTDIR: "a file or symbolic link stands where a folder is needed; remove it",
    errno.EISDIR: "a folder stands where the file is needed; remove it",
}


class Step(msgspec.Struct, frozen=True):
    """One append to some files.

    Args:
        number: rises from step to step.
        previous: the number that was committed or staged before it; None if none was.
        at: when (seconds since 1970).
        first: the id of the first event that it appends.
        files: relative path to inode, size before, and how many bytes were to be added at most.
    """

    number: int
    previous: int | None
    at: float
    first: str
    files: dict[str, tuple[int, int, int]]


class Appender:
    """Appends to files below a folder, in steps that can be taken back.

    Args:
        root: the folder; it and folders below are made as needed.
        name: of the bot; two of the same name can't work in the same folder at the same time.
        max_open: how many files are kept open.
        sync: whether a step is on the disk itself before it counts as done; else it survives a kill of the process, but
            perhaps not a loss of power.
    """

    def __init__(self, root: Path, name: str, max_open: int, *, sync: bool) -> None:
        self._root = root
        self._name = name
        self._max_open = max_open
        self._sync = sync
        self._root_fd = self._lock_fd = self._journal_fd = -1
        self._files: OrderedDict[str, int] = OrderedDict()
        self._steps: list[Step] = []
        self._last = 0

    def open(self) -> None:
        """Take the folder and read the journal.

        Raises:
            Retry: if the folder can't be used now, for example as another process works there under the same name.
        """
        try:
            with self._complaining(self._root):
                self._root.mkdir(parents=True, exist_ok=True)
                self._root_fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                self._lock_fd = os.open(f".{self._name}.lock", _FILE, 0o600, dir_fd=self._root_fd)
            self._lock()
            with self._complaining(self._root):
                self._journal_fd = os.open(self._journal, _FILE, 0o600, dir_fd=self._root_fd)
            self._read_journal()
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sentence = f"{self._root}: another process writes there for {self._name}; stop it, or wait for it"
            raise Retry(sentence) from None

    def close(self) -> None:
        """Close everything; may be called twice."""
        for descriptor in (*self._files.values(), self._journal_fd, self._lock_fd, self._root_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._files.clear()
        self._root_fd = self._lock_fd = self._journal_fd = -1

    def append(
        self, committed: int | None, pieces: Mapping[str, bytes], header: bytes, *, at: float, first: str
    ) -> int:
        """Append each piece to its file, in one step.

        Args:
            committed: the number of the last step that was committed (or is staged with the work at hand), if any;
                steps after it are taken back first.
            pieces: relative path to whole lines.
            header: what a new file begins with.
            at: what time it is (seconds since 1970).
            first: the id of the first event in the pieces.

        Returns:
            the number to commit with the work.

        Raises:
            Retry: if the files can't be written now; nothing of this step is left in them.
        """
        self._take_back(committed, first)
        targets: dict[str, tuple[int, int, int]] = {}
        for path, piece in pieces.items():
            with self._complaining(self._root / path):
                status = os.fstat(self._file(path))
            length = len(piece) + (0 if status.st_size else len(header))
            targets[path] = (status.st_ino, status.st_size, length)
        self._last += 1
        step = Step(self._last, committed, at, first, targets)
        self._note(step)
        self._steps.append(step)
        try:
            for path, piece in pieces.items():
                with self._complaining(self._root / path), self._locked(path) as file:
                    _write(file, piece if os.fstat(file).st_size else header + piece)
                    if self._sync:
                        os.fsync(file)
        except BaseException:
            self._undo([step])
            self._steps.pop()
            raise
        return step.number

    def _take_back(self, committed: int | None, first: str) -> None:
        """Cut off what steps after *committed* wrote; a number that no step knows of leaves everything as it is.

        Where nothing was ever committed, the very first batch is cut off only if it is this one again: the state may as
        well be a new one, and the files another's.
        """
        if not self._steps or self._steps[-1].number == committed:
            return
        position = next((n for n, step in enumerate(self._steps) if step.previous == committed), 0)
        undone = self._steps[position:]
        known = undone[0].previous == committed and (committed is not None or undone[0].first == first)
        if known and undone[-1].at - undone[0].at <= _LONGEST_ATTEMPT:
            self._undo(undone)
        else:
            position = 0
            _log.warning(
                "%s: the state of %s is not that of its files (step %s instead of %s); nothing is cut off, some lines "
                "may be there twice",
                self._root,
                self._name,
                committed,
                self._steps[-1].number,
            )
        del self._steps[position:]

    def _undo(self, steps: Iterable[Step]) -> None:
        extents: dict[str, tuple[int, int, int]] = {}
        for step in steps:
            for path, (inode, before, length) in step.files.items():
                _, start, total = extents.get(path, (inode, before, 0))
                extents[path] = inode, start, total + length
        for path, (inode, start, total) in extents.items():
            if not (self._root / path).exists():
                continue
            with self._complaining(self._root / path), self._locked(path) as file:
                status = os.fstat(file)
                # Anything else means that somebody rotated the file or wrote to it: theirs is not cut.
                if status.st_ino == inode and start < status.st_size <= start + total:
                    os.ftruncate(file, start)

    # the journal

    @property
    def _journal(self) -> str:
        return f".{self._name}.journal"

    def _read_journal(self) -> None:
        self._steps = []
        for line in _content(self._journal_fd).splitlines():
            with suppress(msgspec.DecodeError):  # torn: its step wrote nothing yet
                step = msgspec.json.decode(line, type=Step)
                while self._steps and self._steps[-1].number != step.previous:
                    self._steps.pop()
                self._steps.append(step)
                self._last = max(self._last, step.number)

    def _note(self, step: Step) -> None:
        with self._complaining(self._root / self._journal):
            if os.fstat(self._journal_fd).st_size > _COMPACT_ABOVE:
                self._compact()
            # The line break comes first, as the line before may be torn.
            _write(self._journal_fd, b"\n" + msgspec.json.encode(step))
            if self._sync:
                os.fsync(self._journal_fd)

    def _compact(self) -> None:
        """Keep the later half of the steps, in a journal that replaces the old one at once."""
        del self._steps[: len(self._steps) // 2]
        new = f"{self._journal}.new"
        with suppress(FileNotFoundError):
            os.unlink(new, dir_fd=self._root_fd)
        file = os.open(new, _FILE, 0o600, dir_fd=self._root_fd)
        _write(file, b"\n".join(map(msgspec.json.encode, self._steps)))
        os.fsync(file)
        os.rename(new, self._journal, src_dir_fd=self._root_fd, dst_dir_fd=self._root_fd)
        os.close(self._journal_fd)
        self._journal_fd = file

    # the files

    def _file(self, path: str) -> int:
        """Give the open file at *path*; one that was renamed or deleted meanwhile is opened anew."""
        file = self._files.pop(path, -1)
        if file >= 0 and not self._is_still(path, file):
            os.close(file)
            file = -1
        if file < 0:
            while len(self._files) >= self._max_open:
                os.close(self._files.popitem(last=False)[1])
            file = self._open_below(path)
        self._files[path] = file
        return file

    def _is_still(self, path: str, file: int) -> bool:
        try:
            status = os.stat(path, dir_fd=self._root_fd, follow_symlinks=False)
        except OSError:
            return False
        own = os.fstat(file)
        return (status.st_ino, status.st_dev) == (own.st_ino, own.st_dev)

    def _open_below(self, path: str) -> int:
        """Open a file without following a symbolic link on the way; a torn last line is cut off."""
        *folders, name = path.split("/")
        parent = os.dup(self._root_fd)
        try:
            for folder in folders:
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o750, dir_fd=parent)
                inner = os.open(folder, _FOLDER, dir_fd=parent)
                os.close(parent)
                parent = inner
            file = os.open(name, _FILE, 0o640, dir_fd=parent)
        finally:
            os.close(parent)
        fcntl.flock(file, fcntl.LOCK_EX)
        _cut_torn_line(file)
        fcntl.flock(file, fcntl.LOCK_UN)
        return file

    @contextmanager
    def _locked(self, path: str) -> Iterator[int]:
        file = self._file(path)
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield file
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    @contextmanager
    def _complaining(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0, "the work waits until it can be written")
            raise Retry(f"{path}: {error.strerror}; {remedy}") from error


def _write(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def _content(file: int) -> bytes:
    size = os.fstat(file).st_size
    return b"".join(os.pread(file, _BLOCK, start) for start in range(0, size, _BLOCK))


def _cut_torn_line(file: int) -> None:
    end = os.fstat(file).st_size
    position = end
    while position:
        start = max(0, position - _BLOCK)
        newline = os.pread(file, position - start, start).rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position < end:
        os.ftruncate(file, position)
