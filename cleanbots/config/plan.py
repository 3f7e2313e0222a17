"""What changing over from one snapshot to another would do."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from .model import BotSettings, Settings, WorkerSettings
from .values import MASK, is_reference, redact_url

_OWN = frozenset({"bots", "workers", "hash", "source"})
_WORDS = ("password", "passphrase", "secret", "token", "api_key", "apikey", "credential")


class Change(msgspec.Struct, frozen=True):
    """One value that differs: its dotted name, and what it was and will be (None: not there)."""

    key: str
    old: Any
    new: Any


class Plan(msgspec.Struct, frozen=True):
    """The difference of two snapshots.

    Args:
        general: what differs outside of bots.
        added: bots that are new.
        removed: bots that are gone.
        changed: bots that differ, each with what.
        start: workers that are new.
        stop: workers that are gone.
        restart: workers that differ, or whose bots do.
        left_over: queues of bots that are gone; what lies in them stays until it is cleared or a bot is called so again.
    """

    general: list[Change] = []
    added: list[str] = []
    removed: list[str] = []
    changed: dict[str, list[Change]] = {}
    start: list[str] = []
    stop: list[str] = []
    restart: list[str] = []
    left_over: list[str] = []

    @property
    def empty(self) -> bool:
        """Whether nothing would change."""
        return not any(msgspec.structs.astuple(self))


def diff(old: Settings | None, new: Settings) -> Plan:
    """Compare the snapshot that runs (None: nothing ever ran) with the one to come.

    Values under keys that sound secret are shown only if they are references.
    """
    before: Mapping[str, BotSettings] = old.bots if old else {}
    workers: Mapping[str, WorkerSettings] = old.workers if old else {}
    general = list(_changes(_general(old), _general(new))) if old else []
    changed = {}
    for name, bot in new.bots.items():
        if name in before and (changes := list(_changes(_plain(before[name]), _plain(bot)))):
            changed[name] = changes
    removed = [name for name in before if name not in new.bots]
    return Plan(
        general=general,
        added=[name for name in new.bots if name not in before],
        removed=removed,
        changed=changed,
        start=[name for name in new.workers if name not in workers],
        stop=[name for name in workers if name not in new.workers],
        restart=[
            name
            for name, worker in new.workers.items()
            if name in workers
            and (general or worker != workers[name] or _receives_change(worker, new, before, changed))
        ],
        left_over=[name for name in removed if before[name].kind != "collector"],
    )


def _receives_change(
    worker: WorkerSettings, new: Settings, before: Mapping[str, BotSettings], changed: Mapping[str, Any]
) -> bool:
    """Tell whether a bot of the worker differs, or the limit of a queue that it writes to."""
    for name in worker.bots:
        if name in changed:
            return True
        for targets in new.bots[name].to.values():
            for target in targets:
                if target in before and before[target].limit != new.bots[target].limit:
                    return True
    return False


def _general(settings: Settings) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(settings)
    plain["broker"] = redact_url(settings.broker)
    return {name: value for name, value in plain.items() if name not in _OWN}


def _plain(bot: BotSettings) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(bot)
    del plain["line"]
    return plain


def _changes(old: Any, new: Any, key: str = "") -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _changes(old.get(name), new.get(name), f"{key}.{name}" if key else name)
    elif old != new:
        yield Change(key, _shown(key, old), _shown(key, new))


def _shown(key: str, value: Any) -> Any:
    # A checked configuration holds references only; this is the second line of defence.
    name = key.rpartition(".")[2].lower()
    if isinstance(value, str) and any(word in name for word in _WORDS) and not is_reference(value):
        return MASK
    return redact_url(value) if isinstance(value, str) and "://" in value else value
