"""What ``members.yaml`` may say, as written; `cleanbots.clearinghouse.model` holds what becomes of it."""

from typing import Annotated, Literal

from msgspec import Meta, field

from ...config.shape import BlackoutEntry
from ...params import Duration, Params, Secret, Size
from ..model import Language, MemberState

ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
DAY_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
REF_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,62}$"

Id = Annotated[
    str,
    Meta(pattern=ID_PATTERN, description="A name in lower case: letters, digits, '_' and '-', at most 63 of them."),
]
Day = Annotated[str, Meta(pattern=DAY_PATTERN, description="A day, as 2026-11-20 (it begins at midnight UTC).")]
Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")]
Tlp = Literal["CLEAR", "GREEN", "AMBER", "AMBER+STRICT"]
Role = Literal["abuse", "security", "escalation"]


class LimitsEntry(Params):
    """How much a member gets."""

    mails_per_day: Annotated[int, Meta(ge=1, description="The most mails a day.")] | None = None
    findings_per_mail: Annotated[int, Meta(ge=1, description="The most findings in a mail.")] | None = None
    attachment: Annotated[Size, Meta(description="The largest attachment.")] | None = None


class Manner(Params):
    """How a member is told: set for all under 'defaults', for one member, or for one delivery."""

    language: Annotated[Language, Meta(description="nl, en, or both in one mail: nl+en.")] | None = None
    timezone: Annotated[str, Meta(min_length=1, description="An IANA time zone, as Europe/Amsterdam.")] | None = None
    tlp: Annotated[Tlp, Meta(description="The strictest label that is sent.")] | None = None
    repeat: (
        Annotated[
            dict[str, Duration],
            Meta(description="RSIT taxonomy, or 'other', to how often an unchanged finding may be listed again."),
        ]
        | None
    ) = None
    quiet: Annotated[Duration, Meta(description="After so long unseen, a finding is back.")] | None = None
    max_age: Annotated[Duration, Meta(description="An older observation is no news.")] | None = None
    limits: Annotated[LimitsEntry, Meta(description="How much a member gets.")] | None = None


class ClaimEntry(Params):
    """What all claims have in common."""

    since: Annotated[Day, Meta(description="The first day on which it counts.")] | None = None
    until: Annotated[Day, Meta(description="The first day on which it counts no more.")] | None = None
    proof: Annotated[str, Meta(description="Why it is theirs; never mailed.")] = ""
    note: Annotated[str, Meta(description="For operators; never mailed.")] = ""
    shared_with: Annotated[list[str], Meta(description="Members that may claim the very same.")] = field(
        default_factory=list
    )
    relay_only: Annotated[
        bool, Meta(description="Relays: nobody else is told of what lies here, not even its holder.")
    ] = False


class AsnEntry(ClaimEntry):
    """An autonomous system."""

    asn: Annotated[int, Meta(ge=1, le=4294967295, description="Its number.")]


class NetworkEntry(ClaimEntry):
    """A network, or a file with many."""

    prefix: Annotated[str, Meta(min_length=1, description="A network, as 192.0.2.0/24.")] | None = None
    list: Annotated[str, Meta(min_length=1, description="A text file with one network a line.")] | None = None
    wide: Annotated[bool, Meta(description="Yes, really more than an IPv4 /12 or an IPv6 /24.")] = False


class DomainEntry(ClaimEntry):
    """A domain with all below it."""

    suffix: Annotated[str, Meta(min_length=1, description="The domain, as example.org.")]


class ExclusionEntry(Params):
    """A network of which the member does not want to be told."""

    prefix: Annotated[str, Meta(min_length=1, description="A network, as 192.0.2.0/24.")]
    why: Annotated[str, Meta(description="The reason.")] = ""


class ResourcesEntry(Params):
    """What a member answers for."""

    asns: list[AsnEntry] = field(default_factory=list)
    networks: list[NetworkEntry] = field(default_factory=list)
    domains: list[DomainEntry] = field(default_factory=list)
    exclude: list[ExclusionEntry] = field(default_factory=list)


class CustomerEntry(Params):
    """A part of a member's networks that somebody else administers."""

    ref: Annotated[str, Meta(pattern=REF_PATTERN, description="The member's own reference; shown in every row.")]
    prefix: Annotated[str, Meta(min_length=1, description="A network, as 192.0.2.0/24.")]
    contact: Annotated[str, Meta(min_length=3, description="The mail address of the customer.")] | None = None
    share: Annotated[Literal["member", "customer", "both"], Meta(description="Who is told.")] = "member"


class SharedEntry(Params):
    """Addresses that many share: CGNAT, resolvers, VPN exits."""

    prefix: Annotated[str, Meta(min_length=1, description="A network, as 192.0.2.0/24.")]
    needs: Annotated[list[str], Meta(description="What is needed to tell who it was.")] = field(default_factory=list)


