"""``cleanbots schema``: the JSON Schema of events or of the configuration, for editors and peers."""

import click


@click.command()
@click.argument("what", type=click.Choice(["events", "config"]))
def command(what: str) -> None:
    """Print the JSON Schema (2020-12) of events or of the configuration file."""
    if what == "events":
        from ..harmonization.schema import event_schema_text  # only what is asked for

        click.echo(event_schema_text(), nl=False)
        return
    from ..config.schema import config_schema, encoded
    from ..plugins import discover

    click.echo(encoded(config_schema(discover())), nl=False)
