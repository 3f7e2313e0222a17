"""Put a worker together: snapshot, plugins, broker, bots and what they are lent."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from ..bot import Bot
from ..broker import connect
from ..broker.protocol import Broker, Limit
from ..clock import Clock, SystemClock, iso
from ..config.model import BotSettings, Settings
from ..config.values import looked_up, resolve, resolve_text, secrets
from ..context import Context, Recorder
from ..errors import ConfigError
from ..harmonization import extend, harmonise
from ..plugins import Registry, discover
from ..services.logs import bot_logger
from ..services.worker import BotServices, Lender

if TYPE_CHECKING:
    from ..clearinghouse.members import RegistryFile


def load_settings(snapshot: Path) -> Settings:
    """Read a snapshot.

    Raises:
        ConfigError: if it can't be read or is none.
    """
    try:
        return msgspec.json.decode(snapshot.read_bytes(), type=Settings)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{snapshot}: can't be read as a snapshot: {error}") from error


class Assembly:
    """What the processes of a graph have in common, made from a snapshot.

    Args:
        settings: the snapshot.
        clock: what time it is.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.state = Path(settings.state)
        self.base = Path(settings.base)
        self.registry: Registry = discover([Path(folder) for folder in settings.plugins])
        self.registry.install()
        extend(settings.catalogue)
        self._registry: RegistryFile | None = None

    def broker(self) -> Broker:
        """Connect to the graph's server."""
        address = resolve_text(self.settings.broker, self.base)
        return connect(address, self.settings.name, self.state)

    def lender(self, broker: Broker) -> Lender:
        """Give what a process lends to its bots."""
        return Lender(broker, self._recorder, self._members)

    def _members(self) -> "RegistryFile":
        """Give the members; all bots of a process share them."""
        from ..clearinghouse.members import RegistryFile

        if self.settings.members is None:
            raise ConfigError("the members are not known: add 'members: members.yaml' at the top")
        if self._registry is None:
            self._registry = RegistryFile(Path(self.settings.members), self.state / "members", self.clock)
        return self._registry

    def _recorder(self) -> Recorder:
        """Open the store and the members; only a worker of ``output/members`` needs them."""
        from ..clearinghouse.recorder import Recorder as StoreRecorder
        from ..clearinghouse.settings import journal_folder, store_address
        from ..clearinghouse.store import open_store

        members = self._members()
        store = open_store(store_address(self.settings), self.clock, journal_folder(self.settings))
        return StoreRecorder(store, members.get, self.clock)

    def bot(self, bot: str, lender: Lender, cursor: str | None = None) -> Bot[Any]:
        """Make the bot *bot* with its parameters and its context.

        Raises:
            PluginError: if its class can't be loaded.
            ConfigError: if its parameters don't fit.
        """
        settings = self.settings.bots[bot]
        cls = self.registry.load(settings.use)
        try:
            params = resolve(settings.params, cls.params_type(), self.base)
        except ConfigError as error:
            raise ConfigError(f"{settings.line}: {bot}: {error}") from error
        context = Context(
            bot=bot,
            log=bot_logger(bot),
            clock=self.clock,
            base=self.base,
            data=self.state / "data",
            cursor=cursor,
            services=BotServices(lender, bot),
        )
        made: Bot[Any] = cls(params, context)
        return made

    def secrets(self, bots: Iterable[str]) -> set[str]:
        """Give the values of the secrets that *bots* and the broker's address hold, so that no log shows them."""
        found = set()
        for bot in bots:
            settings = self.settings.bots[bot]
            struct = self.registry.load(settings.use).params_type()
            resolved, _ = looked_up(settings.params, struct, self.base)
            found |= set(secrets(resolved, struct).values())
        address = resolve_text(self.settings.broker, self.base)
        return found | {password} if (password := urlsplit(address).password) else found

    def limits(self, bots: Mapping[str, Any]) -> dict[str, Limit]:
        """Give the limits of the queues of *bots*."""
        settings = self.settings.bots
        return {bot: Limit(settings[bot].limit.events, settings[bot].limit.bytes) for bot in bots}

    def failed_limits(self, bots: Mapping[str, Any]) -> dict[str, Limit]:
        """Give the limits of the failed queues of *bots*."""
        settings = self.settings.bots
        return {bot: Limit(settings[bot].failed_limit.events, settings[bot].failed_limit.bytes) for bot in bots}


def report_fields(settings: BotSettings, clock: Clock) -> dict[str, Any]:
    """Give what every event of a collector's reports starts with: ``feed.*``, ``tlp``, ``time.observation``."""
    feed = msgspec.to_builtins(settings.feed)
    names = ("provider", "name", "code", "url", "documentation", "accuracy", "contact", "disclose", "share_raw")
    fields = {f"feed.{name}": harmonise(f"feed.{name}", feed[name]) for name in names if feed.get(name) is not None}
    if feed.get("tlp") is not None:
        fields["tlp"] = harmonise("tlp", feed["tlp"])
    fields["time.observation"] = iso(clock.now().replace(microsecond=0))
    return fields
