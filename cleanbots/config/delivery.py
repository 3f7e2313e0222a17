"""Check how members are told, beyond what the schema says: what must be there before anything may leave."""

from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Any

import msgspec

from ..bot import Bot, Courier
from ..errors import PluginError, SecretMissing
from ..params import seconds
from . import values
from .complain import complain
from .draft import Draft, Registry
from .finding import Path, closest
from .source import Source

_DOOR = ("test", "live")


_RECORDS, _DECIDES = "output/members", "expert/constituency"


def check_delivery(source: Source, registry: Registry, bots: dict[str, Draft]) -> dict[str, type[Bot[Any]]]:
    """Note what is wrong with the section ``delivery:``, with the bots that record, and couriers among the bots.

    Returns:
        the class of each courier whose parameters fit, by its channel.
    """
    _recorders(source, bots)
    for draft in bots.values():
        if draft.bot is not None and issubclass(draft.bot, Courier):
            hint = f"write 'couriers: {{{draft.entry['use'].partition('/')[2]}: …}}' in 'delivery:'"
            source.find(
                (*draft.at, "use"), "a courier takes deliveries, not events, so it is no part of the graph", hint
            )
    entry = source.value.get("delivery", {})
    if not isinstance(entry, dict):
        return {}
    _one_store(source, entry, bots)
    _door(source, entry)
    _times(source, entry)
    _host(source, entry)
    _sign(source, entry)
    couriers = entry.get("couriers")
    found = {}
    for name, params in couriers.items() if isinstance(couriers, dict) else ():
        if isinstance(params, dict) and (courier := _courier(source, registry, name, params)):
            found[name] = courier
    return found


def _recorders(source: Source, bots: dict[str, Draft]) -> None:
    """Whoever records events for members knows the members, and gets only what was matched here."""
    senders: dict[str, list[str]] = {}
    for draft in bots.values():
        for edge in draft.edges:
            senders.setdefault(edge.target, []).append(edge.sender)
    for draft in bots.values():
        use = draft.entry.get("use")
        if use in (_RECORDS, _DECIDES) and "members" not in source.value:
            hint = "add 'members: members.yaml' at the top"
            does = "records for" if use == _RECORDS else "decides about"
            source.find((*draft.at, "use"), f"it {does} members, and the configuration names none", hint)
        if use == _RECORDS and (origin := _unmatched(draft.id, bots, senders)) is not None:
            text = f"events of {origin!r} come here without passing {_DECIDES}, so whom they concern is their sender's word"
            source.find(draft.at, text, f"put {_DECIDES} between them", key=True)


def _unmatched(start: str, bots: dict[str, Draft], senders: dict[str, list[str]]) -> str | None:
    """Give a parser from which a way leads to *start* that does not pass the matching; None if there is none."""
    seen, left = {start}, [start]
    while left:
        for sender in senders.get(left.pop(), ()):
            if sender in seen or sender not in bots or bots[sender].entry.get("use") == _DECIDES:
                continue
            if bots[sender].kind == "parser":
                return sender
            seen.add(sender)
            left.append(sender)
    return None


def _one_store(source: Source, entry: dict[str, Any], bots: dict[str, Draft]) -> None:
    """A store that is a file is written by one host: by those who record, and by the couriers."""
    hosts, store = source.value.get("hosts", ["main"]), entry.get("store", "")
    if not isinstance(hosts, list) or not hosts or not isinstance(store, str) or not _is_file(store, source):
        return
    users = {host for draft in bots.values() if draft.entry.get("use") == _RECORDS for host in _hosts(draft, hosts[0])}
    if entry.get("couriers"):
        users.add(entry.get("host") or hosts[0])
    if len(users) > 1:
        text = f"hosts {', '.join(sorted(map(str, users)))} use the store, and a file can't be shared by hosts"
        at: Path = ("delivery", "store") if "store" in entry else ("delivery",) if "delivery" in source.value else ()
        hint = f"set 'store:' to a postgresql:// URL, or run {_RECORDS} and the couriers on one host"
        source.find(at, text, hint)


def _is_file(store: str, source: Source) -> bool:
    try:
        return "://" not in values.resolve_text(store, source.base)
    except SecretMissing:
        return False  # what it says can't be told here


def _hosts(draft: Draft, first: Any) -> list[Any]:
    instances = draft.entry.get("instances")
    return list(instances) if isinstance(instances, dict) else [draft.entry.get("host") or first]


