"""The bodies of all mails but the daily digest, as blocks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from ..model import Finding
from . import asset
from .blocks import Banner, Block, Commands, Entry, Heading, Labelled, Paragraph, Row, Rule, Table
from .body import (
    Telling,
    advice,
    attached,
    claim,
    closing,
    digest_body,
    diverted,
    in_whose_name,
    meant_for,
    sources,
    still_counted,
    title,
    top,
    why,
)
from .safe import defanged, one_line
from .summary import GROUPS, SHOWN, merged

_LABEL = 12
_AT_ONCE: Final = frozenset({"phishing", "malware-distribution"})
"""Types that point 6 of the Dutch code of conduct (Gedragscode Abusebestrijding 1.1) names."""


def body(tellings: Sequence[Telling]) -> list[Block]:
    """Give the body of any kind of digest.

    Args:
        tellings: one for each language of the mail; kinds other than the digest tell all in turn.
    """
    told = tellings[0].digest.kind
    if told not in _KINDS:
        return list(digest_body(tellings))
    blocks: list[Block] = []
    for telling in tellings:
        if blocks:
            blocks.append(Rule())
        blocks.extend(_KINDS[told](telling))
    return blocks


def _urgent(telling: Telling) -> Iterator[Block]:
    digest, words = telling.digest, telling.words
    mark = "; ".join(
        [
            "URGENT",
            *([words("test_for", who=meant_for(digest))] if digest.test else []),
            *([words("again")] if digest.resend else []),
        ]
    )
    yield Banner(mark, f"TLP:{digest.tlp}")
    yield from diverted(telling)
    alone = words("finding", id=digest.findings[0].id) if len(digest.findings) == 1 else ""
    yield Banner(words("reference", reference=digest.reference), alone)
    yield from in_whose_name(telling)
    for finding in digest.findings[:SHOWN]:
        yield from _urgent_finding(telling, finding)
    if len(digest.findings) > SHOWN:
        yield Paragraph(words("urgent_more", number=len(digest.findings) - SHOWN), apart=True)
    yield from _urgent_do(telling)
    claims = [claim(by, value) for (_, by, value, _), _ in telling.summary.claims.most_common(3)]
    told = words("urgent_why", claims=", ".join(claims), member=digest.member.id)
    yield Paragraph(told, apart=True)


def _urgent_finding(telling: Telling, finding: Finding) -> Iterator[Block]:
    event, words = finding.event, telling.words
    yield Paragraph(words("urgent_title", title=title(telling, event)), apart=True)
    name = defanged(str(event.get("source.fqdn") or event.get("source.reverse_dns") or ""))
    port = asset.port(event, words)
    thing = asset.address(event)
    where = "  ".join(filter(None, (thing, port, f"({name})" if name and name != thing else "")))
    when = event.get("time.source") or event.get("time.observation")
    seen = telling.moments.second(when) if when else "?"
    if provider := event.get("feed.provider"):
        seen = words("urgent_seen_by", when=seen, provider=str(provider))
    facts = {
        "urgent_address": where,
        "urgent_page": defanged(str(event.get("source.url", ""))),
        "urgent_customer": one_line(finding.match.customer_ref),
        "urgent_seen": seen,
    }
    for key, value in facts.items():
        if value:
            yield Labelled(words(key), value, width=_LABEL)
    if "source.url" in event:
        yield Paragraph(words("urgent_checked"), 2)


def _urgent_do(telling: Telling) -> Iterator[Block]:
    words, digest = telling.words, telling.digest
    told: dict[str, None] = {}
    for finding in digest.findings[:SHOWN]:
        told[telling.catalogue.advice(finding.event, words.language).do] = None
    for place, do in enumerate(told):
        yield Paragraph(words("urgent_do", do=do), apart=not place)
    if digest.findings and telling.attachments:
        yield Paragraph(words("urgent_attached", name=telling.attachments[0].name))
    if any(finding.event.get("classification.type") in _AT_ONCE for finding in digest.findings[:SHOWN]):
        yield Paragraph(words("urgent_code"))


def _test(telling: Telling) -> Iterator[Block]:
    words = telling.words
    yield from top(telling)
    yield Heading(words("test_heading"))
    yield Paragraph(words("test_intro", hub=telling.digest.hub.name))
    yield Paragraph(words("test_questions"), apart=True)
    for key in ("test_ticket", "test_parser", "test_people"):
        yield Paragraph(words(key), 2)
    yield from _groups(telling)
    yield from attached(telling)
    yield Heading(words("test_switches"))
    switches = (words(key).split(None, 1) for key in ("test_format", "test_language", "test_when", "test_filter"))
    yield Labelled("robot: no", words("test_robot").removeprefix("robot: no").strip(), width=13)
    for name, meaning in switches:
        yield Labelled(name, meaning, width=13)
    yield from closing(telling)


def _baseline(telling: Telling) -> Iterator[Block]:
    words, summary = telling.words, telling.summary
    yield from top(telling)
    yield Heading(words("baseline_heading"))
    listed = [words("baseline_attached")] if telling.attached else []
    yield Paragraph(" ".join([words("baseline_intro"), *listed]))
    section = merged((summary.new, summary.back, summary.still, summary.informed))
    yield Heading(words("baseline_totals", number=section.count))
    groups = section.ordered()
    for group in groups[:GROUPS]:
        yield Entry(group.severity, (title(telling, group.fields),), group.count)
        yield from advice(telling, group.fields)
    if rest := groups[GROUPS:]:
        number = sum(group.count for group in rest)
        yield Paragraph(words(f"more_kinds{telling.attached}", kinds=len(rest), number=number), apart=True)
    yield from why(telling)
    yield from attached(telling)
    yield from sources(telling)
    yield from closing(telling)


def _empty(telling: Telling) -> Iterator[Block]:
    words, digest = telling.words, telling.digest
    yield from top(telling)
    yield Heading(words("empty_heading"))
    intro = words("empty_intro", since=telling.moments.minute(digest.period[0]))
    alive = sum(feed.health == "ok" for feed in digest.feeds)
    told = words("empty_feeds", alive=alive, all=len(digest.feeds)) if digest.feeds else ""
    yield Paragraph(f"{intro} {told}".strip())
    yield from still_counted(telling, "empty_open")
    yield from sources(telling)
    yield from closing(telling)


def _correction(telling: Telling) -> Iterator[Block]:
    words, digest = telling.words, telling.digest
    corrected = one_line(digest.facts.get("corrects", "?"))
    yield from top(telling)
    yield Heading(words("correction_heading", reference=corrected))
    yield Paragraph(words("correction_intro", reference=corrected))
    yield Heading(words("correction_wrong"))
    yield from _free_text(digest.text)
    if digest.findings:
        yield Heading(words("correction_rows", number=len(digest.findings)))
        yield from _rows(telling, digest.findings)
    yield Paragraph(words("correction_sorry"), apart=True)
    yield from attached(telling)
    yield from closing(telling)


def _when(telling: Telling, text: str) -> str:
    """Write a fact that should be a canonical time; anything else stays as it is."""
    try:
        return telling.moments.minute(text) if text else ""
    except ValueError:
        return one_line(text)


def _dead_endpoint(telling: Telling) -> Iterator[Block]:
    words, digest, facts = telling.words, telling.digest, telling.digest.facts
    delivery = one_line(facts.get("delivery", digest.delivery.id))
    told = {
        "host": defanged(facts.get("url", "").partition("://")[2].partition("/")[0]),
        "since": _when(telling, facts.get("since", "")),
        "answer": one_line(facts.get("answer", "")),
        "waiting": one_line(facts.get("waiting", "")),
        "until": _when(telling, facts.get("until", "")),
    }
    yield from top(telling)
    yield Heading(words("dead-endpoint_heading"))
    yield Paragraph(words("dead-endpoint_intro", delivery=delivery))
    for key, value in told.items():
        if value:
            yield Labelled(words(f"dead-endpoint_{key}"), value, width=24)
    yield Paragraph(words("dead-endpoint_do"), apart=True)
    yield from closing(telling)


def _dead_contact(telling: Telling) -> Iterator[Block]:
    words, facts = telling.words, telling.digest.facts
    since = _when(telling, facts.get("since", ""))
    intro = "dead-contact_intro_since" if since else "dead-contact_intro"
    yield from top(telling)
    yield Heading(words("dead-contact_heading"))
    yield Paragraph(words(intro, address=facts.get("address", "?"), since=since))
    if facts.get("answer"):
        yield Paragraph(words("dead-contact_answer", answer=facts["answer"]))
    yield Paragraph(words("dead-contact_do"), apart=True)
    yield from closing(telling)


def _operator(telling: Telling) -> Iterator[Block]:
    words, digest = telling.words, telling.digest
    cause = one_line(digest.facts.get("cause", ""))
    heading = words("operator_heading_cause", cause=cause) if cause else words("operator_heading")
    yield Banner(heading, f"TLP:{digest.tlp}")
    yield Banner(words("reference", reference=digest.reference), telling.moments.minute(digest.frozen))
    for paragraph in _free_text(digest.text):
        yield paragraph._replace(apart=True)
    if digest.facts.get("command"):
        yield Heading(words("operator_command"))
        yield Commands(tuple(map(one_line, digest.facts["command"].splitlines())))
    yield Paragraph(words("operator_once"), apart=True)


def _free_text(text: str) -> Iterator[Paragraph]:
    """Give an operator's text: paragraphs are parted by empty lines."""
    for place, paragraph in enumerate(text.replace("\r\n", "\n").strip().split("\n\n")):
        yield Paragraph(one_line(paragraph), apart=bool(place))


