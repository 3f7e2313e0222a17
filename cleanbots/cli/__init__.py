"""The command line: lazy sub-commands and one error boundary."""

import os
import sys
from importlib import import_module

import click

from ..errors import CleanbotsError

_WIDEST = 80

COMMANDS: dict[str, str] = {
    "check": "Check a configuration: every mistake, with file, line and column.",
    "graph": "Draw the graph of bots and workers (text, Mermaid, SVG).",
    "plan": "Show what 'reload' would change.",
    "bots": "List, describe and make bots.",
    "plugins": "List plugins and what each brings.",
    "fields": "List the fields of events.",
    "try": "Run one bot on a file, without a server.",
    "test": "Run the tests that the configuration holds.",
    "run": "Run the graph in the foreground.",
    "up": "Start the graph under supervisor.",
    "down": "Stop the graph.",
    "restart": "Restart workers.",
    "reload": "Check the configuration and change over to it.",
    "rollback": "Change back to the snapshot before.",
    "status": "Tell what runs and what waits.",
    "logs": "Show the workers' logs.",
    "queues": "List, peek into and clear queues.",
    "failed": "List, show, retry, drop and export failed items.",
    "members": "List, show, check, match and import members.",
    "deliveries": "List, show, approve, stop and repeat deliveries to members.",
    "backup": "Save what deliveries rest on, while everything runs.",
    "restore": "Put the store of a backup back, and catch up.",
    "explain": "Tell what became of an event.",
    "update": "Update downloaded data, such as Shadowserver's schema.",
    "schema": "Print a JSON Schema: of the configuration or of events.",
}
"""Name of each command to its line in the help; ``cleanbots.cli.<name>_command`` holds it as ``command``."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"cleanbots.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else " 'cleanbots --help' lists them."
            ctx.fail(f"no such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cleanbots")
def cli() -> None:
    """Collect, harmonise, route and deliver reports about abused and vulnerable machines."""


def _width() -> int:
    """Give the width of the help as click finds it by itself, but without `shutil`, which loads all it needs for archives."""
    try:
        columns = os.get_terminal_size().columns
    except OSError:
        columns = _WIDEST
    return max(min(columns, _WIDEST) - 2, 50)


def main() -> None:
    """Run the command line. Exit codes: 0 fine, 1 found problems, 2 usage; an expected error is one sentence."""
    try:
        sys.exit(
            cli.main(standalone_mode=False, terminal_width=_width())
        )  # the code that a command ended with by click's Exit, or None
    except click.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CleanbotsError as error:
        click.echo(f"cleanbots: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(0)
    except Exception:
        click.echo("cleanbots: this is a bug in cleanbots; please report it with the lines below.", err=True)
        raise
