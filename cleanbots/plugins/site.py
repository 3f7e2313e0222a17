"""Site folders: bots of an installation's own, in a folder that only it can write to."""

import grp
import hashlib
import os
import pwd
import stat
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from ..errors import PluginError
from .discovery import Ref, bots_in
from .hookspecs import hookimpl


class SitePlugin:
    """Answers for the bots that lie in a site folder's ``<kind>s/``.

    Args:
        package: the private name that the folder was loaded under.
    """

    def __init__(self, package: str) -> None:
        self.package = package

    @hookimpl
    def cleanbots_bots(self) -> Iterable[Ref]:
        """Name every bot of the folder without importing any."""
        return bots_in(self.package)


def site_plugins(folder: Path) -> Iterator[object]:
    """Load a site folder as a package of its own; give its plugins: its bots, and ``plugin.py`` if it has one.

    Raises:
        PluginError: if there is no such folder, or if anybody else can write to it.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise PluginError(f"{folder}: no such folder; 'cleanbots bots new' makes one")
    _refuse_foreign(folder)
    package = _package(folder)
    yield SitePlugin(package)
    if (folder / "plugin.py").is_file():
        yield import_module(f"{package}.plugin")


def _refuse_foreign(folder: Path) -> None:
    """Code is run from here, so nobody but this user and root may be able to put it there."""
    for path in (folder, *folder.rglob("*")):
        if path.suffix != ".py" and not path.is_dir():
            continue
        about = path.stat()
        if about.st_uid not in (0, os.geteuid()):
            raise PluginError(
                f"{path}: belongs to user {about.st_uid}, so its code is not run; 'chown -R {os.geteuid()} {folder}'"
            )
        foreign = stat.S_IWOTH if _is_private(about.st_gid) else stat.S_IWGRP | stat.S_IWOTH
        if about.st_mode & foreign:
            raise PluginError(f"{path}: others can write to it, so its code is not run; 'chmod -R go-w {folder}'")


def _is_private(gid: int) -> bool:
    """Tell whether a group is this user's own, as many systems make one for each user (then with umask 002)."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return group.gr_gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _package(folder: Path) -> str:
    """Import *folder* as a package under a private name that is the same in each process."""
    digest = hashlib.blake2b(os.fsencode(folder), digest_size=6).hexdigest()
    name = f"cleanbots_site_{digest}"
    if name not in sys.modules:
        init = folder / "__init__.py"
        if init.is_file():
            spec = spec_from_file_location(name, init, submodule_search_locations=[str(folder)])
            assert spec is not None and spec.loader is not None  # noqa: S101, PT018  # a .py file has both
            sys.modules[name] = module = module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
        else:
            module = ModuleType(name)
            module.__path__ = [str(folder)]
            sys.modules[name] = module
    return name
