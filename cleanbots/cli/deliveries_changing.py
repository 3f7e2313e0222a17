"""``cleanbots deliveries approve, hold, stop, start, resend, replay, correct, reconcile``: the operator's hands."""

from pathlib import Path

import click

from ..errors import CleanbotsError
from .common import config_option, counted, json_option
from .deliveries_hub import Hub, answer, member_option, moment_of, opened, stop_text


@click.command("approve")
@config_option
@json_option
@click.argument("references", nargs=-1)
@member_option
@click.option("--all", "every", is_flag=True, help="All that is held.")
def approve(config: Path, as_json: bool, references: tuple[str, ...], member: str, every: bool) -> None:
    """Let held deliveries go. With --member: all of the member's, its later first ones, too."""
    if bool(references) + bool(member) + every != 1:
        raise click.UsageError("name references, or a member by --member, or say --all")
    with opened(config) as hub:
        handling = hub.handling
        if member:
            done = handling.approve_member(member, hub.now)
        else:
            rows = handling.held() if every else [handling.row(reference) for reference in references]
            done = handling.approve(rows, hub.now)
        hub.note("approve", references=done, member=member)
    names = f": {', '.join(done)}" if 0 < len(done) <= 10 else ""
    answer(as_json, f"{_number(len(done), 'delivery', 'deliveries')} approved{names}", approved=done)


@click.command("hold")
@config_option
@json_option
@click.argument("reference")
@click.option("--why", default="held by the operator", show_default=True, help="Shown in listings.")
def hold(config: Path, as_json: bool, reference: str, why: str) -> None:
    """Hold a delivery that nobody was given yet."""
    with opened(config) as hub:
        row = hub.handling.row(reference)
        hub.store.hold(row.reference, why)
        hub.note("hold", reference=row.reference, why=why)
    sentence = f"{row.reference} is held; 'cleanbots deliveries approve {row.reference}' lets it go"
    answer(as_json, sentence, held=row.reference)


@click.command("stop")
@config_option
@json_option
@member_option
@click.option("--delivery", default="", metavar="ID", help="Only deliveries of this id.")
def stop(config: Path, as_json: bool, member: str, delivery: str) -> None:
    """Stop deliveries: all, a member's, or those of one id. It holds at once, and until 'start'."""
    from ..clearinghouse import door

    with opened(config) as hub:
        if member and member not in hub.equipment.members().members:
            raise CleanbotsError(f"{member}: there is no such member; 'cleanbots members list' shows them")
        name = door.stop(hub.store, member, delivery)
        hub.note("stop", member=member, delivery=delivery)
    answer(as_json, f"stopped: {stop_text(name)}. 'cleanbots deliveries start' lets them go on", stopped=name)


@click.command("start")
@config_option
@json_option
@member_option
@click.option("--delivery", default="", metavar="ID", help="Only deliveries of this id.")
def start(config: Path, as_json: bool, member: str, delivery: str) -> None:
    """Take stops back: all of them, or those of a member or a delivery; an endpoint that wanted no more is tried again."""
    with opened(config) as hub:
        names = hub.handling.start(member, delivery)
        hub.note("start", member=member, delivery=delivery, started=names)
    sentence = "goes on: " + ", ".join(map(stop_text, names)) if names else "nothing was stopped"
    answer(as_json, sentence, started=names)


@click.command("resend")
@config_option
@json_option
@click.argument("reference")
@click.option("--to", "contacts", multiple=True, metavar="CONTACT", help="A contact's id; may be given again.")
def resend(config: Path, as_json: bool, reference: str, contacts: tuple[str, ...]) -> None:
    """Send a mail again on request, under the same reference, to those who had it or to other contacts."""
    with opened(config) as hub:
        made = hub.handling.resend(reference, contacts, hub.now)
        hub.note("resend", reference=reference, to=list(contacts), messages=len(made))
    sentence = f"{_number(len(made), 'message')} {'waits' if len(made) == 1 else 'wait'} to be sent again"
    answer(as_json, sentence, messages=[{"id": each.id, "recipient": each.recipient} for each in made])


