"""Compile a configuration: defaults filled in, units converted, bots in topological order, groups made to workers."""

import hashlib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec

from ..bot import DEFAULT, Bot, Collector
from ..params import seconds, size
from .model import (
    ArchiveSettings,
    BotSettings,
    DeliverySettings,
    ErrorPolicy,
    FeedSettings,
    LimitSettings,
    Settings,
    WorkerSettings,
)
from .shape import BotEntry, ConfigFile, FeedEntry
from .source import Source

Classes = Mapping[str, type[Bot[Any]]]
_INNER = frozenset({"parser", "expert"})


def compile_source(source: Source, classes: Classes) -> Settings:
    """Compile a configuration that was checked.

    Args:
        source: the configuration as written, free of findings.
        classes: the class of each bot, by the bot's id.
    """
    file = msgspec.convert(_with_defaults(source.value), ConfigFile)
    base = source.base
    order = upstream_first({name: _receivers(entry) for name, entry in file.bots.items()})
    bots = {name: _bot(source, name, file.bots[name], classes[name]) for name in order}
    settings = Settings(
        name=file.name,
        base=str(base),
        state=_below(base, file.state),
        broker=file.broker,
        hosts=file.hosts,
        bots=bots,
        workers=_workers(file, bots, classes),
        lease=seconds(file.lease),
        memory=size(file.memory),
        archive=_archive(file),
        catalogue=file.fields,
        plugins=[_below(base, folder) for folder in file.plugins],
        members=None if file.members is None else _below(base, file.members),
        delivery=_delivery(source, file),
        source=str(source.file.absolute()),
    )
    return msgspec.structs.replace(settings, hash=content_hash(settings))


def content_hash(settings: Settings) -> str:
    """Give the hash of what the settings say: 80 bits in hex; moved lines and comments don't change it."""
    plain: dict[str, Any] = _said(msgspec.structs.replace(settings, hash="", source=""))
    for bot in plain.get("bots", {}).values():
        bot.pop("line", None)
    return hashlib.blake2b(msgspec.json.encode(plain, order="sorted"), digest_size=10).hexdigest()


def _said(value: Any) -> Any:
    """Give what differs from its default, so that a setting which a later version adds changes no older hash."""
    if isinstance(value, msgspec.Struct):
        said = ((field, getattr(value, field.name)) for field in msgspec.structs.fields(value))
        return {field.name: _said(each) for field, each in said if each != field.default}
    if isinstance(value, dict):
        return {key: _said(each) for key, each in value.items()}
    return value


def upstream_first(receivers: Mapping[str, list[str]]) -> list[str]:
    """Give the names in topological order; of those that may come next, the one written first.

    Raises:
        ValueError: if there is a cycle.
    """
    waiting = dict.fromkeys(receivers, 0)
    for targets in receivers.values():
        for target in targets:
            waiting[target] += 1
    ready = [name for name, count in waiting.items() if not count]
    order: list[str] = []
    while ready:
        name = ready.pop(0)
        order.append(name)
        for target in receivers[name]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    if len(order) < len(receivers):
        raise ValueError(f"there is a cycle among {', '.join(sorted(set(receivers) - set(order)))}")
    return order


def groups(
    kinds: Mapping[str, str],
    receivers: Mapping[str, list[str]],
    alone: frozenset[str],
    hosts: Mapping[str, str],
    first: str = "",
) -> dict[str, list[str]]:
    """Give the bots that each worker hosts, by the name of its first.

    A parser or expert joins the worker of its predecessor if that is its only one and a parser or expert too, if
    neither must stand alone, and if it isn't placed on another host. So a worker's bots form a tree. An output joins on the
    same terms, if nothing else leaves that worker: a stuck output then holds up what waits for itself alone.

    Args:
        kinds: bot to kind, upstream first.
        receivers: bot to the bots that it sends to.
        alone: bots that get a worker of their own.
        hosts: bots that are placed on purpose, and on which host.
        first: the host of those that are not.
    """
    senders: dict[str, list[str]] = {name: [] for name in kinds}
    for name, targets in receivers.items():
        for target in targets:
            senders[target].append(name)
    head: dict[str, str] = {}
    found: dict[str, list[str]] = {}

    def join(name: str) -> str | None:
        before = senders[name][0] if len(senders[name]) == 1 else None
        if before is None or kinds[before] not in _INNER or not alone.isdisjoint((name, before)):
            return None
        return head[before] if name not in hosts or hosts[name] == hosts.get(head[before], first) else None

    for name, kind in kinds.items():
        head[name] = (join(name) if kind in _INNER else None) or name
        found.setdefault(head[name], []).append(name)
    for name in [name for name, kind in kinds.items() if kind == "output"]:
        worker = join(name)
        if worker and {target for bot in found[worker] for target in receivers[bot]} - set(found[worker]) == {name}:
            found[worker] += found.pop(name)
    return found


