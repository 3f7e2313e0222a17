"""``cleanbots deliveries``: what was and will be sent to members, and the hands to approve, stop and repeat it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import CleanbotsError
from ..services.logs import escape
from .common import F, config_option, json_option, show
from .listing_group import ListingGroup

if TYPE_CHECKING:
    from ..clearinghouse.equipment import Equipment
    from ..clearinghouse.handling import Handling
    from ..clearinghouse.store.protocol import Row

_DURATION = re.compile(r"\d+(\.\d+)?(ms|s|m|h|d|w)")


class _Hub:
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
def _open(config: Path) -> Iterator[_Hub]:
    from ..clearinghouse.equipment import Equipment
    from ..clearinghouse.handling import Handling
    from ..plugins import discover
    from .audit import user
    from .installation import Installation

    with Installation(config) as site:
        equipment = Equipment(site.settings, discover([Path(folder) for folder in site.settings.plugins]))
        try:
            handling = Handling(equipment.store, equipment.hub, equipment.members, equipment.renderer, user())
            yield _Hub(equipment, handling, equipment.clock.now())
        finally:
            equipment.close()


def _member_option(function: F) -> F:
    return click.option("--member", default="", metavar="ID", help="Only this member's.")(function)


def _since_option(function: F) -> F:
    return click.option(
        "--since", default="", metavar="TIME", help="A time (2026-11-20, 2026-11-20T07:30Z), or a span (24h, 7d)."
    )(function)


@click.group("deliveries", cls=ListingGroup)
def command() -> None:
    """List, show, approve, stop and repeat deliveries to members. Without a sub-command: list."""


# -- looking


@command.command("list")
@config_option
@json_option
@_member_option
@click.option("--state", default="", help="closed, held, frozen, given or expired.")
@click.option("--held", is_flag=True, help="Only those that wait for an operator.")
@_since_option
@click.option("-n", "--limit", default=200, show_default=True, type=click.IntRange(1), help="How many at most.")
def list_deliveries(config: Path, as_json: bool, member: str, state: str, held: bool, since: str, limit: int) -> None:
    """List deliveries, the newest first. What is stopped is said first."""
    with _open(config) as hub:
        _shout(hub, as_json)
        found = hub.store.rows(
            member=member, state="held" if held else state, since=_moment(since, hub.now), most=limit
        )
    show([_summary(row) for row in found], as_json, "no such delivery")


@command.command("show")
@config_option
@json_option
@click.argument("reference")
@click.option("--bytes", "raw", is_flag=True, help="Print the stored bytes of its messages.")
def show_delivery(config: Path, as_json: bool, reference: str, raw: bool) -> None:
    """Show a delivery: what it counts, what it lists, and what became of each message."""
    from ..clock import iso

    with _open(config) as hub:
        row = hub.handling.row(reference)
        if raw:
            for message in hub.store.messages(row.reference):
                click.echo(message.data)
            return
        closed = hub.store.closed(row.reference)
        details: dict[str, Any] = {
            **_summary(row),
            "counts": row.counts,
            "messages": row.messages,
            "period_from": iso(closed.since),
            "findings": [_finding(each) for each in closed.findings[:1000]],
        }
    if as_json:
        _json(details)
        return
    _print(details)


@command.command("search")
@config_option
@json_option
@click.argument("text")
@_since_option
def search(config: Path, as_json: bool, text: str, since: str) -> None:
    """Find deliveries that mention TEXT: an address, a host name, a finding, an event, or a mail address."""
    with _open(config) as hub:
        found = hub.store.search(text, _moment(since, hub.now))
    show(found, as_json, f"no delivery mentions {escape(text)}")


@command.command("preview")
@config_option
@json_option
@click.option("--member", required=True, metavar="ID", help="Whose deliveries.")
@click.option("--delivery", default="", metavar="ID", help="Only this one.")
def preview(config: Path, as_json: bool, member: str, delivery: str) -> None:
    """Show what would be sent to a member now. Nothing is changed, and nothing leaves."""
    with _open(config) as hub:
        found = hub.handling.preview(member, delivery, hub.now)
    if as_json:
        _json(
            [
                {
                    "delivery": digest.delivery.id,
                    "part": f"{digest.part}/{digest.parts}",
                    "findings": [_finding(each) for each in digest.findings],
                    "recipients": [message.recipient for message in messages],
                }
                for digest, messages in found
            ]
        )
        return
    for digest, messages in found:
        click.echo(f"== {digest.delivery.id}, part {digest.part} of {digest.parts}, {len(digest.findings)} findings")
        for message in messages[:1]:
            click.echo(_readable(message.data))
    if not found:
        click.echo(f"nothing is owed to {member}")


@command.command("balance")
@config_option
@json_option
@_since_option
def balance(config: Path, as_json: bool, since: str) -> None:
    """Show the books: where each matched event is, per member and delivery, each with its reason."""
    with _open(config) as hub:
        books = hub.store.balance(_moment(since, hub.now))
    if as_json:
        _json(books)
        return
    click.echo("events: " + ", ".join(f"{count} {name}" for name, count in books["events"].items()))
    show([_flat(book) for book in books["deliveries"]], as_json, "nothing was recorded for any delivery")


# -- changing


@command.command("approve")
@config_option
@click.argument("references", nargs=-1)
@_member_option
@click.option("--all", "every", is_flag=True, help="All that is held.")
def approve(config: Path, references: tuple[str, ...], member: str, every: bool) -> None:
    """Let held deliveries go. With --member: all of the member's, its later first ones, too."""
    if bool(references) + bool(member) + every != 1:
        raise click.UsageError("name references, or a member by --member, or say --all")
    with _open(config) as hub:
        handling = hub.handling
        if member:
            done = handling.approve_member(member, hub.now)
        else:
            rows = handling.held() if every else [handling.row(reference) for reference in references]
            done = handling.approve(rows, hub.now)
        hub.note("approve", references=done, member=member)
    names = f": {', '.join(done)}" if 0 < len(done) <= 10 else ""
    click.echo(f"{_number(len(done), 'delivery', 'deliveries')} approved{names}")


