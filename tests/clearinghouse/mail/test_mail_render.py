"""Rendering mails: what stands in them whatever the digest holds, and that data never becomes structure."""

import email
import email.policy
import re
import tracemalloc
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_samples import CLAIM, DIGEST, FINDINGS, HUB, MEMBER, PHISHING, attachments_of, digest_of, finding

from cleanbots.clearinghouse.mail import render_mail
from cleanbots.clearinghouse.model import Attachment, Contact, Digest, Feed, Finding
from cleanbots.errors import InvalidValue

NASTY = "a\r\nBcc: evil@bad.example\r\n\r\nbody\x00\u2028\u202e<script>alert(1)</script>"
CSV = Attachment(name="MP-20261120-0042.csv", content_type="text/csv; charset=utf-8", data=b"a\r\n", rows=1)


def mail_of(digest: Digest, *attachments: Attachment) -> EmailMessage:
    """Render for the first recipient and read it as a receiver does."""
    return email.message_from_bytes(render_mail(digest, attachments)[0].data, policy=email.policy.SMTP)


def body_of(digest: Digest, *attachments: Attachment, subtype: str = "plain") -> str:
    """Render and give the text."""
    mail = mail_of(digest, *attachments)
    part = next(each for each in mail.walk() if each.get_content_type() == f"text/{subtype}")
    return str(part.get_content()).replace("\r\n", "\n")


def with_findings(*findings: Finding, language: str = "en", **changes: Any) -> Digest:
    """Give a digest of these findings only."""
    nothing: dict[str, Any] = {"still": {}, "suppressed": {}, "elsewhere": ()}
    return digest_of("digest", language, findings=findings, **nothing | changes)


def test_same_digest_same_bytes() -> None:
    """The bytes depend on the digest alone."""
    digest = digest_of("digest")
    again = msgspec.json.decode(msgspec.json.encode(digest), type=Digest)

    assert render_mail(digest, attachments_of(digest), key=b"k") == render_mail(again, attachments_of(digest), key=b"k")


def test_one_message_per_recipient() -> None:
    """Recipients get the same bytes, which name them all, each with an envelope sender of its own."""
    to = ("abuse@voorbeeldhost.example", "noc@voorbeeldhost.example")
    first, second = render_mail(digest_of("digest", recipients=to), (), key=b"k")

    assert first.data == second.data
    assert (first.recipient, second.recipient) == to
    assert mail_of(digest_of("digest", recipients=to))["To"] == ", ".join(to)
    assert re.fullmatch(r"bounces\+mp-20261120-0042\.1\.[a-z2-7]{8}@hub\.example\.net", first.sender)
    assert re.fullmatch(r"bounces\+mp-20261120-0042\.2\.[a-z2-7]{8}@hub\.example\.net", second.sender)


def test_bounce_address_can_not_be_guessed() -> None:
    """The hash in the envelope sender depends on the hub's key."""
    digest = digest_of("digest")

    assert render_mail(digest, (), key=b"one")[0].sender != render_mail(digest, (), key=b"two")[0].sender


def test_part_and_resend_are_other_mails() -> None:
    """Parts and re-sends have their own Message-ID and envelope sender under the same reference."""
    changes: tuple[dict[str, Any], ...] = ({}, {"part": 2, "parts": 3}, {"resend": 1}, {"resend": 2})
    mails = [render_mail(digest_of("digest", **each), (), key=b"k")[0] for each in changes]

    assert [each.id for each in mails] == [
        "mp-20261120-0042.p1@hub.example.net",
        "mp-20261120-0042.p2@hub.example.net",
        "mp-20261120-0042.p1.r2@hub.example.net",
        "mp-20261120-0042.p1.r3@hub.example.net",
    ]
    assert len({each.sender for each in mails}) == 4
    assert "[MP-20261120-0042 2/3]" in mail_of(digest_of("digest", part=2, parts=3))["Subject"]


def test_robot_off_drops_the_marks() -> None:
    """``robot: no`` leaves out what makes ticket systems park a mail; nothing else changes."""
    digest = digest_of("digest")
    marked = mail_of(digest)
    plain = mail_of(msgspec.structs.replace(digest, delivery=msgspec.structs.replace(digest.delivery, robot=False)))

    assert set(marked.keys()) - set(plain.keys()) == {"Auto-Submitted", "X-Auto-Response-Suppress"}


