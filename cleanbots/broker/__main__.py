"""``python -m cleanbots.broker FOLDER``: run the private queue server of a state directory in the foreground."""

import sys
from pathlib import Path

from ..errors import BrokerRefused
from .embedded import EmbeddedServer

if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m cleanbots.broker FOLDER")
    try:
        EmbeddedServer(Path(sys.argv[1])).exec()
    except BrokerRefused as error:
        raise SystemExit(str(error)) from error
