"""Ask bots and couriers whether they reach what they need; the only part of a check that connects to anything."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from ..bot import Bot
from ..context import Context, Services
from ..errors import CleanbotsError
from .check import Checked
from .finding import Finding, Path, Place, dotted
from .model import Settings
from .values import resolve


def probe(checked: Checked, services: Services) -> list[Finding]:
    """Call ``probe()`` of each bot and each courier that has it; what it raises is a finding at its place.

    Args:
        checked: a configuration without findings.
        services: what the bots are lent for it.

    Raises:
        ConfigError: if it has findings.
    """
    settings = checked.require()
    findings = []
    for at, bot, params in _asked(checked, settings):
        if not callable(getattr(bot, "probe", None)):
            continue
        try:
            _ask(bot, str(at[-1]), params, settings, services)
        except Exception as error:  # noqa: BLE001  # whatever the world or a plugin does, the other bots are asked too
            reason = str(error) if isinstance(error, CleanbotsError) else f"{type(error).__name__}: {error}"
            place = checked.places.get(at) or Place(settings.source, 1, 1)
            findings.append(
                Finding(*place, f"{dotted(at)}: {reason}", "see whether it is up and may be reached from here")
            )
    return findings


def _asked(checked: Checked, settings: Settings) -> Iterator[tuple[Path, type[Any], dict[str, Any]]]:
    for name, bot in checked.classes.items():
        yield ("bots", name), bot, settings.bots[name].params
    for name, courier in checked.couriers.items():
        yield ("delivery", "couriers", name), courier, settings.delivery.couriers[name]


def _ask(bot: type[Any], name: str, params: dict[str, Any], settings: Settings, services: Services) -> None:
    base = FilePath(settings.base)
    made: Bot[Any] = bot(resolve(params, bot.params_type(), base), Context(bot=name, base=base, services=services))
    made.probe()  # type: ignore[attr-defined]  # optional; asked for above
