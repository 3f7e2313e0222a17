"""Copies to customers: who administers a part of a member's network is told by deliveries like the member's own.

Each customer has its own ledger, ``<delivery>/<ref>``, and its own mails, so that no customer sees what concerns another.
"""

from collections.abc import Iterator

import msgspec

from .model import Customer, Delivery, Member

CHANNEL = "mail"
CEILING = "AMBER"
"""The strictest label that a customer gets."""

_FORMATS = ("text", "html", "csv", "csv-excel-nl", "csv-intelmq", "jsonl", "xarf")
_WITHOUT_MAIL = "customers"
_BETWEEN = "/"


def copies(member: Member, ref: str) -> list[Delivery]:
    """Give the deliveries by which a customer of a member is told.

    They follow the member's mails that people read (those with ``text``): the same times, language and filter. Where a
    member has none, its customers get a daily mail.

    Args:
        member: in whose name.
        ref: the customer's reference.

    Returns:
        none, if the member has no such customer.
    """
    address = member.customers.get(ref)
    if address is None:
        return []
    customer = Customer(ref=ref, mail=address, desk=_desk(member))
    return [_copy(base, customer) for base in _bases(member)]


def delivery_of(member: Member, delivery: str) -> Delivery | None:
    """Give a delivery of a member, or a copy of it for a customer, by its id; None if there is none."""
    own, _, ref = delivery.partition(_BETWEEN)
    if not ref:
        return member.deliveries.get(own)
    return next((copy for copy in copies(member, ref) if copy.id == delivery), None)


def every_delivery(member: Member) -> Iterator[Delivery]:
    """Walk through a member's deliveries and the copies of them."""
    yield from member.deliveries.values()
    for ref in member.customers:
        yield from copies(member, ref)


def base_of(delivery: str) -> str:
    """Give the id of the delivery that a copy follows; of any other its own."""
    return delivery.partition(_BETWEEN)[0]


def _bases(member: Member) -> list[Delivery]:
    mails = [each for each in member.deliveries.values() if each.channel == CHANNEL and "text" in each.format]
    if mails:
        return mails
    first = next(iter(member.deliveries.values()), Delivery(id=_WITHOUT_MAIL))
    usual = Delivery(id=_WITHOUT_MAIL)
    return [
        msgspec.structs.replace(
            usual,
            language=first.language,
            timezone=first.timezone,
            tlp=first.tlp,
            repeat=first.repeat,
            quiet=first.quiet,
            max_age=first.max_age,
        )
    ]


def _copy(base: Delivery, customer: Customer) -> Delivery:
    return msgspec.structs.replace(
        base,
        id=f"{base.id}{_BETWEEN}{customer.ref}",
        to=(),
        fallback=(),
        format=tuple(name for name in base.format if name in _FORMATS),
        except_=tuple(f"{other}{_BETWEEN}{customer.ref}" for other in base.except_),
        also=(),
        empty="never",
        tlp=base.tlp if base.tlp in ("CLEAR", "GREEN") else CEILING,
        customer=customer,
    )


def _desk(member: Member) -> str:
    """Give where a customer's answers go: the first address of the mail that the member itself reads."""
    named = [name for delivery in member.deliveries.values() for name in delivery.to]
    mails = [member.contacts[name].mail for name in (*named, *member.contacts) if name in member.contacts]
    return next(filter(None, mails), "")
