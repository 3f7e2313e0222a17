"""What the commands share: the configuration option, and listings as table or JSON."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def config_option(function: F) -> F:
    """Add ``-c/--config FILE`` as the argument ``config``."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        default=Path("cleanbots.yaml"),
        envvar="CLEANBOTS_CONFIG",
        show_default=True,
        show_envvar=True,
        help="The configuration file.",
    )(function)


def json_option(function: F) -> F:
    """Add ``--json`` as the argument ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(function)


def counted(number: int, what: str) -> str:
    """Give a number of things in words: ``1 item``, ``2 items``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, empty: str) -> None:
    """Print *rows* (all with the same keys) as an aligned table or as JSON; *empty* is said if there are none."""
    if as_json:
        import orjson

        click.echo(orjson.dumps(list(rows), option=orjson.OPT_INDENT_2).decode())
        return
    if not rows:
        click.echo(empty)
        return
    heads = list(rows[0])
    cells = [[_cell(row[head]) for head in heads] for row in rows]
    widths = [max(len(head), *(len(row[i]) for row in cells)) for i, head in enumerate(heads)]
    right = [all(isinstance(row[head], (int, float)) for row in rows) for head in heads]
    click.echo(_line(heads, widths, right))
    for row in cells:
        click.echo(_line(row, widths, right))


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True)]
    return "  ".join(parts).rstrip()