def _workers(file: ConfigFile, bots: Mapping[str, BotSettings], classes: Classes) -> dict[str, WorkerSettings]:
    entries = file.bots
    alone = frozenset(name for name in bots if entries[name].isolate or classes[name].isolate or _many(entries[name]))
    placed = {name: host for name in bots if (host := entries[name].host) is not None}
    kinds = {name: bot.kind for name, bot in bots.items()}
    receivers = {name: _receivers(entries[name]) for name in bots}
    return {
        name: WorkerSettings(
            name=name,
            bots=members,
            hosts=_hosts(entries[name], file.hosts[0]),
            scheduled=bots[name].kind == "collector" and not bots[name].continuous,
        )
        for name, members in groups(kinds, receivers, alone, placed, file.hosts[0]).items()
    }


def _bot(source: Source, name: str, entry: BotEntry, cls: type[Bot[Any]]) -> BotSettings:
    policy = entry.on_error
    place = source.key_place(("bots", name))
    return BotSettings(
        id=name,
        use=entry.use,
        kind=entry.use.partition("/")[0],
        params=entry.params,
        to=_paths(entry),
        feed=_feed(entry.feed),
        every=None if entry.every is None else seconds(entry.every),
        cron=entry.cron,
        on_error=ErrorPolicy(policy.retries, seconds(policy.delay), seconds(policy.max_delay), policy.then),
        limit=LimitSettings(entry.limit.events, size(entry.limit.bytes)),
        failed_limit=LimitSettings(entry.failed_limit.events, size(entry.failed_limit.bytes)),
        slice=entry.slice,
        time_limit=seconds(entry.time_limit),
        continuous=issubclass(cls, Collector) and cls.continuous,
        line=f"{place.file}:{place.line}",
    )


def _with_defaults(value: Mapping[str, Any]) -> dict[str, Any]:
    """Give the tree with ``defaults:`` filled in below each bot, key by key also one level down."""
    defaults = value.get("defaults", {})
    bots = {name: _merged(defaults, entry) for name, entry in value["bots"].items()}
    return {**value, "bots": bots}


def _merged(defaults: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**defaults, **entry}
    for key, inner in defaults.items():
        if isinstance(inner, dict) and isinstance(entry.get(key), dict):
            merged[key] = {**inner, **entry[key]}
    return merged


def _paths(entry: BotEntry) -> dict[str, list[str]]:
    if isinstance(entry.to, dict):
        return {path: _listed(targets) for path, targets in entry.to.items()}
    targets = _listed(entry.to)
    return {DEFAULT: targets} if targets else {}


def _listed(targets: str | list[str]) -> list[str]:
    return [targets] if isinstance(targets, str) else list(targets)


def _receivers(entry: BotEntry) -> list[str]:
    return list(dict.fromkeys(target for targets in _paths(entry).values() for target in targets))


def _feed(entry: FeedEntry) -> FeedSettings:
    facts = msgspec.structs.asdict(entry)
    # TLP 2.0 renamed it; peers still write the old word.
    return FeedSettings(**{**facts, "tlp": "CLEAR" if entry.tlp == "WHITE" else entry.tlp})


def _many(entry: BotEntry) -> bool:
    return isinstance(entry.instances, dict) or entry.instances > 1


def _hosts(entry: BotEntry, first: str) -> dict[str, int]:
    if isinstance(entry.instances, dict):
        return dict(entry.instances)
    return {entry.host or first: entry.instances}


def _archive(file: ConfigFile) -> ArchiveSettings | None:
    if file.archive is False:
        return None
    if file.archive is True:
        return ArchiveSettings()
    return ArchiveSettings(seconds(file.archive.keep), size(file.archive.max))


def _delivery(source: Source, file: ConfigFile) -> DeliverySettings:
    entry = file.delivery
    return DeliverySettings(
        mode=entry.mode,
        store=_store(source.base, file.state, entry.store),
        host=entry.host or file.hosts[0],
        couriers=entry.couriers,
        written=source.value.get("delivery", {}),
    )


def _store(base: FilePath, state: str, store: str) -> str:
    """Give a URL as it is, and a path below the state folder."""
    return store if "://" in store or store.startswith("file:") else str(base / FilePath(state).expanduser() / store)


def _below(base: FilePath, text: str) -> str:
    return str(base / FilePath(text).expanduser())
