"""Send events out by the first rule, or by every rule, that they meet."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

from cleanbots import Event, Meta, Params, Router
from cleanbots.expression import compile_expression

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
    """Sort events by rules. A path that is not connected drops its events; the worker counts them by its name."""

    @classmethod
    def paths(cls, params: FilterParams) -> tuple[str, ...]:
        """Give the rules' names and ``default``."""
        return (*params.rules, DEFAULT)

    def open(self) -> None:
        """Compile the rules."""
        functions = {"now": self.context.clock.now}
        self._rules: list[tuple[str, Callable[[Mapping[str, Any]], bool]]] = [
            (name, compile_expression(text, functions)) for name, text in self.params.rules.items()
        ]

    def route(self, event: Event) -> Iterable[str]:
        """Name the rules that the event meets."""
        fields = event.fields
        if self.params.mode == "all":
            return [name for name, met in self._rules if met(fields)] or (DEFAULT,)
        for name, met in self._rules:
            if met(fields):
                return (name,)
        return (DEFAULT,)
