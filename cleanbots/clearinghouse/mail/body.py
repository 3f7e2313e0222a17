"""The body of the daily digest, as blocks."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Final

import msgspec

from ...harmonization.taxonomy import rsit
from ..model import Attachment, Digest, Finding
from ..texts import Catalogue
from . import asset
from .blocks import Banner, Block, Counts, Entry, Heading, Labelled, Paragraph, Row, Rule, Table
from .moments import Moments
from .safe import one_line
from .summary import GROUPS, Group, Section, Summary
from .words import Words

_ROLES: Final = frozenset({"abuse", "security", "escalation"})
_PERIODIC: Final = frozenset({"digest", "baseline", "empty"})
_ADDRESSES = 3
_CLAIMS = 8
_KINDS = 20
_FLOORS: Final = (13, 9)
_LEFT_OUT: Final = ("filter", "too_old", "tlp", "inventory", "except", "customer")
_COUNTED: Final = "repeat"


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """All that the blocks of one mail in one language are made of.

    Args:
        digest, attachments: what is told.
        summary: of the digest's findings.
        catalogue, words, moments: how it is told.
    """

    digest: Digest
    attachments: Sequence[Attachment]
    summary: Summary
    catalogue: Catalogue
    words: Words
    moments: Moments

    @property
    def attached(self) -> str:
        """Tell which variant of a sentence fits: ``_attached`` if findings are attached too."""
        return "_attached" if any(each.rows for each in self.attachments) else ""


def digest_body(tellings: Sequence[Telling]) -> Iterator[Block]:
    """Give the digest's body: in one language; in two with the lists once, between them."""
    first = tellings[0]
    yield from top(first)
    if len(tellings) == 1:
        yield from _in_short(first)
        yield from _lists(tellings)
        yield from _after(first)
        yield from closing(first)
        return
    yield Paragraph(tellings[1].words("english_below"), apart=True)
    for place, telling in enumerate(tellings):
        if place:
            yield Rule()
            yield from _lists(tellings)
            yield Rule()
        yield from _in_short(telling)
        yield from _after(telling)
        yield from closing(telling)


def top(telling: Telling) -> Iterator[Block]:
    """Give the first lines: marks and label, to whom, reference and period."""
    digest, words = telling.digest, telling.words
    label = f"TLP:{digest.tlp}"
    marks = []
    if digest.test:
        marks.append(words("test_for", who=meant_for(digest)))
    if digest.resend:
        marks.append(words("again"))
    if marks:
        yield Banner("; ".join(marks), label)
        yield from diverted(telling)
        label = ""
    to = _addressed(telling)
    yield Banner(to, label) if label else Paragraph(to)
    yield from reference(telling)
    yield from in_whose_name(telling)


def _addressed(telling: Telling) -> str:
    digest, words = telling.digest, telling.words
    if customer := digest.delivery.customer:
        return words("to_customer", ref=customer.ref, member=digest.member.name)
    role = next((each.role for each in digest.member.contacts.values() if each.mail in digest.recipients), "abuse")
    return words(f"to_{role if role in _ROLES else 'escalation'}", member=digest.member.name)


def in_whose_name(telling: Telling) -> Iterator[Block]:
    """Tell a customer who asked for this."""
    if telling.digest.delivery.customer:
        yield Paragraph(telling.words("for_customer", member=telling.digest.member.name), apart=True)


def reference(telling: Telling) -> Iterator[Block]:
    """Give the line with reference, part and period."""
    digest, words = telling.digest, telling.words
    part = words("part", part=digest.part, parts=digest.parts) if digest.parts > 1 else ""
    when = telling.moments.minute(digest.frozen)
    if digest.kind in _PERIODIC:
        when = words("period", until=telling.moments.minute(digest.period[1]))
    yield Banner(words("reference", reference=digest.reference) + part, when)


def diverted(telling: Telling) -> Iterator[Block]:
    """Say that a test mail did not go to whom it is meant for, if so."""
    digest = telling.digest
    if digest.test and not set(_mails(digest)) & set(digest.recipients):
        yield Paragraph(telling.words("test_note"))


def _mails(digest: Digest) -> list[str]:
    if digest.delivery.customer:
        return [digest.delivery.customer.mail]
    contacts = digest.member.contacts
    return [contacts[each].mail for each in digest.delivery.to if each in contacts and contacts[each].mail]


