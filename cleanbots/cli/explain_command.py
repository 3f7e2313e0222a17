"""``cleanbots explain``: where an event comes from, what each bot makes of it, where it is now, and who was told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import orjson

from ..bot import Stage
from ..broker.protocol import Broker
from ..cutter import cut
from ..errors import CleanbotsError, FrameError
from ..frame import decode
from ..report import Chunk
from ..runtime.assembly import Assembly
from ..runtime.failed import Selection, items
from ..services.archive import Archive, ArchivedReport
from ..services.logs import escape
from ..testing.graph import Passage, run_graph
from .common import config_option
from .installation import Installation
from .told import Telling, is_told_of, told

_PAGE = 10


class Explanation(msgspec.Struct):
    """All that is known of an event.

    Args:
        id: as asked for.
        report: what the archive knows of its report, or None.
        row: the original row as text, or None.
        way: for each bot in turn: ``bot``, ``did`` (a sentence), ``changes`` (field to its value before and after).
        now: where it lies now, one sentence each.
        deliveries: which deliveries mention it, or owe it, or leave it out.
        remarks: what could not be found out, and why.
    """

    id: str
    report: dict[str, Any] | None = None
    row: str | None = None
    way: list[dict[str, Any]] = []
    now: list[str] = []
    deliveries: list[Telling] = []
    remarks: list[str] = []


@click.command("explain")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("what")
def command(config: Path, as_json: bool, what: str) -> None:
    """Tell what became of an event (its id, '<report>-<line>'), or where a report came from (its id).

    A finding's id (f-…) or a delivery's reference tells whom it concerned, in which mails, and by which events.

    The row is taken from the archive and run in memory through the bots as they are configured now: nothing is sent
    or written, and what bots remember (duplicates, counts) is left out.
    """
    with Installation(config) as site:
        explanation = _delivered(site, what) if is_told_of(what) else _explain(site, what)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(explanation), indent=2))
    else:
        _print(explanation)
    if explanation.report is None and not explanation.now and not explanation.deliveries:
        raise click.exceptions.Exit(1)


def _delivered(site: Installation, what: str) -> Explanation:
    found = Explanation(what)
    _tell(site, found)
    if not found.deliveries and not found.remarks:
        found.remarks.append("no delivery mentions it: never told, not told yet, or kept no longer")
    for event in list(dict.fromkeys(event for telling in found.deliveries for event in telling.events))[:1]:
        found.remarks.append(f"'cleanbots explain {event}' tells where that event comes from")
    return found


def _tell(site: Installation, found: Explanation) -> None:
    try:
        found.deliveries = told(site.settings, found.id)
    except (CleanbotsError, ImportError) as error:
        found.remarks.append(f"whom it was told can't be said: {error}")


def _explain(site: Installation, event: str) -> Explanation:
    found = Explanation(event)
    report, _, place = event.partition("-")
    archived = Archive(site.state / "archive").find(report)
    if archived is None:
        found.remarks.append(f"report {report} is not in this host's archive: never collected here, or kept no longer")
    else:
        found.report = {"id": report, "file": str(archived.path), **archived.facts}
        line = place.partition(".")[0]
        if line.isdecimal():
            _trace(site, archived, int(line), found)
        else:
            found.remarks.append(f"name a row, for example {report}-2, to see what becomes of it")
    try:
        found.now = list(_places(site.broker, list(site.settings.bots), event))
    except CleanbotsError as error:
        found.remarks.append(f"whether it lies in a queue can't be told: {error}")
    if place:
        _tell(site, found)
    return found


def _trace(site: Installation, archived: ArchivedReport, line: int, found: Explanation) -> None:
    """Run the row through the graph."""
    settings = site.settings
    collector = settings.bots.get(str(archived.facts["collector"]))
    if collector is None:
        found.remarks.append(f"its collector {archived.facts['collector']} is configured no more")
        return
    assembly = Assembly(settings)
    for parser in [to for receivers in collector.to.values() for to in receivers]:
        row = _row(assembly, parser, site.broker, archived, line)
        if row is None:
            found.remarks.append(f"{parser} finds no row at line {line} of this report")
            continue
        found.row = row.payload.decode(row.encoding or "utf-8", "replace")
        result = run_graph(settings, assembly.registry, {parser: [row]}, trace=True)
        found.way += [_step(passage) for passage in result.passages]
        found.way += [
            {"bot": bot, "did": "would get it", "changes": {}}
            for bot, arrived in result.arrived.items()
            if arrived and settings.bots[bot].kind == "output"
        ]


def _row(assembly: Assembly, parser: str, broker: Broker, archived: ArchivedReport, line: int) -> Chunk | None:
    """Give the row at *line* as an item of the parser's queue; the report is cut as its collector cut it."""
    stage = assembly.bot(parser, assembly.lender(broker))
    if not isinstance(stage, Stage):
        return None
    stage.open()
    try:
        piece = _piece(stage, archived, line)
        units = () if piece is None else stage.units(piece)
        unit = next((unit for position, unit in units if position == line), None)
        row = None if unit is None else stage.restore(unit)
    finally:
        stage.close()
    return row if isinstance(row, Chunk) else None