def test_urgent_mail_is_a_feedback_report() -> None:
    """An urgent mail with its XARF is a multipart/report as XARF's mail transport has it."""
    digest = digest_of("urgent", "en")
    mail = mail_of(digest, *attachments_of(digest))
    text, report, xarf = mail.get_payload()

    assert (mail.get_content_type(), mail.get_param("report-type")) == ("multipart/report", "feedback-report")
    assert text.get_content_type() == "text/plain"
    assert report.get_content_type() == "message/feedback-report"
    assert (
        b"\r\nFeedback-Type: xarf\r\nUser-Agent: cleanbots\r\nVersion: 1\r\n"
        in render_mail(digest, attachments_of(digest))[0].data
    )
    assert (xarf.get_content_type(), xarf.get_filename()) == ("application/json", "xarf.json")


def test_urgent_repeat_refers_to_its_first_mail() -> None:
    """A finding that is urgent again is threaded below the mail that told it first."""
    again = msgspec.structs.replace(PHISHING, mentioned="MP-20261118-0003")

    assert mail_of(digest_of("urgent", findings=(again,)))["References"] == "<mp-20261118-0003.p1@hub.example.net>"


class _Concealing:
    conceals = True

    def __call__(self, message: bytes, recipient: str) -> bytes:
        return message


def test_concealed_mail_names_no_address_in_its_subject() -> None:
    """Where the body is encrypted, the subject says nothing that the body hides."""
    (message,) = render_mail(digest_of("urgent"), (), _Concealing())

    assert b"Subject: [Meldpunt] URGENT phishing [MP-20261120-0017] TLP:AMBER\r\n" in message.data


def test_at_most_twenty_lines_per_kind() -> None:
    """A body lists twenty findings of a kind and counts the rest."""
    rows = [
        finding(n, "new", classification__type="scanner", severity="low", source__ip=f"192.0.2.{n % 256}")
        for n in range(332)
    ]
    text = body_of(with_findings(*rows), CSV)

    assert len(re.findall(r"^  192\.0\.2\.", text, re.MULTILINE)) == 20
    assert "  and 312 more, see the attachment\n" in text
    assert "and 312 more\n" in body_of(with_findings(*rows))


def test_severity_then_number_decides_the_order() -> None:
    """The severest kind stands first, then the most frequent; what has no severity stands last."""
    kinds = [
        ("low", "spam", 3),
        ("high", "scanner", 1),
        ("high", "proxy", 2),
        ("", "tor", 9),
        ("critical", "phishing", 1),
    ]
    rows = [
        finding(n, "new", classification__type=kind, source__ip="192.0.2.1", **({"severity": level} if level else {}))
        for level, kind, number in kinds
        for n in range(number)
    ]
    heads = re.findall(r"^\[(\w+)\] .*?(\d+)$", body_of(with_findings(*rows)), re.MULTILINE)

    assert heads == [("critical", "1"), ("high", "2"), ("high", "1"), ("low", "3"), ("undefined", "9")]


def test_customers_findings_have_their_own_section() -> None:
    """What a member only sees because it is its customer's stands apart and isn't counted as its own."""
    customers = msgspec.structs.replace(FINDINGS[1], match=msgspec.structs.replace(CLAIM, role="inform"))
    text = body_of(with_findings(FINDINGS[0], customers))

    assert "  1 new        0 back       0 still there  1 reported to your customer\n" in text
    assert "\nReported to your customer (1)\n" in text


