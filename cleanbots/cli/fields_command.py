"""``cleanbots fields``: the fields of events, as table, JSON or Markdown; one of them in detail."""

from typing import Any

import click

from ..errors import UnknownField
from ..harmonization import Field, catalogue
from ..harmonization.docs import fields_markdown, limits_text
from ..harmonization.types import TYPES
from .common import json_option, show


@click.command()
@click.argument("name", required=False)
@json_option
@click.option("--markdown", is_flag=True, help="Print the page docs/fields.md.")
def command(name: str | None, as_json: bool, markdown: bool) -> None:
    """List the fields of events, or describe the field NAME."""
    if markdown:
        if name or as_json:
            raise click.UsageError("--markdown prints the whole page and goes with neither NAME nor --json.")
        click.echo(fields_markdown(), nl=False)
        return
    known = catalogue()
    if name is None:
        rows = [_row(field, as_json) for _, field in sorted(known.fields.items())]
        show(rows, as_json, "The catalogue is empty.")
        return
    field = known.fields.get(name) or (known.fields["extra"] if name in known else None)
    if field is None:
        raise UnknownField(name, known.closest(name))
    if as_json:
        show([_row(field, as_json=True)], as_json, "")
        return
    for line in _details(field):
        click.echo(line)


def _row(field: Field, as_json: bool) -> dict[str, Any]:
    facts = {"field": field.name, "type": field.type, "own": field.own, "description": field.description}
    if as_json:
        return facts | {
            "intelmq": "extra" if field.own else field.name,
            "report": field.report,
            **{name: getattr(field, name) for name in field.limits.__struct_fields__},
        }
    return {"field": field.name, "type": field.type, "meaning": field.description}


def _details(field: Field) -> list[str]:
    name = "extra.<name>" if field.type == "extra" else field.name
    lines = [name, f"  {field.description}", f"  type {field.type}: {TYPES[field.type].description}"]
    if limits := limits_text(field):
        lines.append(f"  limits: {limits}")
    if field.enum is not None and len(field.enum) > 12:
        lines.append(f"  words: {', '.join(field.enum)}")
    lines.append("  known to reports, too" if field.report else "  of events only")
    lines.append("  own: leaves for IntelMQ below extra.cleanbots." if field.own else "  the same in IntelMQ")
    return lines
