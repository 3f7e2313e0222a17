"""What the commands for developers share: which site folders they look into, too."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource

from ..bot import Bot
from ..errors import ConfigError, PluginError
from ..plugins import Registry, discover

F = TypeVar("F", bound=Callable[..., Any])


def site_option(function: F) -> F:
    """Add ``--site FOLDER`` (repeatable) and ``-c/--config FILE``: the argument ``site`` is the folders of both."""

    @click.option(
        "--site",
        multiple=True,
        type=click.Path(path_type=Path, file_okay=False),
        help="A site folder with further bots; may be given again.",
    )
    @click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        default=Path("cleanbots.yaml"),
        envvar="CLEANBOTS_CONFIG",
        show_default=True,
        show_envvar=True,
        help="A configuration whose 'plugins:' are site folders, too; the default one need not be there.",
    )
    @wraps(function)
    def called(*args: Any, site: tuple[Path, ...], config: Path, **options: Any) -> Any:
        known = {folder.resolve() for folder in site}
        named = [folder for folder in _configured(config) if folder.resolve() not in known]
        return function(*args, site=(*site, *named), **options)

    return cast("F", called)


def registry_from(site: tuple[Path, ...]) -> Registry:
    """Discover all plugins, say on stderr what is wrong with any, and install what they add."""
    registry = discover(site)
    for problem in registry.problems:
        click.echo(f"warning: {problem}", err=True)
    registry.install()
    return registry


def load_bot(use: str, site: tuple[Path, ...]) -> type[Bot[Any]]:
    """Give the class of a bot, also of one in a site folder.

    Raises:
        PluginError: if there is no such bot, or if it can't be loaded.
    """
    try:
        return registry_from(site).load(use)
    except PluginError as error:
        if site or not str(error).startswith("no bot "):
            raise
        own = "bots of your own need --site FOLDER, or 'plugins:' in cleanbots.yaml"
        raise PluginError(f"{error} ({own})") from error


def _configured(config: Path) -> list[Path]:
    """Give the site folders that a configuration names; whatever else is wrong with it is not looked at here."""
    if not config.is_file():
        given_by = click.get_current_context().get_parameter_source("config")
        if given_by in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            raise ConfigError(f"{config}: no such file")
        return []
    from ..config.source import load

    source = load(config)
    if source.findings:
        click.echo(f"warning: {source.findings[0]}; 'cleanbots check -c {config}' tells all", err=True)
    folders = source.value.get("plugins")
    names = [name for name in folders if isinstance(name, str)] if isinstance(folders, list) else []
    return [config.parent / Path(name).expanduser() for name in names]
