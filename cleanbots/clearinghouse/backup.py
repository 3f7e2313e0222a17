"""A backup of what deliveries rest on, made while everything runs, and its way back.

It is a tar file: ``backup.json`` (what it is), ``store.db`` (the store, if that is a file), ``snapshot.json`` (the
configuration as it runs) and ``config/`` (the configuration and the members as written). Secrets are not in it, only
their references; addresses of people are, so only its owner can read it. Queues are not in it: what their sources still
have is collected again, and what the store knows is recognised by its id.
"""

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from ..clock import Clock, iso
from ..config import snapshot
from ..config.model import Settings
from ..config.source import load
from ..errors import CleanbotsError
from . import settings as sections
from .store import open_store

_ABOUT, _STORE, _SNAPSHOT = "backup.json", "store.db", "snapshot.json"
_LONGEST_ABOUT = 64 * 1024


class About(msgspec.Struct, frozen=True):
    """What a backup is.

    Args:
        name: the graph's.
        made: when.
        snapshot: hash of the configuration that ran.
        store: ``file``, ``server`` (its data are not in the backup), or "" if there was none yet.
        queues: which data lay on the queue server, as the state folder knows it; "" if it knows none.
    """

    name: str
    made: str
    snapshot: str = ""
    store: str = ""
    queues: str = ""


def back_up(settings: Settings, to: Path, clock: Clock) -> About:
    """Write a backup; whatever is at *to* is replaced once it is whole and on the disk.

    Raises:
        CleanbotsError: if it can't be written.
    """
    try:
        with TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as folder:
            draft = Path(folder) / to.name
            about = _write(settings, draft, clock)
            draft.replace(to)
        _sync(to.parent)
    except OSError as error:
        raise CleanbotsError(f"{to}: the backup can't be written: {error.strerror or error}") from error
    return about


def _write(settings: Settings, draft: Path, clock: Clock) -> About:
    address, state = sections.store_address(settings), Path(settings.state)
    kind = "server" if "://" in address else "file" if Path(address).exists() else ""
    queues = state / "epoch"
    about = About(
        name=settings.name,
        made=iso(clock.now()),
        snapshot=settings.hash,
        store=kind,
        queues=queues.read_text("ascii").strip() if queues.exists() else "",
    )
    if kind == "file":
        store = open_store(address, clock, sections.journal_folder(settings))
        try:
            store.back_up(draft.with_name(_STORE))
        finally:
            store.close_connections()
    with open(draft, "wb", opener=_private) as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            _add(archive, _ABOUT, msgspec.json.format(msgspec.json.encode(about), indent=1), clock.now())
            if kind == "file":
                archive.add(draft.with_name(_STORE), _STORE, filter=_ours)
            if (current := snapshot.path(state)) is not None:
                archive.add(current, _SNAPSHOT, filter=_ours)
            for path, name in _written(settings):
                archive.add(path, f"config/{name}", filter=_ours)
        file.flush()
        os.fsync(file.fileno())
    return about


def _written(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Give the files of configuration and members, and where they are below the configuration's folder."""
    base = Path(settings.base)
    for main in filter(None, (settings.source, settings.members)):
        for path in load(Path(main)).files if Path(main).is_file() else ():
            absolute = path.absolute()
            inside = absolute.is_relative_to(base)
            yield absolute, str(absolute.relative_to(base)) if inside else f"elsewhere{absolute}"


def _add(archive: tarfile.TarFile, name: str, data: bytes, now: datetime) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mtime, about.mode = len(data), int(now.timestamp()), 0o600
    archive.addfile(about, BytesIO(data))


def _ours(about: tarfile.TarInfo) -> tarfile.TarInfo:
    about.uid = about.gid = 0
    about.uname = about.gname = ""
    about.mode = 0o600
    return about


class Restored(msgspec.Struct, frozen=True):
    """What became of a restore.

    Args:
        about: the backup.
        caught_up: how many later changes the journal had; None if it can't tell what came later.
        aside: where the file lies that was in the store's place, or None if there was none.
        held: why everything is held, or "".
    """

    about: About
    caught_up: int | None
    aside: Path | None
    held: str


def read(file: Path) -> About:
    """Read what a backup is.

    Raises:
        CleanbotsError: if it is none.
    """
    with _opened(file) as archive:
        found = archive.extractfile(_ABOUT)
        if found is None:
            raise CleanbotsError(f"{file}: this is no backup of cleanbots")
        return msgspec.json.decode(found.read(_LONGEST_ABOUT), type=About)


def restore(settings: Settings, file: Path, clock: Clock, who: str) -> Restored:
    """Put the store of a backup in its place, and let it catch up from its journal; nothing may run meanwhile.

    What was in its place is kept beside it. If it is interrupted, it can be said again.

    Raises:
        CleanbotsError: if there is no store in the backup, it is another graph's, or it can't be written.
    """
    about, address = read(file), sections.store_address(settings)
    if about.name != settings.name:
        raise CleanbotsError(f"{file}: a backup of {about.name}, and this is {settings.name}")
    if about.store != "file" or "://" in address:
        raise CleanbotsError(
            f"{file}: the store is on a server, so it is not in the backup. Restore its dump by pg_restore, then "
            "'cleanbots deliveries reconcile'"
        )
    place = Path(address)
    aside = place.with_name(f"{place.name}.before-{clock.now():%Y%m%dT%H%M%SZ}")
    try:
        put_aside = _exchange(file, place, aside)
    except OSError as error:
        raise CleanbotsError(f"{place}: can't be restored: {error.strerror or error}") from error
    store = open_store(address, clock, sections.journal_folder(settings))
    try:
        known = store.missing() is not None
        caught_up = store.adopt(who) if known else None
        return Restored(about, caught_up, aside if put_aside else None, store.check() or "")
    finally:
        store.close_connections()


def _exchange(file: Path, place: Path, aside: Path) -> bool:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = place.with_name(f"{place.name}.restored")
    with (
        _opened(file) as archive,
        open(draft, "wb", opener=_private) as target,
    ):
        source = archive.extractfile(_STORE)
        if source is None:
            raise CleanbotsError(f"{file}: there is no store in it")
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    was_there = place.exists()
    for ending in ("-shm", "-wal", ""):  # the log goes first: it must never lie beside another file
        if (there := place.with_name(place.name + ending)).exists():
            there.replace(aside.with_name(aside.name + ending))
    draft.replace(place)
    _sync(place.parent)
    return was_there


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, mode="r:") as archive:
            yield archive
    except (tarfile.TarError, KeyError, EOFError, msgspec.DecodeError) as error:
        raise CleanbotsError(f"{file}: this is no whole backup of cleanbots: {error}") from error
    except FileNotFoundError as error:
        raise CleanbotsError(f"{file}: there is no such file") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
