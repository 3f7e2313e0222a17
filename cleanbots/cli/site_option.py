"""What the commands for developers share: which site folders they look into, too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..plugins import Registry, discover

F = TypeVar("F", bound=Callable[..., Any])


def site_option(function: F) -> F:
    """Add ``--site FOLDER`` (repeatable) as the argument ``site``."""
    return click.option(
        "--site",
        multiple=True,
        type=click.Path(path_type=Path, file_okay=False),
        help="A site folder with further bots; may be given again.",
    )(function)


def registry_from(site: tuple[Path, ...]) -> Registry:
    """Discover all plugins, say on stderr what is wrong with any, and install what they add."""
    registry = discover(site)
    for problem in registry.problems:
        click.echo(f"warning: {problem}", err=True)
    registry.install()
    return registry
