"""Headers, MIME and the envelope of a mail: the same digest gives the same bytes, whenever and wherever it is built."""

import hashlib
import hmac
import re
from base64 import b32encode
from collections.abc import Iterator, Mapping, Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final
from urllib.parse import quote

from ..model import Attachment, Digest
from .body import Telling, answers
from .moments import moment, zone
from .safe import ascii_line, mail_address, one_line, token

_LOCAL_PART: Final = 64
_HASH: Final = 8
_LISTS: Final = frozenset({"digest", "urgent", "baseline", "empty"})
_AGENT: Final = "cleanbots"
_WIDE: Final = SMTP.clone(max_line_length=200)  # a subject stays on one line; RFC 5322 allows 998
_REPORT: Final = "xarf.json"
_not_media = re.compile(r"[^A-Za-z0-9.+-]+")


def message_id(digest: Digest) -> str:
    """Give the Message-ID without brackets: ``mp-20261120-0042.p1@hub.example.net``; re-sends end in ``.r2``, …."""
    again = f".r{digest.resend + 1}" if digest.resend else ""
    return f"{_stem(digest.reference)}.p{digest.part}{again}@{token(digest.hub.domain)}"


def _first_id(digest: Digest, reference: str) -> str:
    return f"{_stem(reference)}.p1@{token(digest.hub.domain)}"


def _stem(reference: str) -> str:
    return token(reference.lower())


def envelope_sender(digest: Digest, place: int, recipient: str, key: bytes) -> str:
    """Give the envelope sender for one recipient, so that a bounce names digest and recipient (VERP).

    Args:
        digest: whose bounces.
        place: of the recipient, from 1.
        recipient: its address.
        key: secret of the hub; who lacks it can't forge bounces.

    Returns:
        ``bounces+mp-20261120-0042.1.<hash>@hub.example.net``; the plain address where that would be too long.
    """
    plain = mail_address(digest.hub.bounces or digest.hub.mail)
    local, _, domain = plain.partition("@")
    part = f".p{digest.part}" if digest.part > 1 else ""
    again = f".r{digest.resend + 1}" if digest.resend else ""
    named = f"{_stem(digest.reference)}{part}{again}.{place}"
    whole = hmac.digest(key, f"{named}\n{recipient}".encode(), hashlib.sha256)
    long = f"{local}+{named}.{b32encode(whole).decode().lower()[:_HASH]}"
    return f"{long}@{domain}" if len(long) <= _LOCAL_PART else plain


def headers(telling: Telling, subject: str) -> Iterator[tuple[str, str | tuple[Address, ...]]]:
    """Give a mail's headers in order; every text is one clean line."""
    digest = telling.digest
    hub, member = digest.hub, digest.member
    reply = mail_address(answers(digest))
    yield "Date", format_datetime(moment(digest.frozen).astimezone(zone(digest.delivery.timezone)))
    yield "From", (Address(one_line(hub.name), addr_spec=mail_address(hub.mail)),)
    yield "To", tuple(Address(addr_spec=mail_address(each)) for each in digest.recipients)
    yield "Reply-To", (Address(addr_spec=reply),)
    yield "Subject", subject
    yield "Message-ID", f"<{message_id(digest)}>"
    if refers := _refers(digest):
        yield "References", f"<{_first_id(digest, refers)}>"
    if digest.delivery.robot:
        yield "Auto-Submitted", "auto-generated"
        yield "X-Auto-Response-Suppress", "OOF, AutoReply"
    domain = token(hub.domain)
    if digest.kind in _LISTS:
        yield "List-Id", f"Findings for members <findings.{domain}>"
        yield "List-Unsubscribe", f"<mailto:{reply}?subject={quote(f'pause {_whom(digest)}', safe='')}>"
    yield "X-Cleanbots-Hub", f"{domain}; hop=1"
    yield "X-Cleanbots-Reference", f"{ascii_line(digest.reference)}; part={digest.part}/{digest.parts}"
    yield "X-Cleanbots-Member", f"{ascii_line(member.id)}; delivery={ascii_line(digest.delivery.id)}"
    yield "X-Cleanbots-Period", "/".join(_utc(each) for each in digest.period)
    yield "X-Cleanbots-Counts", _counts(telling)
    yield "X-Cleanbots-TLP", f"TLP:{digest.tlp}"
    if digest.test:
        yield "X-Cleanbots-Mode", "test"


