"""Collect files from a folder as soon as they are there."""

from collections.abc import Iterator
from typing import ClassVar

from cleanbots import Report
from cleanbots.services.watch import ARRIVED, Watch

from ._folder import Folder


class Watched(Folder):
    """Make a report of each file in a folder, as `collector/file` does, within milliseconds of its arrival.

    It keeps a process, which the kernel tells of files that were closed after writing or moved in; a file in a folder
    below, or on a network file system, is found within a second. Use `settle: 0s` only where files are moved into the
    folder whole, under a name that is not left alone.
    """

    continuous: ClassVar[bool] = True

    def open(self) -> None:
        """Watch the folder."""
        super().open()
        self._watch = Watch(self._root()[0], events=ARRIVED)

    def close(self) -> None:
        """Watch no more."""
        self._watch.close()
        super().close()

    def collect(self) -> Iterator[Report | None]:
        """Yield a report for each file that is there, then None, and so on."""
        while True:
            yield from (report for report in super().collect() if report is not None)
            yield None

    def wait(self, seconds: float) -> None:
        """Wait until a file has come."""
        self._watch.wait(seconds)
