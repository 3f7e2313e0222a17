"""The JSON Schema of a whole configuration file, for editors; ``python -m cleanbots.config.schema`` publishes it."""

from pathlib import Path as FilePath
from typing import Any

import msgspec

from ..data import data_path
from ..errors import PluginError
from .draft import Registry
from .shape import ConfigFile
from .values import schema_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE = "config.schema.json"


def config_schema(registry: Registry) -> dict[str, Any]:
    """Give the schema of a configuration file (JSON Schema 2020-12) with the parameters of each bot of *registry*.

    It refers to nothing outside of itself. A bot that can't be loaded is left out.
    """
    whole: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(schema_of(ConfigFile)))
    definitions: dict[str, Any] = whole["$defs"]
    conditions = []
    for use in registry.names():
        try:
            struct = registry.load(use).params_type()
        except PluginError:
            continue
        reference = _adopt(definitions, use, schema_of(struct))
        needed = any(field.required for field in msgspec.structs.fields(struct))
        conditions.append(_condition(use, reference, needed=needed))
    bot = definitions["BotEntry"]
    bot["properties"]["use"]["examples"] = registry.names()
    if conditions:
        bot["allOf"] = conditions
    file = definitions["ConfigFile"]
    # An included file may hold any part of the whole, so editors must not ask each file for all of it.
    file.pop("required", None)
    return {"$schema": DIALECT, "title": "Configuration of cleanbots", **whole}


def _condition(use: str, reference: str, *, needed: bool) -> dict[str, Any]:
    then: dict[str, Any] = {"properties": {"params": {"$ref": reference}}}
    if needed:
        then["required"] = ["params"]
    return {"if": {"properties": {"use": {"const": use}}, "required": ["use"]}, "then": then}


def _adopt(definitions: dict[str, Any], use: str, schema: dict[str, Any]) -> str:
    """Take a bot's definitions over under names of their own; give the reference to its parameters."""
    prefix = "#/$defs/"

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: f"{prefix}{use.replace('/', '.')}.{inner.removeprefix(prefix)}"
                if key == "$ref" and isinstance(inner, str)
                else renamed(inner)
                for key, inner in value.items()
            }
        return [renamed(inner) for inner in value] if isinstance(value, list) else value

    # Encoded once, so that defaults which are structs or tuples become plain JSON.
    plain = msgspec.json.decode(msgspec.json.encode(renamed(schema)))
    for name, definition in plain.pop("$defs", {}).items():
        definitions[f"{use.replace('/', '.')}.{name}"] = definition
    return str(plain["$ref"])


def encoded(schema: dict[str, Any]) -> bytes:
    """Give a schema as the bytes of its published file."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"


def publish(file: FilePath) -> None:
    """Write the schema, with the bots that are installed, to *file*."""
    from ..plugins import discover

    file.write_bytes(encoded(config_schema(discover([]))))


if __name__ == "__main__":
    publish(data_path("config") / FILE)
