"""What the operators' commands share: from a configuration file to the state folder, the snapshot and the server."""

import platform
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import click

from ..broker import connect
from ..broker.protocol import Broker
from ..config import snapshot
from ..config.model import Settings
from ..config.source import load
from ..config.values import resolve_text
from ..errors import ConfigError
from ..supervisor import Supervisor


def state_folder(config: Path) -> Path:
    """Give the state folder that a configuration names, however broken the rest of it is.

    Raises:
        ConfigError: if there is no such file.
    """
    if not config.is_file():
        raise ConfigError(f"{config}: no such file; name the configuration by --config")
    source = load(config)
    state = source.value.get("state")
    return source.base / Path(state if isinstance(state, str) and state else "state").expanduser()


def compiled(config: Path) -> Settings:
    """Check and compile a configuration; its mistakes are printed, and the command ends with exit code 1."""
    from ..config.check import check

    checked = check(config)
    if checked.settings is None:
        for finding in checked.findings:
            click.echo(str(finding), err=True)
        number = len(checked.findings)
        click.echo(f"{number} mistake{'s' if number > 1 else ''}: nothing was changed", err=True)
        raise click.exceptions.Exit(1)
    return checked.settings


def broker_of(settings: Settings, *, start: bool = False) -> Broker:
    """Connect to a graph's queue server; *start* starts a private one that does not run, until it is closed again."""
    address = resolve_text(settings.broker, Path(settings.base))
    return connect(address, settings.name, Path(settings.state), start=start)


class Installation:
    """A graph on this host, as it runs or ran last; a context manager that closes its connections.

    Args:
        config: the configuration file; only the place of the state folder is taken from it, if a snapshot is there.
    """

    def __init__(self, config: Path) -> None:
        self.config = config
        self.state = state_folder(config)

    def __enter__(self) -> Self:
        """Begin to use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        for name in ("broker", "supervisor"):
            if name in self.__dict__:
                getattr(self, name).close()

    @cached_property
    def settings(self) -> Settings:
        """The snapshot that runs or ran last; if there is none yet, what the configuration says now."""
        return snapshot.load(self.state) or compiled(self.config)

    @cached_property
    def broker(self) -> Broker:
        """The graph's queue server; a private one is started for the time being if it does not run."""
        return broker_of(self.settings, start=True)

    @cached_property
    def supervisor(self) -> Supervisor:
        """The graph's supervisord on this host."""
        return Supervisor(self.state, lambda sentence: click.echo(sentence, err=True))

    def host(self, settings: Settings, said: str | None = None) -> str:
        """Tell which of the configuration's hosts this is: as said, as remembered, by the machine's name, or the only one.

        Raises:
            ConfigError: if that is not clear, or is not in the configuration.
        """
        host = said or self._remembered()
        if host is None:
            own = {platform.node(), platform.node().partition(".")[0]}
            known = [name for name in settings.hosts if name in own] or settings.hosts
            if len(known) > 1:
                raise ConfigError(f"this could be any of the hosts {', '.join(known)}: say which by --host")
            host = known[0]
        if host not in settings.hosts:
            raise ConfigError(f"host {host!r}: not in this configuration; its hosts are {', '.join(settings.hosts)}")
        return host

    def remember_host(self, host: str) -> None:
        """Keep which host this is, so that later commands know it."""
        self.supervisor.paths.make()
        self.supervisor.paths.host.write_text(host)

    def _remembered(self) -> str | None:
        try:
            return self.supervisor.paths.host.read_text().strip() or None
        except FileNotFoundError:
            return None
