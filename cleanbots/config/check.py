"""Check a configuration: every mistake in one run, each with its file, line and column."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import msgspec

from ..bot import Bot
from ..errors import CleanbotsError, ConfigError, InvalidValue, PluginError, SecretMissing, UnknownField
from ..expression import extend as extend_functions
from ..harmonization import extend, harmonise
from ..params import seconds
from . import values
from .complain import complain
from .delivery import check_delivery
from .draft import Draft, Registry, drafts
from .finding import Finding, Path, Place, closest
from .graph import compile_source
from .model import ConfigTest, Settings
from .rules import apply_rules
from .shape import ConfigFile
from .source import Source, load

_FEED_FIELDS = ("provider", "name", "code", "url", "documentation", "accuracy", "contact")
_TIMES = ("every", "time_limit")


@dataclass(frozen=True)
class Checked:
    """What `check` found.

    Args:
        settings: the compiled configuration, or None if there are findings.
        findings: every mistake, sorted by file, line and column.
        tests: the tests that the configuration holds.
        places: where each value stands, by its path, e.g. ``("tests", 0, "expect", "who")``.
        classes: the class of each bot that could be loaded, by the bot's id.
        couriers: the class of each courier that could be loaded, by its channel.
        members: the file of the members, or None if the configuration names none.
        plugins: the site folders with plugins.
        files: every file that was read.
    """

    settings: Settings | None
    findings: list[Finding]
    tests: list[ConfigTest] = field(default_factory=list)
    places: Mapping[Path, Place] = field(default_factory=dict)
    classes: Mapping[str, type[Bot[Any]]] = field(default_factory=dict)
    couriers: Mapping[str, type[Bot[Any]]] = field(default_factory=dict)
    members: FilePath | None = None
    plugins: list[FilePath] = field(default_factory=list)
    files: list[FilePath] = field(default_factory=list)

    def require(self) -> Settings:
        """Give the settings.

        Raises:
            ConfigError: if there are findings; the text lists them all, one a line.
        """
        if self.settings is None:
            lines = "\n".join(str(finding) for finding in self.findings)
            number = len(self.findings)
            raise ConfigError(f"the configuration has {number} mistake{'' if number == 1 else 's'}:\n{lines}")
        return self.settings


def check(file: FilePath, registry: Registry | None = None) -> Checked:
    """Check the configuration in *file* and compile it; nothing is written, nothing is connected to.

    Args:
        file: the main file.
        registry: which bots there are; None: those installed and those of the site folders that the file names.
    """
    source = load(file)
    # A file that can't be read at all has its finding; what would follow from its emptiness is none.
    readable = bool(source.value) or not source.findings
    if registry is None:
        registry = _discovered(source)
    if readable:
        complain(source, ConfigFile, _checkable(source.value), ())
    bots = drafts(source.value)
    couriers: dict[str, type[Bot[Any]]] = {}
    if readable:
        _plugins(source, registry)
        _fields(source, registry)
        _general(source)
        for draft in bots.values():
            _bot(source, draft, registry)
        couriers = check_delivery(source, registry, bots)
        apply_rules(source, bots)
        _tests(source, bots)
    findings = sorted(set(source.findings))
    classes = {name: draft.bot for name, draft in bots.items() if draft.bot is not None}
    return Checked(
        settings=None if findings else compile_source(source, classes),
        findings=findings,
        tests=[] if findings else _config_tests(source),
        places=source.places,
        classes=classes,
        couriers=couriers,
        members=_members(source),
        plugins=_site_folders(source),
        files=source.files,
    )


def _discovered(source: Source) -> Registry:
    from ..plugins import discover

    return discover(_site_folders(source))


def _site_folders(source: Source) -> list[FilePath]:
    folders = source.value.get("plugins")
    names = [name for name in folders if isinstance(name, str)] if isinstance(folders, list) else []
    return [source.base / FilePath(name).expanduser() for name in names]


def _members(source: Source) -> FilePath | None:
    named = source.value.get("members")
    return source.base / FilePath(named).expanduser() if isinstance(named, str) and named else None


def _checkable(value: dict[str, Any]) -> dict[str, Any]:
    """Give the tree without what the schema of the file leaves to others."""
    return {name: inner for name, inner in value.items() if name != "include"}


def _plugins(source: Source, registry: Registry) -> None:
    folders = source.value.get("plugins")
    for problem in registry.problems:
        at: Path = ()
        for number, name in enumerate(folders if isinstance(folders, list) else ()):
            if isinstance(name, str) and str(source.base / FilePath(name).expanduser()) in str(problem):
                at = ("plugins", number)
        source.find(at, str(problem), "mend or uninstall the plugin")


def _general(source: Source) -> None:
    value = source.value
    _positive(source, value.get("lease"), ("lease",))
    broker, hosts = value.get("broker", "embedded"), value.get("hosts")
    if isinstance(broker, str) and broker:
        _broker(source, broker)
        if isinstance(hosts, list) and len(hosts) > 1 and (broker == "embedded" or broker.startswith("unix:")):
            text = f"{len(hosts)} hosts can't share a queue server that one of them keeps to itself"
            source.find(("hosts",), text, "set 'broker:' to a redis:// or rediss:// URL that all of them reach")
    archive, defaults = value.get("archive"), value.get("defaults")
    if isinstance(archive, dict):
        _positive(source, archive.get("keep"), ("archive", "keep"))
    if isinstance(defaults, dict):
        _positive(source, defaults.get("time_limit"), ("defaults", "time_limit"))


def _broker(source: Source, address: str) -> None:
    at: Path = ("broker",)
    if values.has_literal_password(address):
        hint = "write ${env:NAME} in its place, or file:PATH for the whole address"
        source.find(at, "a password in plain text", hint)
    try:
        address = values.resolve_text(address, source.base)
    except SecretMissing as error:
        source.find(at, str(error), "set it where cleanbots is started, or correct the reference")
        return
    if address == "embedded":
        return
    from ..broker.address import FORMS, parse  # with all of redis: only where there is something to read

    try:
        parse(address)
    except ValueError as error:
        source.find(at, str(error), FORMS)


def _bot(source: Source, draft: Draft, registry: Registry) -> None:
    for name in _TIMES:
        _positive(source, draft.entry.get(name), (*draft.at, name))
    _feed(source, draft)
    use = draft.entry.get("use")
    if not isinstance(use, str) or not draft.kind:
        return
    names = registry.names()
    if use not in names and not _is_clash(registry, use):
        alike = [name for name in names if name.startswith(f"{draft.kind}/")]
        hint = closest(use, alike) if closest(use, alike).startswith("did") else closest(use, names)
        hint = hint if hint.startswith("did") else "'cleanbots bots list' shows all"
        source.find((*draft.at, "use"), f"there is no bot class {use!r}", hint)
        return
    try:
        draft.bot = registry.load(use)
    except PluginError as error:
        source.find((*draft.at, "use"), str(error), "mend the plugin that it comes from")
        return
    params = draft.entry.get("params", {})
    if isinstance(params, dict):
        _params(source, draft, draft.bot, params)


def _is_clash(registry: Registry, use: str) -> bool:
    return any(repr(use) in str(problem) for problem in registry.problems)


def _params(source: Source, draft: Draft, bot: type[Bot[Any]], params: dict[str, Any]) -> None:
    at: Path = (*draft.at, "params")
    struct = bot.params_type()
    fits = complain(source, struct, params, at)
    for path, text in values.secrets(params, struct).items():
        if not values.is_reference(text):
            source.find((*at, *path), "a secret in plain text", values.HINT)
    resolved, missing = values.looked_up(params, struct, source.base)
    for path, reason in missing.items():
        source.find((*at, *path), reason, "set it where cleanbots is started, or correct the reference")
    if not fits:
        return
    try:
        draft.params = msgspec.convert(params if missing else resolved, struct)
    except msgspec.ValidationError as error:
        reason, inner = _split(str(error), params)
        source.find((*at, *inner), reason, "see 'cleanbots bots describe " + str(draft.entry["use"]) + "'")


def _split(message: str, params: Any) -> tuple[str, Path]:
    """Take msgspec's message apart: what is wrong, and where (``… - at `$.rules[2].name` ``)."""
    text, _, where = message.partition(" - at `$")
    path: list[str | int] = []
    for part in where.rstrip("`").replace("[", ".[").split(".")[1:]:
        key: str | int = int(part[1:-1]) if part[1:-1].isdigit() and part[0] == "[" else part
        try:
            params = params[key]
        except (KeyError, IndexError, TypeError):
            break
        path.append(key)
    return text, tuple(path)


