"""Where the data files are that ship with cleanbots: in a checkout at its top level, in a wheel under ``_data``."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_path(*parts: str) -> Path:
    """Give the path of a shipped data file, for example ``data_path("harmonization", "events.json")``.

    Raises:
        FileNotFoundError: if the installation lacks it.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise FileNotFoundError(f"{'/'.join(parts)}: not part of this installation; reinstall cleanbots")