def meant_for(digest: Digest) -> str:
    """Name who a test mail is meant for: the first address of the delivery, and how many more."""
    mails = [one_line(each) for each in _mails(digest) or digest.recipients]
    return f"{mails[0]} +{len(mails) - 1}" if len(mails) > 1 else (mails or [digest.member.id])[0]


def _in_short(telling: Telling) -> Iterator[Block]:
    digest, summary, words = telling.digest, telling.summary, telling.words
    numbers = {
        "new": summary.new.count,
        "back": summary.back.count,
        "still": summary.still.count + sum(count for count, _ in digest.still.values()),
        "informed": summary.informed.count,
    }
    yield Heading(words("in_short"))
    yield Counts(tuple(words(key, number=n) for key, n in numbers.items() if n or key in {"new", "back", "still"}))
    sentences = [words("highest", severity=digest.highest)] if digest.highest else []
    if numbers["new"] or numbers["back"]:
        sentences.append(words(f"where{telling.attached}"))
    if digest.parts > 1:
        sentences.append(words("where_part", part=digest.part, parts=digest.parts))
    yield Paragraph(" ".join([*sentences, words("no_accusation")]), 2)
    if left_out := _left_out(telling):
        yield Paragraph(words("left_out", what=", ".join(left_out)), 2)


def _left_out(telling: Telling) -> list[str]:
    """Say how many were left out and why; what only repeats is among those still there."""
    suppressed, words = telling.digest.suppressed, telling.words
    age = words.span(telling.digest.delivery.max_age)
    # A customer has no filter: what the member's leaves out is nothing to tell it.
    told = {why for why in suppressed if suppressed[why] and not (why == "filter" and telling.digest.delivery.customer)}
    known = [words.count(f"left_{why}", suppressed[why], age=age) for why in _LEFT_OUT if why in told]
    others = told - {*_LEFT_OUT, _COUNTED}
    return known + [words.count("left_other", suppressed[why], reason=why) for why in sorted(others)]


def _lists(tellings: Sequence[Telling]) -> Iterator[Block]:
    summary = tellings[0].summary
    advised: set[str] = set()
    for key, section in (("new", summary.new), ("back", summary.back), ("still", summary.still)):
        yield from _section(tellings, f"{key}_heading", section, advised)
    yield from _section(tellings, "informed_heading", summary.informed, None)


def _section(tellings: Sequence[Telling], key: str, section: Section, advised: set[str] | None) -> Iterator[Block]:
    """List a section's groups; each advice stands once in a mail (*advised*), or nowhere (None)."""
    if not section.count:
        return
    yield Heading(" / ".join(telling.words(key, number=section.count) for telling in tellings))
    groups = section.ordered()
    for group in groups[:GROUPS]:
        told = tellings[0].catalogue.advice(group.fields, tellings[0].words.language).title
        yield Entry(group.severity, tuple(title(telling, group.fields) for telling in tellings), group.count)
        yield from _rows(tellings, group)
        for telling in tellings:
            if advised is not None and told not in advised:
                yield from advice(telling, group.fields)
            yield from _shared(telling, group)
        if advised is not None:
            advised.add(told)
    if rest := groups[GROUPS:]:
        number = sum(group.count for group in rest)
        for telling in tellings:
            key = f"more_kinds{telling.attached}"
            yield Paragraph(telling.words(key, kinds=len(rest), number=number), apart=True)


def title(telling: Telling, fields: Mapping[str, object]) -> str:
    """Name a kind of finding in the mail's language; what comes from reports is harmless."""
    return one_line(telling.catalogue.title(fields, telling.words.language))


def _rows(tellings: Sequence[Telling], group: Group) -> Iterator[Block]:
    telling = tellings[-1]  # of two languages the one that writes months in letters
    rows = tuple(_row(telling, finding, tellings) for finding in group.first)
    yield Table(rows, _FLOORS)
    if group.count > len(rows):
        more = (each.words(f"more_rows{each.attached}", number=group.count - len(rows)) for each in tellings)
        yield Paragraph(" / ".join(more), 2)


def _row(telling: Telling, finding: Finding, tellings: Sequence[Telling]) -> Row:
    event, words = finding.event, telling.words
    seen = ("", "")
    if when := event.get("time.source") or event.get("time.observation"):
        seen = telling.moments.seen(when, event.get("time_precision", "second"))
    facts = [*asset.details(finding, words)]
    if finding.state == "back":
        facts += [_came_back(each, finding) for each in tellings]
    return Row((asset.address(event) or "-", asset.port(event, words), *seen), tuple(facts))