def _feed(source: Source, draft: Draft) -> None:
    feed = draft.entry.get("feed")
    if not isinstance(feed, dict):
        return
    _positive(source, feed.get("expect"), (*draft.at, "feed", "expect"))
    for name in _FEED_FIELDS:
        if isinstance(feed.get(name), (str, int, float)) and feed[name] != "":
            try:
                harmonise(f"feed.{name}", feed[name])
            except (InvalidValue, UnknownField) as error:
                reason = error.reason if isinstance(error, InvalidValue) else str(error)
                source.find((*draft.at, "feed", name), reason, f"it becomes feed.{name} of every event")


def _fields(source: Source, registry: Registry) -> None:
    """Take further fields and functions into this process, because parameters may name them."""
    try:
        extend_functions(registry.functions())
    except CleanbotsError as error:
        source.find((), str(error), "mend or uninstall the plugin")
    fields = source.value.get("fields")
    given: list[tuple[Path, str, Any]] = [((), *item) for item in registry.fields().items()]
    if isinstance(fields, dict):
        given += [(("fields", name), name, definition) for name, definition in fields.items()]
    for at, name, definition in given:
        try:
            extend({name: definition})
        except (ConfigError, msgspec.ValidationError) as error:
            source.find(
                at, str(error).removeprefix(f"field {name!r}: "), "'cleanbots fields' lists those there are", key=True
            )


def _tests(source: Source, bots: Mapping[str, Draft]) -> None:
    tests = source.value.get("tests")
    for number, test in enumerate(tests if isinstance(tests, list) else ()):
        for part in ("feed", "expect"):
            named = test.get(part) if isinstance(test, dict) else None
            for name in named if isinstance(named, dict) else ():
                if name not in bots:
                    at: Path = ("tests", number, part, name)
                    source.find(at, f"there is no bot {name!r}", closest(name, bots), key=True)


def _config_tests(source: Source) -> list[ConfigTest]:
    found = []
    for number, test in enumerate(source.value.get("tests", ())):
        place = source.value_place(("tests", number))
        line = f"{place.file}:{place.line}"
        found.append(ConfigTest(test["name"], test.get("feed", {}), test.get("expect", {}), line))
    return found


def _positive(source: Source, text: Any, path: Path) -> None:
    try:
        if isinstance(text, str) and seconds(text) == 0:
            source.find(path, f"{text!r} is no time at all", "write a longer time")
    except ValueError:
        return  # the schema's finding says more