@pytest.mark.parametrize(
    ("time", "precision", "said"),
    [
        ("2026-10-25T00:30:00+00:00", "second", "25-10 02:30:00 CEST  (00:30:00 UTC)"),
        ("2026-10-25T01:30:00+00:00", "second", "25-10 02:30:00 CET  (01:30:00 UTC)"),
        ("2026-03-29T00:59:59+00:00", "second", "29-03 01:59:59 CET  (00:59:59 UTC)"),
        ("2026-03-29T01:00:00+00:00", "second", "29-03 03:00:00 CEST  (01:00:00 UTC)"),
        ("2026-11-19T23:14:07.250000+00:00", "second", "20-11 00:14:07 CET  (19-11 23:14:07 UTC)"),
        ("2026-11-19T23:14:00+00:00", "minute", "20-11 00:14 CET  (19-11 23:14 UTC)"),
        ("2026-11-19T23:00:00+00:00", "hour", "20-11 ca. 00:00 CET  (19-11 23:00 UTC)"),
        ("2026-11-19T00:00:00+00:00", "day", "19-11 UTC  (alleen de dag)"),
        ("2025-12-31T23:30:00+00:00", "second", "01-01 00:30:00 CET  (31-12-2025 23:30:00 UTC)"),
    ],
)
def test_local_time_and_utc(time: str, precision: str, said: str) -> None:
    """A time stands in the member's zone, named, and in UTC, no more exact than it was seen; also when clocks change."""
    row = finding(
        1, "new", classification__type="spam", source__ip="192.0.2.1", time__source=time, time_precision=precision
    )

    assert said in body_of(with_findings(row, language="nl"))


def test_long_addresses_stand_above_their_time() -> None:
    """Where address and time don't fit beside each other, the whole group gets two lines a finding."""
    rows = [
        finding(n, "new", classification__type="spam", source__ip=address, source__port=25, protocol__transport="tcp")
        for n, address in enumerate(["2001:db8:1111:2222:3333:4444:5555:6666", "192.0.2.1"])
    ]

    assert (
        "  2001:db8:1111:2222:3333:4444:5555:6666  25/tcp\n    20 Nov 04:00:00 CET  (03:00:00 UTC)\n"
        "  192.0.2.1  25/tcp\n    20 Nov 04:00:00 CET  (03:00:00 UTC)\n"
    ) in body_of(with_findings(*rows))


def test_names_of_findings_are_harmless() -> None:
    """URLs, names and accounts of findings are written so that neither people nor programs follow them."""
    row = finding(
        1,
        "new",
        classification__type="phishing",
        source__ip="192.0.2.1",
        source__fqdn="www.bad.example",
        source__url="https://www.bad.example/?u=http://next.example/x.exe",
        source__account="info@bad.example",
    )
    for subtype in ("plain", "html"):
        text = body_of(with_findings(row), subtype=subtype)
        assert "hxxps://www[.]bad[.]example/?u=hxxp://next[.]example/x[.]exe" in text
        assert "bad.example" not in text
        assert "next.example" not in text


@pytest.mark.parametrize(
    "kind", ["digest", "urgent", "test", "baseline", "correction", "dead-endpoint", "dead-contact", "operator"]
)
def test_data_never_becomes_structure(kind: str) -> None:
    """Newlines, NUL, U+2028, direction marks and markup in any text never reach a header, a line or the HTML."""
    fields = dict.fromkeys(("classification__identifier", "malware__name", "source__fqdn", "source__url", "source__reverse_dns", "source__ip", "source__account", "feed__provider", "protocol__transport", "severity", "port_is", "source__port"), NASTY)  # fmt: skip
    match = msgspec.structs.replace(CLAIM, value=NASTY, customer_ref=NASTY, since=NASTY, shared_address=True)
    row = finding(1, "back", match, classification__type="phishing", **fields)
    member = msgspec.structs.replace(MEMBER, id=NASTY, name=NASTY)
    hub = msgspec.structs.replace(HUB, name=NASTY, subject=NASTY, phone=NASTY, privacy=NASTY, domain=NASTY)
    digest = digest_of(
        kind,
        "nl+en",
        reference=NASTY,
        hub=hub,
        member=member,
        findings=(row, msgspec.structs.replace(row, state="new", mentioned=NASTY)),
        still={NASTY: (1, "2026-11-02T04:00:00+00:00")},
        suppressed={NASTY: 2},
        elsewhere=({"reference": NASTY, "type": NASTY},),
        feeds=(Feed(provider=NASTY, last=""),),
        highest=NASTY,
        text=NASTY,
        facts=dict.fromkeys(
            ("corrects", "delivery", "url", "since", "answer", "waiting", "until", "address", "cause", "command"), NASTY
        ),
    )
    attachment = Attachment(name=NASTY, content_type=f"text/csv; charset={NASTY}", data=b"", rows=1, unexpressed=1)
    (message,) = render_mail(digest, [attachment])
    head = message.data.partition(b"\r\n\r\n")[0]
    mail = email.message_from_bytes(message.data, policy=email.policy.SMTP)

    assert "Bcc" not in mail
    assert not re.search(rb"(?im)^(bcc|evil)", head)
    assert message.data.isascii()
    assert len(mail["Subject"]) < 100
    assert not message.sender.isspace()
    for part in mail.walk():
        if part.get_content_type() == "text/html":
            assert "<script" not in part.get_content()
        if part.get_content_maintype() == "text" and not part.is_attachment():
            lines = part.get_content().replace("\r\n", "\n").split("\n")
            assert all(line.isprintable() for line in lines)
            assert all(len(line) <= 76 for line in lines) or part.get_content_type() == "text/html"
    assert message.data.replace(b"\r\n", b"").count(b"\r") == 0
    assert b"\n" not in message.data.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    "address", ["a@b.example\r\nBcc: x@y.example", "a b@c.example", "a@b@c.example", "@", "", "a@b.example>", "ü@b.example", "a" * 65 + "@b.example"]
)  # fmt: skip
def test_bad_addresses_are_refused(address: str) -> None:
    """An address that is no plain address is refused for whoever it is, so nothing leaves."""
    for digest in (
        digest_of("digest", recipients=(address,)),
        digest_of("digest", hub=msgspec.structs.replace(HUB, mail=address, reply_to=address, bounces=address)),
    ):
        with pytest.raises(InvalidValue, match="local@domain"):
            render_mail(digest, ())


