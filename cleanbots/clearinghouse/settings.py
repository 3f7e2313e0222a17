"""The section ``delivery:`` of a configuration, compiled to a `Hub`."""

from pathlib import Path

import msgspec

from ..config.model import Settings
from ..config.shape import BlackoutEntry, DeliveryEntry
from ..config.values import resolve_text
from ..params import seconds
from .model import Hub


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
        per_domain_per_minute=int(entry.limits.per_domain.removesuffix("/min")),
        blackout=tuple(_window(window) for window in entry.blackout),
        operator=entry.operator or "",
        keep_sent=seconds(entry.archive.sent),
        keep_ledger=seconds(entry.archive.ledger),
        texts="" if entry.texts is None else str(base / Path(entry.texts).expanduser()),
    )


def hub(settings: Settings) -> Hub:
    """Give the hub of a compiled configuration."""
    return hub_of(msgspec.convert(settings.delivery.written, DeliveryEntry), Path(settings.base))


def store_address(settings: Settings) -> str:
    """Give the path or URL of the store.

    Raises:
        SecretMissing: if it holds a reference that leads nowhere.
    """
    address = settings.delivery.store or str(Path(settings.state) / DeliveryEntry().store)
    return resolve_text(address, Path(settings.base))


def _window(entry: BlackoutEntry) -> dict[str, str]:
    window = {"from": entry.from_, "until": entry.until}
    return {**window, "except": entry.except_} if entry.except_ else window
