"""``cleanbots update``: fetch data that lives outside, check it, and only then put it in place."""

import os
import tempfile
from pathlib import Path
from typing import Protocol, cast

import click

from ..errors import CleanbotsError, PluginError
from .common import config_option

SCHEMA_URL = "https://interchange.shadowserver.org/intelmq/v1/schema"
SCHEMA_FILE = "shadowserver-schema.json"
SCHEMA_LIMIT = 16 * 2**20
MOST_DROPPED = 0.2
"""The share of its report types that a schema may lose from one version to the next without being suspicious."""


class _Checks(Protocol):
    """What ``parser/shadowserver`` offers for this command."""

    def check_schema(self, data: bytes) -> tuple[list[str], list[str]]: ...


@click.group("update")
def command() -> None:
    """Update downloaded data, such as Shadowserver's schema."""


@command.command("shadowserver-schema")
@config_option
@click.option("--from", "source", default=SCHEMA_URL, show_default=True, help="A URL or a file.")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to put it, instead of the data folder of the configuration.",
)
@click.option(
    "--force", is_flag=True, help="Take it although it is suspicious or asks for more than this version knows."
)
def update_schema(config: Path, source: str, target: Path | None, force: bool) -> None:
    """Fetch Shadowserver's schema of report types; running workers take it up with their next report."""
    state = None if target else _state_folder(config)
    place = target or (state or Path()) / "data" / SCHEMA_FILE
    try:
        changes = _update(source, place, force=force)
    except CleanbotsError as error:
        kept = f"; {place} was kept as it is" if place.exists() else ""
        raise type(error)(f"{error}{kept}") from error
    click.echo(f"{place}: {changes}")
    if state:
        from .audit import record

        record(state, "update shadowserver-schema", {"from": _shown(source), "changes": changes})


def _update(source: str, place: Path, *, force: bool) -> str:
    """Fetch, check and put in place; gives a sentence that says what changed."""
    data = _read(source)
    before = place.read_bytes() if place.exists() else b""
    if data == before:
        return "nothing changed"
    parser = _parser()
    new, problems = parser.check_schema(data)
    old = _types(parser, before)
    if not force:
        _refuse_unknown(problems)
        _refuse_loss(old, new)
    _write(place, data)
    return _changes(old, new)


def _read(source: str) -> bytes:
    if "://" in source:
        from ..services.http import HttpClient

        return HttpClient().get(source, limit=SCHEMA_LIMIT)
    try:
        with Path(source).open("rb") as file:
            data = file.read(SCHEMA_LIMIT + 1)
    except OSError as error:
        raise CleanbotsError(f"{source}: can't be read: {error.strerror}") from error
    if len(data) > SCHEMA_LIMIT:
        raise CleanbotsError(f"{source}: larger than {SCHEMA_LIMIT} bytes, so it is no schema")
    return data


def _parser() -> _Checks:
    from ..plugins import discover

    parser = discover().load("parser/shadowserver")
    if not hasattr(parser, "check_schema"):
        raise PluginError("the bot 'parser/shadowserver' that is installed can't check a schema; upgrade it")
    return cast("_Checks", parser)


def _types(parser: _Checks, before: bytes) -> list[str]:
    """Give the report types of the schema in place; a damaged one has none worth keeping."""
    try:
        return parser.check_schema(before)[0] if before else []
    except CleanbotsError:
        return []


def _refuse_unknown(problems: list[str]) -> None:
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise CleanbotsError(
            f"the schema asks for what this version lacks: {'; '.join(problems[:3])}{more}; upgrade cleanbots, "
            "or take it with --force: such columns then go to extra."
        )


def _refuse_loss(old: list[str], new: list[str]) -> None:
    lost = set(old) - set(new)
    if len(lost) > MOST_DROPPED * len(old):
        raise CleanbotsError(
            f"the schema lacks {len(lost)} of the {len(old)} report types of the one in place; "
            "if that is right, take it with --force"
        )


def _write(place: Path, data: bytes) -> None:
    """Replace the file at once or not at all."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{place.name}.", delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o644)
                Path(file.name).replace(place)
            except OSError:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise CleanbotsError(f"{place}: can't be written: {error.strerror}") from error


def _changes(old: list[str], new: list[str]) -> str:
    parts = [f"{len(new)} report types"]
    for word, names in (("new", sorted(set(new) - set(old))), ("gone", sorted(set(old) - set(new)))):
        if names and old:
            parts.append(f"{len(names)} {word}: {', '.join(names)}")
    return "; ".join(parts)


def _state_folder(config: Path) -> Path:
    from .installation import state_folder

    return state_folder(config)


def _shown(source: str) -> str:
    from ..services.http import shown

    return shown(source) if "://" in source else source
