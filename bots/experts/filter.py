"""Send events out by the first rule, or by every rule, that they meet."""

from collections.abc import Iterable
from typing import Annotated, Literal

from cleanbots import Event, Meta, Params, Router
from cleanbots.expression import Rules, compile_expression

DEFAULT = "default"

RuleName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]


class FilterParams(Params):
    """Parameters of ``expert/filter``."""

    rules: Annotated[
        dict[RuleName, str],
        Meta(
            min_length=1,
            description="Name of a path to the expression that an event must meet to leave by it, in order, e.g. "
            "{urgent: 'severity >= \"high\" and source.ip in 192.0.2.0/24'}. What meets none leaves by 'default'.",
        ),
    ]
    mode: Annotated[
        Literal["first", "all"],
        Meta(description="Leave by the first rule that is met, or by all of them."),
    ] = "first"

    def __post_init__(self) -> None:
        """Refuse rules that can't be compiled."""
        if DEFAULT in self.rules:
            raise ValueError("rules: 'default' is the path of events that meet no rule; choose another name")
        for name, text in self.rules.items():
            try:
                compile_expression(text)
            except ValueError as error:
                raise ValueError(f"rules: {name}: {error}") from error


class Filter(Router[FilterParams]):
    """Sort events by rules. A path that is not connected drops its events; the worker counts them by its name.

    Rules that demand a value by `==` or `in` (`source.asn == 64496`, `source.ip in 192.0.2.0/24`) are found by it, so
    that a thousand of them cost little more than ten; all others are evaluated one after another for each event.
    """

    @classmethod
    def paths(cls, params: FilterParams) -> tuple[str, ...]:
        """Give the rules' names and ``default``."""
        return (*params.rules, DEFAULT)

    def open(self) -> None:
        """Compile the rules."""
        self._rules = Rules(self.params.rules.values(), {"now": self.context.clock.now})
        self._names = list(self.params.rules)

    def route(self, event: Event) -> Iterable[str]:
        """Name the rules that the event meets."""
        fields = event.fields
        if self.params.mode == "all":
            return [self._names[number] for number in self._rules.all(fields)] or (DEFAULT,)
        met = self._rules.first(fields)
        return (DEFAULT if met is None else self._names[met],)
