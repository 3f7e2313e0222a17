"""The words of the clearinghouse, as types: what registry, store, formats, texts and couriers hand to each other.

``docs/deliveries.md`` tells the story: an event *matches* members; a match makes a *finding* due in each of the
member's *deliveries* that wants it; a due delivery is *frozen* once (closed, numbered, rendered, sealed, stored as
bytes) and *given* by a courier until it is accepted, refused or expired.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from ..message import Message, Outcome, Verdict

__all__ = [
    "STATES",
    "TELLING",
    "Attachment",
    "Axis",
    "Contact",
    "Customer",
    "Delivery",
    "Digest",
    "Feed",
    "Finding",
    "FindingState",
    "Hub",
    "Language",
    "Match",
    "Member",
    "MemberState",
    "Message",
    "Mode",
    "Outcome",
    "Role",
    "Verdict",
]

Role = Literal["act", "inform", "relay"]
Axis = Literal["network", "name"]
MemberState = Literal["invited", "test", "live", "paused", "left"]
FindingState = Literal["new", "back", "still"]
Mode = Literal["preview", "test", "live"]
Language = Literal["nl", "en", "nl+en"]

STATES: tuple[FindingState, ...] = ("new", "back", "still")
TELLING = frozenset({"digest", "urgent", "baseline", "empty"})
"""Kinds of deliveries that tell findings, or that there are none."""


class Match(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Why an event concerns a member; rides in the event's ``matches``.

    Args:
        member: the member's id.
        role: ``act`` is expected to solve it, ``inform`` sees it, ``relay`` passes it on.
        axis: found by network (prefix, ASN) or by name (URL host, FQDN, mail domain).
        by: ``prefix``, ``asn`` or ``domain``.
        value: the claim that matched, e.g. ``203.0.113.0/24``.
        since: since when it is claimed (``YYYY-MM-DD``), or "".
        reason: a few words where *by* doesn't say all, e.g. ``overlaps``.
        customer_ref: the member's own reference of the customer block, or "".
        customer_contact: the address of that customer, if it is to be told.
        other_contacts: addresses of the customer blocks above that see it, too, outermost first.
        share: who is told: member, customer or both.
        chain: references of the customer blocks above, outermost first.
        shared_address: whether the member says that many share the address (a port and a second are needed).
        place: ``file:line`` of the claim.
        version: the registry's version that decided.
    """

    member: str
    role: Role = "act"
    axis: Axis = "network"
    by: str = "prefix"
    value: str = ""
    since: str = ""
    reason: str = ""
    customer_ref: str = ""
    customer_contact: str = ""
    other_contacts: tuple[str, ...] = ()
    share: str = "member"
    chain: tuple[str, ...] = ()
    shared_address: bool = False
    place: str = ""
    version: str = ""


