"""From a tree to closures: types are checked once, so that an evaluation only reads and compares."""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from ..clock import SystemClock, iso
from ..errors import ExpressionError, UnknownField
from . import kinds, syntax
from .functions import FUNCTIONS
from .kinds import ADDRESS, ANY, BOOLEAN, NETWORK, NUMBER, SPAN, TEXT, TEXTS, TIME
from .networks import NetworkSet

Fields = Mapping[str, Any]
Read = Callable[[Fields], Any]
Condition = Callable[[Fields], bool]
Functions = Mapping[str, Callable[..., Any]]

_ORDERING: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Operand:
    """A part that has a value.

    Args:
        node: where it stands.
        kind: of its value.
        read: gives the value for an event, or None if it has none.
        field: the field's name, if it is one as it is.
        constant: its value, if it is the same for all events.
    """

    node: syntax.Node
    kind: str
    read: Read
    field: str | None = None
    constant: Any = None


_further: dict[str, Callable[..., Any]] = {}


def extend(functions: Functions) -> None:
    """Let the expressions of this process call further functions, such as those of plugins."""
    _further.update(functions)


def compile_expression(text: str, functions: Functions | None = None) -> Condition:
    """Compile an expression to a function of an event's fields.

    Args:
        text: the expression; see `cleanbots.expression` for the language.
        functions: further functions by name. Each is called with the values of its arguments and only if all of them
            are there; None means that there is no value. ``now`` replaces the clock and gives an aware datetime.

    Raises:
        ExpressionError: with the position of the mistake and what would be right.
    """
    return Compiler(text, functions).condition(syntax.parse(text))


