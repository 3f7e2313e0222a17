"""Sealing mails: signed as RFC 3156 says, and never in clear text where it can't be."""

import email
import email.policy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mail_samples import attachments_of, digest_of

from cleanbots.clearinghouse.mail import SealError, render_mail
from cleanbots.clearinghouse.mail.openpgp import OpenPgpSigner
from cleanbots.clock import FixedClock

pysequoia = pytest.importorskip("pysequoia", reason="the extra pgp is not installed")


@pytest.fixture(scope="module")
def key() -> "pysequoia.Tsk":
    """A key of this test run."""
    return pysequoia.Tsk.generate("Hub <meldpunt@hub.example.net>", validity_seconds=10 * 86400)


@pytest.fixture
def file(key: "pysequoia.Tsk", tmp_path: Path) -> Path:
    """The key in a file."""
    path = tmp_path / "hub.asc"
    path.write_text(str(key))
    return path


def test_signature_holds(key: "pysequoia.Tsk", file: Path) -> None:
    """The first part is signed as it stands between its boundaries, header included; the mail's own header is kept."""
    digest = digest_of("digest")
    (plain,) = render_mail(digest, attachments_of(digest))
    (signed,) = render_mail(digest, attachments_of(digest), OpenPgpSigner(file))
    mail = email.message_from_bytes(signed.data, policy=email.policy.SMTP)
    edge = mail.get_boundary().encode()
    content = signed.data.split(b"--" + edge)[1].removeprefix(b"\r\n").removesuffix(b"\r\n")
    signature = mail.get_payload()[1]
    result = pysequoia.verify(
        content,
        store=lambda _: [key.extract_certificate()],
        signature=pysequoia.Sig.from_bytes(signature.get_payload().encode()),
    )

    assert len(result.valid_sigs) == 1
    assert (mail.get_content_type(), mail.get_param("protocol")) == ("multipart/signed", "application/pgp-signature")
    assert mail.get_param("micalg").startswith("pgp-sha")
    assert signature.get_content_type() == "application/pgp-signature"
    before = email.message_from_bytes(plain.data, policy=email.policy.SMTP)
    assert [item for item in before.items() if item[0] != "Content-Type"] == [
        item for item in mail.items() if item[0] != "Content-Type"
    ]
    assert mail.get_body(("plain",)).get_content() == before.get_body(("plain",)).get_content()


@pytest.mark.parametrize("kind", ["digest", "urgent", "operator"])
def test_changed_mail_is_noticed(kind: str, key: "pysequoia.Tsk", file: Path) -> None:
    """One changed letter in the body breaks the signature."""
    (signed,) = render_mail(digest_of(kind), (), OpenPgpSigner(file))
    mail = email.message_from_bytes(signed.data, policy=email.policy.SMTP)
    content = signed.data.split(b"--" + mail.get_boundary().encode())[1].removeprefix(b"\r\n").removesuffix(b"\r\n")
    signature = pysequoia.Sig.from_bytes(mail.get_payload()[1].get_payload().encode())

    with pytest.raises(RuntimeError):
        pysequoia.verify(
            content.replace(b"Kenmerk", b"kenmerk"), store=lambda _: [key.extract_certificate()], signature=signature
        )


def test_missing_key(tmp_path: Path) -> None:
    """Without its key nothing leaves."""
    with pytest.raises(SealError, match=r"gone\.asc: the key can't be read"):
        render_mail(digest_of("digest"), (), OpenPgpSigner(tmp_path / "gone.asc"))


def test_expired_key(file: Path) -> None:
    """A key that ran out signs nothing."""
    clock = FixedClock(datetime.now(UTC) + timedelta(days=11))

    with pytest.raises(SealError, match="expired on"):
        render_mail(digest_of("digest"), (), OpenPgpSigner(file, clock=clock))


def test_unknown_key(file: Path) -> None:
    """A key other than the configured one signs nothing."""
    with pytest.raises(SealError, match="not 00112233"):
        render_mail(digest_of("digest"), (), OpenPgpSigner(file, fingerprint="0011 2233"))


def test_public_key(key: "pysequoia.Tsk", file: Path) -> None:
    """A key without its secret part signs nothing."""
    file.write_text(str(key.extract_certificate()))

    with pytest.raises(SealError, match="can't sign with this key"):
        render_mail(digest_of("digest"), (), OpenPgpSigner(file))


@pytest.mark.parametrize("content", [b"", b"nonsense", b"x" * (2**20 + 1)])
def test_no_key_at_all(file: Path, content: bytes) -> None:
    """A file that holds no key is refused in one line."""
    file.write_bytes(content)

    with pytest.raises(SealError) as caught:
        render_mail(digest_of("digest"), (), OpenPgpSigner(file))
    assert "\n" not in str(caught.value)
