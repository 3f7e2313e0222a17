"""``cleanbots graph``: draw the bots, their connections and the workers that host them."""

from pathlib import Path

import click

from ..config.check import check
from ..config.draw import FORMATS
from .common import config_option


@click.command("graph")
@config_option
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True, help="What to draw it as."
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file.")
def command(config: Path, form: str, output: Path | None) -> None:
    """Draw the graph as text, Mermaid or SVG; the configuration must be free of mistakes."""
    drawing = FORMATS[form](check(config).require())
    if output is None:
        click.echo(drawing, nl=False)
        return
    try:
        output.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: can't be written: {error.strerror}") from error