def _came_back(telling: Telling, finding: Finding) -> str:
    first = telling.moments.day(finding.first_seen)
    quiet = telling.words.span(telling.digest.delivery.quiet)
    if finding.mentioned:
        return telling.words("came_back_known", first=first, quiet=quiet, reference=finding.mentioned)
    return telling.words("came_back", first=first, quiet=quiet)


def advice(telling: Telling, fields: Mapping[str, object]) -> Iterator[Block]:
    """Say what a kind of finding means and what helps."""
    told = telling.catalogue.advice(fields, telling.words.language)
    yield Labelled(telling.words("what"), told.what)
    yield Labelled(telling.words("do"), told.do)


def _shared(telling: Telling, group: Group) -> Iterator[Block]:
    if not group.shared:
        return
    words = telling.words
    shown, rest = list(islice(group.shared, _ADDRESSES)), len(group.shared) - _ADDRESSES
    if rest > 0:
        named = words("and_more", first=", ".join(shown), number=rest)
    else:
        named = words("and", first=", ".join(shown[:-1]), last=shown[-1]) if len(shown) > 1 else shown[0]
    key = "shared" if len(group.shared) == 1 else "shared_many"
    customer = telling.digest.delivery.customer is not None
    who = words("told_by", member=telling.digest.member.name) if customer else words("told_by_you")
    yield Labelled(words("note"), words(key, addresses=named, who=who))


def _after(telling: Telling) -> Iterator[Block]:
    yield from still_counted(telling, "still_counted")
    yield from _elsewhere(telling)
    yield from why(telling)
    yield from attached(telling)
    yield from sources(telling)


def still_counted(telling: Telling, key: str) -> Iterator[Block]:
    """Say what is known and still there but not listed, and how often the list comes."""
    still, words = telling.digest.still, telling.words
    if not still:
        return
    yield Paragraph(words(key, number=sum(count for count, _ in still.values())), apart=True)
    ranked = sorted(still.items(), key=lambda item: (-item[1][0], item[0]))
    for name, (count, oldest) in ranked[:_KINDS]:
        since = telling.moments.day(oldest)
        yield Paragraph(words("still_line", number=count, title=kind(telling, name), since=since), 2)
    if rest := ranked[_KINDS:]:
        number = sum(count for _, (count, _) in rest)
        yield Paragraph(words("more_kinds", kinds=len(rest), number=number), 2)
    if repeat := _repeat(telling):
        yield Paragraph(repeat, 2)


def kind(telling: Telling, name: str) -> str:
    """Name a kind of finding by a type or an identifier."""
    field = "classification.type" if name in rsit().types else "classification.identifier"
    fields = {field: name}
    return title(telling, fields) if telling.catalogue.knows(fields) else one_line(name)


def _repeat(telling: Telling) -> str:
    repeat, words = telling.digest.delivery.repeat, telling.words
    if len(set(repeat.values())) == 1:
        return words("still_repeat", every=words.every(next(iter(repeat.values()))))
    rest = [words("still_repeat_rest", every=words.every(each)) for key, each in repeat.items() if key == "other"]
    named = [
        words("still_repeat_of", every=words.every(each), taxonomy=key)
        for key, each in sorted(repeat.items())
        if key != "other"
    ]
    return words("still_repeat_by", every=", ".join(named + rest)) if repeat else ""


def _elsewhere(telling: Telling) -> Iterator[Block]:
    counts: dict[tuple[str, str, str], int] = {}
    for each in telling.digest.elsewhere:
        key = (each.get("reference", ""), each.get("type", ""), each.get("time", ""))
        counts[key] = counts.get(key, 0) + int(each.get("count", "1"))
    if counts:
        today = {telling.moments.day(time) if time else "" for _, _, time in counts}
        same = today == {telling.moments.day(telling.digest.frozen)}
        yield Paragraph(telling.words("elsewhere_today" if same else "elsewhere"), apart=True)
    for (where, name, time), number in islice(sorted(counts.items()), _KINDS):
        title_ = kind(telling, name) if name else "-"
        line = telling.words("elsewhere_line", number=number, title=title_, reference=where)
        yield Paragraph(f"{line} ({telling.moments.minute(time)})." if time else f"{line}.", 2)