@click.command("replay")
@config_option
@json_option
@click.option("--member", default="", metavar="ID", help="Whose; needed if several members have such a delivery.")
@click.option("--delivery", required=True, metavar="ID", help="Which delivery.")
@click.option("--since", required=True, metavar="TIME", help="A time, or a span such as 24h.")
def replay(config: Path, as_json: bool, member: str, delivery: str, since: str) -> None:
    """Repeat what a delivery sent since a time, with the same bytes and ids: for an endpoint that lost it."""
    from ..clearinghouse.copies import delivery_of

    with opened(config) as hub:
        members = hub.equipment.members().members
        having = [name for name, each in members.items() if delivery_of(each, delivery) and member in ("", name)]
        if len(having) != 1:
            which = f"members {', '.join(having[:5])} have" if having else "no such member has"
            raise CleanbotsError(f"{which} a delivery {delivery!r}: say which member by --member")
        moment = moment_of(since, hub.now)
        assert moment is not None  # noqa: S101  # the option is required
        done = hub.handling.replay(having[0], delivery, moment, hub.now)
        hub.note("replay", member=having[0], delivery=delivery, since=moment, references=list(done))
    number = sum(done.values())
    wait = "waits" if number == 1 else "wait"
    sentence = f"{_number(number, 'message')} of {_number(len(done), 'delivery', 'deliveries')} {wait} to be repeated"
    answer(as_json, sentence, messages=done)


@click.command("correct")
@config_option
@json_option
@click.argument("reference")
@click.option(
    "--text",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A file with what was wrong.",
)
def correct(config: Path, as_json: bool, reference: str, text: Path) -> None:
    """Mail a correction to exactly those who had a delivery."""
    words = _read(text)
    with opened(config) as hub:
        made = hub.handling.correct(reference, words, hub.now)
        hub.note("correct", reference=reference, correction=made)
    answer(as_json, f"{made} corrects {reference.upper()}", correction=made, corrects=reference.upper())


@click.command("reconcile")
@config_option
@click.option("--sent/--unsent", default=None, help="Without a journal: take what waits or is owed for sent, or not.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def reconcile(config: Path, sent: bool | None, yes: bool) -> None:
    """Go on with a store that was restored, copied or moved.

    It catches up from its journal with all that came later: nothing is lost, and nothing is sent twice. If the journal
    is lost, too, say what became of what waits or is owed: it was sent meanwhile (--sent: nobody is told twice), or it
    was not (--unsent: nobody is left out).
    """
    from .audit import user

    with opened(config) as hub:
        store = hub.store
        if (wrong := store.check()) is None:
            click.echo("the store is the one it was; nothing is held for it")
            return
        click.echo(wrong)
        missing = store.missing()
        if missing is None:
            _tell_what_waits(hub)
            if sent is None:
                raise click.UsageError("the store can't catch up: say --sent or --unsent")
        else:
            click.echo(f"its journal has {counted(missing, 'later change')}; nothing will be lost or sent twice")
        if not yes:
            click.confirm("Go on with this store?", abort=True)
        caught_up = store.adopt(user(), sent=bool(sent))
        hub.note("reconcile", caught_up=caught_up, sent=sent)
    click.echo("deliveries go on")


def _tell_what_waits(hub: Hub) -> None:
    waiting = hub.store.rows(state="frozen", most=100_000)
    last = hub.store.rows(most=1)
    owed = sum(due.owed for due in hub.store.due(hub.now))
    since = f"since {last[0].created:%Y-%m-%d %H:%M} UTC" if last else "at all"
    click.echo(
        f"it knows nothing that was made {since}; {_number(len(waiting), 'delivery', 'deliveries')} of it would be "
        f"handed over now, and {counted(owed, 'observation')} told"
    )


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


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
