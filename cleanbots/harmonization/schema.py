"""The JSON Schema of events, made of the catalogue; published as ``harmonization/event.schema.json``."""

from typing import Any

import msgspec

from .catalogue import Catalogue, Field, catalogue
from .scalars import Limits
from .types import TYPES, whole_match

FORMATS = {
    "lower-case": "lowercase",
    "upper-case": "uppercase",
    "utc-time": "time",
    "ip-address": "ip",
    "ip-network": "network",
    "host-name": "fqdn",
    "domain-suffix": "suffix",
    "absolute-url": "url",
    "email-list": "emails",
    "json-text": "json",
    "free-json": "extra",
}
"""Formats that the schema uses to the type whose canonical form each means; a validator that lacks them checks less."""


def event_schema(fields: Catalogue | None = None) -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of one event: a flat object of dotted fields with canonical values.

    Args:
        fields: the catalogue; this process's by default.
    """
    known = fields or catalogue()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cleanbots event",
        "description": "One harmonised observation: a flat object of dotted fields with canonical values.",
        "type": "object",
        "properties": {
            name: field_schema(field) for name, field in sorted(known.fields.items()) if field.type != "extra"
        },
        "patternProperties": {whole_match(r"extra(?:\.[a-z0-9_-]+)+"): TYPES["extra"].schema(Limits())},
        "additionalProperties": False,
    }


def field_schema(field: Field) -> dict[str, Any]:
    """Give the JSON Schema of one field's canonical values, with its description."""
    return {"description": field.description, **TYPES[field.type].schema(field.limits)}


def event_schema_text() -> str:
    """Give the schema of the shipped catalogue as it is published."""
    return msgspec.json.format(msgspec.json.encode(event_schema()), indent=2).decode() + "\n"
