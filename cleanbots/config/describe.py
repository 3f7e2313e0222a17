"""Describe a bot class for people: what it is, its parameters, its paths, an example."""

import inspect
from typing import Any

import msgspec

from ..bot import Bot, Collector, kind_of
from ..params import DURATION_PATTERN, SIZE_PATTERN, Params
from .values import schema_of

_PATTERNS = {DURATION_PATTERN: "time span", SIZE_PATTERN: "size"}
_TYPES = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "mapping"}


class Parameter(msgspec.Struct, frozen=True):
    """One parameter: its name, its type in words, whether it must be given, its default, its limits, what it means."""

    name: str
    type: str
    required: bool
    default: Any = None
    limits: str = ""
    description: str = ""
    secret: bool = False


class Description(msgspec.Struct, frozen=True):
    """A bot class in words.

    Args:
        use: its name in configurations.
        kind: collector, parser, expert or output.
        summary: the first sentence of its docstring.
        text: the rest of it.
        parameters: in their order.
        paths: its exits; None if they depend on parameters that have no default.
        traits: what is special about how it is run.
        example: YAML of one bot.
    """

    use: str
    kind: str
    summary: str
    text: str
    parameters: list[Parameter]
    paths: list[str] | None
    traits: list[str]
    example: str

    def as_text(self) -> str:
        """Give it for a terminal."""
        lines = [f"{self.use}: {self.summary}", ""]
        if self.text:
            lines += [self.text, ""]
        if self.parameters:
            lines.append("Parameters:")
            width = max(len(each.name) for each in self.parameters)
            for each in self.parameters:
                lines.append(f"  {each.name.ljust(width)}  {_facts(each)}")
                if each.description:
                    lines.append(f"  {' ' * width}  {each.description}")
        else:
            lines.append("It has no parameters.")
        lines += ["", f"Paths: {_paths(self.paths)}", *self.traits, "", "Example:", ""]
        lines += [f"  {line}" for line in self.example.splitlines()]
        return "\n".join(lines)

    def as_markdown(self) -> str:
        """Give it as a section of the documentation."""
        lines = [f"## `{self.use}`", "", self.summary, ""]
        if self.text:
            lines += [self.text, ""]
        if self.parameters:
            lines += ["| parameter | type | default | meaning |", "|---|---|---|---|"]
            for each in self.parameters:
                default = "**required**" if each.required else f"`{_literal(each.default)}`"
                kind = f"{each.type}, {each.limits}" if each.limits else each.type
                cells = (f"`{each.name}`", kind, default, each.description)
                lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
            lines.append("")
        lines += [f"Paths: {_paths(self.paths)}", ""]
        for trait in self.traits:
            lines += [trait, ""]
        lines += ["```yaml", self.example.rstrip(), "```"]
        return "\n".join(lines)

    def as_json(self) -> str:
        """Give it for programs."""
        return msgspec.json.encode(self).decode()


def describe(use: str, bot: type[Bot[Any]]) -> Description:
    """Describe the bot class *bot*, called *use* in configurations."""
    summary, _, text = (inspect.getdoc(bot) or "").partition("\n\n")
    parameters = _parameters(bot.params_type())
    kind = kind_of(bot)
    return Description(
        use=use,
        kind=kind,
        summary=" ".join(summary.split()),
        text=text.strip(),
        parameters=parameters,
        paths=_exits(bot, kind),
        traits=_traits(bot),
        example=_example(use, kind, bot, parameters),
    )


def _parameters(struct: type[Params]) -> list[Parameter]:
    whole = schema_of(struct)
    schema = _followed(whole, whole)
    required = set(schema.get("required", ()))
    found = []
    for name, part in schema.get("properties", {}).items():
        inner = _followed(part, whole)
        found.append(
            Parameter(
                name=name,
                type=_type(part, whole),
                required=name in required,
                default=inner.get("default", part.get("default")),
                limits=_limits(inner),
                description=part.get("description", inner.get("description", "")),
                secret="writeOnly" in str(part),
            )
        )
    return found


def _followed(schema: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return schema if reference is None else whole["$defs"][reference.removeprefix("#/$defs/")]


def _type(schema: dict[str, Any], whole: dict[str, Any]) -> str:
    schema = _followed(schema, whole)
    if schema.get("writeOnly"):
        return "secret"
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        names = dict.fromkeys(_type(branch, whole) for branch in branches if branch.get("type") != "null")
        return " or ".join(names)
    if "enum" in schema:
        return " or ".join(_literal(value) for value in schema["enum"] if value is not None)
    kind: str = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_inner(schema['items'], whole)}" if schema.get("items") else "list"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"mapping to {_inner(schema['additionalProperties'], whole)}"
    return _PATTERNS.get(schema.get("pattern", ""), _TYPES.get(kind, kind))


def _inner(schema: dict[str, Any], whole: dict[str, Any]) -> str:
    text = _type(schema, whole)
    return f"({text})" if " or " in text and text != "true or false" else text


def _limits(schema: dict[str, Any]) -> str:
    words = {"minimum": "at least {}", "maximum": "at most {}", "minLength": "not empty"}
    return ", ".join(text.format(schema[key]) for key, text in words.items() if key in schema)


def _exits(bot: type[Bot[Any]], kind: str) -> list[str] | None:
    if kind == "output":
        return []
    try:
        return list(bot.paths(msgspec.convert({}, bot.params_type())))
    except msgspec.ValidationError:
        return list(bot.paths(None)) if bot.paths.__func__ is Bot.paths.__func__ else None  # type: ignore[attr-defined]


def _traits(bot: type[Bot[Any]]) -> list[str]:
    traits = []
    if issubclass(bot, Collector):
        traits.append("It keeps running." if bot.continuous else "It runs at its time slots ('every:' or 'cron:').")
    if bot.isolate:
        traits.append("It waits for the network, so it has a worker of its own.")
    if bot.single:
        traits.append("It keeps state, so there is one instance of it.")
    return traits


def _example(use: str, kind: str, bot: type[Bot[Any]], parameters: list[Parameter]) -> str:
    name = use.partition("/")[2].replace("_", "-")
    lines = ["bots:", f"  {name}:", f"    use: {use}"]
    required = [each for each in parameters if each.required]
    if required:
        lines.append("    params:")
        lines += [f"      {each.name}: {_sample(each)}" for each in required]
    if issubclass(bot, Collector) and not bot.continuous:
        lines.append("    every: 15m")
    if kind != "output":
        lines.append(f"    to: {'parser' if kind == 'collector' else 'output'}")
    return "\n".join(lines) + "\n"


def _sample(parameter: Parameter) -> str:
    if parameter.secret:
        return '"${env:SECRET}"'
    if " or " in parameter.type and "text" not in parameter.type and not parameter.type.startswith("true"):
        return str(parameter.type.partition(" or ")[0])
    if parameter.name.endswith("url"):
        return "https://feeds.example.net/list"
    samples = {"whole number": "1", "number": "1", "true or false": "true", "time span": "1h", "size": "1MiB"}
    if parameter.type.startswith("list"):
        return "[]"
    return samples.get(parameter.type, "{}" if parameter.type.startswith("mapping") else "example")


def _facts(parameter: Parameter) -> str:
    parts = [parameter.type, "required" if parameter.required else f"default {_literal(parameter.default)}"]
    return ", ".join(part for part in (*parts, parameter.limits) if part)


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return value or '""'
    return "none" if value is None else msgspec.json.encode(value).decode()


def _paths(paths: list[str] | None) -> str:
    if paths is None:
        return "named by its parameters."
    return ", ".join(paths) + "." if paths else "none; it is the end of the graph."
