"""What collectors of files share: walking through a folder, opening archives, leaving half-written files alone."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Annotated, BinaryIO, Literal

from cleanbots import Collector, Context, Duration, Meta, Params, Report, Retry, Size, seconds, size
from cleanbots.errors import CleanbotsError
from cleanbots.services.unpack import Limits, Member, unpack

_UNFINISHED = (".tmp", ".part")
_MAGIC = frozenset("*?[")


class FileParams(Params):
    """Parameters of collectors of files."""

    path: Annotated[
        str,
        Meta(min_length=1, description="A folder or a file; wildcards (`*`, `?`, `[…]`) may stand for names in it."),
    ]
    pattern: Annotated[str, Meta(min_length=1, description="Which files of the folder, by name: e.g. `*.csv`.")] = "*"
    recursive: Annotated[bool, Meta(description="Whether folders inside of the folder are searched too.")] = False
    after: Annotated[
        Literal["keep", "move", "delete"],
        Meta(description="What happens to a file once it is safely collected; an archive waits for all that it holds."),
    ] = "keep"
    to: Annotated[str, Meta(description="With `after: move`: the folder that collected files are moved to.")] = ""
    settle: Annotated[Duration, Meta(description="How long a file must be unchanged before it is collected.")] = "2s"
    unpack: Annotated[bool, Meta(description="Whether zip and gzip files are opened, told by their content.")] = True
    max_size: Annotated[Size, Meta(description="The most that may come out of one archive.")] = "2GiB"
    max_ratio: Annotated[
        int, Meta(ge=1, description="The most bytes that may come out of an archive for each byte that goes in.")
    ] = 200
    max_members: Annotated[int, Meta(ge=1, description="The most files that one archive may hold.")] = 10_000

    def __post_init__(self) -> None:
        """Check what goes together."""
        if (self.after == "move") != bool(self.to):
            raise ValueError("`to` names the folder for `after: move`; write both or none")
        below = PurePath(self.to).is_relative_to(self.path)
        if self.to and below and (self.recursive or PurePath(self.to) == PurePath(self.path)):
            raise ValueError(f"`to` ({self.to}) is searched for files itself; moved files would be collected again")


@dataclass
class _Source:
    """A file in the folder.

    Args:
        path: where it is.
        facts: its size and the time of its last change (ns) when it was found.
        waiting: keys of the reports made of it that are not done.
        complete: whether all reports were made.
    """

    path: Path
    facts: tuple[int, int]
    waiting: set[str] = field(default_factory=set)
    complete: bool = False

    def open(self) -> BinaryIO:
        """Open the file; raises CleanbotsError if it can't be read or is another one by now."""
        try:
            stream = self.path.open("rb")
        except (PermissionError, FileNotFoundError) as error:
            raise CleanbotsError(f"can't be read: {error.strerror}") from error
        if _facts(os.fstat(stream.fileno())) != self.facts:
            stream.close()
            raise CleanbotsError("was changed while it was collected; it is taken anew next time")
        return stream


