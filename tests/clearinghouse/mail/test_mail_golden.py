"""Golden mails: one file per kind and language, byte for byte (but for line ends), and rules that each must keep.

After a wanted change, write them anew and read the difference::

    PYTHONPATH=. python tests/clearinghouse/mail/test_mail_golden.py
"""

import email
import email.policy
import hashlib
import json
import re
from collections import Counter
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mail_samples import attachments_of, golden

from cleanbots.clearinghouse.mail import render_mail
from cleanbots.clearinghouse.model import Attachment, Digest, Message

FOLDER = Path(__file__).parent / "golden"
KEY = b"documentation"
NAMES = [name for name, _ in golden()]
OURS = {"hub.example.net"}
LIVE = re.compile(r"(?:https?|ftp)://([^/\s\"'<>]*)", re.IGNORECASE)
MAIL = re.compile(r"[a-z0-9.+-]+@[a-z0-9.-]+[a-z0-9]")


def rendered(name: str) -> tuple[Digest, list[Attachment], Message]:
    """Render one golden mail."""
    digest = dict(golden())[name]
    attachments = attachments_of(digest)
    (message,) = render_mail(digest, attachments, key=KEY)
    return digest, attachments, message


def parsed(message: Message) -> EmailMessage:
    """Read a mail as a receiver does."""
    return email.message_from_bytes(message.data, policy=email.policy.SMTP)


def text_of(message: Message, subtype: str = "plain") -> str:
    """Give the body."""
    part = next(each for each in parsed(message).walk() if each.get_content_type() == f"text/{subtype}")
    return str(part.get_content()).replace("\r\n", "\n")


def shown(message: Message) -> dict[str, str]:
    """Give the files that show a mail: as it leaves, and its text as it is read."""
    return {"eml": message.data.decode("ascii").replace("\r\n", "\n"), "txt": text_of(message)}


@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str) -> None:
    """A digest renders to the very bytes that were agreed on."""
    _, _, message = rendered(name)

    for suffix, text in shown(message).items():
        assert text == (FOLDER / f"{name}.{suffix}").read_text(encoding="utf-8"), f"see the head of {__file__}"


@pytest.mark.parametrize("name", NAMES)
def test_header(name: str) -> None:
    """Each header stands once, in ASCII; the subject is under 100 characters and carries reference and label."""
    digest, _, message = rendered(name)
    head = message.data.partition(b"\r\n\r\n")[0].decode("ascii")
    mail = parsed(message)
    wanted = {
        "Date", "From", "To", "Reply-To", "Subject", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress",
        "X-Cleanbots-Hub", "X-Cleanbots-Reference", "X-Cleanbots-Member", "X-Cleanbots-Period", "X-Cleanbots-Counts",
        "X-Cleanbots-TLP", "MIME-Version", "Content-Type",
    }  # fmt: skip

    assert wanted <= set(mail.keys())
    assert max(Counter(key.lower() for key in mail.keys()).values()) == 1  # noqa: SIM118  # a mail is no dict
    assert all(len(line) <= 200 for line in head.split("\r\n"))
    assert len(mail["Subject"]) < 100
    assert mail["Subject"].startswith(
        f"[TEST for {digest.member.contacts['desk'].mail}]" if digest.test else "[Meldpunt]"
    )
    assert mail["Subject"].endswith(f"[{digest.reference}] TLP:AMBER")
    assert mail["X-Auto-Response-Suppress"] == "OOF, AutoReply"
    assert "Precedence" not in mail
    assert ("References" in mail) == (digest.resend > 0 or digest.kind == "correction")
    assert message.id == mail["Message-ID"].strip("<>")


@pytest.mark.parametrize("name", NAMES)
def test_text(name: str) -> None:
    """The text is at most 76 columns wide, has no blanks at line ends, and its first line carries the label."""
    digest, _, message = rendered(name)
    lines = text_of(message).rstrip("\n").split("\n")

    assert max(map(len, lines)) <= 76
    assert all(line == line.rstrip() and line.isprintable() for line in lines)
    assert lines[0].endswith("TLP:AMBER")
    assert ("TEST" in lines[0]) == digest.test
    assert digest.reference in "\n".join(lines[:5])
    assert "!" not in "".join(lines)
    assert "\n\n\n" not in "\n".join(lines)


@pytest.mark.parametrize("name", NAMES)
def test_no_live_link(name: str) -> None:
    """Neither text nor HTML has a link to anything but the hub; findings' names are written so that nobody follows them."""
    _, _, message = rendered(name)
    kinds = {part.get_content_type() for part in parsed(message).walk()}

    for subtype in ("plain", "html"):
        if f"text/{subtype}" in kinds:
            body = text_of(message, subtype)
            assert set(LIVE.findall(body)) <= OURS
            assert not re.search(r"<(a|img|script|link|iframe|object|form|input)\b|url\(|@import", body, re.IGNORECASE)
            assert "shop.example.org" not in body


@pytest.mark.parametrize("name", NAMES)
def test_only_this_member(name: str) -> None:
    """A mail names no address but the hub's and this member's, and the envelope sender names mail and recipient."""
    digest, _, message = rendered(name)
    allowed = {each.mail for each in digest.member.contacts.values()} | {*digest.recipients}
    found = set(MAIL.findall(message.data.decode("ascii").lower().replace("=\r\n", "")))

    assert {each for each in found if not each.endswith("hub.example.net")} <= allowed
    assert message.recipient == digest.recipients[0]
    assert re.fullmatch(r"bounces\+mp-2026112\d-\d{4}(\.r2)?\.1\.[a-z2-7]{8}@hub\.example\.net", message.sender)


@pytest.mark.parametrize("name", NAMES)
def test_attachments(name: str) -> None:
    """Attachments arrive byte for byte under their names, and the text lists them with their SHA-256."""
    digest, attachments, message = rendered(name)
    arrived = {
        part.get_filename(): part.get_payload(decode=True) for part in parsed(message).walk() if part.get_filename()
    }

    assert arrived == {each.name: each.data for each in attachments}
    for each in attachments:
        if digest.kind != "urgent":
            assert f"sha256 {hashlib.sha256(each.data).hexdigest()}" in text_of(message)
        if each.content_type != "text/csv; charset=utf-8":
            assert all(json.loads(line) for line in each.data.splitlines())


class _Words(HTMLParser):
    """Collects what an HTML document shows."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden += tag in {"style", "title"}
        self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in {"style", "title"}
        self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("urgent")])
def test_same_words(name: str) -> None:
    """The HTML part says what the text says, word for word; only lines drawn with characters are left out."""
    _, _, message = rendered(name)
    html = _Words()
    html.feed(text_of(message, "html"))
    text = re.sub(r"^[-=]+$", "", text_of(message), flags=re.MULTILINE)
    marks = str.maketrans("", "", "[]")

    said = [Counter(words.translate(marks).split()) for words in ("".join(html.words), text)]
    assert said[0] == said[1]


def test_golden_folder_is_complete() -> None:
    """There is no golden file without its mail."""
    assert {path.name for path in FOLDER.iterdir()} == {
        f"{name}.{suffix}" for name in NAMES for suffix in ("eml", "txt")
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    for each in NAMES:
        for suffix, text in shown(rendered(each)[2]).items():
            (FOLDER / f"{each}.{suffix}").write_text(text, encoding="utf-8")
