"""A file that grows in memory and becomes a zip once it is too big, without ever being there twice."""

import zipfile
from datetime import datetime
from io import BytesIO
from typing import IO

from ..model import Attachment

ZIP = "application/zip"
_FIRST_ZIP_YEAR = 1980


class Parcel:
    """The bytes of one attachment, taken in piece by piece.

    Args:
        name: the file's name.
        content_type: of the file; a zip has its own.
        limit: bytes above which the file is sent as ``<name>.zip``.
        moment: canonical time that the zip says its file is of, so that the same rows give the same bytes.
    """

    def __init__(self, name: str, content_type: str, limit: int, moment: str) -> None:
        self.name = name
        self.content_type = content_type
        self._limit = limit
        self._moment = moment
        self._plain = BytesIO()
        self._zip: Zip | None = None
        self._file: IO[bytes] | None = None

    def write(self, data: bytes | bytearray) -> None:
        """Take in the next bytes."""
        if self._file is not None:
            self._file.write(data)
            return
        self._plain.write(data)
        if self._plain.tell() > self._limit:
            self._zip = Zip(self._moment)
            self._file = self._zip.file(self.name)
            self._file.write(self._plain.getbuffer())
            self._plain = BytesIO()

    def attachment(self, rows: int, unexpressed: int = 0) -> Attachment:
        """Close the file and give it."""
        name, content_type, data = self.name, self.content_type, self._plain.getvalue()
        if self._zip is not None and self._file is not None:
            self._file.close()
            name, content_type, data = f"{name}.zip", ZIP, self._zip.done()
        return Attachment(name=name, content_type=content_type, data=data, rows=rows, unexpressed=unexpressed)


class Zip:
    """A zip archive whose bytes depend on its files and *moment* (canonical time) only."""

    def __init__(self, moment: str) -> None:
        when = datetime.fromisoformat(moment)
        self._when = (max(when.year, _FIRST_ZIP_YEAR), when.month, when.day, when.hour, when.minute, when.second)
        self._bytes = BytesIO()
        self._archive = zipfile.ZipFile(self._bytes, "w", zipfile.ZIP_DEFLATED)

    def file(self, name: str) -> IO[bytes]:
        """Open a further file in it; the one before must be closed."""
        about = zipfile.ZipInfo(name, self._when)
        about.compress_type = zipfile.ZIP_DEFLATED
        about.external_attr = 0o644 << 16
        return self._archive.open(about, "w", force_zip64=True)

    def done(self) -> bytes:
        """Close it and give its bytes."""
        self._archive.close()
        return self._bytes.getvalue()
