"""``cleanbots members match``: whom an address, a name or an event concerns, and why."""

from datetime import date
from pathlib import Path
from typing import Any

import click
import orjson

from ..clearinghouse.members import Matched
from ..clock import SystemClock
from ..errors import ConfigError
from .common import config_option, json_option
from .members_file import as_text, file_option, members_file, registry_in


@click.command("match")
@config_option
@file_option
@json_option
@click.argument("subject")
@click.option("--at", "day", type=click.DateTime(["%Y-%m-%d"]), help="As if seen on this day; today if left out.")
@click.option("--asn", type=click.IntRange(1), help="The AS number that the notifier gave.")
@click.option("--announced", type=click.IntRange(1), help="The AS number by our own table.")
@click.option("--tlp", default="AMBER", show_default=True, help="The label; AMBER+STRICT keeps it to those who act.")
def match(
    config: Path,
    file: Path | None,
    as_json: bool,
    subject: str,
    day: Any,
    asn: int | None,
    announced: int | None,
    tlp: str,
) -> None:
    """Tell whom an address, a network or a name concerns, and why; or every event in a FILE of JSON lines.

    Every claim that touches it is printed in the order in which it was considered: whether it won, lost or was barred.
    The decision is made by the code that 'expert/constituency' runs.
    """
    registry = registry_in(members_file(config, file))
    at: date = day.date() if day is not None else SystemClock().now().date()
    events = _events(subject, tlp)
    answers = []
    for name, fields, dated in events:
        if asn is not None:
            fields["source.asn"] = asn
        when = None if dated and day is None else at
        matched = registry.match(fields, when, announced=announced, explain=True)
        answers.append(_answer(name, matched))
        if not as_json:
            _explain(name, matched)
    if as_json:
        click.echo(as_text(answers if len(answers) != 1 else answers[0]))


def _events(subject: str, tlp: str) -> list[tuple[str, dict[str, Any], bool]]:
    """Give what is asked about: for each its name, its fields, and whether it has a time of its own."""
    from ..errors import InvalidValue
    from ..harmonization import harmonise

    path = Path(subject)
    if path.is_file():  # first, because many a file's name could be a host's
        return [*_lines(path)]
    for field in ("source.ip", "source.network", "source.url", "source.fqdn"):
        if field == "source.network" and "/" not in subject:
            continue
        try:
            return [(subject, {field: harmonise(field, subject), "tlp": harmonise("tlp", tlp)}, False)]
        except InvalidValue:
            continue
    raise ConfigError(f"{subject!r} is no address, no network, no name and no file")


def _lines(path: Path) -> list[tuple[str, dict[str, Any], bool]]:
    from ..harmonization.exchange import flat

    found = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                fields = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise ConfigError(f"{path}:{number}: not JSON: {error}") from error
            if not isinstance(fields, dict):
                raise ConfigError(f"{path}:{number}: not an event; write one JSON object a line")
            fields = flat(fields)
            dated = "time.source" in fields or "time.observation" in fields
            found.append((str(fields.get("id", f"{path}:{number}")), fields, dated))
    return found


def _answer(name: str, matched: Matched) -> dict[str, Any]:
    import msgspec

    return {
        "subject": name,
        "verdict": matched.verdict,
        "matches": msgspec.to_builtins(list(matched.matches)),
        "refused": list(matched.refused),
        "considered": msgspec.to_builtins(list(matched.considered)),
    }


def _explain(name: str, matched: Matched) -> None:
    click.echo(f"{name}: {matched.verdict}")
    for match in matched.matches:
        customer = f", customer {match.customer_ref}" if match.customer_ref else ""
        told = f" ({match.customer_contact} is told)" if match.customer_contact else ""
        reason = f", {match.reason}" if match.reason else ""
        click.echo(f"  {match.member}: {match.role} by {match.by} {match.value}{reason}{customer}{told}")
    for refused in matched.refused:
        click.echo(f"  refused: {refused}")
    for each in matched.considered:
        click.echo(f"    {each.result:6} {each.value:24} {each.member or '(guard)':20} {each.why}  [{each.place}]")
