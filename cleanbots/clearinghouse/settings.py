"""The section ``delivery:`` of a configuration, compiled to a `Hub`."""

from functools import partial
from pathlib import Path

import msgspec

from ..clock import Clock
from ..config.model import Settings
from ..config.shape import DeliveryEntry
from ..config.values import lookup, resolve_text
from ..params import seconds
from .mail.openpgp import OpenPgpSigner
from .mail.seal import Seal, no_seal
from .model import Hub
from .schedule import window_of


def hub_of(entry: DeliveryEntry, base: Path) -> Hub:
    """Compile the section as written to what the outbox works with: every default filled in, durations in seconds.

    Args:
        entry: the section, checked.
        base: the configuration's folder; a relative ``texts`` starts there.
    """
    usual = Hub()
    sender = entry.from_
    mail = sender.mail if sender else usual.mail
    name = sender.name if sender else usual.name
    return Hub(
        mode=entry.mode,
        test_to=entry.test_to or "",
        test_url=entry.test_url or "",
        name=name,
        mail=mail,
        reply_to=entry.reply_to or mail,
        bounces=entry.bounces or mail,
        phone=entry.phone,
        privacy=entry.privacy or "",
        domain=entry.domain or mail.rpartition("@")[2],
        reference=entry.reference,
        subject=entry.subject or f"[{name}]",
        settle=seconds(entry.settle),
        settle_max=seconds(entry.settle_max),
        approve_first=entry.approve.first_to_member,
        growth=float(entry.approve.growth.removesuffix("x")),
        over=entry.approve.over,
        members_at_once=entry.approve.members_at_once,
        mails_per_hour=entry.limits.mails_per_hour,
        mails_per_contact=entry.limits.mails_per_contact,
        per_domain_per_minute=int(entry.limits.per_domain.removesuffix("/min")),
        blackout=tuple(map(window_of, entry.blackout)),
        operator=entry.operator or "",
        keep_sent=seconds(entry.archive.sent),
        keep_ledger=seconds(entry.archive.ledger),
        texts="" if entry.texts is None else str(base / Path(entry.texts).expanduser()),
    )


def hub(settings: Settings) -> Hub:
    """Give the hub of a compiled configuration."""
    return hub_of(msgspec.convert(settings.delivery.written, DeliveryEntry), Path(settings.base))


def seal(settings: Settings, clock: Clock) -> Seal:
    """Give what seals mails: the signer that the configuration asks for, or one that leaves them as they are."""
    entry = msgspec.convert(settings.delivery.written, DeliveryEntry).sign
    if entry is None:
        return no_seal
    base = Path(settings.base)
    password = partial(lookup, entry.password, base) if entry.password else None
    return OpenPgpSigner(base / Path(entry.key).expanduser(), password, entry.fingerprint, clock)


def store_address(settings: Settings) -> str:
    """Give the path or URL of the store.

    Raises:
        SecretMissing: if it holds a reference that leads nowhere.
    """
    address = settings.delivery.store or str(Path(settings.state) / DeliveryEntry().store)
    return resolve_text(address, Path(settings.base))


def journal_folder(settings: Settings) -> Path | None:
    """Give the folder of the store's journal, or None if it is the usual one; of a server's database: of this host's note."""
    if "://" in store_address(settings):
        return Path(settings.state) / "store"
    written = settings.delivery.written.get("journal")
    return Path(settings.base) / Path(written).expanduser() if written else None
