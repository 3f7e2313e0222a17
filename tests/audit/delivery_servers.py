"""The outside of the audit of deliveries: a mail server and an endpoint of webhooks that keep what they take.

They misbehave, and some of whom they serve are out of order: mailboxes named ``gone`` refuse everything; endpoints end
in what is wrong with them. They import nothing of the project.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from servers import Mail, Shares, SmtpServer

GONE = "gone@"
_SLOW = 0.05
_LONG = 60.0


class Maildir:
    """A list of mails that only grows, in a folder: a file each, which says who got it and whether the sender knows."""

    def __init__(self, folder: Path) -> None:
        self._number = 0
        for name in ("new", "cur", "tmp"):
            (folder / name).mkdir(parents=True)
        self._new = folder / "new"

    def __len__(self) -> int:
        return self._number

    def append(self, mail: Mail) -> None:
        """Keep a mail that was taken."""
        self._number += 1
        said = f"Delivered-To: {mail.recipient}\r\nX-Told: {'yes' if mail.told else 'no'}\r\n"
        (self._new / f"{self._number:07}").write_bytes(said.encode() + mail.data)


class Mailboxes(SmtpServer):
    """Takes mails for everybody but mailboxes that are gone.

    Args:
        folder: where the mails go.
        shares, seed: how it misbehaves beside that.
    """

    def __init__(self, folder: Path, shares: Shares, seed: int) -> None:
        super().__init__(shares=shares, seed=seed)
        self.accepted = Maildir(folder)  # type: ignore[assignment]  # the part of a list that is needed

    def doomed(self, recipient: str) -> bool:
        """Tell whether *recipient* is refused for good."""
        return recipient.startswith(GONE)


@contextmanager
def endpoints(log: Path, turning: datetime) -> Iterator[int]:
    """Run endpoints that keep what they take, and of ten requests refuse one and forget to answer another; give the port.

    From *turning* on, by the sender's clock, those that end in ``/gone`` want no more, and those in ``/dead`` fail or
    hang; those that end in ``/slow`` take their time.
    """
    lock = threading.Lock()
    turns = turning.timestamp()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            names = ("webhook-id", "webhook-timestamp", "webhook-signature")
            id_, timestamp, signature = (self.headers[name] for name in names)
            fate = sha256(f"{id_} {timestamp}".encode()).digest()[0] % 10
            kind = self.path.rpartition("/")[2] if int(timestamp) >= turns else ""
            if kind == "gone":
                return self._answer(410)
            if kind == "dead" and fate == 0:
                time.sleep(_LONG)
            if kind == "dead" or fate == 0:
                return self._answer(503)
            if self.path.endswith("/slow"):
                time.sleep(_SLOW)
            said: dict[str, Any] = {"path": self.path, "id": id_, "timestamp": timestamp, "signature": signature}
            with lock, log.open("a") as file:
                file.write(json.dumps({**said, "told": fate != 1, "body": body.decode()}) + "\n")
            if fate == 1:
                self.close_connection = True
                return None
            return self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """A client that was killed is no error of ours."""

    log.touch()
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
