"""Regular expressions of other people: searched in bounded time.

With ``google-re2`` installed every pattern takes linear time. Without it Python's `re` is used for the patterns that
can't explode: no back-references or look-around, no repeats inside repeats, few repeats in all; and the more repeats a
pattern has, the less of a long text is searched.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

_MAX_PATTERN = 1000
_MAX_STEPS = 5e7
"""The most steps that a search may take: about half a second."""
_LONGEST, _SHORTEST = 10_000, 100
"""How much of a text is searched at most, and what is too little to be of use."""
_WIDE = 16
"""A repeat whose bounds are further apart counts as unbounded."""
_MAX_TIMES = 1000
"""The most that repeats of a fixed number may multiply to."""

_HARMLESS = frozenset({"LITERAL", "NOT_LITERAL", "IN", "ANY", "AT", "CATEGORY", "RANGE", "NEGATE"})
_BEGINNINGS = frozenset({"AT_BEGINNING", "AT_BEGINNING_STRING"})
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})

Search = Callable[[str], bool]


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Search:
    """Compile *pattern*; the function made tells whether a text holds a match anywhere.

    Raises:
        ValueError: if the pattern is none, or could take too long.
    """
    if len(pattern) > _MAX_PATTERN:
        raise ValueError(f"a pattern of {len(pattern)} characters; the limit is {_MAX_PATTERN}")
    return _linear(pattern) if find_spec("re2") else bounded(pattern)


def _linear(pattern: str) -> Search:
    re2: Any = import_module("re2")
    options = re2.Options()
    options.log_errors = False
    try:
        search = re2.compile(pattern, options).search
    except re2.error as error:
        raise ValueError(f"no pattern that can be searched in linear time: {error}") from None
    return lambda text: search(text) is not None


def bounded(pattern: str) -> Search:
    """Compile *pattern* for Python's `re`, if its time can be bounded.

    Raises:
        ValueError: if the pattern is none, or could take too long.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"no regular expression: {error}") from None
    tree = _parsed(pattern)
    anchored = bool(tree) and str(tree[0][1]) in _BEGINNINGS and not compiled.flags & re.MULTILINE
    shape = _Shape()
    shape.look_at(tree)
    limit = shape.limit(anchored=anchored)
    if limit < _SHORTEST:
        raise ValueError("too many repeats ('*', '+') or alternatives to be safe; write several shorter patterns")
    search = compiled.search
    return lambda text: search(text, 0, limit) is not None


def _parsed(pattern: str) -> Any:
    parser: Any = import_module("re._parser")
    return parser.parse(pattern)


class _Shape:
    """What makes a pattern slow: unbounded repeats, and in how many ways its bounded parts can match."""

    def __init__(self) -> None:
        self._unbounded = 0
        self._variants = 1

    def limit(self, *, anchored: bool) -> int:
        """Tell how long a text may be so that a search stays within `_MAX_STEPS`."""
        degree = self._unbounded + (not anchored)
        return min(_LONGEST, int((_MAX_STEPS / self._variants) ** (1 / degree))) if degree else _LONGEST

    def look_at(self, pieces: Any, times: int = 1) -> None:
        """Count the pieces of a parsed pattern; what is matched several *times* may not vary."""
        for code, argument in pieces:
            name = str(code)
            if name in _REPEATS:
                self._repeat(*argument, times=times)
            elif name == "SUBPATTERN":
                self.look_at(argument[3], times)
            elif name == "BRANCH":
                self._branch(argument[1], times)
            elif name not in _HARMLESS:
                raise ValueError("back-references, look-around and conditions are not allowed: they can take for ever")

    def _repeat(self, least: int, most: int, body: Any, *, times: int) -> None:
        if times > 1 and least != most:
            raise ValueError("a repeat inside a repeat, as in '(a+)+', can take for ever; write it without one of them")
        if most - least > _WIDE:
            self._unbounded += 1
            self.look_at(body, _MAX_TIMES)
            return
        if times * most > _MAX_TIMES and times > 1:
            raise ValueError(f"a repeat inside a repeat that makes more than {_MAX_TIMES} rounds")
        self._variants *= most - least + 1
        self.look_at(body, times * max(most, 1))

    def _branch(self, branches: Any, times: int) -> None:
        if times > 1:
            raise ValueError("alternatives inside a repeat, as in '(a|b)*', can take for ever; write '[ab]*'")
        self._variants *= len(branches)
        for branch in branches:
            self.look_at(branch)