class Folder(Collector[FileParams]):
    """Makes reports of the files of a folder."""

    def __init__(self, params: FileParams, context: Context | None = None) -> None:
        super().__init__(params, context)
        self._settle = seconds(params.settle)
        self._limits = Limits(total=size(params.max_size), ratio=params.max_ratio, members=params.max_members)
        self._sources: dict[str, _Source] = {}
        self._unsettled = False

    def collect(self) -> Iterator[Report | None]:
        """Yield a report for each file, by name; None at the end if a file must still settle."""
        self._unsettled = False
        root, patterns = self._root()
        for path, facts in self._files(root, patterns, os.path.realpath(root)):
            source = _Source(path, facts)
            for report in self._reports(source):
                if self.params.after != "keep":
                    source.waiting.add(report.key)
                    self._sources[report.key] = source
                yield report
            source.complete = True
            self._finish(source)
        if self._unsettled:
            yield None

    def done(self, report: Report) -> None:
        """Delete or move a file once all reports made of it are done."""
        source = self._sources.pop(report.key, None)
        if source is not None:
            source.waiting.discard(report.key)
            self._finish(source)

    def _root(self) -> tuple[Path, list[str]]:
        """Give the folder to search, and a pattern for each level below it."""
        path = self.context.path(self.params.path)
        fixed = next((n for n, part in enumerate(path.parts) if _MAGIC & set(part)), len(path.parts))
        root, patterns = Path(*path.parts[:fixed]), list(path.parts[fixed:])
        if patterns:
            return root, patterns if self.params.pattern == "*" else [*patterns, self.params.pattern]
        if root.is_file():
            return root.parent, [_literal(root.name)]
        return root, [self.params.pattern]

    def _files(self, folder: Path, patterns: list[str], inside: str) -> Iterator[tuple[Path, tuple[int, int]]]:
        """Walk through the settled files that the patterns name."""
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            sentence = f"{_text(folder)}: this folder can't be read: {error.strerror}"
            if os.path.realpath(folder) == inside:
                raise Retry(sentence) from error
            self.context.log.warning("%s", sentence)
            return
        for entry in found:
            if entry.name.startswith(".") or entry.name.endswith(_UNFINISHED):
                continue
            if entry.is_dir(follow_symlinks=False):
                if len(patterns) > 1 and fnmatchcase(entry.name, patterns[0]):
                    yield from self._files(Path(entry.path), patterns[1:], inside)
                elif self.params.recursive:
                    yield from self._files(Path(entry.path), patterns, inside)
            elif len(patterns) == 1 and fnmatchcase(entry.name, patterns[0]):
                facts = self._settled(entry, inside)
                if facts is not None:
                    yield Path(entry.path), facts

    def _settled(self, entry: os.DirEntry[str], inside: str) -> tuple[int, int] | None:
        """Give the facts of a file that may be collected now."""
        if entry.is_symlink() and not PurePath(os.path.realpath(entry.path)).is_relative_to(inside):
            self.context.log.warning("%s: a link that leads out of the folder; it is left alone", _text(entry.path))
            return None
        try:
            found = entry.stat()
        except OSError:  # gone, or a link to nothing
            return None
        age = self.context.clock.now().timestamp() - found.st_mtime
        if not stat.S_ISREG(found.st_mode):
            return None
        if abs(age) < self._settle:  # a sender's clock may be ahead for years
            self._unsettled = True
            return None
        return _facts(found)

    def _reports(self, source: _Source) -> Iterator[Report]:
        name = _text(source.path.name)
        members = unpack(source.open, name, self._limits) if self.params.unpack else [Member(name, "", source.open)]
        length, changed = source.facts
        for member in members:
            key = f"file:{_text(source.path)}:{length}:{changed}{member.path}"
            yield Report(key, _opener(source, member), name=_text(member.name))

    def _finish(self, source: _Source) -> None:
        """Delete or move a file if nothing of it is left to do, and if it is still the one that was collected."""
        if self.params.after == "keep" or not source.complete or source.waiting:
            return
        try:
            if _facts(source.path.stat()) != source.facts:
                return
            if self.params.after == "delete":
                source.path.unlink()
            else:
                folder = self.context.path(self.params.to)
                folder.mkdir(parents=True, exist_ok=True)
                _move(source.path, _free(folder / source.path.name))
        except FileNotFoundError:
            return
        except OSError as error:
            self.context.log.warning(
                "%s: is collected, but can't be %sd: %s; mend that, it is tried again next time",
                _text(source.path),
                self.params.after,
                error.strerror,
            )


def _opener(source: _Source, member: Member) -> Callable[[], BinaryIO]:
    where = _text(source.path) + (f": {_text(member.name)}" if member.path else "")

    def opened() -> BinaryIO:
        try:
            return member.open()
        except CleanbotsError as error:
            raise CleanbotsError(f"{where}: {error}") from error

    return opened


def _facts(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _move(path: Path, target: Path) -> None:
    """Move a file, also to another disk: *target* is there as a whole or not at all."""
    try:
        path.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(f".{target.name}.part")
        try:
            shutil.copy2(path, part)
            with part.open("rb") as copied:
                os.fsync(copied.fileno())
            part.rename(target)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        path.unlink()


def _free(path: Path) -> Path:
    """Give a path that nothing is at: *path*, or with a number."""
    number, free = 0, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _literal(name: str) -> str:
    """Give a pattern that matches *name* only."""
    return "".join(f"[{character}]" if character in _MAGIC else character for character in name)


def _text(path: str | PurePath) -> str:
    """Give a name as proper text, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