def why(telling: Telling) -> Iterator[Block]:
    """Say by which of the member's claims it got the findings, and how to contradict."""
    claims, words, digest = telling.summary.claims, telling.words, telling.digest
    if not claims:
        return
    yield Heading(words("why"))
    told = [(claim(by, value), _since(telling, since)) for (_, by, value, since), _ in claims.most_common()]
    member = digest.member.id
    if customer := digest.delivery.customer:
        named = ", ".join(value for value, _ in told[:_CLAIMS])
        sentence = words("why_customer", claims=named, member=digest.member.name, ref=customer.ref)
        yield Paragraph(f"{sentence} {words('not_yours')}", 2)
        return
    if len(told) == 1:
        key = "why_one_name" if next(iter(claims))[0] == "name" else "why_one"
        sentence = words(key, claim=told[0][0], member=member, since=told[0][1])
        yield Paragraph(f"{sentence} {words('not_yours')}", 2)
    else:
        yield Paragraph(words("why_many", member=member), 2)
        for value, since in told[:_CLAIMS]:
            yield Paragraph(words("why_claim", claim=value, since=since), 4)
        if len(told) > _CLAIMS:
            yield Paragraph(words("why_more", number=len(told) - _CLAIMS), 4)
        yield Paragraph(words("not_yours"), 2)
    if telling.summary.relayed:
        yield Paragraph(words("why_relay"), 2)


def claim(by: str, value: str) -> str:
    """Write a claim: a prefix, ``AS64500``, or a domain."""
    plain = one_line(value)
    return f"AS{plain}" if by == "asn" and not plain.upper().startswith("AS") else plain


def _since(telling: Telling, since: str) -> str:
    return telling.words("why_since", since=telling.moments.date(since)) if since else ""


def attached(telling: Telling) -> Iterator[Block]:
    """List the attachments with what they hold and their SHA-256."""
    words = telling.words
    if not telling.attachments:
        return
    yield Heading(words("attachments"))
    rows = []
    for each in telling.attachments:
        details = [f"sha256 {sha256(each.data).hexdigest()}"]
        if each.unexpressed:
            details.insert(0, words.count("unexpressed", each.unexpressed))
        rows.append(Row((one_line(each.name), _describe(each, words)), tuple(details)))
    yield Table(tuple(rows), (0,))


def _describe(attachment: Attachment, words: Words) -> str:
    name, media = attachment.name, attachment.content_type.partition(";")[0].strip().lower()
    if "xarf" in name:
        return words.count("is_xarf", attachment.rows)
    known = {"application/x-ndjson": "is_jsonl", "application/json": "is_json", "application/zip": "is_zip"}
    key = known.get(media, "is_other")
    if name.startswith("abusehubcsv"):
        key = "is_abusehub"
    elif media == "text/csv":
        header = attachment.data[:4096].partition(b"\n")[0]
        key = "is_csv_semicolon" if header.count(b";") > header.count(b",") else "is_csv_comma"
    rows = [words.count("rows", attachment.rows)] if attachment.rows else []
    return ", ".join([*rows, words(key, type=media)])


def sources(telling: Telling) -> Iterator[Block]:
    """Say how the notifiers' feeds are."""
    words, feeds = telling.words, telling.digest.feeds
    if not feeds:
        return
    yield Heading(words("sources"))
    width = max(len(one_line(feed.provider)) for feed in feeds) + 2
    for feed in feeds:
        last = telling.moments.short_minute(feed.last) if feed.last else "?"
        health = feed.health if feed.health in {"ok", "late", "silent"} else "ok"
        yield Labelled(one_line(feed.provider), words(f"feed_{health}", last=last), width=min(width, 24))


def answers(digest: Digest) -> str:
    """Give who reads replies: the hub, or the member in whose name a customer is told."""
    customer = digest.delivery.customer
    return (customer.desk if customer else "") or digest.hub.reply_to or digest.hub.mail


def closing(telling: Telling) -> Iterator[Block]:
    """Say who reads replies, how far the mail may be shared, how long it is kept."""
    hub, words, digest = telling.digest.hub, telling.words, telling.digest
    contact = answers(digest)
    if hub.phone and digest.delivery.customer is None:
        contact = words("contact_phone", mail=contact, phone=hub.phone)
    yield Paragraph(f"{words('replies', contact=contact)} {words('changes')}", apart=True)
    share = words(f"share_{digest.tlp}") if f"share_{digest.tlp}" in words.phrases else words("share_AMBER+STRICT")
    privacy = [words("privacy", url=hub.privacy)] if hub.privacy else []
    yield Paragraph(" ".join([share, words("kept", span=words.span(hub.keep_sent)), *privacy]))