@command.command("hold")
@config_option
@click.argument("reference")
@click.option("--why", default="held by the operator", show_default=True, help="Shown in listings.")
def hold(config: Path, reference: str, why: str) -> None:
    """Hold a delivery that nobody was given yet."""
    with _open(config) as hub:
        row = hub.handling.row(reference)
        hub.store.hold(row.reference, why)
        hub.note("hold", reference=row.reference, why=why)
    click.echo(f"{row.reference} is held; 'cleanbots deliveries approve {row.reference}' lets it go")


@command.command("stop")
@config_option
@_member_option
@click.option("--delivery", default="", metavar="ID", help="Only deliveries of this id.")
def stop(config: Path, member: str, delivery: str) -> None:
    """Stop deliveries: all, a member's, or those of one id. It holds at once, and until 'start'."""
    from ..clearinghouse import door

    with _open(config) as hub:
        if member and member not in hub.equipment.members().members:
            raise CleanbotsError(f"{member}: there is no such member; 'cleanbots members list' shows them")
        name = door.stop(hub.store, member, delivery)
        hub.note("stop", member=member, delivery=delivery)
    click.echo(f"stopped: {_stop_text(name)}. 'cleanbots deliveries start' lets them go on")


@command.command("start")
@config_option
@_member_option
@click.option("--delivery", default="", metavar="ID", help="Only deliveries of this id.")
def start(config: Path, member: str, delivery: str) -> None:
    """Take stops back: all of them, or those of a member or a delivery; an endpoint that wanted no more is tried again."""
    with _open(config) as hub:
        names = hub.handling.start(member, delivery)
        hub.note("start", member=member, delivery=delivery, started=names)
    click.echo("goes on: " + ", ".join(_stop_text(name) for name in names) if names else "nothing was stopped")


@command.command("resend")
@config_option
@click.argument("reference")
@click.option("--to", "contacts", multiple=True, metavar="CONTACT", help="A contact's id; may be given again.")
def resend(config: Path, reference: str, contacts: tuple[str, ...]) -> None:
    """Send a mail again on request, under the same reference, to those who had it or to other contacts."""
    with _open(config) as hub:
        made = hub.handling.resend(reference, contacts, hub.now)
        hub.note("resend", reference=reference, to=list(contacts), messages=len(made))
    click.echo(f"{_number(len(made), 'message')} {'waits' if len(made) == 1 else 'wait'} to be sent again")


@command.command("replay")
@config_option
@click.option("--member", default="", metavar="ID", help="Whose; needed if several members have such a delivery.")
@click.option("--delivery", required=True, metavar="ID", help="Which delivery.")
@click.option("--since", required=True, metavar="TIME", help="A time, or a span such as 24h.")
def replay(config: Path, member: str, delivery: str, since: str) -> None:
    """Repeat what a delivery sent since a time, with the same bytes and ids: for an endpoint that lost it."""
    with _open(config) as hub:
        members = hub.equipment.members().members
        having = [name for name, each in members.items() if delivery in each.deliveries and member in ("", name)]
        if len(having) != 1:
            which = f"members {', '.join(having[:5])} have" if having else "no such member has"
            raise CleanbotsError(f"{which} a delivery {delivery!r}: say which member by --member")
        moment = _moment(since, hub.now)
        assert moment is not None  # noqa: S101  # the option is required
        done = hub.handling.replay(having[0], delivery, moment, hub.now)
        hub.note("replay", member=having[0], delivery=delivery, since=moment, references=list(done))
    number = sum(done.values())
    wait = "waits" if number == 1 else "wait"
    click.echo(f"{_number(number, 'message')} of {_number(len(done), 'delivery', 'deliveries')} {wait} to be repeated")


@command.command("correct")
@config_option
@click.argument("reference")
@click.option(
    "--text",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A file with what was wrong.",
)
def correct(config: Path, reference: str, text: Path) -> None:
    """Mail a correction to exactly those who had a delivery."""
    words = _read(text)
    with _open(config) as hub:
        made = hub.handling.correct(reference, words, hub.now)
        hub.note("correct", reference=reference, correction=made)
    click.echo(f"{made} corrects {reference.upper()}")


@command.command("reconcile")
@config_option
@click.option("--yes", is_flag=True, help="Don't ask.")
def reconcile(config: Path, yes: bool) -> None:
    """Say that the store is the right one after it was restored, copied or moved; what is frozen and waiting then leaves."""
    from .audit import user

    with _open(config) as hub:
        wrong = hub.store.check()
        if wrong is None:
            click.echo("the store is the one it was; nothing is held for it")
            return
        waiting = hub.store.rows(state="frozen", most=100_000)
        click.echo(wrong)
        click.echo(
            f"{len(waiting)} deliveries are frozen and would be handed over; 'hold' those that were sent already."
        )
        if not yes:
            click.confirm("Go on with this store?", abort=True)
        hub.store.adopt(user())
        hub.note("reconcile", waiting=[row.reference for row in waiting])
    click.echo("deliveries go on")


def send_test(config: Path, member: str) -> list[str]:
    """Send a test of each of a member's deliveries, for ``members test ID``; give their references."""
    with _open(config) as hub:
        references = hub.handling.test(member, hub.now)
        hub.note("test", member=member, references=references)
    return references


# -- showing


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _shout(hub: _Hub, as_json: bool) -> None:
    from ..clearinghouse import door

    stopped = sorted(door.stops(hub.store).names)
    wrong = hub.store.check()
    err = as_json
    if stopped:
        click.echo("STOPPED: " + ", ".join(_stop_text(name) for name in stopped), err=err)
    if wrong:
        click.echo(f"HELD: {wrong}", err=err)


def _stop_text(name: str) -> str:
    if name == "*":
        return "all deliveries"
    member, _, delivery = name.partition("/")
    if not delivery:
        return f"all deliveries of {member}"
    return f"{delivery} of every member" if member == "*" else name


def _summary(row: "Row") -> dict[str, Any]:
    from ..clock import iso

    states = [each["state"] for each in row.messages]
    return {
        "reference": row.reference,
        "created": iso(row.created),
        "member": row.member,
        "delivery": row.delivery,
        "kind": row.kind,
        "mode": row.mode,
        "state": row.state,
        "listed": row.counts.get("listed", 0),
        "messages": ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)),
        "why": row.why,
    }


def _finding(finding: Any) -> dict[str, Any]:
    event = finding.event
    return {
        "id": finding.id,
        "state": finding.state,
        "severity": event.get("severity", ""),
        "type": event.get("classification.type", ""),
        "identifier": event.get("classification.identifier", ""),
        "asset": event.get("source.ip") or event.get("source.fqdn") or event.get("source.url") or "",
        "port": event.get("source.port"),
        "last_seen": finding.last_seen,
        "why": f"{finding.match.by} {finding.match.value}",
        "event": event.get("id", ""),
    }


def _flat(book: dict[str, Any]) -> dict[str, Any]:
    def text(value: Any) -> Any:
        return ", ".join(f"{count} {why}" for why, count in value.items()) if isinstance(value, dict) else value

    return {name: text(value) for name, value in book.items()}


def _print(details: dict[str, Any]) -> None:
    findings, messages = details.pop("findings"), details.pop("messages")
    for name, value in details.items():
        shown = ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value
        click.echo(f"{name + ':':14}{escape(str(shown))}")
    click.echo()
    show([{**each, "answer": escape(str(each.get("answer", "")))[:80]} for each in messages], False, "no messages")
    click.echo()
    show(findings, False, "it lists no findings")


def _readable(data: bytes) -> str:
    """Give what a person reads of a message: subject and text of a mail, or the body of a webhook."""
    from email import message_from_bytes
    from email.policy import default

    if data[:1] == b"{":
        return data.decode("utf-8", "replace")
    mail = message_from_bytes(data, policy=default)
    body = mail.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    return f"Subject: {mail['Subject']}\nTo: {mail['To']}\n\n{text}"


def _json(value: Any) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def _moment(text: str, now: datetime) -> datetime | None:
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


_LONGEST_TEXT = 64 * 1024


def _read(file: Path) -> str:
    with file.open("rb") as stream:
        data = stream.read(_LONGEST_TEXT + 1)
    if len(data) > _LONGEST_TEXT:
        raise CleanbotsError(f"{file}: longer than {_LONGEST_TEXT // 1024} KiB; is it the right file?")
    try:
        words = data.decode()
    except UnicodeDecodeError as error:
        raise CleanbotsError(f"{file}: this is no UTF-8 text") from error
    if not words.strip():
        raise CleanbotsError(f"{file}: it is empty")
    return words