def _whom(digest: Digest) -> str:
    customer = digest.delivery.customer
    return ascii_line(customer.ref if customer else digest.member.id)


def _refers(digest: Digest) -> str:
    """Name the reference that this mail belongs to; a digest stands alone, as it is a ticket of its own."""
    if digest.resend:
        return digest.reference
    if digest.kind == "correction":
        return digest.facts.get("corrects", "")
    if digest.kind == "urgent" and len(digest.findings) == 1:
        return digest.findings[0].mentioned
    return ""


def _utc(text: str) -> str:
    return moment(text).strftime("%Y-%m-%dT%H:%M:%SZ")


def _counts(telling: Telling) -> str:
    summary, digest = telling.summary, telling.digest
    still = summary.still.count + sum(count for count, _ in digest.still.values())
    numbers = [f"new={summary.new.count}", f"back={summary.back.count}", f"still={still}"]
    if summary.informed.count:
        numbers.append(f"informed={summary.informed.count}")
    if digest.highest:
        numbers.append(f"highest={ascii_line(digest.highest)}")
    return "; ".join(numbers)


def compose(
    digest: Digest,
    fields: Iterator[tuple[str, str | tuple[Address, ...]]],
    bodies: Mapping[str, str],
    attachments: Sequence[Attachment],
) -> bytes:
    """Give the whole message.

    Args:
        digest: gives the boundaries.
        fields: the header.
        bodies: ``plain`` and, if wanted, ``html``.
        attachments: in order; ``xarf.json`` in an urgent mail makes it a feedback report (RFC 5965 as XARF 3 used it).
    """
    boundary = f"=_{_stem(digest.reference)}.p{digest.part}"  # "=_" can't occur in quoted-printable or base64
    message = EmailMessage(policy=SMTP)
    for name, value in fields:
        message[name] = value
    message.set_content(bodies["plain"], cte="quoted-printable", charset="utf-8")
    if "html" in bodies:
        message.add_alternative(bodies["html"], subtype="html", cte="quoted-printable", charset="utf-8")
        message.set_boundary(f"{boundary}.2")
    if attachments:
        message.make_mixed(boundary=f"{boundary}.1")
        if digest.kind == "urgent" and any(each.name == _REPORT for each in attachments):
            message.replace_header("Content-Type", "multipart/report; report-type=feedback-report")
            message.set_boundary(f"{boundary}.1")
            message.attach(_feedback())
        for each in attachments:
            message.attach(_part(each))
    return message.as_bytes(policy=_WIDE)


def _feedback() -> EmailMessage:
    part = EmailMessage(policy=SMTP)
    part["Content-Type"] = "message/feedback-report"
    part.set_payload(f"Feedback-Type: xarf\r\nUser-Agent: {_AGENT}\r\nVersion: 1\r\n")
    return part


def _part(attachment: Attachment) -> EmailMessage:
    media, *options = (each.strip() for each in attachment.content_type.split(";"))
    maintype, _, subtype = (_not_media.sub("-", word) for word in media.partition("/"))
    given = dict(each.partition("=")[::2] for each in options if "=" in each)
    name = one_line(attachment.name)
    params = {token(each): ascii_line(value.strip('"')) for each, value in given.items()}
    part = EmailMessage(policy=SMTP)
    part.set_content(
        attachment.data,
        maintype=maintype,
        subtype=subtype,
        disposition="attachment",
        filename=name,
        params=params | {"name": ascii_line(name)},  # tools older than Content-Disposition look here
    )
    del part["MIME-Version"]  # it belongs to the whole message
    return part
