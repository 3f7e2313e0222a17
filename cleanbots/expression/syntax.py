"""From text to a tree: tokens with their positions, and a recursive-descent parser."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import NamedTuple

from ..errors import ExpressionError
from ..params import seconds

MAX_LENGTH = 10_000
_MAX_DEPTH = 40

_TOKEN = re.compile(
    r"""
      (?P<blank>\s+|\#[^\n]*)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<network>(?:[0-9a-fA-F]{0,4}:[0-9a-fA-F:]*:[0-9a-fA-F:.]*|\d+\.\d+\.\d+\.\d+)(?:/\d+)?)
    | (?P<span>\d+(?:\.\d+)?(?:ms|[smhdw])\b)
    | (?P<number>\d+(?:\.\d+)?(?![\w.]))
    | (?P<name>extra(?:\.[\w-]+)+|[^\W\d]\w*(?:\.\w+)*)
    | (?P<operator>==|!=|<=|>=|[-<>()\[\],+])
    """,
    re.VERBOSE | re.DOTALL,
)
_WRITE_INSTEAD = {"=": "==", "&": "and", "|": "or", "!": "not", "~": 'matches(field, "regex")', "“": '"'}
_KEYWORDS = frozenset({"and", "or", "not", "in", "true", "false"})
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


class Token(NamedTuple):
    """A piece of an expression: its kind, its text, and where it begins."""

    kind: str
    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression.

    Args:
        position: where it begins in the text.
    """

    position: int


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """A literal; *kind* is text, number, boolean, span (in seconds), address or network."""

    kind: str
    value: str | float | bool


@dataclass(frozen=True, slots=True)
class Field(Node):
    """A field of the event."""

    name: str


@dataclass(frozen=True, slots=True)
class Items(Node):
    """A list in brackets."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function called with arguments."""

    name: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    """The opposite."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """Conditions joined by ``and`` or ``or``."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Two operands and what stands between: a comparison, ``in``, ``not in``, ``+`` or ``-``."""

    operator: str
    left: Node
    right: Node


def parse(text: str) -> Node:
    """Read an expression.

    Raises:
        ExpressionError: with the position of the first mistake.
    """
    return _Parser(text).parse()


def fields_of(text: str) -> frozenset[str]:
    """Name the fields that an expression asks for.

    Raises:
        ExpressionError: if it can't be read.
    """
    return frozenset(node.name for node in _walk(parse(text)) if isinstance(node, Field))


def _walk(node: Node) -> Iterator[Node]:
    yield node
    match node:
        case Items(items=children) | Call(args=children) | Logic(operands=children):
            pass
        case Not(operand=child):
            children = (child,)
        case Binary(left=left, right=right):
            children = (left, right)
        case _:
            children = ()
    for child in children:
        yield from _walk(child)


def _tokens(text: str) -> Iterator[Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(text, position, _unreadable(text, position))
        if match.lastgroup != "blank":
            yield Token(match.lastgroup or "", match[0], position)
        position = match.end()
    yield Token("end", "", position)


def _unreadable(text: str, position: int) -> str:
    character = text[position]
    if character in "\"'":
        return "a text that does not end; close it with the quote that it began with"
    if character.isdigit():
        return "a number or time span that can't be read; write 42, 4.2, 72h or 7d"
    better = _WRITE_INSTEAD.get(character)
    return f"{character!r} has no meaning here" + (f"; write {better}" if better else "")


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


class _Parser:
    """Recursive descent, a method for each level of binding, loosest first."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ExpressionError(text[:80], 0, f"{len(text)} characters are too long for an expression ({MAX_LENGTH})")
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def parse(self) -> Node:
        if self._token.kind == "end":
            raise self._error("an empty expression; write for example exists(source.ip)")
        tree = self._either()
        if self._token.kind != "end":
            raise self._error(f"expected 'and', 'or' or the end instead of {self._token.text!r}")
        return tree

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _error(self, reason: str, position: int | None = None) -> ExpressionError:
        return ExpressionError(self._text, self._token.position if position is None else position, reason)

    def _take(self, *texts: str) -> Token | None:
        """Take the next token if it is one of *texts* (never a quoted text)."""
        token = self._token
        if token.text not in texts or token.kind not in {"name", "operator"}:
            return None
        self._next += 1
        return token

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise self._error(f"expected {text!r}" + (f" instead of {self._token.text!r}" if self._token.text else ""))

    def _either(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error(f"nested more than {_MAX_DEPTH} deep; make several rules of it")
        operands = [self._both()]
        while self._take("or"):
            operands.append(self._both())
        self._depth -= 1
        return operands[0] if len(operands) == 1 else Logic(operands[0].position, "or", tuple(operands))

    def _both(self) -> Node:
        operands = [self._negation()]
        while self._take("and"):
            operands.append(self._negation())
        return operands[0] if len(operands) == 1 else Logic(operands[0].position, "and", tuple(operands))

    def _negation(self) -> Node:
        first = self._take("not")
        if first is None:
            return self._comparison()
        odd = True
        while self._take("not"):
            odd = not odd
        operand = self._comparison()
        return Not(first.position, operand if odd else Not(operand.position, operand))

    def _comparison(self) -> Node:
        left = self._sum()
        operator = self._operator()
        if operator is None:
            return left
        node = Binary(operator.position, operator.text, left, self._sum())
        if self._operator() is not None:
            self._next -= 1
            raise self._error("two comparisons in a row; join them with 'and'")
        return node

    def _operator(self) -> Token | None:
        token = self._take(*_COMPARISONS, "in", "not")
        if token is not None and token.text == "not":
            self._expect("in")
            return Token(token.kind, "not in", token.position)
        return token

    def _sum(self) -> Node:
        left = self._operand()
        while sign := self._take("+", "-"):
            left = Binary(sign.position, sign.text, left, self._operand())
        return left

    def _operand(self) -> Node:
        token = self._token
        if self._take("("):
            inner = self._either()
            self._expect(")")
            return inner
        if self._take("["):
            return Items(token.position, self._until("]"))
        if token.kind == "name" and token.text not in _KEYWORDS:
            self._next += 1
            if self._take("("):
                return Call(token.position, token.text, self._until(")"))
            return Field(token.position, token.text)
        constant = self._constant(token)
        self._next += 1
        return constant

    def _constant(self, token: Token) -> Constant:
        kind, value = token.kind, token.text
        if self._take("-"):
            if self._token.kind != "number":
                raise self._error("expected a number after '-'")
            return Constant(token.position, "number", -_number(self._token.text))
        if kind == "number":
            return Constant(token.position, kind, _number(value))
        if kind == "text":
            return Constant(token.position, kind, re.sub(r"\\([\\\"'])", r"\1", value[1:-1]))
        if kind == "span":
            return Constant(token.position, kind, seconds(value))
        if kind == "network":
            return self._network(token)
        if value in {"true", "false"}:
            return Constant(token.position, "boolean", value == "true")
        raise self._error(f"expected a field, a value or a function instead of {repr(value) if value else 'the end'}")

    def _until(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        if self._take(end):
            return ()
        while True:
            found.append(self._either())
            if self._take(end):
                return tuple(found)
            self._expect(",")

    def _network(self, token: Token) -> Constant:
        try:
            network = ip_network(token.text)
        except ValueError as error:
            raise self._error(str(error), token.position) from None
        if "/" in token.text:
            return Constant(token.position, "network", str(network))
        return Constant(token.position, "address", str(network.network_address))