class Contact(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Somebody of a member who can be told.

    Args:
        id: unique within the member.
        role: ``abuse``, ``security`` or ``escalation``.
        mail: one address.
        phone: shown to operators only.
        pgp: path of the key, or "".
        confirmed: when the address was last confirmed (``YYYY-MM-DD``), or "".
    """

    id: str
    role: str = "abuse"
    mail: str = ""
    phone: str = ""
    pgp: str = ""
    confirmed: str = ""


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who administers a part of a member's network, told in the member's name.

    Args:
        ref: the member's own reference of that part.
        mail: the customer's address.
        desk: the member's address, where answers go.
    """

    ref: str
    mail: str
    desk: str


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One way in which a member is told, with its own ledger. Durations are seconds; all defaults are filled in.

    Args:
        id: unique within the member.
        channel: a courier's name: ``mail``, ``webhook``, …
        to: ids of contacts.
        fallback: ids of contacts that are told when one of *to* refuses for good.
        format: names of formats: ``text``, ``html``, ``csv``, ``jsonl``, ``xarf``, ``shadowserver``, ``abusehub``, …
        when: ``immediately``, ``hourly``, ``daily 07:30``, ``workdays 07:30``, or ``cron …``.
        calendar: name of a calendar of closed days, or "".
        closed: the closed days of that calendar (``YYYY-MM-DD``).
        filter: an expression over the event's fields, or "" for all.
        except_: ids of deliveries of the same member whose findings are only named.
        also: further roles that it takes beside ``act`` (and ``relay`` for relays): ``inform``.
        inventory: whether findings of kind ``inventory`` are wanted.
        empty: ``never``, ``weekly`` or ``always``: a sign of life without findings.
        group: seconds that findings of an immediate delivery are gathered.
        robot: whether the headers that mark automatic mail are set.
        language, timezone, tlp: as the member's, unless overridden.
        repeat: RSIT taxonomy (or ``other``) to seconds between two mentions of an unchanging finding.
        quiet: seconds without a sighting after which a finding is *back*.
        max_age: seconds after which an observation is no news.
        mails_per_day, findings_per_mail, attachment: limits (the last in bytes).
        blackout: ``{from, until, except}`` windows of this delivery alone, beside the hub's.
        customer: of a copy to a member's customer (`cleanbots.clearinghouse.copies`): who that is.
        url, secrets, events, on_dead: webhooks: endpoint, references to secrets (newest first), types, contact id.
    """

    id: str
    channel: str = "mail"
    to: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    format: tuple[str, ...] = ("text", "csv")
    when: str = "daily 07:30"
    calendar: str = ""
    closed: tuple[str, ...] = ()
    filter: str = ""
    except_: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    inventory: bool = False
    empty: str = "never"
    group: float = 0.0
    robot: bool = True
    language: Language = "nl"
    timezone: str = "Europe/Amsterdam"
    tlp: str = "AMBER+STRICT"
    repeat: dict[str, float] = {}
    quiet: float = 14 * 86400.0
    max_age: float = 72 * 3600.0
    mails_per_day: int = 6
    findings_per_mail: int = 2000
    attachment: int = 5 * 2**20
    blackout: tuple[dict[str, str], ...] = ()
    customer: Customer | None = None
    url: str = ""
    secrets: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    on_dead: str = ""


class Member(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A member as deliveries see it; its claims live in the registry's table.

    Args:
        id: never changes, never reused.
        kind: ``provider``, ``access``, ``relay`` or ``organisation``.
        state: see `MemberState`.
        paused_until: ``YYYY-MM-DD`` or "".
        contacts: by id (inline addresses of deliveries are contacts with made-up ids).
        deliveries: by id.
        customers: reference to address of the customers that may be told in the member's name, each address once.
        place: ``file:line``.
    """

    id: str
    name: str
    kind: str = "provider"
    state: MemberState = "test"
    paused_until: str = ""
    contacts: dict[str, Contact] = {}
    deliveries: dict[str, Delivery] = {}
    customers: dict[str, str] = {}
    asns: tuple[int, ...] = ()
    place: str = ""


class Hub(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who we are, and what the door lets through: the compiled ``delivery:`` section of the configuration.

    Args:
        mode: ``preview`` hands nothing over, ``test`` only to *test_to* and *test_url*, ``live`` to members.
        name, mail, reply_to, bounces, phone, privacy: how mails introduce us.
        domain: of the hub: in Message-IDs and webhooks.
        reference: prefix of references (``MP`` in ``MP-20261120-0042``).
        subject: prefix of subjects (``[Meldpunt]``).
        settle, settle_max: seconds that a due digest waits for feeds to settle.
        approve_first, growth, over, members_at_once: what is held until an operator approves.
        mails_per_hour, mails_per_contact, per_domain_per_minute: rates (the second one a day).
        blackout: ``{from, until, except}`` windows in ISO time (without an offset: in the member's zone).
        operator: who is told by mail what waits for an operator, or "".
        keep_sent, keep_ledger: seconds.
        texts: folder of texts that override ours, or "".
    """

    mode: Mode = "preview"
    test_to: str = ""
    test_url: str = ""
    name: str = "cleanbots"
    mail: str = "hub@localhost"
    reply_to: str = ""
    bounces: str = ""
    phone: str = ""
    privacy: str = ""
    domain: str = "localhost"
    reference: str = "CB"
    subject: str = "[cleanbots]"
    settle: float = 900.0
    settle_max: float = 3600.0
    approve_first: bool = True
    growth: float = 5.0
    over: int = 500
    members_at_once: int = 50
    mails_per_hour: int = 600
    mails_per_contact: int = 100
    per_domain_per_minute: int = 20
    blackout: tuple[dict[str, str], ...] = ()
    operator: str = ""
    keep_sent: float = 60 * 86400.0
    keep_ledger: float = 730 * 86400.0
    texts: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as a frozen delivery mentions it: all that formats and texts need.

    Args:
        id: stable over days, e.g. ``f-3kq9zt…``.
        state: at the freeze.
        event: canonical fields of the last observation, ``id`` included.
        match: why this member.
        first_seen, last_seen: canonical times.
        times_seen: over all reports.
        original: the notifier's row with its header (text) if the feed shares originals, or "".
        report: the report's file name, or "".
        mentioned: in an earlier delivery: its reference, or "".
    """

    id: str
    state: FindingState
    event: dict[str, Any]
    match: Match
    first_seen: str
    last_seen: str
    times_seen: int = 1
    original: str = ""
    report: str = ""
    mentioned: str = ""


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """The health of a notifier's feed, as a digest tells it: ``ok``, ``late`` or ``silent``."""

    provider: str
    last: str
    health: str = "ok"


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is closed: its findings are fixed and it has its reference. Rendering adds nothing to it.

    Args:
        reference: e.g. ``MP-20261120-0042``.
        kind: ``digest``, ``urgent``, ``baseline``, ``empty``, ``test``, ``correction``, ``dead-endpoint``,
            ``dead-contact`` or ``operator``.
        hub, member, delivery: as they were at the freeze.
        recipients: mail addresses, or the URL.
        period: canonical times (from, until).
        frozen: canonical time of the freeze.
        findings: new and back, and still where they are listed; sorted by state, severity, address. Many are read
            from the store each time they are walked through.
        still: identifier (or type) to ``[count, oldest first_seen]`` of those only counted.
        suppressed: reason (``tlp``, ``filter``, ``too_old``, ``inventory``, ``except``, ``repeat``) to number.
        elsewhere: references of other deliveries that carry findings left out here, with type and time.
        feeds: health of the feeds.
        highest: the highest severity, or "".
        tlp: the strictest label of its rows.
        test: whether it is marked as a test.
        part, parts: of a digest that was split.
        text: free text (corrections, messages to the operator), or "".
        resend: 0, or the number of the operator's re-send.
        facts: what the kinds of mail without findings of their own tell, by name; ``docs/mails.md`` lists them.
    """

    reference: str
    kind: str = "digest"
    hub: Hub
    member: Member
    delivery: Delivery
    recipients: tuple[str, ...]
    period: tuple[str, str]
    frozen: str
    findings: Sequence[Finding] = ()
    still: dict[str, tuple[int, str]] = {}
    suppressed: dict[str, int] = {}
    elsewhere: tuple[dict[str, str], ...] = ()
    feeds: tuple[Feed, ...] = ()
    highest: str = ""
    tlp: str = "AMBER+STRICT"
    test: bool = False
    part: int = 1
    parts: int = 1
    text: str = ""
    resend: int = 0
    facts: dict[str, str] = {}


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """What a format makes of a digest: a file.

    Args:
        name: made of the reference only, never of data.
        content_type: e.g. ``text/csv; charset=utf-8``.
        data: its bytes.
        rows: how many findings it expresses.
        unexpressed: how many it can't.
    """

    name: str
    content_type: str
    data: bytes
    rows: int = 0
    unexpressed: int = 0
