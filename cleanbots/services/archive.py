"""The archive: every report as it was collected, for `explain`, replay after a parser was mended, and evidence.

``<folder>/<day>/<report id>.zst`` is the payload (zstd), ``<report id>.json`` what is known of it. Losing the archive
loses nothing that decides.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import zstandard


@dataclass(frozen=True, slots=True)
class ArchivedReport:
    """A report in the archive.

    Args:
        id: the report's.
        day: ``YYYY-MM-DD`` (UTC) of its collection.
        facts: ``collector``, ``key``, ``name``, ``url``, ``encoding``, ``time``, ``size`` (bytes), ``fields``.
        path: of the payload.
    """

    id: str
    day: str
    facts: dict[str, Any]
    path: Path

    def open(self) -> BinaryIO:
        """Open the payload as it was collected."""
        return cast("BinaryIO", zstandard.open(self.path, "rb"))


class Recording:
    """A payload on its way into the archive; it counts only once `finish` was called.

    Args:
        path: where it will lie, without its ending.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_suffix(".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = zstandard.open(self._part, "wb", cctx=zstandard.ZstdCompressor(level=1))
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add *data* to the payload."""
        self._file.write(data)
        self.size += len(data)

    def finish(self, facts: dict[str, Any]) -> None:
        """Keep the payload, with *facts* beside it."""
        self._file.close()
        self._path.with_suffix(".json").write_bytes(orjson.dumps({**facts, "size": self.size}))
        self._part.rename(self._path.with_suffix(".zst"))

    def abandon(self) -> None:
        """Forget the payload."""
        self._file.close()
        self._part.unlink(missing_ok=True)


class Tee:
    """A binary stream that is recorded while it is read.

    Args:
        stream: read from; closed with this one.
        recording: gets every byte read.
    """

    def __init__(self, stream: BinaryIO, recording: Recording) -> None:
        self._stream = stream
        self._recording = recording

    def read(self, size: int = -1) -> bytes:
        """Read up to *size* bytes."""
        data = self._stream.read(size)
        self._recording.write(data)
        return data

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class Archive:
    """The archive of one graph on one host.

    Args:
        folder: where it lies; made when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self, report: str, now: datetime) -> Recording:
        """Begin to record the payload of *report*, collected *now*."""
        return Recording(self._folder / f"{now:%Y-%m-%d}" / report)

    def find(self, report: str) -> ArchivedReport | None:
        """Find a report by its id; None if it isn't kept (any more)."""
        if not report.isalnum():
            return None
        found = max(self._folder.glob(f"*/{report}.zst"), default=None)
        return None if found is None else self._read(found)

    def reports(self) -> Iterator[ArchivedReport]:
        """Walk through everything that is kept, oldest day first."""
        for path in sorted(self._folder.glob("*/*.zst")):
            yield self._read(path)

    def purge(self, now: datetime, keep: float, most: int) -> int:
        """Remove what is older than *keep* seconds, then the oldest until at most *most* bytes are left.

        Returns:
            how many reports were removed.
        """
        oldest = f"{now - timedelta(seconds=keep):%Y-%m-%d}"
        files = sorted((path.parent.name, path, path.stat().st_size) for path in self._folder.glob("*/*.zst"))
        left = sum(size for _, _, size in files)
        removed = 0
        for day, path, size in files:
            if day >= oldest and left <= most:
                break
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)
            left -= size
            removed += 1
            with suppress(OSError):  # not empty yet
                path.parent.rmdir()
        return removed

    def _read(self, path: Path) -> ArchivedReport:
        facts = orjson.loads(path.with_suffix(".json").read_bytes())
        return ArchivedReport(path.stem, path.parent.name, facts, path)