class Compiler:
    """Makes conditions of the nodes of one expression.

    Args:
        text: the expression, for errors.
        functions: as for `compile_expression`.
    """

    def __init__(self, text: str, functions: Functions | None = None) -> None:
        self._text = text
        self._functions = {**_further, **(functions or {})}
        self._now: Callable[[], datetime] = self._functions.get("now", SystemClock().now)

    def _error(self, node: syntax.Node, reason: str) -> ExpressionError:
        return ExpressionError(self._text, node.position, reason)

    # conditions

    def condition(self, node: syntax.Node) -> Condition:
        """Give what tells whether an event meets a node."""
        match node:
            case syntax.Logic(operator=word, operands=operands):
                parts = [self.condition(operand) for operand in operands]
                return _all(parts) if word == "and" else _any(parts)
            case syntax.Not(operand=operand):
                inner = self.condition(operand)
                return lambda fields: not inner(fields)
            case syntax.Binary(operator="in" | "not in"):
                return self._membership(node)
            case syntax.Binary(operator=word) if word in _MIRRORED:
                return self._comparison(node)
        asked = self._operand(node)
        if asked.kind not in {BOOLEAN, ANY} or asked.constant is not None:
            raise self._error(
                node, f"{_a(asked.kind)} is no condition; compare it, or ask whether it is there: exists(…)"
            )
        read = asked.read
        return lambda fields: read(fields) is True

    def _comparison(self, node: syntax.Binary) -> Condition:
        word, left, right = node.operator, self._operand(node.left), self._operand(node.right)
        if left.constant is not None:
            word, left, right = _MIRRORED[word], right, left
        if left.constant is not None:
            raise self._error(node, "two constants are compared; one side must ask for a field")
        if word in _ORDERING:
            return self._order(node, _ORDERING[word], left, right)
        if TEXTS in {left.kind, right.kind}:
            raise self._error(node, "a list is compared with '=='; ask for an element: \"…\" in field")
        return self._equality(node, left, right, wanted=word == "==")

    def _equality(self, node: syntax.Node, left: Operand, right: Operand, *, wanted: bool) -> Condition:
        read, name = left.read, left.field
        if right.constant is None:
            self._same_kind(node, left, right)
            other = right.read
            return lambda fields: (
                (a := read(fields)) is not None and (b := other(fields)) is not None and (a == b) is wanted
            )
        value = self._fitting(left, right)
        if left.kind == ANY and not isinstance(value, str):
            flag = isinstance(value, bool)
            return lambda fields: (
                (a := read(fields)) is not None and (a == value and isinstance(a, bool) is flag) is wanted
            )
        if not wanted:
            return lambda fields: (a := read(fields)) is not None and a != value
        if name is not None:
            return lambda fields: bool(fields.get(name) == value)
        return lambda fields: bool(read(fields) == value)

    def _order(
        self, node: syntax.Node, compare: Callable[[Any, Any], bool], left: Operand, right: Operand
    ) -> Condition:
        ranks = kinds.order_of(left.field)
        if ranks is not None:
            return self._ranking(compare, ranks, left, right)
        if left.kind not in {NUMBER, TIME, SPAN, ANY}:
            raise self._error(node, f"{_a(left.kind)} has no order; use == or !=, or a function such as startswith(…)")
        read, other = left.read, right.read
        if right.constant is not None:
            value = self._fitting(left, right)
            if left.kind == ANY:
                return lambda fields: _ordered(compare, read(fields), value)
            return lambda fields: (a := read(fields)) is not None and compare(a, value)
        self._same_kind(node, left, right)
        return lambda fields: _ordered(compare, read(fields), other(fields))

    def _ranking(
        self, compare: Callable[[Any, Any], bool], ranks: dict[str, int], left: Operand, right: Operand
    ) -> Condition:
        read, other, rank = left.read, right.read, ranks.get
        if right.constant is None and right.field != left.field:
            raise self._error(right.node, f"{left.field} is compared with a value of its own: {', '.join(ranks)}")
        if right.constant is not None:
            value = self._fitting(left, right)
            if value not in ranks:
                raise self._error(right.node, f"{value!r} has no place in the order {', '.join(ranks)}")
            other = lambda _: value  # noqa: E731
        return lambda fields: _ordered(compare, rank(read(fields)), rank(other(fields)))

    def _same_kind(self, node: syntax.Node, left: Operand, right: Operand) -> None:
        if left.kind != right.kind and ANY not in {left.kind, right.kind}:
            raise self._error(node, f"{_a(left.kind)} is compared with {_a(right.kind)}")

    def _fitting(self, left: Operand, right: Operand) -> Any:
        """Give the constant *right* as *left* would hold it."""
        value, kind = right.constant, right.kind
        fits = {
            TEXT: kind == TEXT,
            NUMBER: kind == NUMBER,
            BOOLEAN: kind == BOOLEAN,
            SPAN: kind == SPAN,
            TIME: kind == TEXT,
            ADDRESS: kind in {TEXT, ADDRESS},
            NETWORK: kind in {TEXT, ADDRESS, NETWORK},
            TEXTS: kind == TEXT,
            ANY: kind != SPAN,
        }
        if not fits[left.kind]:
            raise self._error(
                right.node, f"{_a(left.kind)} is compared with {_a(kind)}" + _hint(left.kind, kind, value)
            )
        field = left.field
        if field is None:
            if left.kind != TIME:
                return value
            field = "time.source"
        if left.kind == ANY:
            return value
        try:
            return kinds.canonical(field, value)
        except ValueError as error:
            raise self._error(right.node, str(error)) from None

    # membership

    def _membership(self, node: syntax.Binary) -> Condition:
        left = self._operand(node.left)
        wanted = node.operator == "in"
        if not isinstance(node.right, syntax.Items) and not isinstance(node.right, syntax.Constant):
            return self._in_field(node, left, self._operand(node.right), wanted=wanted)
        items = node.right.items if isinstance(node.right, syntax.Items) else (node.right,)
        if not items:
            raise self._error(node.right, "an empty list; nothing is in it")
        if left.constant is not None:
            raise self._error(node.left, "a constant is looked for among constants; one side must ask for a field")
        constants = [self._constant(item) for item in items]
        if all(item.kind in {ADDRESS, NETWORK} for item in constants) and left.kind in {ADDRESS, ANY}:
            return _contained(left.read, NetworkSet(str(item.constant) for item in constants), wanted=wanted)
        for item in constants:
            if item.kind == NETWORK and left.kind != NETWORK:
                raise self._error(
                    item.node, f"{_a(left.kind)} lies in no network; ask for an address, such as source.ip"
                )
        if not isinstance(node.right, syntax.Items):
            raise self._error(node.right, "'in' needs a list in brackets, a network or a field that holds a list")
        if left.kind == TEXTS:
            raise self._error(node.left, 'a list is looked for in a list; ask for each element: "…" in field')
        values = [self._fitting(left, item) for item in constants]
        if left.kind == ANY:
            tests = [self._equality(item.node, left, item, wanted=True) for item in constants]
            among, read = _any(tests), left.read
            return lambda fields: read(fields) is not None and among(fields) is wanted
        return _contained(left.read, frozenset(values), wanted=wanted)

    def _in_field(self, node: syntax.Binary, left: Operand, right: Operand, *, wanted: bool) -> Condition:
        if right.kind not in {TEXTS, ANY}:
            hint = "; use contains(field, text)" if right.kind == TEXT else ""
            raise self._error(node.right, f"'in' needs a list, a network or a field that holds a list{hint}")
        read, holds = left.read, right.read
        if left.constant is not None:
            value = self._fitting(right, left)
            return lambda fields: isinstance(found := holds(fields), list) and (value in found) is wanted
        return lambda fields: (
            (value := read(fields)) is not None
            and isinstance(found := holds(fields), list)
            and (value in found) is wanted
        )

    def _constant(self, node: syntax.Node) -> Operand:
        operand = self._operand(node)
        if operand.constant is None:
            raise self._error(node, "a list holds constants only; join comparisons with 'or'")
        return operand

    # values

    def _operand(self, node: syntax.Node) -> Operand:
        match node:
            case syntax.Constant(kind=kind, value=value):
                return Operand(node, kind, lambda _: value, constant=value)
            case syntax.Field(name=name):
                return self._field(node, name)
            case syntax.Call(name=name, args=args):
                return self._call(node, name, args)
            case syntax.Binary(operator="+" | "-"):
                return self._arithmetic(node)
            case syntax.Items():
                raise self._error(node, "a list stands only after 'in'")
        condition = self.condition(node)
        return Operand(node, BOOLEAN, condition)

    def _field(self, node: syntax.Node, name: str) -> Operand:
        try:
            kind = kinds.kind_of(name)
        except UnknownField as error:
            raise self._error(node, str(error)) from None
        return Operand(node, kind, lambda fields: fields.get(name), field=name)

    def _call(self, node: syntax.Call, name: str, args: Iterable[syntax.Node]) -> Operand:
        operands = [self._operand(arg) for arg in args]
        if name == "now":
            self._count(node, operands, 0)
            now = self._now
            return Operand(node, TIME, lambda _: iso(now()))
        if name in self._functions:
            return Operand(node, ANY, _called(self._functions[name], [operand.read for operand in operands]))
        function = FUNCTIONS.get(name)
        if function is None:
            known = sorted({*FUNCTIONS, *self._functions, "now"})
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            raise self._error(node, f"no function {name!r}; {hint}")
        self._count(node, operands, len(function.takes))
        if len(operands) == 2 and operands[1].constant is None:
            raise self._error(operands[1].node, f"{name}() takes a constant text here")
        for operand, taken in zip(operands, function.takes, strict=True):
            if operand.kind not in taken:
                raise self._error(operand.node, f"{name}() takes {' or '.join(taken)} here, not {operand.kind}")
        constant = operands[1].constant if len(operands) == 2 else ""
        try:
            return Operand(node, function.gives, function.make(operands[0].read, constant))
        except ValueError as error:
            raise self._error(operands[-1].node, str(error)) from None

    def _count(self, node: syntax.Call, operands: list[Operand], wanted: int) -> None:
        if len(operands) != wanted:
            raise self._error(node, f"{node.name}() takes {wanted} argument{'s' * (wanted != 1)}, not {len(operands)}")

    def _arithmetic(self, node: syntax.Binary) -> Operand:
        left, right = self._operand(node.left), self._operand(node.right)
        read, other = left.read, right.read
        if left.kind == TIME and right.kind == SPAN and right.constant is not None:
            sign = 1 if node.operator == "+" else -1
            try:
                step = timedelta(seconds=sign * right.constant)
            except OverflowError:
                raise self._error(right.node, "a time span too long to reckon with") from None
            if isinstance(node.left, syntax.Call):
                now = self._now
                return Operand(node, TIME, lambda _: iso(now() + step))
            return Operand(node, TIME, lambda fields: _shifted(read(fields), step))
        if left.kind == TIME and right.kind == TIME and node.operator == "-":
            return Operand(node, SPAN, lambda fields: _between(read(fields), other(fields)))
        raise self._error(
            node, f"{_a(left.kind)} and {_a(right.kind)} can't be reckoned; only: time ± span, time - time"
        )


