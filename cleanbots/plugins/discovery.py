"""Finding bots by their file names, without importing them, and loading the class behind a name."""

import inspect
import pkgutil
import traceback
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from ..bot import KINDS, Bot, kind_of
from ..errors import PluginError


@dataclass(frozen=True, slots=True)
class Ref:
    """A bot by name: known, but not imported yet.

    Args:
        name: what ``use:`` says, ``<kind>/<name>``.
        target: the module that holds the class, as ``module`` (its one bot class is meant) or ``module:Class``.
        source: the plugin that offers it; filled in when the plugins are discovered.
    """

    name: str
    target: str
    source: str = ""

    @property
    def kind(self) -> str:
        """The kind that the name claims: ``collector``, ``parser``, ``expert`` or ``output``."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class FormatRef:
    """A delivery format by name: known, but not imported yet.

    Args:
        name: what a delivery's ``format:`` says, such as ``csv``.
        target: its class, as ``module:Class``.
        source: the plugin that offers it; filled in when the plugins are discovered.
    """

    name: str
    target: str
    source: str = ""


def bots_in(package: str) -> list[Ref]:
    """Name the bots of a package: each ``<kind>s/<name>.py`` in it is one.

    Only file names are read. A leading underscore marks a helper; a trailing one is left out of the name, so that
    ``while_.py`` can give ``expert/while``.

    Args:
        package: dotted name of an imported (or importable) package.
    """
    refs = []
    for folder in import_module(package).__path__:
        for kind in KINDS:
            for module in pkgutil.iter_modules([f"{folder}/{kind}s"]):
                if not module.name.startswith("_"):
                    name = f"{kind}/{module.name.rstrip('_')}"
                    refs.append(Ref(name, f"{package}.{kind}s.{module.name}"))
    return refs


def load(ref: Ref) -> type[Bot[Any]]:
    """Import the class behind *ref*.

    Raises:
        PluginError: if the module can't be imported, holds no bot class or several, or one of another kind.
    """
    class_name = ref.target.partition(":")[2]
    module = _module(ref)
    cls: Any = getattr(module, class_name, None) if class_name else _only_bot(ref, module)
    if not _is_bot(cls):
        raise _fault(ref, f"{class_name!r} is no bot class of this module")
    kind = kind_of(cls)
    if kind != ref.kind:
        raise _fault(ref, f"{cls.__name__} makes {kind}s, and its place says {ref.kind}; move it to {kind}s/")
    bot: type[Bot[Any]] = cls
    return bot


def load_format(ref: FormatRef) -> type[Any]:
    """Import the format class behind *ref*; what a format must be able to do is said by who renders.

    Raises:
        PluginError: if the module can't be imported, has no such class, or one that still lacks a method.
    """
    class_name = ref.target.partition(":")[2]
    cls = getattr(_module(ref), class_name, None)
    if not isinstance(cls, type) or inspect.isabstract(cls):
        raise _fault(ref, f"{class_name!r} is no format class of this module; extend Format and implement render()")
    return cls


def _module(ref: Ref | FormatRef) -> ModuleType:
    try:
        return import_module(ref.target.partition(":")[0])
    except (Exception, SystemExit) as error:  # whatever a plugin's module raises is that plugin's fault, and its alone
        raise _fault(ref, f"can't be imported: {type(error).__name__}: {error}", error) from error


def _only_bot(ref: Ref, module: ModuleType) -> Any:
    classes = [c for c in vars(module).values() if _is_bot(c) and c.__module__ == module.__name__]
    if len(classes) == 1:
        return classes[0]
    if classes:
        raise _fault(ref, f"one file is one bot, and this one holds {', '.join(c.__name__ for c in classes)}")
    kinds = "Collector, a Parser, Expert, BatchExpert, Router or Output"
    raise _fault(ref, f"no bot class in it; extend {kinds} and implement its abstract methods")


def _is_bot(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Bot) and not inspect.isabstract(cls)


def _fault(ref: Ref | FormatRef, text: str, error: BaseException | None = None) -> PluginError:
    """Say what is wrong with a bot or format, and in which file; with *error*, also in which line."""
    module = ref.target.partition(":")[0]
    try:
        spec = find_spec(module)
    except ImportError:
        spec = None
    place = spec.origin if spec is not None and spec.origin is not None else module
    frames = traceback.extract_tb(error.__traceback__ if error else None)
    lines = [frame.lineno for frame in frames if frame.filename == place]
    if isinstance(error, SyntaxError):
        lines.append(error.lineno)
    line = f":{lines[-1]}" if lines else ""
    return PluginError(f"{place}{line}: {ref.name} of plugin {ref.source!r}: {text}")
