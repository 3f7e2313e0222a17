"""What the commands around deliveries share: the hub that they open, their options, and how times are read."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import F

if TYPE_CHECKING:
    from ..clearinghouse.equipment import Equipment
    from ..clearinghouse.handling import Handling

_DURATION = re.compile(r"\d+(\.\d+)?(ms|s|m|h|d|w)")


class Hub:
    """Deliveries as an operator handles them."""

    def __init__(self, equipment: "Equipment", handling: "Handling", now: datetime) -> None:
        self.equipment = equipment
        self.handling = handling
        self.now = now
        self.store = equipment.store

    def note(self, command: str, **arguments: Any) -> None:
        """Write a line into the audit log."""
        from .audit import record

        settings = self.equipment.settings
        version = self.equipment.members().version
        record(Path(settings.state), f"deliveries {command}", {**arguments, "members": version}, settings.hash)


@contextmanager
def opened(config: Path) -> Iterator[Hub]:
    """Open the deliveries of a configuration for as long as the command runs."""
    from ..clearinghouse.equipment import Equipment
    from ..clearinghouse.handling import Handling
    from ..plugins import discover
    from .audit import user
    from .installation import Installation

    with Installation(config) as site:
        equipment = Equipment(site.settings, discover([Path(folder) for folder in site.settings.plugins]))
        try:
            handling = Handling(equipment.kit, user())
            yield Hub(equipment, handling, equipment.clock.now())
        finally:
            equipment.close()


def send_test(config: Path, member: str) -> list[str]:
    """Send a test of each of a member's deliveries, for ``members test ID``; give their references."""
    with opened(config) as hub:
        references = hub.handling.test(member, hub.now)
        hub.note("test", member=member, references=references)
    return references


def answer(as_json: bool, sentence: str, **facts: Any) -> None:
    """Say what was done: as a sentence, or as JSON."""
    import orjson

    click.echo(orjson.dumps(facts).decode() if as_json else sentence)


def member_option(function: F) -> F:
    """Add ``--member ID``."""
    return click.option("--member", default="", metavar="ID", help="Only this member's.")(function)


def since_option(function: F) -> F:
    """Add ``--since TIME``."""
    return click.option(
        "--since", default="", metavar="TIME", help="A time (2026-11-20, 2026-11-20T07:30Z), or a span (24h, 7d)."
    )(function)


def moment_of(text: str, now: datetime) -> datetime | None:
    """Read ``--since``: a time (UTC unless it says otherwise), or a span before now."""
    from ..params import seconds

    if not text:
        return None
    if _DURATION.fullmatch(text):
        return now - timedelta(seconds=seconds(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"{text!r} is no time; write 2026-11-20, 2026-11-20T07:30Z or a span such as 24h"
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def stop_text(name: str) -> str:
    """Write the name of a stop for people."""
    if name == "*":
        return "all deliveries"
    member, _, delivery = name.partition("/")
    if not delivery:
        return f"all deliveries of {member}"
    return f"{delivery} of every member" if member == "*" else name
