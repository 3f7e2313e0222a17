"""Collect files from a folder; archives are opened, half-written files wait."""

from ._folder import FileParams, Folder

__all__ = ["File", "FileParams"]


class File(Folder):
    """Make a report of each file in a folder, and of each file in an archive.

    A file is known by path, size and time of its last change: it is collected once, and again if it changes. Names that
    begin with a dot or end in `.tmp` or `.part` are left alone; links are followed only if they stay in the folder.
    """
