"""The certificates that TLS connections are judged by: the system's, and those of an authority that a site adds."""

import ssl
from pathlib import Path

from ..errors import CleanbotsError


def trust(ca: str | Path | None = None) -> ssl.SSLContext:
    """Make a context that verifies certificates and names.

    Args:
        ca: a file of further trusted certificates (PEM).

    Raises:
        CleanbotsError: if *ca* can't be read.
    """
    context = ssl.create_default_context()
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except OSError as error:
            raise CleanbotsError(f"{ca}: no certificates can be read from it ({error.strerror or error})") from error
    return context