class ContactEntry(Params):
    """Somebody who can be told."""

    id: Id
    role: Annotated[Role, Meta(description="What for.")] = "abuse"
    mail: Annotated[str, Meta(min_length=3, description="One mail address.")] | None = None
    phone: Annotated[Line, Meta(description="Shown to operators only.")] | None = None
    pgp: Annotated[str, Meta(min_length=1, description="The file of the OpenPGP key.")] | None = None
    confirmed: Annotated[Day, Meta(description="When the address was last confirmed.")] | None = None


class InlineContact(Params):
    """A contact of one delivery only."""

    mail: Annotated[str, Meta(min_length=3, description="One mail address.")]


class DeliveryEntry(Manner):
    """One way in which a member is told."""

    id: Id
    to: Annotated[list[Id | InlineContact], Meta(description="Contacts, by id or as {mail: ADDRESS}.")] = field(
        default_factory=list
    )
    fallback: Annotated[list[Id], Meta(description="Contacts that are told if one of 'to' refuses for good.")] = field(
        default_factory=list
    )
    channel: Annotated[Id, Meta(description="mail, webhook, or a plugin's.")] = "mail"
    format: Annotated[list[Id], Meta(description="Names of formats.")] | None = None
    when: Annotated[str, Meta(description="immediately, hourly, 'daily 07:30', 'workdays 07:30' or 'cron …'.")] = (
        "daily 07:30"
    )
    calendar: Annotated[Id, Meta(description="A calendar of closed days.")] | None = None
    filter: Annotated[str, Meta(min_length=1, description="An expression over the event's fields.")] | None = None
    except_: Annotated[list[Id], Meta(description="Deliveries of this member whose findings are only named here.")] = (
        field(default_factory=list, name="except")
    )
    also: Annotated[list[Literal["inform"]], Meta(description="Further roles that it takes.")] = field(
        default_factory=list
    )
    inventory: Annotated[bool, Meta(description="Whether findings of kind inventory are wanted.")] = False
    empty: Annotated[Literal["never", "weekly", "always"], Meta(description="A sign of life without findings.")] = (
        "never"
    )
    group: Annotated[Duration, Meta(description="How long an immediate delivery gathers findings.")] | None = None
    robot: Annotated[bool, Meta(description="Whether mails are marked as automatic.")] = True
    blackout: Annotated[list[BlackoutEntry], Meta(description="When nothing of it is delivered.")] = field(
        default_factory=list
    )
    url: Annotated[str, Meta(min_length=1, description="The webhook's endpoint.")] | None = None
    secrets: Annotated[list[Secret], Meta(description="Signing secrets, newest first.")] = field(default_factory=list)
    events: Annotated[list[Line], Meta(description="Types that the webhook wants; none: all.")] = field(
        default_factory=list
    )
    on_dead: Annotated[Id, Meta(description="A contact that is told when the endpoint is dead.")] | None = None


class MemberEntry(Manner):
    """One member."""

    id: Id
    name: Annotated[Line, Meta(description="The organisation's name.")]
    kind: Annotated[Literal["provider", "access", "relay", "organisation"], Meta(description="What it is.")] = (
        "provider"
    )
    state: Annotated[MemberState, Meta(description="invited, test, live, paused or left.")] = "test"
    paused_until: Annotated[Day, Meta(description="When a pause ends.")] | None = None
    since: Annotated[Day, Meta(description="Member since; for operators.")] | None = None
    note: Annotated[str, Meta(description="For operators; never mailed.")] = ""
    resources: ResourcesEntry = ResourcesEntry()
    customers: list[CustomerEntry] = field(default_factory=list)
    shared_addresses: list[SharedEntry] = field(default_factory=list)
    contacts: list[ContactEntry] = field(default_factory=list)
    deliveries: list[DeliveryEntry] = field(default_factory=list)


class CalendarEntry(Params):
    """Days on which nobody works."""

    closed: Annotated[list[Day], Meta(description="Days, as 2026-12-25.")]


class GuardEntry(Params):
    """The hub's and the notifiers' own addresses: whatever is said of them concerns no member."""

    networks: list[ExclusionEntry] = field(default_factory=list)
    domains: list[Annotated[str, Meta(min_length=1)]] = field(default_factory=list)


class MembersFile(Params):
    """Who is told, about what, and how."""

    defaults: Annotated[Manner, Meta(description="What every member has unless it says otherwise.")] = Manner()
    calendars: Annotated[dict[Id, CalendarEntry], Meta(description="Closed days, by name.")] = field(
        default_factory=dict
    )
    guard: Annotated[GuardEntry, Meta(description="Addresses of the hub and of notifiers: never matched.")] = (
        GuardEntry()
    )
    members: Annotated[list[MemberEntry], Meta(description="Every member.")] = field(default_factory=list)
