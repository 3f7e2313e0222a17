"""Read YAML safely: plain values only, YAML 1.2 core scalars, and where in which file each value and key stands."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from ..errors import shorten
from .finding import Finding, Path, Place, dotted

MAX_BYTES = 2**20
MAX_DEPTH = 40
MAX_NODES = 200_000

# libyaml is ten times faster; the pure parser gives the same events where a platform lacks it.
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass
class Document:
    """What a file says.

    Args:
        value: mappings, lists, text, numbers, truth values and None.
        places: where each value stands, by its path.
        keys: where each mapping's key stands, by the path of its value.
        findings: what is wrong with the file as YAML.
    """

    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _index: dict[Path, list[Path]] = field(default_factory=dict, repr=False)

    def below(self, head: Path) -> list[Path]:
        """Give the paths of all values at and below *head*, a path of one or two parts."""
        if not self._index:
            for path in self.places:
                self._index.setdefault(path[:1], []).append(path)
                if len(path) > 1:
                    self._index.setdefault(path[:2], []).append(path)
        return self._index.get(head, [])


class _Stop(Exception):
    """The rest of this file can't be read."""

    def __init__(self, mark: Any, text: str, hint: str) -> None:
        super().__init__(text)
        self.mark = mark
        self.text = text
        self.hint = hint


@dataclass(slots=True)
class _Node:
    mark: Any
    scalar: str | None = None
    plain: bool = False
    items: "list[_Node] | None" = None
    pairs: "list[tuple[_Node, _Node]] | None" = None


def read(file: FilePath, name: str | None = None) -> Document:
    """Read one YAML file; what can't be read is a finding, never an exception.

    Args:
        file: the file; at most 1 MiB of UTF-8.
        name: what to call it in findings; its path if None.
    """
    name = name or str(file)
    document = Document()
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        hint = "name an existing file" if isinstance(error, FileNotFoundError) else "the file must be readable"
        document.findings.append(Finding(name, 1, 1, f"can't be read: {reason}", hint))
        return document
    if len(data) > MAX_BYTES:
        hint = "split it up and list the parts under 'include:'"
        document.findings.append(Finding(name, 1, 1, "larger than 1 MiB", hint))
        return document
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        document.findings.append(Finding(name, line, column, "not UTF-8 text", "save the file as UTF-8"))
        return document
    return parse(text, name)


def parse(text: str, name: str) -> Document:
    """Parse one YAML document; see `read`."""
    return _Builder(name).build(text)


class _Builder:
    def __init__(self, name: str) -> None:
        self.name = name
        self.document = Document()
        self.anchors: dict[str, _Node] = {}
        self.nodes = 0

    def build(self, text: str) -> Document:
        document = self.document
        try:
            root = self._root(text)
            if root is not None:
                document.value = self._value(root, ())
        except _Stop as stop:
            self._find(stop.mark, stop.text, stop.hint)
        except yaml.MarkedYAMLError as error:
            self._find(error.problem_mark or error.context_mark, *_syntax(error))
        except yaml.reader.ReaderError as error:
            position = error.position if isinstance(error.position, int) else 0
            line = text.count("\n", 0, position) + 1
            column = position - text.rfind("\n", 0, position)
            finding = Finding(self.name, line, column, "a control character that YAML does not allow", "remove it")
            document.findings.append(finding)
        return document

    def _root(self, text: str) -> _Node | None:
        loader = _Loader(text)
        try:
            events = iter(loader.get_event, None)
            root: _Node | None = None
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if root is not None:
                        raise _Stop(event.start_mark, "a second YAML document", "one file holds one configuration")
                    root = self._node(next(events), events, 0)
            return root
        finally:
            loader.dispose()

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> _Node:
        mark = event.start_mark
        if depth > MAX_DEPTH:
            raise _Stop(mark, f"nested more than {MAX_DEPTH} levels deep", "no configuration needs that; flatten it")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise _Stop(mark, f"alias '*{event.anchor}' has no anchor before it", f"write '&{event.anchor}' first")
            return self.anchors[event.anchor]
        if event.tag is not None:
            self._find(mark, f"tag {shorten(event.tag)} is not allowed", "write the plain value without a tag")
        if isinstance(event, yaml.ScalarEvent):
            node = _Node(mark, scalar=event.value, plain=not event.style)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = _Node(mark, items=[])
            while not isinstance(inner := next(events), yaml.SequenceEndEvent):
                node.items.append(self._node(inner, events, depth + 1))  # type: ignore[union-attr]  # set above
        else:
            node = _Node(mark, pairs=[])
            while not isinstance(inner := next(events), yaml.MappingEndEvent):
                key = self._node(inner, events, depth + 1)
                node.pairs.append((key, self._node(next(events), events, depth + 1)))  # type: ignore[union-attr]
        # Registered only when complete, so that an alias can't lead to itself.
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _value(self, node: _Node, path: Path) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            hint = "use fewer aliases, or split the file up"
            raise _Stop(node.mark, f"more than {MAX_NODES} values once its aliases are expanded", hint)
        self.document.places[path] = self._place(node.mark)
        if node.items is not None:
            return [self._value(item, (*path, number)) for number, item in enumerate(node.items)]
        if node.pairs is not None:
            return self._mapping(node.pairs, path)
        return self._scalar(node, path)

    def _mapping(self, pairs: list[tuple[_Node, _Node]], path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, node in pairs:
            if key.scalar is None:
                self._find(key.mark, "a list or mapping as a key", "a key is a name")
                continue
            inner = (*path, key.scalar)
            if key.scalar in mapping:
                first = self.document.keys[inner]
                self._find(key.mark, f"{dotted(inner)}: given twice", f"the first is in line {first.line}; keep one")
                continue
            self.document.keys[inner] = self._place(key.mark)
            mapping[key.scalar] = self._value(node, inner)
        return mapping

    def _scalar(self, node: _Node, path: Path) -> Any:
        text = node.scalar or ""
        if not node.plain:
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        try:
            return _number(text)
        except ValueError as error:
            self._find(node.mark, f"{dotted(path)}: {shorten(text)} {error}", "write a smaller number, or quote it")
            return 0

    def _place(self, mark: Any) -> Place:
        return Place(self.name, mark.line + 1, mark.column + 1)

    def _find(self, mark: Any, text: str, hint: str) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        self.document.findings.append(Finding(self.name, line, column, text, hint))


def _number(text: str) -> int | float | str:
    if _INT.fullmatch(text):
        base = 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10
        digits = text[2:] if base != 10 else text
        if len(digits) > 40 or not -(2**63) <= (number := int(digits, base)) < 2**63:
            raise ValueError("does not fit into 64 bits")
        return number
    if _FLOAT.fullmatch(text):
        value = text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf")
        real = math.nan if value.lower() == ".nan" else float(value)
        if not math.isfinite(real):
            raise ValueError("is no finite number")
        return real
    return text


def _syntax(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    problem = (error.problem or "can't be read").replace("\n", " ")
    text = f"not YAML: {problem}" + (f" ({error.context})" if error.context else "")
    if "'\\t'" in problem or "tab" in problem:
        return text, "indent with spaces, not with tabs"
    if "could not find expected ':'" in problem or "mapping values are not allowed" in problem:
        return text, "check the colon and the indentation here and in the line before"
    if "expected <block end>" in problem or "did not find expected" in problem:
        return text, "check indentation, brackets and quotes here and in the lines before"
    return text, "check the punctuation here and in the line before"
