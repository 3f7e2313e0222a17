"""What a delivery format is: it turns a digest into attachments."""

import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from ..model import Attachment, Digest, Finding
from .finding import may_leave
from .parcel import Parcel

_log = logging.getLogger("cleanbots.clearinghouse.formats")


class Format(ABC):
    """A format of attachments; extend it, and name it with the hook ``cleanbots_formats``.

    A format adds nothing to a digest and forgets everything between two calls: the same digest gives the same bytes.

    Attributes:
        name: what a delivery's ``format:`` says; lower case, digits and hyphens.
    """

    name: ClassVar[str]

    @abstractmethod
    def render(self, digest: Digest) -> list[Attachment]:
        """Give the attachments of a digest.

        Each finding is either in the ``rows`` of one of them or *unexpressed*: what a format can't say is left out and
        counted, never bent. A digest without anything to say in this format has no attachment.
        """

    def findings(self, digest: Digest) -> Iterator[Finding]:
        """Walk through the findings in the digest's order, without those whose label forbids this delivery.

        Those were filtered when they were recorded; a format that iterates over this can't undo it. There may be more
        than fit into memory.
        """
        withheld = 0
        for finding in digest.findings:
            if may_leave(digest, finding):
                yield finding
            else:
                withheld += 1
        _tell_withheld(digest, withheld)


class RowFormat(Format):
    """A format that writes one row, or nothing, for each finding into one file.

    Attributes:
        suffix: of the file's name, behind the reference.
        content_type: of the file.
        zips: whether a file that is larger than the delivery allows is sent as a zip.
    """

    suffix: ClassVar[str]
    content_type: ClassVar[str]
    zips: ClassVar[bool] = True

    def render(self, digest: Digest) -> list[Attachment]:
        """Give one file with a row for each finding."""
        limit = digest.delivery.attachment if self.zips else sys.maxsize
        parcel = Parcel(self.file_name(digest), self.content_type, limit, digest.frozen)
        rows = 0
        parcel.write(self.head(digest))
        for row in self.rows(digest, self.findings(digest)):
            if row:
                parcel.write(row)
                rows += 1
        return [parcel.attachment(rows, len(digest.findings) - rows)] if rows else []

    def file_name(self, digest: Digest) -> str:
        """Name the file."""
        return file_name(digest, self.suffix)

    def head(self, digest: Digest) -> bytes:
        """Give what stands before the first row."""
        return b""

    @abstractmethod
    def rows(self, digest: Digest, findings: Iterable[Finding]) -> Iterator[bytes]:
        """Write each finding as a row with its line end; b"" for one that can't be expressed."""


def file_name(digest: Digest, suffix: str) -> str:
    """Name a file by the digest's reference, and by its part if there are several: ``MP-20261120-0042-p2.csv``."""
    part = f"-p{digest.part}" if digest.parts > 1 else ""
    return f"{digest.reference}{part}{suffix}"


def releasable(digest: Digest) -> Sequence[Finding]:
    """Give the findings whose label allows this delivery; whatever else was to leave is a mistake, and is logged."""
    withheld = sum(not may_leave(digest, finding) for finding in digest.findings)
    _tell_withheld(digest, withheld)
    if not withheld:
        return digest.findings
    return tuple(finding for finding in digest.findings if may_leave(digest, finding))


def _tell_withheld(digest: Digest, number: int) -> None:
    if number:
        _log.error(
            "%s: %d finding(s) above the delivery's TLP were to leave and are withheld", digest.reference, number
        )
