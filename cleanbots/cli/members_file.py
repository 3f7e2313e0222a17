"""What the commands around members share: the file that is meant, and what is compiled of it."""

from pathlib import Path
from typing import Any

import click
import orjson

from ..clearinghouse.members import CheckedMembers, Registry
from ..clearinghouse.members import check as check_members
from ..errors import ConfigError
from .common import F


def file_option(function: F) -> F:
    """Add ``--file FILE``."""
    return click.option(
        "--file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The file of the members, instead of the one that the configuration names.",
    )(function)


def members_file(config: Path, file: Path | None) -> Path:
    """Give the file of the members: as said, or as the configuration says."""
    if file is not None:
        return file
    from ..config.source import load

    if not config.is_file():
        raise ConfigError(f"{config}: no such file; name the configuration by --config, or the members by --file")
    source = load(config)
    named = source.value.get("members")
    if not isinstance(named, str) or not named:
        raise ConfigError(f"{config}: has no 'members:'; add the file of the members, or name it by --file")
    return source.base / Path(named).expanduser()


def compiled_folder(config: Path) -> Path | None:
    """Give where this host keeps the compiled members, or None without a configuration."""
    from .installation import state_folder

    return state_folder(config) / "members" if config.is_file() else None


def without_mistakes(checked: CheckedMembers) -> CheckedMembers:
    """Give what was checked; mistakes are printed and raised."""
    if checked.findings:
        for finding in checked.findings:
            click.echo(str(finding), err=True)
        raise ConfigError(f"{checked.source.file} has mistakes; 'cleanbots members check' lists them")
    return checked


def registry_of(checked: CheckedMembers) -> Registry:
    """Compile what was checked."""
    from ..clearinghouse.members.table import Table

    return Registry(Table(checked.data))


def registry_in(path: Path) -> Registry:
    """Check and compile a file."""
    return registry_of(without_mistakes(check_members(path)))


def as_text(value: Any) -> str:
    """Give JSON to be printed."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
