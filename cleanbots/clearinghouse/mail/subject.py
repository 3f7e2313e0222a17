"""Subjects: ASCII, under 100 characters; what matters least goes first if there is no room."""

from collections.abc import Sequence
from itertools import product
from typing import Final

from ..model import Digest
from . import asset
from .body import Telling, meant_for
from .safe import ascii_line

LIMIT: Final = 99


def subject(tellings: Sequence[Telling], *, concealed: bool) -> str:
    """Give the subject.

    Args:
        tellings: one for each language.
        concealed: whether the body is encrypted, so that no address may stand here.
    """
    digest = tellings[0].digest
    end = f"{_reference(digest)} TLP:{digest.tlp}"
    start = ascii_line(digest.hub.subject)
    mark = f"[TEST for {ascii_line(meant_for(digest))}] " if digest.test else ""
    whole = ""
    for middle in _middles(tellings, concealed=concealed):
        whole = f"{mark}{start} {middle} {end}"
        if len(whole) <= LIMIT:
            return whole
    room = LIMIT - len(f"{start}  {end}")
    if len(mark) >= room:
        mark = f"{mark[: max(room - 4, 0)]}...] " if room > 20 else "[TEST] "
    middle = middle[: max(LIMIT - len(f"{mark}{start}  {end}"), 0)].rstrip(" ,")
    return " ".join(f"{mark}{start} {middle} {end}".split())[:LIMIT]


def _reference(digest: Digest) -> str:
    part = f" {digest.part}/{digest.parts}" if digest.parts > 1 else ""
    return f"[{ascii_line(digest.reference)}{part}]"


def _middles(tellings: Sequence[Telling], *, concealed: bool) -> list[str]:
    """Give what the mail is about, from the fullest to the shortest."""
    digest = tellings[0].digest
    if digest.kind == "urgent":
        return _urgent(tellings[0], concealed=concealed)
    if digest.kind in {"test", "empty", "baseline", "correction", "dead-endpoint", "dead-contact", "operator"}:
        each = [ascii_line(_notice(telling)) for telling in tellings]
        return [" / ".join(each), each[0]]
    counts, where, highest = _counts(tellings), _where(tellings), _joined(tellings, _highest(digest))
    return [
        f"{counts}{b if with_where else ''}{c if with_highest else ''}"
        for (with_highest, with_where), b, c in (
            (choice, where, highest) for choice in product((True, False), (True, False))
        )
    ]


def _notice(telling: Telling) -> str:
    digest, summary = telling.digest, telling.summary
    number = summary.new.count + summary.back.count + summary.still.count + summary.informed.count
    return telling.words(
        f"subject_{digest.kind}",
        number=number,
        reference=digest.facts.get("corrects", "?"),
        delivery=digest.facts.get("delivery", digest.delivery.id),
        cause=digest.facts.get("cause", digest.text.partition("\n")[0]),
    )


def _counts(tellings: Sequence[Telling]) -> str:
    summary = tellings[0].summary
    still = summary.still.count + sum(count for count, _ in tellings[0].digest.still.values())
    numbers: dict[str, object] = {
        "new": summary.new.count,
        "back": summary.back.count,
        "still": still,
        "informed": summary.informed.count,
    }
    told = [key for key in ("new", "back") if numbers[key]] or [key for key in ("informed", "still") if numbers[key]]
    return ", ".join(_joined(tellings, (f"subject_{key}", numbers)) for key in told[:2]) or _joined(
        tellings, ("subject_none", {})
    )


def _where(tellings: Sequence[Telling]) -> str:
    member = tellings[0].digest.member
    if len(member.asns) == 1:
        return tellings[0].words("subject_in", asn=member.asns[0])
    return tellings[0].words("subject_for", member=ascii_line(member.id))


def _highest(digest: Digest) -> tuple[str, dict[str, object]] | None:
    return ("subject_highest", {"severity": ascii_line(digest.highest)}) if digest.highest else None


def _joined(tellings: Sequence[Telling], phrase: tuple[str, dict[str, object]] | None) -> str:
    """Give a phrase; in two languages as ``6 nieuw/new``."""
    if phrase is None:
        return ""
    first, *others = (telling.words(phrase[0], **phrase[1]) for telling in tellings)
    return first if not others else _both(first, others[0])


def _both(first: str, second: str) -> str:
    """Join two phrases that differ in one stretch of words: ``6 nieuw`` and ``6 new`` are ``6 nieuw/new``."""
    ours, theirs = first.split(" "), second.split(" ")
    head = 0
    while head < min(len(ours), len(theirs)) and ours[head] == theirs[head]:
        head += 1
    tail = 0
    while tail < min(len(ours), len(theirs)) - head and ours[-1 - tail] == theirs[-1 - tail]:
        tail += 1
    middle = [" ".join(words[head : len(words) - tail]) for words in (ours, theirs)]
    if all(each.endswith(":") for each in middle):
        middle[0] = middle[0].removesuffix(":")
    return " ".join((*ours[:head], "/".join(filter(None, middle)), *ours[len(ours) - tail :])) if any(middle) else first


def _urgent(telling: Telling, *, concealed: bool) -> list[str]:
    findings, words = telling.digest.findings, telling.words
    if not findings:
        return [words("subject_urgent_bare", what="-")]
    what = ascii_line(str(findings[0].event.get("classification.type", "undetermined")))
    if len(findings) > 1:
        return [words("subject_urgent_many", number=len(findings), what=what)]
    bare = words("subject_urgent_bare", what=what)
    thing = ascii_line(asset.address(findings[0].event))
    return [bare] if concealed or not thing else [words("subject_urgent", what=what, asset=thing), bare]
