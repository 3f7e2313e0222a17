"""``cleanbots logs``: what the processes wrote, readable and in the order of time."""

import time
from pathlib import Path

import click
import orjson

from ..errors import CleanbotsError
from ..services.logs import readable
from .common import config_option
from .logfiles import FOREIGN, LEVELS, Line, LogFile, last_lines

_PAUSE = 0.3
_WARNING = LEVELS.index("warning")


@click.command("logs")
@config_option
@click.argument("worker", required=False)
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(0), help="How many lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option("--level", default="info", show_default=True, type=click.Choice(LEVELS), help="The least level.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def command(config: Path, worker: str | None, lines: int, follow: bool, level: str, as_json: bool) -> None:
    """Show the logs of all processes on this host, or of one WORKER (with or without its number) or bot.

    'scheduler', 'server' and 'supervisord' have logs, too; of the last two only warnings are shown unless asked for.
    """
    from .installation import state_folder

    paths, subject = _paths(state_folder(config) / "logs", worker)
    least = LEVELS.index(level)

    def wanted(line: Line) -> bool:
        about = subject in (line.get("bot"), line.get("part"), line.get("worker")) if subject else True
        # what supervisord and the server say besides is of interest to those who ask for it
        quiet = worker is None and line["program"] in FOREIGN
        return about and LEVELS.index(line["level"]) >= (max(least, _WARNING) if quiet else least)

    files = [LogFile(path, wanted) for path in paths]
    found = last_lines(files, lines)
    for line in found:
        _print(line, as_json=as_json)
    if not found and not follow:
        click.echo(f"nothing of level {level} or above" + (f" about {worker}" if worker else ""), err=True)
    while follow:
        for file in files:
            for line in file.new():
                _print(line, as_json=as_json)
        time.sleep(_PAUSE)


def _paths(folder: Path, worker: str | None) -> tuple[list[Path], str]:
    """Give the log files that are meant; and, if they tell of others as well, whose lines to look for."""
    paths = sorted(folder.glob("*.log"))
    if not paths:
        raise CleanbotsError(f"{folder}: no logs there; 'cleanbots up' starts the graph")
    if worker is None:
        return paths, ""
    own = [path for path in paths if worker in (path.stem, path.stem.rpartition("-")[0])]
    return (own, "") if own else (paths, worker)


def _print(line: Line, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(line))
        return
    click.echo(readable({key: value for key, value in line.items() if key not in ("program", "worker", "number")}))
