"""Mail into a Maildir: whole files only, and each message once however often it comes."""

import os
from hashlib import blake2b
from pathlib import Path

from cleanbots.errors import Retry
from cleanbots.message import Message, Outcome

_FOLDERS = ("tmp", "new", "cur")


class Maildir:
    """A folder with ``tmp``, ``new`` and ``cur``; made if it isn't there.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> None:
        """Make the folders that are missing.

        Raises:
            Retry: if that can't be done.
        """
        try:
            for name in _FOLDERS:
                (self._path / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Retry(f"the Maildir {self._path} can't be made: {error.strerror}") from error

    def close(self) -> None:
        """Nothing is kept open."""

    def probe(self) -> None:
        """See whether files can be made in it.

        Raises:
            Retry: if not.
        """
        self.open()
        if not all(os.access(self._path / name, os.W_OK | os.X_OK) for name in _FOLDERS):
            raise Retry(f"nothing can be written into the Maildir {self._path}; check its owner and mode")

    def give(self, message: Message) -> Outcome:
        """Write the message's bytes, unless they are there, also if a reader has moved or marked them."""
        # The name is made of what tells messages apart, so that a repeat after a crash finds the first one.
        digest = blake2b(f"{message.id}\0{message.recipient}".encode(errors="replace"), digest_size=20).hexdigest()
        name = f"{digest}.cleanbots"
        try:
            if (self._path / "new" / name).exists() or any((self._path / "cur").glob(f"{name}*")):
                return Outcome(verdict="accepted", answer=f"{name} was there already")
            self._write(name, message.data)
        except OSError as error:
            return Outcome(verdict="later", answer=f"the Maildir {self._path} can't be written: {error.strerror}")
        return Outcome(verdict="accepted", answer=name)

    def _write(self, name: str, data: bytes) -> None:
        draft = self._path / "tmp" / name
        with open(draft, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new = self._path / "new"
        draft.replace(new / name)
        folder = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