def _piece(stage: Stage[Any, Any], archived: ArchivedReport, line: int) -> Chunk | None:
    how = type(stage).cut(stage.params)  # type: ignore[attr-defined]  # a collector's receivers are parsers
    encoding = str(archived.facts.get("encoding") or "")
    last = None
    with archived.open() as stream:
        for piece in cut(stream, how, encoding=encoding):
            if piece.line > line:
                break
            last = piece
    if last is None:
        return None
    return Chunk(
        id=archived.id,
        payload=last.payload,
        line=last.line,
        header=last.header,
        name=str(archived.facts.get("name") or ""),
        encoding=last.encoding,
        final=last.final,
        fields=archived.facts["fields"],
    )


def _step(passage: Passage) -> dict[str, Any]:
    if passage.failed is not None:
        did = f"fails: {type(passage.failed).__name__}: {passage.failed}"
    elif passage.dropped:
        did = f"drops it: {passage.dropped}"
    elif passage.sent:
        did = "sends it on" + "".join(f" by {path}" for path, _ in passage.sent if path != "default")
    else:
        did = "keeps it"
    changes = [{field: list(pair) for field, pair in change.items()} for change in passage.changes]
    return {"bot": passage.bot, "did": did, "changes": changes[0] if len(changes) == 1 else dict(enumerate(changes))}


def _places(broker: Broker, bots: list[str], event: str) -> Iterator[str]:
    """Tell in which queues the event waits, and where it has failed."""
    for bot in sorted(broker.failed_depths()):
        for item in items(broker, bot, Selection(frozenset({event}))):
            yield f"failed at {bot} since {item.at}: {item.error}"
            break
    for bot, depth in broker.depths(bots).items():
        if depth.events and (waits := _waiting(broker, bot, event)):
            yield f"waits in the queue of {bot}: {waits} items"


def _waiting(broker: Broker, bot: str, event: str) -> int:
    found, after = 0, ""
    while page := broker.peek(bot, _PAGE, after):
        after = page[-1].id
        for stored in page:
            try:
                found += sum(_is_meant(item, event) for item in decode(stored.data).items)
            except FrameError:  # 'queues peek' tells of it
                continue
    return found


def _is_meant(item: Any, event: str) -> bool:
    if isinstance(item, Chunk):
        return item.id == event.partition("-")[0]
    identity = str(item.get("id", ""))
    return identity == event or identity.startswith((f"{event}-", f"{event}."))


def _print(found: Explanation) -> None:
    click.echo(escape(found.id))
    if found.report is not None:
        facts = found.report
        what = facts.get("name") or facts.get("url") or facts.get("key")
        click.echo(
            f"  collected by {facts['collector']} at {facts['time']}: {escape(str(what))}, {facts['size']} bytes"
        )
        click.echo(f"  kept in {facts['file']}")
    if found.row is not None:
        click.echo(f"  row: {escape(found.row.rstrip())}")
    if found.way:
        click.echo("  what the bots make of it, as they are configured now:")
    for step in found.way:
        click.echo(f"    {step['bot']}: {escape(step['did'])}")
        for field, change in step["changes"].items():
            click.echo(f"      {field}: {_change(change)}")
    for telling in found.deliveries:
        _print_telling(telling)
    for sentence in (*found.now, *found.remarks):
        click.echo(f"  {escape(sentence)}")


def _print_telling(telling: Telling) -> None:
    outcome = " ".join(part for part in (telling.outcome, telling.reason) if part)
    name = telling.reference or "no delivery yet"
    about = [f"mode {telling.mode}" if telling.mode else "", telling.state, telling.why, telling.created, outcome]
    click.echo(f"  {name} to {telling.member}/{telling.delivery}: {escape(', '.join(filter(None, about)))}")
    for mail in telling.mails:
        click.echo(f"    {escape(str(mail['recipient']))}: {escape(str(mail['state']))} {escape(str(mail['answer']))}")
    if telling.findings:
        click.echo(f"    findings: {' '.join(telling.findings)}")
    if telling.events:
        click.echo(f"    events: {' '.join(telling.events)}")


def _change(change: Any) -> str:
    if not isinstance(change, list):
        return escape(orjson.dumps(change).decode())
    before, after = (None if value is None else orjson.dumps(value).decode() for value in change)
    if before is None:
        return escape(f"{after}")
    return escape(f"{before} → {after}" if after is not None else f"{before} removed")
