"""Snapshots: immutable, compiled configurations in the state folder, and which of them is current."""

import os
import re
import tempfile
from pathlib import Path as FilePath

import msgspec

from ..errors import ConfigError
from .graph import content_hash
from .model import Settings

KEEP = 20
_HASH = re.compile(r"[0-9a-f]{20}")
_FOLDER = "snapshots"
_CURRENT = "current"
_PREVIOUS = "previous"


def publish(settings: Settings) -> FilePath:
    """Write the snapshot of *settings* and make it the current one; the one that was becomes the previous.

    The last 20 snapshots are kept. Each step is atomic: whenever it is interrupted, *current* names a whole snapshot.

    Returns:
        the snapshot's file.

    Raises:
        ConfigError: if the state folder can't be written.
    """
    folder = FilePath(settings.state) / _FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"{settings.hash}.json"
        _write(file, msgspec.json.format(msgspec.json.encode(settings), indent=1))
        _point(folder, settings.hash)
        _forget(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: the snapshot can't be written: {error.strerror or error}") from error
    return file


def load(state: FilePath, name: str = _CURRENT) -> Settings | None:
    """Read a snapshot.

    Args:
        state: the state folder.
        name: ``current``, ``previous`` or a hash.

    Returns:
        the settings, or None if there is no such snapshot.

    Raises:
        ConfigError: if it can't be read, or if it isn't what was written.
    """
    folder = FilePath(state) / _FOLDER
    digest = _pointed(folder, name) if name in {_CURRENT, _PREVIOUS} else name
    if digest is None or not _HASH.fullmatch(digest):
        return None
    file = folder / f"{digest}.json"
    try:
        settings = msgspec.json.decode(file.read_bytes(), type=Settings)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{file}: can't be read as a snapshot: {error}; run 'cleanbots reload'") from error
    if content_hash(settings) != digest:
        raise ConfigError(f"{file}: was changed after it was published; run 'cleanbots reload'")
    return settings


def path(state: FilePath, name: str = _CURRENT) -> FilePath | None:
    """Give the file of a snapshot (``current``, ``previous`` or a hash), or None if there is none."""
    folder = FilePath(state) / _FOLDER
    digest = _pointed(folder, name) if name in {_CURRENT, _PREVIOUS} else name
    file = folder / f"{digest}.json"
    return file if digest is not None and _HASH.fullmatch(digest) and file.is_file() else None


def history(state: FilePath) -> list[str]:
    """Give the hashes of the snapshots that are kept, the newest first."""
    folder = FilePath(state) / _FOLDER
    files = [file for file in folder.glob("*.json") if _HASH.fullmatch(file.stem)]
    return [file.stem for file in sorted(files, key=lambda file: (-file.stat().st_mtime_ns, file.name))]


def rollback(state: FilePath) -> Settings:
    """Make the previous snapshot the current one, and the current one the previous.

    Returns:
        the settings that are current now.

    Raises:
        ConfigError: if there is no previous snapshot.
    """
    settings = load(state, _PREVIOUS)
    if settings is None:
        raise ConfigError(f"{state}: there is no previous snapshot to go back to")
    _point(FilePath(state) / _FOLDER, settings.hash)
    return settings


def _point(folder: FilePath, digest: str) -> None:
    current = _pointed(folder, _CURRENT)
    if current == digest:
        return
    # First *previous*: if we die in between, both name the snapshot that still runs.
    if current is not None:
        _write(folder / _PREVIOUS, current.encode())
    _write(folder / _CURRENT, digest.encode())


def _pointed(folder: FilePath, name: str) -> str | None:
    try:
        digest = (folder / name).read_text("ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder / name}: can't be read: {error}") from error
    return digest if _HASH.fullmatch(digest) else None


def _forget(folder: FilePath) -> None:
    wanted = {_pointed(folder, _CURRENT), _pointed(folder, _PREVIOUS)}
    for digest in history(folder.parent)[KEEP:]:
        if digest not in wanted:
            (folder / f"{digest}.json").unlink(missing_ok=True)


def _write(file: FilePath, data: bytes) -> None:
    """Replace *file* by *data* at once and durably; readable by its owner only."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        FilePath(name).replace(file)
    except BaseException:
        FilePath(name).unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