def _groups(telling: Telling) -> Iterator[Block]:
    for group in telling.summary.new.ordered():
        yield Entry(group.severity, (title(telling, group.fields),), group.count)
        yield from _rows(telling, group.first)
        yield from advice(telling, group.fields)


def _rows(telling: Telling, findings: Sequence[Finding]) -> Iterator[Block]:
    rows = []
    for finding in findings[:SHOWN]:
        event = finding.event
        when = event.get("time.source") or event.get("time.observation")
        seen = telling.moments.seen(when, event.get("time_precision", "second")) if when else ("", "")
        facts = asset.details(finding, telling.words)
        rows.append(Row((asset.address(event) or "-", asset.port(event, telling.words), *seen), facts))
    yield Table(tuple(rows), (13, 9))
    if len(findings) > SHOWN:
        more = telling.words(f"more_rows{telling.attached}", number=len(findings) - SHOWN)
        yield Paragraph(more, 2)


_KINDS: Final[Mapping[str, Callable[[Telling], Iterator[Block]]]] = {
    "urgent": _urgent,
    "test": _test,
    "baseline": _baseline,
    "empty": _empty,
    "correction": _correction,
    "dead-endpoint": _dead_endpoint,
    "dead-contact": _dead_contact,
    "operator": _operator,
}
