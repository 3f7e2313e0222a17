"""Whose fault an error is: the world's (wait and try again) or the item's (it fails, at once, alone)."""

import errno
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import Retry

_WORLD_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS})


def world_at_fault(error: BaseException) -> bool:
    """Tell whether *error* says that the world is at fault: `Retry`, connections, time-outs, a full disk."""
    if isinstance(error, (Retry, ConnectionError, TimeoutError)):
        return True
    if isinstance(error, OSError) and error.errno in _WORLD_ERRNOS:
        return True
    requests = sys.modules.get("requests")  # its errors are the world's, but nobody imports it for asking
    return requests is not None and isinstance(
        error, (requests.exceptions.ConnectionError, requests.exceptions.Timeout)
    )


@contextmanager
def threads_needed() -> Iterator[None]:
    """Let a thread that the system refuses to start be the world's fault, which is waited out, and say so."""
    try:
        yield
    except RuntimeError as error:
        raise Retry(f"{error}: let this user run more processes and threads (LimitNPROC, TasksMax)") from error


class Backoff:
    """How long to wait before the next try: doubled each time, up to a limit.

    Args:
        first: seconds before the first new try.
        most: the longest wait, in seconds.
    """

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._told = ""
        self.tries = 0

    def next(self, asked: float | None = None) -> float:
        """Give the seconds to wait now; *asked* is what the other side asked for."""
        wait = min(self._most, self._first * 2 ** min(self.tries, 30))
        self.tries += 1
        return wait if asked is None else max(asked, self._first)

    def told(self, error: Retry, log: logging.Logger) -> float:
        """Give the seconds to wait because of *error*, and warn of it, but not again and again for the same reason."""
        if str(error) != self._told:
            self._told = str(error)
            log.warning("%s; waiting until that is over", error)
        wait = self.next(error.after)
        log.debug("trying again in %.1f s", wait)
        return wait

    def reset(self) -> None:
        """Start anew after a success."""
        self._told = ""
        self.tries = 0
