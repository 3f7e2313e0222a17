"""Set, rename and drop fields, for all events or for those that meet a condition."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from cleanbots import Event, Expert, InvalidValue, Meta, Params
from cleanbots.expression import compile_expression
from cleanbots.harmonization import catalogue, harmonise

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class SetParams(Params):
    """Parameters of ``expert/set``."""

    when: Annotated[str, Meta(description="Only events that meet this expression; all if it is empty.")] = ""
    rename: Annotated[dict[str, str], Meta(description="Old name of a field to its new one.")] = {}
    assign: Annotated[
        dict[str, Any],
        Meta(
            description="Field to its value. In a text {source.ip} stands for that field, and {{ for a brace; if a "
            "field it names is missing, nothing is set. '{source.ip}' alone takes the value over as it is."
        ),
    ] = {}
    drop: Annotated[
        tuple[str, ...], Meta(description="Fields to remove; * stands for any characters, e.g. extra.*.")
    ] = ()
    overwrite: Annotated[bool, Meta(description="Replace a value that the event already has.")] = True

    def __post_init__(self) -> None:
        """Refuse unknown fields, constants that don't fit their fields, and an expression that can't be compiled."""
        if not (self.assign or self.rename or self.drop):
            raise ValueError("nothing to do: give assign, rename or drop")
        if self.when:
            try:
                compile_expression(self.when)
            except ValueError as error:
                raise ValueError(f"when: {error}") from error
        targets = [*self.assign, *self.rename.values()]
        for field in (*targets, *self.rename):
            catalogue().converter(field)
        if "id" in (*targets, *self.rename, *self.drop):
            raise ValueError("'id' names the event for ever and can't be changed")
        for field, value in self.assign.items():
            _assignment(field, value)


class _Assignment(NamedTuple):
    """A field, and either its constant or how to make its value of an event's fields."""

    field: str
    constant: Any
    make: Callable[[Mapping[str, Any]], Any] | None


class Set(Expert[SetParams]):
    """Change fields: rename first, then assign, then drop. A value that doesn't fit its field sets the event aside."""

    def open(self) -> None:
        """Compile condition, templates and patterns; harmonise constants."""
        params = self.params
        self._when = compile_expression(params.when, {"now": self.context.clock.now}) if params.when else None
        self._assignments = [_assignment(field, value) for field, value in params.assign.items()]
        patterns = "|".join(".*".join(map(re.escape, pattern.split("*"))) for pattern in params.drop)
        self._dropped = re.compile(f"(?!id$)(?:{patterns})").fullmatch if patterns else None

    def process(self, event: Event) -> Event:
        """Change one event."""
        fields = event.fields
        if self._when is not None and not self._when(fields):
            return event
        overwrite = self.params.overwrite
        for old, new in self.params.rename.items():
            if old in fields and (overwrite or new not in fields):
                event[new] = fields.pop(old)
        for field, constant, make in self._assignments:
            if field in fields and not overwrite:
                continue
            if make is None:
                fields[field] = constant
            elif (value := make(fields)) is not None:
                event[field] = value
        if self._dropped is not None:
            for field in [field for field in fields if self._dropped(field)]:
                del fields[field]
        return event


def _assignment(field: str, value: Any) -> _Assignment:
    """Compile what is assigned to *field*; raises ValueError if it can't be."""
    if not isinstance(value, str) or not re.search("[{}]", value):
        return _Assignment(field, harmonise(field, value), None)
    pieces = _pieces(field, value)
    names = [name for name, _ in pieces if name]
    if not names:
        return _Assignment(field, harmonise(field, "".join(text for _, text in pieces)), None)
    if len(pieces) == 1:
        (source,) = names
        return _Assignment(field, None, lambda fields: fields.get(source))

    def fill(fields: Mapping[str, Any]) -> str | None:
        values = [fields.get(name) if name else text for name, text in pieces]
        return None if None in values else "".join(map(_text, values))

    return _Assignment(field, None, fill)


def _pieces(field: str, template: str) -> list[tuple[str, str]]:
    """Take a template apart into (field name, "") and ("", text)."""
    pieces: list[tuple[str, str]] = []
    position = 0
    for match in _PIECE.finditer(template):
        if match.start() > position:
            pieces.append(("", template[position : match.start()]))
        position = match.end()
        if match[0] in {"{{", "}}"}:
            pieces.append(("", match[0][0]))
        elif match[1] is None:
            raise InvalidValue(field, template, f"a lone {match[0]!r}; write it twice to mean the character")
        else:
            catalogue().converter(match[1])
            pieces.append((match[1], ""))
    if position < len(template):
        pieces.append(("", template[position:]))
    return pieces


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