@pytest.mark.parametrize("kind", ["dead-contact", "dead-endpoint", "correction", "operator"])
def test_notices_leave_out_what_they_do_not_know(kind: str) -> None:
    """A fact that is missing is no line with nothing behind it."""
    text = body_of(digest_of(kind, "en", facts={}))

    assert not re.search(
        r"(Since|Last answer|Kept until|Findings waiting|The answer was|This helps):? *$", text, re.MULTILINE
    )


def test_red_never_leaves() -> None:
    """A digest that is TLP:RED is refused, whoever made it."""
    with pytest.raises(InvalidValue, match="RED"):
        render_mail(digest_of("digest", tlp="RED"), ())


texts = st.text(max_size=120)


@settings(max_examples=60, deadline=None)
@given(
    name=texts,
    url=texts,
    malware=texts,
    reference=texts,
    provider=texts,
    zone=st.sampled_from(["Europe/Amsterdam", "UTC", "America/Sao_Paulo", "Asia/Kathmandu", "no/where", ""]),
    language=st.sampled_from(["nl", "en", "nl+en"]),
    subject=st.text(max_size=40),
)
def test_any_text_fits(
    name: str, url: str, malware: str, reference: str, provider: str, zone: str, language: str, subject: str
) -> None:
    """Whatever texts a digest holds, its mail can be read back, has an ASCII subject under 100 and lines of at most 76."""
    row = finding(1, "new", classification__type="phishing", source__fqdn=name, source__url=url, malware__name=malware)
    member = msgspec.structs.replace(MEMBER, name=name, contacts={"desk": Contact(id="desk", mail="a@b.example")})
    digest = with_findings(row, member=member, language=language, facts={"corrects": reference})
    digest = msgspec.structs.replace(
        digest,
        hub=msgspec.structs.replace(HUB, subject=subject),
        delivery=msgspec.structs.replace(digest.delivery, timezone=zone),
        feeds=(Feed(provider=provider, last="2026-11-20T05:41:22+00:00"),),
    )
    mail = mail_of(digest, CSV)

    assert str(mail["Subject"]).isascii()
    assert len(mail["Subject"]) < 100
    assert all(len(line) <= 76 and line.isprintable() for line in body_of(digest, CSV).split("\n"))


def test_a_huge_digest_is_bounded() -> None:
    """200 000 findings of 5 000 kinds make a body of bounded size, with little memory beside the digest itself."""
    rows = [
        finding(
            n, "new", classification__type="scanner", classification__identifier=f"kind-{n}", source__ip="192.0.2.1"
        )
        for n in range(5000)
    ]
    digest = with_findings(*rows * 40, language="nl+en", still={f"k{n}": (1, DIGEST.frozen) for n in range(5000)})
    tracemalloc.start()
    try:
        (message,) = render_mail(digest, [CSV])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(message.data) < 500_000
    assert peak < 30_000_000
    assert b"200000 new" in message.data
