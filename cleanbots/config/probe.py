"""Ask bots whether they reach what they need; the only part of a check that connects to anything."""

from pathlib import Path as FilePath
from typing import Any

from ..bot import Bot, Context
from ..errors import CleanbotsError
from .check import Checked
from .finding import Finding, Place
from .values import resolve


def probe(checked: Checked) -> list[Finding]:
    """Call ``probe()`` of each bot that has it; what it raises is a finding at its bot.

    Args:
        checked: a configuration without findings.

    Raises:
        ConfigError: if it has findings.
    """
    settings = checked.require()
    findings = []
    for name, bot in checked.classes.items():
        if not callable(getattr(bot, "probe", None)):
            continue
        try:
            _ask(bot, name, settings.bots[name].params, FilePath(settings.base))
        except Exception as error:  # noqa: BLE001  # whatever the world or a plugin does, the other bots are asked too
            reason = str(error) if isinstance(error, CleanbotsError) else f"{type(error).__name__}: {error}"
            place = checked.places.get(("bots", name)) or Place(settings.source, 1, 1)
            findings.append(
                Finding(*place, f"bots.{name}: {reason}", "see whether it is up and may be reached from here")
            )
    return findings


def _ask(bot: type[Any], name: str, params: dict[str, Any], base: FilePath) -> None:
    made: Bot[Any] = bot(resolve(params, bot.params_type(), base), Context(bot=name, base=base))
    made.probe()  # type: ignore[attr-defined]  # optional; asked for above
