"""Read a configuration file and those that it includes as one tree; each value keeps its own file and line."""

import glob
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from . import yaml
from .finding import Finding, Path, Place, dotted

MAX_FILES = 1000
_MAPPINGS = frozenset({"bots", "fields", "calendars"})
_LISTS = frozenset({"tests", "plugins", "members"})


@dataclass
class Source:
    """A configuration as written, all files together.

    Args:
        file: the main file.
        value: the merged tree.
        places: where each value stands, by its path in the merged tree.
        keys: where each key stands, by its path in the merged tree.
        findings: what is wrong with the files themselves.
        files: every file that was read, the main one first.
    """

    file: FilePath
    value: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    files: list[FilePath] = field(default_factory=list)

    @property
    def base(self) -> FilePath:
        """The absolute folder of the main file; relative paths in the configuration start there."""
        return self.file.absolute().parent

    def value_place(self, path: Path) -> Place:
        """Give where the value at *path* stands, or else the nearest thing around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path) or Place(str(self.file), 1, 1)

    def key_place(self, path: Path) -> Place:
        """Give where the key of the value at *path* stands (an element of a list: itself), or the nearest around it."""
        if path and isinstance(path[-1], int):
            return self.value_place(path)
        while path and path not in self.keys:
            path = path[:-1]
        return self.keys.get(path) or Place(str(self.file), 1, 1)

    def find(self, path: Path, text: str, hint: str = "", *, key: bool = False) -> None:
        """Note a finding at a value, or at its key."""
        place = self.key_place(path) if key else self.value_place(path)
        where = dotted(path)
        self.findings.append(Finding(*place, f"{where}: {text}" if where else text, hint))


def load(file: FilePath, need: str = "bots") -> Source:
    """Read *file* and all that it includes; mistakes are findings of the source, never exceptions.

    Args:
        file: the main file.
        need: the key that such a file is about; hints for an empty one name it.
    """
    source = Source(file)
    _Loader(source, need).load(file, ())
    return source


class _Loader:
    def __init__(self, source: Source, need: str) -> None:
        self.source = source
        self.need = need
        self.seen: dict[FilePath, str] = {}

    def load(self, file: FilePath, chain: tuple[FilePath, ...]) -> None:
        source = self.source
        self.seen[file.resolve()] = str(file)
        source.files.append(file)
        document = yaml.read(file)
        source.findings += document.findings
        if document.value is None and not document.findings and not chain:
            source.findings.append(
                Finding(str(file), 1, 1, "an empty configuration", f"it needs at least '{self.need}:'")
            )
        if document.value is None:
            return
        if not isinstance(document.value, dict):
            place = document.places[()]
            source.findings.append(
                Finding(*place, "not a mapping", f"write '{self.need}:' and the {self.need} below it")
            )
            return
        source.places.setdefault((), document.places[()])
        for name, value in document.value.items():
            if name != "include":
                self._merge(document, name, value)
        for path, pattern in _patterns(document.value.get("include")):
            if isinstance(pattern, str) and pattern:
                self._include(document, path, pattern, file, (*chain, file.resolve()))
            else:
                text = f"{dotted(path)}: expected the name of a file, got {pattern!r}"
                source.findings.append(Finding(*document.places[path], text, "write a path or a glob"))

    def _include(
        self, document: yaml.Document, path: Path, pattern: str, file: FilePath, chain: tuple[FilePath, ...]
    ) -> None:
        def find(text: str, hint: str) -> None:
            self.source.findings.append(Finding(*document.places[path], f"{dotted(path)}: {text}", hint))

        # An empty folder of parts is normal, so only a plain name must exist; `yaml.read` would blame the wrong file.
        if glob.has_magic(pattern):
            names = sorted(glob.glob(pattern, root_dir=file.parent, recursive=True))  # noqa: PTH207  # absolute ones too
        elif (file.parent / pattern).is_file():
            names = [pattern]
        else:
            find(f"there is no file {pattern!r}", f"paths start at the folder of {file}")
            return
        for name in names:
            target = file.parent / name
            if target.resolve() in chain:
                find(f"{name!r} includes itself", "a file can't include one that includes it")
            elif target.resolve() in self.seen:
                find(f"{name!r} is included twice", "include each file once")
            elif len(self.seen) >= MAX_FILES:
                find(f"more than {MAX_FILES} files", "put more into each")
                return
            elif target.is_file():
                self.load(target, chain)

    def _merge(self, document: yaml.Document, name: str, value: Any) -> None:
        source = self.source
        present = source.value.get(name)
        if name in _MAPPINGS and isinstance(value, dict) and isinstance(present, dict):
            for key, inner in value.items():
                if key in present:
                    self._twice(document, (name, key))
                else:
                    present[key] = inner
                    _adopt(source, document, (name, key), (name, key))
        elif name in _LISTS and isinstance(value, list) and isinstance(present, list):
            for number, inner in enumerate(value):
                _adopt(source, document, (name, number), (name, len(present)))
                present.append(inner)
        elif name in source.value:
            self._twice(document, (name,))
        else:
            source.value[name] = value
            _adopt(source, document, (name,), (name,))

    def _twice(self, document: yaml.Document, path: Path) -> None:
        first = self.source.key_place(path)
        text = f"{dotted(path)}: given twice"
        hint = f"the first is at {first.file}:{first.line}:{first.column}; keep one"
        self.source.findings.append(Finding(*document.keys[path], text, hint))


def _patterns(include: Any) -> list[tuple[Path, Any]]:
    if include is None:
        return []
    if isinstance(include, list):
        return [(("include", number), pattern) for number, pattern in enumerate(include)]
    return [(("include",), include)]


def _adopt(source: Source, document: yaml.Document, old: Path, new: Path) -> None:
    """Take over the places of everything below *old* (one or two parts long) as places below *new*."""
    for target, origin in ((source.places, document.places), (source.keys, document.keys)):
        for path in document.below(old):
            if path in origin:
                target[new + path[len(old) :]] = origin[path]
