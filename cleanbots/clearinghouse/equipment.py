"""Put together what couriers and commands work with: the store, the members, the renderer, a courier."""

import secrets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ..bot import Courier
from ..broker import connect
from ..broker.protocol import FEEDS
from ..clock import Clock, SystemClock
from ..config.feeds import expecting
from ..config.model import Settings
from ..config.values import lookup, resolve, resolve_text
from ..context import Context
from ..errors import CleanbotsError, ConfigError
from ..message import Message, Outcome
from ..plugins import Registry as Plugins
from ..services.logs import bot_logger
from . import settings as sections
from .crew import Team
from .feeds import Feeds
from .formats import load as load_format
from .kit import Kit, Members, no_feeds
from .mail import render_mail
from .members import RegistryFile
from .model import Feed
from .rendering import Format, Renderer
from .store import open_store
from .store.protocol import Store
from .webhook import render_webhook

_ENVELOPE_KEY = "envelope-key"


class Equipment:
    """What the processes and commands around deliveries have in common, made from a snapshot when first asked for.

    Args:
        settings: the snapshot.
        plugins: where formats and couriers come from.
        clock: what time it is.
    """

    def __init__(self, settings: Settings, plugins: Plugins, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.base = Path(settings.base)
        self.hub = sections.hub(settings)
        self._plugins = plugins
        self._formats: dict[str, Format] = {}
        self._feeds: Feeds | None = None
        self._store: Store | None = None
        self._members: RegistryFile | None = None

    @property
    def store(self) -> Store:
        """The store."""
        if self._store is None:
            self._store = open_store(
                sections.store_address(self.settings), self.clock, sections.journal_folder(self.settings)
            )
        return self._store

    @property
    def members(self) -> Callable[[], Members]:
        """Gives the registry in use.

        Raises:
            ConfigError: if the configuration names no members.
        """
        if self._members is None:
            if self.settings.members is None:
                raise ConfigError(f"{self.settings.source}: no members, so nobody is told; add 'members: members.yaml'")
            folder = Path(self.settings.state) / "members"
            self._members = RegistryFile(Path(self.settings.members), folder, self.clock)
        return self._members.get

    @property
    def renderer(self) -> Renderer:
        """Renders digests."""
        mail = partial(render_mail, seal=sections.seal(self.settings, self.clock), key=self._envelope_key())
        return Renderer(self._format, mail, render_webhook)

    @property
    def kit(self) -> Kit:
        """What whoever works on deliveries needs."""
        return Kit(
            store=self.store,
            hub=self.hub,
            members=self.members,
            renderer=self.renderer,
            config_version=self.settings.hash,
            feeds=self.feeds,
            channels=frozenset(self.settings.delivery.couriers),
        )

    @property
    def feeds(self) -> Callable[[datetime], tuple[Feed, ...]]:
        """Gives the health of the feeds of which something is expected."""
        if not expecting(self.settings):
            return no_feeds
        if self._feeds is None:
            self._feeds = Feeds(self.settings, self.store, self._last_reports)
        return self._feeds

    def _last_reports(self) -> dict[str, str]:
        """Ask the graph's server when each collector last had a report."""
        settings = self.settings
        broker = connect(resolve_text(settings.broker, self.base), settings.name, Path(settings.state))
        try:
            return {name: last.decode() for name, last in broker.state(FEEDS).items()}
        finally:
            broker.close()

    def courier(self, channel: str) -> Courier[Any]:
        """Make the courier of a channel.

        Raises:
            ConfigError: if the configuration has no such channel, or its parameters don't fit.
            PluginError: if its class can't be loaded.
        """
        couriers = self.settings.delivery.couriers
        if channel not in couriers:
            known = ", ".join(sorted(couriers)) or "none"
            raise ConfigError(f"{self.settings.source}: delivery.couriers has no {channel!r}; it has {known}")
        cls = self._plugins.load(f"output/{channel}")
        if not issubclass(cls, Courier):
            raise ConfigError(f"{self.settings.source}: output/{channel} takes events, so it is no courier")
        try:
            params = resolve(couriers[channel], cls.params_type(), self.base)
        except ConfigError as error:
            raise ConfigError(f"{self.settings.source}: delivery.couriers.{channel}: {error}") from error
        data = Path(self.settings.state) / "data"
        made: Courier[Any] = cls(params, Context(channel, bot_logger(channel), self.clock, self.base, data))
        return made

    def hire(self, channel: str) -> "Trusted":
        """Make a courier of a channel, ready to work.

        Raises:
            CleanbotsError: as `courier`, or if it can't get ready.
        """
        courier = self.courier(channel)
        courier.open()
        return Trusted(courier, self.base)

    def crew(self, channel: str) -> Team:
        """Make the couriers of a channel that work beside each other; raises as `hire`."""
        return Team(partial(self.hire, channel))

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close_connections()
            self._store = None

    def _envelope_key(self) -> bytes:
        """Give the secret by which bounces are told from forgeries; it is the store's own."""
        if not (known := self.store.flag(_ENVELOPE_KEY)):
            known = self.store.flag(_ENVELOPE_KEY, secrets.token_hex(16))
        return bytes.fromhex(known)

    def _format(self, name: str) -> Format:
        if name not in self._formats:
            self._formats[name] = load_format(self._plugins, name)
        return self._formats[name]


class Trusted:
    """A courier that gets the secrets of webhooks in place of their references, at the last moment.

    Args:
        courier: hands messages over.
        base: the folder that references start at.
    """

    def __init__(self, courier: Courier[Any], base: Path) -> None:
        self._courier = courier
        self._base = base

    @property
    def at_once(self) -> int:
        """How many such couriers may be at work beside each other."""
        return self._courier.at_once

    def close(self) -> None:
        """Let the courier go."""
        self._courier.close()

    def give(self, message: Message) -> Outcome:
        """Hand a message over; one whose secret is missing waits."""
        try:
            found = tuple(lookup(reference, self._base) for reference in message.secrets)
        except CleanbotsError as error:
            return Outcome(verdict="later", answer=f"a signing secret can't be had: {error}")
        return self._courier.give(msgspec.structs.replace(message, secrets=found))
