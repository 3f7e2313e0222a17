"""Secrets: only by reference, resolved late, never shown."""

from pathlib import Path

import msgspec
import pytest
from msgspec import field

from cleanbots import Params, Secret
from cleanbots.config import values
from cleanbots.errors import SecretMissing


class Login(Params):
    """A login inside of other parameters."""

    user: str
    password: Secret


class Service(Params):
    """Parameters with secrets at every depth."""

    url: str = ""
    token: Secret | None = None
    headers: dict[str, Secret] = field(default_factory=dict)
    logins: list[Login] = field(default_factory=list)


WRITTEN = {
    "url": "https://${env:HOST}/",
    "token": "${env:TOKEN}",
    "headers": {"Authorization": "Bearer ${env:TOKEN}"},
    "logins": [{"user": "${env:TOKEN}", "password": "file:pw.txt"}],
}


def test_secrets_are_resolved_at_every_depth(tmp_path: Path, monkeypatch):
    """References in secret fields lead to their secret; every other field stays as written."""
    monkeypatch.setenv("TOKEN", "t0p")
    (tmp_path / "pw.txt").write_text("open sesame\n")

    params = values.resolve(WRITTEN, Service, tmp_path)

    assert params.token == "t0p"  # noqa: S105  # a test's
    assert params.headers == {"Authorization": "Bearer t0p"}
    assert params.logins[0].password == "open sesame"  # noqa: S105  # a test's
    assert params.logins[0].user == "${env:TOKEN}"
    assert params.url == "https://${env:HOST}/"


def test_all_missing_secrets_are_named_at_once(tmp_path: Path, monkeypatch):
    """References that lead nowhere are one error that names each parameter."""
    monkeypatch.delenv("TOKEN", raising=False)

    with pytest.raises(SecretMissing) as caught:
        values.resolve(WRITTEN, Service, tmp_path)

    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["token", "headers.Authorization", "logins[0].password"]


def test_a_secret_that_does_not_fit_is_an_error(tmp_path: Path):
    """What is wrong for the struct is wrong after resolving, too."""
    with pytest.raises(msgspec.ValidationError):
        values.resolve({"token": 5}, Service, tmp_path)


def test_what_is_shown_holds_no_secret():
    """References may be shown; anything else in a secret field becomes stars."""
    resolved = {"url": "https://x.example", "token": "t0p", "logins": [{"user": "me", "password": "s"}]}

    assert values.redact(WRITTEN, Service) == WRITTEN
    assert values.redact(resolved, Service) == {
        "url": "https://x.example",
        "token": "***",
        "logins": [{"user": "me", "password": "***"}],
    }


def test_a_huge_secret_file_is_refused(tmp_path: Path):
    """A file over 64 KiB is no secret."""
    (tmp_path / "big").write_bytes(b"x" * (values.MAX_SECRET_BYTES + 1))

    with pytest.raises(SecretMissing, match="larger than 64 KiB"):
        values.lookup("file:big", tmp_path)


def test_a_password_in_an_address_is_encoded(tmp_path: Path, monkeypatch):
    """Any password fits into a URL, because a part of it is percent-encoded; a whole address is taken as it is."""
    monkeypatch.setenv("PW", "p@ss/w:rd")
    monkeypatch.setenv("WHOLE", "redis://cache.example:6379/1")

    assert values.resolve_text("redis://:${env:PW}@h.example/0", tmp_path) == "redis://:p%40ss%2Fw%3Ard@h.example/0"
    assert values.resolve_text("${env:WHOLE}", tmp_path) == "redis://cache.example:6379/1"
    assert values.resolve_text("embedded", tmp_path) == "embedded"


def test_only_a_literal_password_is_masked_in_an_address():
    """A password in plain text is told from a reference to one."""
    assert values.redact_url("redis://me:secret@h.example/0") == "redis://me:***@h.example/0"
    assert values.redact_url("redis://me:${env:PW}@h.example/0") == "redis://me:${env:PW}@h.example/0"
    assert values.redact_url("redis+sentinel://me:one@[::1],h/m?sentinel_password=two") == (
        "redis+sentinel://me:***@[::1],h/m?sentinel_password=***"
    )
    assert values.redact_url("redis://${env:ME}:${env:PW}@h.example/0") == "redis://${env:ME}:${env:PW}@h.example/0"