def _a(kind: str) -> str:
    return f"an {kind}" if kind.startswith("a") else f"a {kind}"


def _hint(wanted: str, kind: str, value: Any) -> str:
    if wanted == NUMBER and kind == TEXT:
        return "; write the number without quotes"
    if wanted == TIME:
        return '; write "2026-11-20T07:30:00Z" or now() - 72h'
    if wanted == TEXT and kind in {NUMBER, ADDRESS}:
        return f'; write "{value}"'
    return ""


def _all(parts: list[Condition]) -> Condition:
    if len(parts) == 2:
        first, second = parts
        return lambda fields: first(fields) and second(fields)

    def every(fields: Fields) -> bool:
        for part in parts:  # noqa: SIM110  # a generator would double the time
            if not part(fields):
                return False
        return True

    return every


def _any(parts: list[Condition]) -> Condition:
    def some(fields: Fields) -> bool:
        for part in parts:  # noqa: SIM110  # a generator would double the time
            if part(fields):
                return True
        return False

    return some


def _contained(read: Read, container: Any, *, wanted: bool) -> Condition:
    if wanted:
        return lambda fields: read(fields) in container
    return lambda fields: (value := read(fields)) is not None and value not in container


def _ordered(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    """Compare values of any kind; what has no order between them (a text and a number) is false."""
    if left is None or right is None or isinstance(left, bool) or isinstance(right, bool):
        return False
    try:
        return bool(compare(left, right))
    except TypeError:
        return False


def _called(function: Callable[..., Any], reads: list[Read]) -> Read:
    def call(fields: Fields) -> Any:
        values = [read(fields) for read in reads]
        return None if None in values else function(*values)

    return call


def _shifted(time: str | None, step: timedelta) -> str | None:
    if time is None:
        return None
    try:
        return iso(datetime.fromisoformat(time) + step)
    except OverflowError:
        return None


def _between(later: str | None, earlier: str | None) -> float | None:
    if later is None or earlier is None:
        return None
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
