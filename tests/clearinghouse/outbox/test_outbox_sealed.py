"""Signed mails: the key is named in the configuration; without a usable one everything is held and nothing leaves."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from outbox_world import World

from cleanbots.clearinghouse.mail import SealError, render_mail
from cleanbots.clearinghouse.rendering import Renderer
from cleanbots.clearinghouse.settings import seal
from cleanbots.clearinghouse.webhook import render_webhook
from cleanbots.cli.check_command import command
from cleanbots.clock import FixedClock
from cleanbots.config.check import check

CONFIG = """
name: hub
delivery:
  sign: {key: keys/hub.asc%s}
bots:
  drop: {use: collector/file, every: 1m, params: {path: in, pattern: "*.csv"}, to: rows}
  rows: {use: parser/csv, params: {columns: [source.ip]}, to: out}
  out: {use: output/file, params: {path: out.jsonl}}
"""


class Broken:
    """A seal whose key is not there until it is mended."""

    conceals = False

    def __init__(self) -> None:
        self.mended = False

    def probe(self) -> None:
        """Nothing is asked of it."""

    def __call__(self, message: bytes, recipient: str) -> bytes:
        if not self.mended:
            raise SealError("hub.asc: the key expired on 2026-11-01; extend or replace it")
        return message


def renderer(broken: Broken) -> Renderer:
    """Give what renders text mails with a seal."""
    return Renderer(pytest.fail, lambda d, a: render_mail(d, a, broken), render_webhook)


def test_a_key_that_expired_holds_mails_until_there_is_another(world: World):
    """Nothing leaves unsigned: it is held, the operator is told in clear text, and it leaves once the key is good."""
    world.member()
    world.record()
    broken = Broken()
    outbox = world.outbox(renderer=renderer(broken))
    world.at("2026-11-20T06:50")
    outbox.step()
    world.pass_(seconds=10)
    outbox.step()

    (held,) = world.store.rows(state="held")
    assert held.why == "rendering: hub.asc: the key expired on 2026-11-01; extend or replace it"
    assert world.postman.recipients == ["operator@hub.example.net"]
    assert b"the key expired on 2026-11-01" in world.postman.given[0].data
    assert not world.handling().held()

    broken.mended = True
    world.pass_(minutes=11)
    outbox.step()
    assert world.postman.recipients[1:] == ["desk@acme.example"]
    assert world.store.row(held.reference).state == "given"


def test_what_is_not_rendered_can_not_be_approved(world: World):
    """There are no bytes that could leave."""
    from cleanbots.errors import CleanbotsError

    world.member()
    world.record()
    world.at("2026-11-20T06:50")
    world.outbox(renderer=renderer(Broken())).step()

    (held,) = world.store.rows(state="held")
    with pytest.raises(CleanbotsError, match="nothing to approve"):
        world.handling().approve([held], world.clock.now())


def configuration(folder: Path, more: str = "") -> Path:
    """Write a configuration that signs."""
    file = folder / "cleanbots.yaml"
    file.write_text(CONFIG % more)
    (folder / "keys").mkdir(exist_ok=True)
    return file


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "delivery.sign.key: there is no file keys/hub.asc"),
        (", password: hunter2", "delivery.sign.password: a secret in plain text"),
        (
            ', password: "${env:NOT_SET_HERE}"',
            "delivery.sign.password: the environment variable NOT_SET_HERE is not set",
        ),
    ],
)
def test_check_says_what_signing_lacks(tmp_path: Path, more: str, said: str):
    """A key that is missing, and a password that is not, or not a reference, are mistakes."""
    found = check(configuration(tmp_path, more)).findings

    assert said in [each.text for each in found]


def test_a_file_that_is_no_key_is_one_sentence(tmp_path: Path):
    """``check`` tries to sign, so that no mail is the first to find out."""
    pytest.importorskip("pysequoia", reason="the extra pgp is not installed")
    file = configuration(tmp_path)
    (tmp_path / "keys" / "hub.asc").write_text("no key")

    done = CliRunner().invoke(command, ["-c", str(file)])

    assert done.exit_code == 1
    assert done.stdout.count("hub.asc: can't sign with this key") == 1


def test_the_configured_key_signs(tmp_path: Path):
    """Key and password are found from the configuration's folder; an expired key is told of by its day."""
    pysequoia = pytest.importorskip("pysequoia", reason="the extra pgp is not installed")
    file = configuration(tmp_path)
    key = pysequoia.Tsk.generate("Hub <hub@hub.example.net>", validity_seconds=86400)
    (tmp_path / "keys" / "hub.asc").write_text(str(key))
    settings = check(file).require()

    signed = seal(settings, FixedClock(datetime.now(UTC)))(b"Subject: x\r\n\r\nbody\r\n", "desk@acme.example")

    assert b"multipart/signed" in signed
    with pytest.raises(SealError, match="expired on"):
        seal(settings, FixedClock(datetime(2099, 1, 1, tzinfo=UTC))).probe()
    assert CliRunner().invoke(command, ["-c", str(file)]).exit_code == 0
