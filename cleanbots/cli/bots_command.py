"""``cleanbots bots``: list, describe and make bots."""

import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

import click

from ..bot import KINDS
from ..config.describe import describe
from ..errors import CleanbotsError, PluginError
from ..plugins import Registry
from .bot_templates import CONTRACT, TEMPLATES
from .common import json_option, show
from .sample_parser import parser_for, sniff
from .site_option import load_bot, registry_from, site_option


@click.group("bots")
def command() -> None:
    """List, describe and make bots."""


@command.command("list")
@click.option("--kind", type=click.Choice(list(KINDS)), help="Only bots of this kind.")
@site_option
@json_option
def list_bots(kind: str | None, site: tuple[Path, ...], as_json: bool) -> None:
    """List all bots with one line about each."""
    registry = registry_from(site)
    rows = []
    for name in registry.names(kind):
        try:
            about = _about(registry, name)
        except PluginError as error:
            about = f"can't be loaded: {error}"
        rows.append({"name": name, "plugin": registry.ref(name).source, "about": about})
    show(rows, as_json, "no bots; 'cleanbots plugins' tells what was found")


@command.command("describe")
@click.argument("name")
@click.option("--markdown", is_flag=True, help="Print Markdown.")
@site_option
@json_option
def describe_bot(name: str, markdown: bool, site: tuple[Path, ...], as_json: bool) -> None:
    """Tell what a bot does, its parameters and its exits."""
    description = describe(name, load_bot(name, site))
    if as_json:
        click.echo(description.as_json())
    else:
        click.echo(description.as_markdown() if markdown else description.as_text())


@command.command("pages")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@site_option
def write_pages(folder: Path, site: tuple[Path, ...]) -> None:
    """Write the pages that document all bots into FOLDER (Markdown)."""
    for path, text in pages(registry_from(site)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def pages(registry: Registry) -> dict[str, str]:
    """Give the pages that document all bots: an index, and ``<kind>/<name>.md`` for each."""
    index = ["# Bots", "", "Made by `cleanbots bots pages docs/bots` from the bots themselves."]
    made = {}
    for kind in KINDS:
        index += ["", f"## {kind.capitalize()}s", ""]
        for name in registry.names(kind):
            index.append(f"- [{name}]({name}.md): {_about(registry, name)}")
            made[f"{name}.md"] = describe(name, registry.load(name)).as_markdown().removeprefix("#").rstrip() + "\n"
    made["README.md"] = "\n".join(index) + "\n"
    return made


@command.command("new")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("site"),
    show_default=True,
    help="The site folder to put it into.",
)
@click.option(
    "--from",
    "sample",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Parsers: a sample of the feed (CSV); delimiter, header and columns are taken from it.",
)
def new_bot(kind: str, name: str, folder: Path, sample: Path | None) -> None:
    """Make a bot that works, and its test, to start from."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", name):
        raise click.BadParameter(
            f"{name!r}: use small letters, digits and '_', as for a Python module", param_hint="NAME"
        )
    words = {
        "class": "".join(word.capitalize() for word in name.split("_")),
        "name": name,
        "use": f"{kind}/{name}",
    }
    template = TEMPLATES[kind]
    if sample is not None:
        if kind != "parser":
            raise click.UsageError("--from goes with parsers only")
        template, more = parser_for(sniff(sample))
        words |= more
    module = name + "_" * keyword.iskeyword(name)
    bot, test = folder / f"{kind}s" / f"{module}.py", folder / "tests" / f"test_{kind}_{name}.py"
    for path, text in ((bot, template.bot), (test, template.test)):
        _make(path, text, words)
    example = Template(template.example).substitute(words)
    contract = folder / "tests" / "test_contract.py"
    if not contract.exists():
        _make(contract, CONTRACT, {"example": example})
    elif example:
        click.echo(f"add {example} to EXAMPLES in {contract}")
    click.echo(f"test it with 'pytest {folder}', and name the folder in the configuration: plugins: [{folder}]")


def _make(path: Path, text: str, words: Mapping[str, str]) -> None:
    _write(path, Template(text).substitute(words))
    click.echo(f"made {path}")


def _write(path: Path, text: str) -> None:
    """Write a new file; neither it nor its folder is writable by others, or the site folder would be refused."""
    missing = [parent for parent in (path.parent, *path.parent.parents) if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    for parent in missing:
        parent.chmod(0o755)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CleanbotsError(f"{path}: there already; choose another name, or remove it first") from None
    path.chmod(0o644)


def _about(registry: Registry, name: str) -> str:
    """Give the first line of a bot's description."""
    return (registry.load(name).__doc__ or "").strip().partition("\n")[0]
