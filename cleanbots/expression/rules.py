"""Many expressions at once: only those that an event may meet are evaluated, so that a thousand cost little more than ten.

What an expression demands by ``==`` or ``in`` of constants (``source.asn == 64496``, ``source.ip in 192.0.2.0/24``) is
kept in an index by value; an event is looked up in it by its own values. Expressions that demand nothing of the kind are
evaluated for each event.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from . import syntax
from .compiler import Compiler, Condition, Fields, Functions, Operand
from .kinds import ADDRESS, ANY, NETWORK
from .networks import NetworkMap


class _Demand(NamedTuple):
    """That a field holds a value, or an address in a network (text)."""

    field: str
    value: Any
    network: bool = False


_Demands = frozenset[_Demand]
"""Demands of which an event meets at least one if it meets the expression."""


class Rules:
    """Expressions in an order.

    Args:
        texts: the expressions.
        functions: as for `compile_expression`.

    Raises:
        ExpressionError: if one can't be compiled.
    """

    def __init__(self, texts: Iterable[str], functions: Functions | None = None) -> None:
        self._conditions: list[Condition] = []
        choices: list[list[_Demands]] = []
        for text in texts:
            compiler, tree = _Demanding(text, functions), syntax.parse(text)
            self._conditions.append(compiler.condition(tree))
            choices.append(compiler.demands(tree))
        self._index = _Index(list(_chosen(choices)))

    def first(self, fields: Fields) -> int | None:
        """Give the number (from 0) of the first expression that an event meets, or None."""
        conditions = self._conditions
        for number in self._index.candidates(fields):
            if conditions[number](fields):
                return number
        return None

    def all(self, fields: Fields) -> list[int]:
        """Give the numbers of all expressions that an event meets, in order."""
        conditions = self._conditions
        return [number for number in self._index.candidates(fields) if conditions[number](fields)]


class _Index:
    """Which expressions an event may meet, by its values."""

    def __init__(self, chosen: Sequence[_Demands | None]) -> None:
        self._always = [number for number, demands in enumerate(chosen) if demands is None]
        values: dict[str, dict[Any, list[int]]] = {}
        networks: dict[str, dict[str, list[int]]] = {}
        for number, demands in enumerate(chosen):
            for field, value, network in demands or ():
                (networks if network else values).setdefault(field, {}).setdefault(value, []).append(number)
        self._values = list(values.items())
        self._networks = [(field, NetworkMap(known.items())) for field, known in networks.items()]

    def candidates(self, fields: Fields) -> Sequence[int]:
        """Give the numbers of the expressions that an event may meet, in order."""
        found = self._always
        for field, known in self._values:
            value = fields.get(field)
            if value.__class__ is not list and value.__class__ is not dict and value in known:
                found = found + known[value]
        for field, by_network in self._networks:
            for numbers in by_network.find(fields.get(field)):
                found = found + numbers
        return found if len(found) < 2 or found is self._always else sorted(set(found))


class _Demanding(Compiler):
    """Also tells what an expression demands."""

    def demands(self, node: syntax.Node) -> list[_Demands]:
        """Give all that a node demands; each by itself is enough to keep events from being evaluated in vain."""
        match node:
            case syntax.Logic(operator="and", operands=operands):
                return [demands for operand in operands for demands in self.demands(operand)]
            case syntax.Logic(operands=operands):
                each = [self.demands(operand) for operand in operands]
                return [frozenset().union(*(min(demands, key=len) for demands in each))] if all(each) else []
            case syntax.Binary(operator="=="):
                left, right = self._operand(node.left), self._operand(node.right)
                if left.constant is not None:
                    left, right = right, left
                return self._of_values(left, [right])
            case syntax.Binary(operator="in", right=syntax.Items(items=items)):
                return self._membership_demands(self._operand(node.left), [self._operand(item) for item in items])
            case syntax.Binary(operator="in"):
                return self._membership_demands(self._operand(node.left), [self._operand(node.right)])
        return []

    def _membership_demands(self, left: Operand, items: list[Operand]) -> list[_Demands]:
        if left.kind in {ADDRESS, ANY} and all(item.kind in {ADDRESS, NETWORK} for item in items):
            constants = [item.constant for item in items]
            if left.field is None or None in constants:
                return []
            return [frozenset(_Demand(left.field, str(value), network=True) for value in constants)]
        return self._of_values(left, items)

    def _of_values(self, left: Operand, items: list[Operand]) -> list[_Demands]:
        field = left.field
        if field is None or any(item.constant is None for item in items):
            return []
        return [frozenset(_Demand(field, self._fitting(left, item)) for item in items)]


def _chosen(choices: Sequence[list[_Demands]]) -> Iterator[_Demands | None]:
    """Choose for each expression the demands that it shares with the fewest others."""
    shared = Counter(demand for demands in choices for each in demands for demand in each)
    for demands in choices:
        yield min(demands, key=lambda each: sum(shared[demand] for demand in each)) if demands else None
