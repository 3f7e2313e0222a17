"""The registry: what all plugins bring, under one roof. A broken plugin is reported, and the rest load."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

import pluggy

from .. import expression, harmonization
from ..bot import KINDS, Bot
from ..errors import PluginError
from . import hookspecs
from .discovery import FormatRef, Ref, load, load_format
from .site import site_plugins

T = TypeVar("T")

_FORMAT = re.compile(r"[a-z][a-z0-9-]*")  # it becomes a part of file names
_log = logging.getLogger("cleanbots.plugins")


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin that was found: an entry point of an installed package, or a site folder.

    Args:
        name: ``<distribution>`` (with ``:<entry point>`` from its second one on), or the folder's path.
        version: of the distribution, or "".
        module: what was loaded.
    """

    name: str
    version: str
    module: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a plugin; the rest works without it.

    Args:
        source: the plugin's name.
        text: what is wrong, and what would mend it.
    """

    source: str
    text: str

    def __str__(self) -> str:
        """Give source and text as one line."""
        return f"plugin {self.source!r}: {self.text}"


class _Names(Generic[T]):
    """Names that plugins give to things. What two of them claim belongs to neither."""

    def __init__(self, what: str, problems: list[Problem]) -> None:
        self.what = what
        self.problems = problems
        self.known: dict[str, T] = {}
        self.sources: dict[str, str] = {}
        self.clashes: dict[str, tuple[str, ...]] = {}

    def add(self, name: str, thing: T, source: str) -> None:
        if name in self.clashes:
            self.clashes[name] = (*self.clashes[name], source)
        elif name not in self.known:
            self.known[name] = thing
            self.sources[name] = source
            return
        elif self.known[name] == thing:
            return
        else:
            del self.known[name]
            self.clashes[name] = (self.sources[name], source)
        self.problems.append(Problem(source, self.sentence(name)))

    def sentence(self, name: str) -> str:
        both = " and ".join(repr(source) for source in self.clashes[name])
        return f"{self.what} {name!r} is claimed by {both}, so neither is used; rename one of them"


class Formats:
    """All delivery formats by name, each from the plugin that offers it.

    Attributes:
        refs: what plugins claim.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.refs: _Names[FormatRef] = _Names("format", problems)
        self._problems = problems
        self._loaded: dict[str, type[Any]] = {}

    @property
    def names(self) -> list[str]:
        """The formats that can be used, in order."""
        return sorted(self.refs.known)

    def load(self, name: str) -> type[Any]:
        """Give the class behind a name such as ``csv``; its module is imported now.

        Raises:
            PluginError: if no plugin offers it, if two do, or if it can't be loaded.
        """
        if name not in self._loaded:
            self._loaded[name] = load_format(self.ref(name))
        return self._loaded[name]

    def add(self, ref: FormatRef, source: str) -> None:
        """Take in a format that a plugin offers."""
        if not _FORMAT.fullmatch(ref.name) or not ref.target.partition(":")[2]:
            text = f"format {ref.name!r} needs a name such as 'csv-excel' and a target such as 'acme.formats:CsvExcel'"
            self._problems.append(Problem(source, text))
        else:
            self.refs.add(ref.name, replace(ref, source=source), source)

    def ref(self, name: str) -> FormatRef:
        """Give what is known of a format without importing it.

        Raises:
            PluginError: if no plugin offers it, or if two do.
        """
        if name in self.refs.clashes:
            raise PluginError(self.refs.sentence(name))
        if name not in self.refs.known:
            close = get_close_matches(name, self.refs.known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"formats are {', '.join(self.names)}"
            raise PluginError(f"no format {name!r}; {hint}")
        return self.refs.known[name]


class Registry:
    """All bots, formats, fields and functions by name, each from the plugin that offers it.

    Attributes:
        formats: the delivery formats.
        plugins: the plugins that were found, in order of discovery.
        problems: what was wrong with any of them; those are left out, wholly or in part.
    """

    def __init__(self) -> None:
        self.plugins: list[Plugin] = []
        self.problems: list[Problem] = []
        self._bots: _Names[Ref] = _Names("bot", self.problems)
        self.formats = Formats(self.problems)
        self._fields: _Names[Mapping[str, Any]] = _Names("field", self.problems)
        self._functions: _Names[Callable[..., Any]] = _Names("function", self.problems)
        self._loaded: dict[str, type[Bot[Any]]] = {}
        self._manager = _manager()

    @property
    def refs(self) -> Mapping[str, Ref]:
        """Every bot that can be used, by name."""
        return self._bots.known

    def names(self, kind: str | None = None) -> list[str]:
        """List the bots' names in order, of one kind or of all."""
        return sorted(name for name, ref in self.refs.items() if kind in (None, ref.kind))

    def load(self, use: str) -> type[Bot[Any]]:
        """Give the bot class behind a name such as ``parser/csv``; its module is imported now.

        Raises:
            PluginError: if no plugin offers it, if two do, or if it can't be loaded.
        """
        if use not in self._loaded:
            self._loaded[use] = load(self.ref(use))
        return self._loaded[use]

    def ref(self, use: str) -> Ref:
        """Give what is known of a bot without importing it.

        Raises:
            PluginError: if no plugin offers it, or if two do.
        """
        if use in self._bots.clashes:
            raise PluginError(self._bots.sentence(use))
        if use not in self.refs:
            raise PluginError(f"no bot {use!r}; {self._advice(use)}")
        return self.refs[use]

    def _advice(self, use: str) -> str:
        """Say where an unknown bot may be: in a plugin that can't be used, or under a name like this one."""
        brings = {ref.source for ref in self.refs.values()}
        barren = [problem.source for problem in self.problems if problem.source not in brings]
        if barren:
            return f"it may be in {' or '.join(map(repr, dict.fromkeys(barren)))}, which can't be used as it is"
        close = self.closest(use)
        return f"did you mean {close!r}?" if close else "'cleanbots bots list' shows all"

    def closest(self, use: str) -> str:
        """Give the known name that is closest to *use*, or ""."""
        close = get_close_matches(use, self.refs, n=1)
        if not close:
            by_tail = [name for name in self.names() if name.partition("/")[2] == use.rpartition("/")[2]]
            close = by_tail[:1]
        return close[0] if close else ""

    def fields(self) -> dict[str, Mapping[str, Any]]:
        """Give the catalogue entries that plugins add, by field name."""
        return dict(self._fields.known)

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Give the functions of expressions that plugins add, by name."""
        return dict(self._functions.known)

    def install(self) -> None:
        """Let this process know the fields and functions that plugins add; once is enough, twice does no harm.

        Raises:
            ConfigError: if a field's entry is none.
        """
        harmonization.extend(self.fields())
        expression.extend(self.functions())

    def batch_done(self, bot: str, counts: Mapping[str, int]) -> None:
        """Tell the plugins that watch that *bot* finished a batch."""
        self._tell(self._manager.hook.cleanbots_batch_done, bot=bot, counts=counts)

    def worker_changed(self, worker: str, state: str) -> None:
        """Tell the plugins that watch that *worker* changed its state."""
        self._tell(self._manager.hook.cleanbots_worker_changed, worker=worker, state=state)

    def brought(self, plugin: str) -> dict[str, list[str]]:
        """List what a plugin brings: ``bots``, ``formats``, ``fields`` and ``functions`` by name, and the ``hooks`` it answers."""
        kinds: dict[str, _Names[Any]] = {
            "bots": self._bots,
            "formats": self.formats.refs,
            "fields": self._fields,
            "functions": self._functions,
        }
        found = {
            what: sorted(name for name in names.known if names.sources[name] == plugin) for what, names in kinds.items()
        }
        found["hooks"] = sorted(
            caller.name
            for module in self._manager.get_plugins()
            if self._source(module) == plugin
            for caller in self._manager.get_hookcallers(module) or ()
        )
        return found

    def add_entry_point(self, entry: EntryPoint, name: str) -> None:
        """Load a plugin by its entry point and take it in."""
        self.plugins.append(Plugin(name, entry.dist.version if entry.dist else "", entry.value))
        with self._reporting(name, f"{entry.value} can't be loaded"):  # pluggy's own loop would stop all
            self.add(entry.load(), name)

    def add_site(self, folder: Path) -> None:
        """Load a site folder and take in what it brings."""
        self.plugins.append(Plugin(str(folder), "", str(folder)))
        with self._reporting(str(folder), "can't be loaded"):
            for module in site_plugins(folder):
                self.add(module, str(folder))

    def add(self, module: object, source: str) -> None:
        """Take in what one plugin brings; whatever is wrong with it becomes a problem."""
        with self._reporting(source, "refused"):
            _manager().register(module)  # verified apart: a refused plugin would stay half registered
            self._manager.register(module, name=f"{source}#{len(self._manager.get_plugins())}")
            self._note_unknown_hooks(module, source)
            self._take(module, source)

    def _take(self, module: object, source: str) -> None:
        for ref in self._ask(module, source, "cleanbots_bots", list):
            if ref.kind not in KINDS or not ref.name.partition("/")[2]:
                text = f"bot {ref.name!r} needs a name such as 'parser/csv'; kinds are {', '.join(KINDS)}"
                self.problems.append(Problem(source, text))
            else:
                self._bots.add(ref.name, replace(ref, source=source), source)
        for found in self._ask(module, source, "cleanbots_formats", list):
            self.formats.add(found, source)
        for name, entry in self._ask(module, source, "cleanbots_fields", dict).items():
            self._fields.add(name, entry, source)
        for name, function in self._ask(module, source, "cleanbots_functions", dict).items():
            self._functions.add(name, function, source)

    def _ask(self, module: object, source: str, hook: str, collect: Callable[[Any], Any]) -> Any:
        caller = self._manager.subset_hook_caller(hook, [p for p in self._manager.get_plugins() if p is not module])
        with self._reporting(source, f"{hook} failed"):
            return collect(item for answer in caller() for item in _items(answer))
        return collect(())

    @contextmanager
    def _reporting(self, source: str, what: str) -> Iterator[None]:
        """Turn whatever a plugin raises into a problem: it must not keep the others out."""
        try:
            yield
        except PluginError as error:
            self.problems.append(Problem(source, str(error)))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin's code may raise anything
            self.problems.append(Problem(source, f"{what}: {type(error).__name__}: {error}"))

    def _note_unknown_hooks(self, module: object, source: str) -> None:
        for caller in self._manager.get_hookcallers(module) or ():
            if not caller.has_spec():
                known = [name for name in vars(hookspecs) if name.startswith("cleanbots_")]
                close = get_close_matches(caller.name, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"hooks are {', '.join(known)}"
                self.problems.append(Problem(source, f"answers {caller.name!r}, and there is no such hook; {hint}"))

    def _source(self, module: object) -> str:
        return (self._manager.get_name(module) or "").rpartition("#")[0]

    @staticmethod
    def _tell(hook: pluggy.HookCaller, **facts: Any) -> None:
        if not hook.get_hookimpls():
            return
        try:
            hook(**facts)
        except Exception:  # noqa: BLE001  # who only watches must not stop the work
            _log.exception("a plugin failed in %s", hook.name)


def discover(site_folders: Iterable[Path | str] = ()) -> Registry:
    """Find all plugins: the entry points of the group ``cleanbots``, then the site folders. Nothing raises.

    Args:
        site_folders: folders with ``<kind>s/*.py`` and perhaps a ``plugin.py``.
    """
    registry = Registry()
    for name, entry in _entries():
        registry.add_entry_point(entry, name)
    for folder in site_folders:
        registry.add_site(Path(folder))
    return registry


def _entries() -> Iterator[tuple[str, EntryPoint]]:
    """Give each entry point with a name of its own: two packages may well call theirs the same."""
    seen: set[str] = set()
    for entry in sorted(entry_points(group=hookspecs.PROJECT), key=lambda e: (e.dist.name if e.dist else "", e.name)):
        distribution = entry.dist.name if entry.dist else entry.value
        name = distribution if distribution not in seen else f"{distribution}:{entry.name}"
        seen.add(name)
        yield name, entry


def _items(answer: Any) -> Iterable[Any]:
    return answer.items() if isinstance(answer, Mapping) else answer


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager
