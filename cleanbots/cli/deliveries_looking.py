"""``cleanbots deliveries list, show, search, preview, balance``: what was and will be sent to members."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..services.logs import escape
from .common import config_option, json_option, show
from .deliveries_hub import Hub, member_option, moment_of, opened, since_option, stop_text

if TYPE_CHECKING:
    from ..clearinghouse.store.protocol import Row


@click.command("list")
@config_option
@json_option
@member_option
@click.option("--state", default="", help="closed, held, frozen, given or expired.")
@click.option("--held", is_flag=True, help="Only those that wait for an operator.")
@since_option
@click.option("-n", "--limit", default=200, show_default=True, type=click.IntRange(1), help="How many at most.")
def list_deliveries(config: Path, as_json: bool, member: str, state: str, held: bool, since: str, limit: int) -> None:
    """List deliveries, the newest first. What is stopped is said first."""
    with opened(config) as hub:
        _shout(hub, as_json)
        found = hub.store.rows(
            member=member, state="held" if held else state, since=moment_of(since, hub.now), most=limit
        )
    show([_summary(row) for row in found], as_json, "no such delivery")


@click.command("show")
@config_option
@json_option
@click.argument("reference")
@click.option("--bytes", "raw", is_flag=True, help="Print the stored bytes of its messages.")
def show_delivery(config: Path, as_json: bool, reference: str, raw: bool) -> None:
    """Show a delivery: what it counts, what it lists, and what became of each message."""
    from ..clock import iso

    with opened(config) as hub:
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


@click.command("search")
@config_option
@json_option
@click.argument("text")
@since_option
def search(config: Path, as_json: bool, text: str, since: str) -> None:
    """Find deliveries that mention TEXT: an address, a host name, a finding, an event, or a mail address."""
    with opened(config) as hub:
        found = hub.store.search(text, moment_of(since, hub.now))
    show(found, as_json, f"no delivery mentions {escape(text)}")


@click.command("preview")
@config_option
@json_option
@click.option("--member", required=True, metavar="ID", help="Whose deliveries.")
@click.option("--delivery", default="", metavar="ID", help="Only this one.")
def preview(config: Path, as_json: bool, member: str, delivery: str) -> None:
    """Show what would be sent to a member now. Nothing is changed, and nothing leaves."""
    with opened(config) as hub:
        found = hub.handling.preview(member, delivery, hub.now)
    if as_json:
        _json(
            [
                {
                    "delivery": digest.delivery.id,
                    "part": f"{digest.part}/{digest.parts}",
                    "findings": [_finding(each) for each in digest.findings],
                    "recipients": [message.recipient for message in messages],
                    "hold": hold,
                }
                for digest, messages, hold in found
            ]
        )
        return
    for digest, messages, hold in found:
        click.echo(f"== {digest.delivery.id}, part {digest.part} of {digest.parts}, {len(digest.findings)} findings")
        if hold:
            click.echo(f"in mode live it would wait for 'deliveries approve': {hold}")
        for message in messages[:1]:
            click.echo(_readable(message.data))
    if not found:
        click.echo(f"nothing is owed to {member}")


@click.command("balance")
@config_option
@json_option
@since_option
def balance(config: Path, as_json: bool, since: str) -> None:
    """Show the books: where each matched event is, per member and delivery, each with its reason."""
    with opened(config) as hub:
        books = hub.store.balance(moment_of(since, hub.now))
    if as_json:
        _json(books)
        return
    click.echo("events: " + ", ".join(f"{count} {name}" for name, count in books["events"].items()))
    show([_flat(book) for book in books["deliveries"]], as_json, "nothing was recorded for any delivery")


# -- showing


def _shout(hub: Hub, as_json: bool) -> None:
    from ..clearinghouse import door

    stopped = sorted(door.stops(hub.store).names)
    wrong = hub.store.check()
    err = as_json
    if stopped:
        click.echo("STOPPED: " + ", ".join(stop_text(name) for name in stopped), err=err)
    if wrong:
        click.echo(f"HELD: {wrong}", err=err)


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