def _door(source: Source, entry: dict[str, Any]) -> None:
    """Before the door opens, it must be said who sends, to whom, and by what."""
    mode = entry.get("mode")
    if mode not in _DOOR:
        return
    at: Path = ("delivery", "mode")
    if mode == "test" and "test_to" not in entry:
        source.find(at, "mode 'test' needs to know the testers", "add 'test_to:' with their mail address")
    if "from" not in entry:
        source.find(at, f"mode {mode!r} needs to know who sends", "add 'from: {mail: …, name: …}'")
    if not entry.get("couriers"):
        source.find(at, f"mode {mode!r} needs a courier, or nothing ever leaves", "add 'couriers: {mail: {…}}'")
    if "members" not in source.value:
        source.find(at, f"mode {mode!r} needs to know the members", "add 'members: members.yaml' at the top")
    couriers = entry.get("couriers")
    if "operator" in entry and isinstance(couriers, dict) and couriers and "mail" not in couriers:
        text = "the operator is told by mail, and no courier takes mail"
        source.find(("delivery", "operator"), text, "add 'mail: {…}' to 'couriers:', or remove it: the logs tell, too")
    reply_to = entry.get("reply_to")
    if isinstance(reply_to, str) and reply_to.partition("@")[0].replace("-", "").lower() == "noreply":
        source.find(("delivery", "reply_to"), "members answer to this address", "write one that people read")


def _times(source: Source, entry: dict[str, Any]) -> None:
    settle, most = _seconds(entry.get("settle", "15m")), _seconds(entry.get("settle_max", "60m"))
    if settle is not None and most is not None and settle > most:
        at: Path = ("delivery", "settle_max" if "settle_max" in entry else "settle")
        source.find(at, "'settle' is longer than 'settle_max'", "make 'settle_max' the longer of the two")
    archive = entry.get("archive")
    for name, text in archive.items() if isinstance(archive, dict) else ():
        if _seconds(text) == 0:
            source.find(("delivery", "archive", name), f"{text!r} is no time at all", "write a longer time")
    windows = entry.get("blackout")
    for number, window in enumerate(windows if isinstance(windows, list) else ()):
        if isinstance(window, dict):
            _window(source, window, ("delivery", "blackout", number))


def _window(source: Source, window: dict[str, Any], at: Path) -> None:
    moments = []
    for name in ("from", "until"):
        text = window.get(name)
        if not isinstance(text, str):
            return  # the schema's finding says more
        try:
            moments.append(datetime.fromisoformat(text))
        except ValueError:
            source.find((*at, name), f"{text!r} is no time", "write for example 2026-12-24T16:00")
    # A time without an offset is each member's own; for the order, any zone will do.
    known = [moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in moments]
    if len(known) == 2 and known[1] <= known[0]:
        source.find((*at, "until"), "the window ends before it begins", "exchange 'from' and 'until', or correct one")


def _host(source: Source, entry: dict[str, Any]) -> None:
    host, hosts = entry.get("host"), source.value.get("hosts", ["main"])
    if isinstance(host, str) and isinstance(hosts, list) and host not in hosts:
        known = [name for name in hosts if isinstance(name, str)]
        source.find(("delivery", "host"), f"there is no host {host!r}", closest(host, known, "see 'hosts:'"))


def _sign(source: Source, entry: dict[str, Any]) -> None:
    """Mails that are to be signed are held while they can't be, so what is needed is looked for now."""
    sign = entry.get("sign")
    if not isinstance(sign, dict):
        return
    at: Path = ("delivery", "sign")
    key, password = sign.get("key"), sign.get("password")
    if isinstance(key, str) and not (source.base / FilePath(key).expanduser()).is_file():
        source.find((*at, "key"), f"there is no file {key}", "put the hub's secret key there; no mail leaves unsigned")
    if not isinstance(password, str) or not password:
        return
    if not values.is_reference(password):
        source.find((*at, "password"), "a secret in plain text", values.HINT)
        return
    try:
        values.lookup(password, source.base)
    except SecretMissing as error:
        source.find((*at, "password"), str(error), "set it where cleanbots is started, or correct the reference")


def _courier(source: Source, registry: Registry, name: str, params: dict[str, Any]) -> type[Bot[Any]] | None:
    at: Path = ("delivery", "couriers", name)
    use = f"output/{name}"
    if use not in registry.names():
        hint = closest(use, [known for known in registry.names() if known.startswith("output/")])
        hint = hint if hint.startswith("did") else "'cleanbots bots list' shows all"
        source.find(at, f"there is no courier {use!r}", hint, key=True)
        return None
    try:
        bot = registry.load(use)
    except PluginError as error:
        source.find(at, str(error), "mend the plugin that it comes from", key=True)
        return None
    if not issubclass(bot, Courier):
        source.find(at, f"{use!r} takes events, so it is no courier", "make it a bot of the graph", key=True)
        return None
    struct = bot.params_type()
    fits = complain(source, struct, params, at)
    for path, text in values.secrets(params, struct).items():
        if not values.is_reference(text):
            source.find((*at, *path), "a secret in plain text", values.HINT)
    resolved, missing = values.looked_up(params, struct, source.base)
    for path, reason in missing.items():
        source.find((*at, *path), reason, "set it where cleanbots is started, or correct the reference")
    if not fits:
        return None
    try:
        msgspec.convert(params if missing else resolved, struct)
    except msgspec.ValidationError as error:
        source.find(at, str(error).partition(" - at `")[0], f"see 'cleanbots bots describe {use}'")
        return None
    return bot


def _seconds(text: Any) -> float | None:
    try:
        return seconds(text) if isinstance(text, str) else None
    except ValueError:
        return None
