"""What a configuration file may say, as written: the structs make its JSON Schema, its check and its defaults.

`cleanbots.config.model` holds what becomes of it: compiled, with every default filled in.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from ..params import Duration, Params, Secret, Size, Url

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
MAIL_PATTERN = r"^[^@\s<>,;:\"()]+@[^@\s<>,;:\"()]+$"
TIMES_PATTERN = r"^[0-9]+(\.[0-9]+)?x$"
PER_MINUTE_PATTERN = r"^[1-9][0-9]*/min$"
USE_PATTERN = r"^(collector|parser|expert|output)/[A-Za-z0-9_.-]+$"

Name = Annotated[
    str,
    Meta(pattern=NAME_PATTERN, description="A name: letters, digits, '_', '-' and '.', at most 63 of them."),
]
Count = Annotated[int, Meta(ge=1)]
Targets = str | list[str]


class ErrorEntry(Params):
    """What happens when the world is at fault: a service is away, a disk is full."""

    retries: Annotated[int, Meta(ge=0, description="How often to try again; null: for ever.")] | None = None
    delay: Annotated[Duration, Meta(description="Wait before the first new try; doubled each time.")] = "1s"
    max_delay: Annotated[Duration, Meta(description="The longest wait.")] = "5m"
    then: Annotated[
        Literal["fail", "stop"],
        Meta(description="After the last try: 'fail' sets the items aside, 'stop' stops the bot with an alarm."),
    ] = "fail"


class LimitEntry(Params):
    """The most that a queue may hold."""

    events: Annotated[int, Meta(ge=1, description="Items.")] = 1_000_000
    bytes: Annotated[Size, Meta(description="Encoded size.")] = "64MiB"


class FailedLimitEntry(Params):
    """The most that a bot's failed items may be."""

    events: Annotated[int, Meta(ge=1, description="Items.")] = 100_000
    bytes: Annotated[Size, Meta(description="Encoded size.")] = "64MiB"


class FeedEntry(Params):
    """What is known of a collector's notifier; becomes ``feed.*`` and ``tlp`` of its events."""

    provider: Annotated[str, Meta(min_length=1, description="Who reports.")] | None = None
    name: Annotated[str, Meta(min_length=1, description="The feed's name.")] | None = None
    code: Annotated[str, Meta(min_length=1, description="A short code for the feed.")] | None = None
    url: Annotated[str, Meta(min_length=1, description="Where it comes from.")] | None = None
    documentation: Annotated[str, Meta(min_length=1, description="Where it is described.")] | None = None
    accuracy: Annotated[float, Meta(ge=0, le=100, description="How reliable it is, in per cent.")] | None = None
    tlp: (
        Annotated[
            Literal["CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED", "WHITE"],
            Meta(description="Traffic light of its events (TLP 2.0; WHITE is taken as CLEAR)."),
        ]
        | None
    ) = None
    contact: (
        Annotated[str, Meta(pattern=MAIL_PATTERN, description="The notifier's address, for reports that name it.")]
        | None
    ) = None
    disclose: (
        Annotated[
            bool,
            Meta(description="Whether members may be told who reported, with the contact; else the hub stands for it."),
        ]
        | None
    ) = None
    share_raw: Annotated[bool, Meta(description="Whether original rows may be handed on.")] | None = None
    expect: Annotated[Duration, Meta(description="An alarm is due if nothing comes for so long.")] | None = None


class BotDefaults(Params):
    """What each bot has unless it says otherwise."""

    on_error: ErrorEntry = ErrorEntry()
    limit: LimitEntry = LimitEntry()
    failed_limit: FailedLimitEntry = FailedLimitEntry()
    slice: Annotated[int, Meta(ge=1, le=100_000, description="How many items a worker takes through at once.")] = 1000
    time_limit: Annotated[Duration, Meta(description="After so long in one slice, a worker is ended.")] = "5m"


class BotEntry(BotDefaults):
    """One bot."""

    use: Annotated[
        str,
        Meta(pattern=USE_PATTERN, description="Which bot class: kind/name; 'cleanbots bots list' shows all."),
    ]
    params: Annotated[dict[str, Any], Meta(description="Its parameters; 'cleanbots bots describe' shows them.")] = (
        field(default_factory=dict)
    )
    to: Annotated[
        Targets | dict[str, Targets],
        Meta(description="Which bots receive: one, several, or path to one or several."),
    ] = field(default_factory=list)
    feed: FeedEntry = FeedEntry()
    every: Annotated[Duration, Meta(description="Time between two runs.")] | None = None
    cron: Annotated[str, Meta(description="When it runs: minute hour day month weekday.")] | None = None
    instances: Annotated[
        Count | dict[str, Count],
        Meta(description="How many workers run it: a number, or host to number."),
    ] = 1
    host: Annotated[str, Meta(description="On which host it runs; the first of 'hosts' unless said.")] | None = None
    isolate: Annotated[bool, Meta(description="Give it a worker of its own.")] = False
    description: Annotated[str, Meta(description="For people.")] = ""


class ArchiveEntry(Params):
    """How long and how much raw material is kept."""

    keep: Annotated[Duration, Meta(description="For how long.")] = "7d"
    max: Annotated[Size, Meta(description="How much at most.")] = "20GiB"


class SenderEntry(Params):
    """Who mails are from."""

    mail: Annotated[str, Meta(pattern=MAIL_PATTERN, description="The address.")]
    name: Annotated[str, Meta(min_length=1, description="The name that people read.")] = "cleanbots"


class ApproveEntry(Params):
    """What is held until an operator approves it."""

    first_to_member: Annotated[bool, Meta(description="The first live delivery of each member.")] = True
    growth: Annotated[
        str,
        Meta(pattern=TIMES_PATTERN, description="Digests with so many times the new findings of their median."),
    ] = "5x"
    over: Annotated[int, Meta(ge=1, description="Digests with more new findings than this.")] = 500
    members_at_once: Annotated[
        int, Meta(ge=1, description="More members than this that would be reached for the first time within a day.")
    ] = 50


class DeliveryLimitEntry(Params):
    """How fast messages may leave."""

    mails_per_hour: Annotated[int, Meta(ge=1, description="Messages of one channel in an hour.")] = 600
    mails_per_contact: Annotated[int, Meta(ge=1, description="Mails to one address in a day.")] = 100
    per_domain: Annotated[
        str, Meta(pattern=PER_MINUTE_PATTERN, description="Messages to one receiving domain in a minute.")
    ] = "20/min"


class BlackoutEntry(Params):
    """A window in which nothing is delivered."""

    from_: Annotated[str, Meta(min_length=1, description="When it begins; without an offset: the member's time.")] = (
        field(name="from")
    )
    until: Annotated[str, Meta(min_length=1, description="When it ends.")]
    except_: Annotated[Literal["urgent"], Meta(description="What is delivered all the same.")] | None = field(
        name="except", default=None
    )


class DeliveryArchiveEntry(Params):
    """How long it is kept what was delivered."""

    sent: Annotated[Duration, Meta(description="The bytes of messages.")] = "60d"
    ledger: Annotated[Duration, Meta(description="The books, without addresses.")] = "730d"


class SignEntry(Params):
    """How mails are signed (OpenPGP)."""

    key: Annotated[str, Meta(min_length=1, description="The file with the hub's secret key.")]
    password: Annotated[Secret, Meta(description="The key's password, by reference.")] = ""
    fingerprint: Annotated[str, Meta(description="What the key's fingerprint must be; any, if empty.")] = ""


class DeliveryEntry(Params):
    """How deliveries to members are made, and the door through which they leave."""

    mode: Annotated[
        Literal["preview", "test", "live"],
        Meta(description="'preview' only records, 'test' sends to the testers, 'live' sends to members."),
    ] = "preview"
    test_to: Annotated[str, Meta(pattern=MAIL_PATTERN, description="Who gets all mail in mode 'test'.")] | None = None
    test_url: Annotated[Url, Meta(description="Where all webhooks go in mode 'test'.")] | None = None
    from_: SenderEntry | None = field(name="from", default=None)
    reply_to: Annotated[str, Meta(pattern=MAIL_PATTERN, description="Where people read the answers.")] | None = None
    bounces: (
        Annotated[str, Meta(pattern=MAIL_PATTERN, description="Envelope sender; gets a suffix for each mail.")] | None
    ) = None
    operator: (
        Annotated[str, Meta(pattern=MAIL_PATTERN, description="Who is told what waits for an operator.")] | None
    ) = None
    phone: Annotated[str, Meta(description="Shown in mails.")] = ""
    privacy: Annotated[Url, Meta(description="Address of the privacy statement, shown in mails.")] | None = None
    domain: (
        Annotated[str, Meta(min_length=1, description="The hub's domain, for Message-IDs; that of 'from' unless said.")]
        | None
    ) = None
    reference: Annotated[
        str, Meta(pattern=r"^[A-Z][A-Z0-9]{0,7}$", description="Begins references: MP in MP-20261120-0042.")
    ] = "CB"
    subject: Annotated[str, Meta(min_length=1, max_length=30, description="Begins subjects.")] | None = None
    texts: Annotated[str, Meta(min_length=1, description="Folder with texts that override ours.")] | None = None
    store: Annotated[
        str,
        Meta(min_length=1, description="Where findings and deliveries are kept: a file, or a postgresql:// URL."),
    ] = "clearinghouse.db"
    journal: (
        Annotated[
            str,
            Meta(
                min_length=1, description="Folder of the store's journal, best on another disk; beside it unless said."
            ),
        ]
        | None
    ) = None
    host: (
        Annotated[Name, Meta(description="On which host the couriers run; the first of 'hosts' unless said.")] | None
    ) = None
    couriers: Annotated[
        dict[Name, dict[str, Any]],
        Meta(description="Channels that run: name to the parameters of the courier output/NAME."),
    ] = field(default_factory=dict)
    sign: SignEntry | None = None
    settle: Annotated[Duration, Meta(description="A due digest waits until nothing came for so long …")] = "15m"
    settle_max: Annotated[Duration, Meta(description="… but at most so long.")] = "60m"
    approve: ApproveEntry = ApproveEntry()
    limits: DeliveryLimitEntry = DeliveryLimitEntry()
    blackout: Annotated[list[BlackoutEntry], Meta(description="When nothing is delivered.")] = field(
        default_factory=list
    )
    archive: DeliveryArchiveEntry = DeliveryArchiveEntry()


class TestEntry(Params):
    """A test of the graph: what goes in where, and what must come out."""

    name: Annotated[str, Meta(min_length=1, description="The rule that it proves.")]
    feed: Annotated[dict[str, Any], Meta(description="Bot to what it is fed.")] = field(default_factory=dict)
    expect: Annotated[dict[str, Any], Meta(description="Bot to what must arrive there.")] = field(default_factory=dict)


class ConfigFile(Params):
    """A configuration of cleanbots."""

    name: Annotated[Name, Meta(description="The graph's name; all its keys on the server carry it.")] = "cleanbots"
    broker: Annotated[
        str,
        Meta(
            min_length=1,
            description="'embedded', a redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// URL, or "
            "file:PATH with one; a password by ${env:NAME} only.",
        ),
    ] = "embedded"
    state: Annotated[
        str, Meta(min_length=1, description="Folder of sockets, locks, logs, snapshots and the archive.")
    ] = "state"
    hosts: Annotated[list[Name], Meta(min_length=1, description="The machines; the first is the default.")] = field(
        default_factory=lambda: ["main"]
    )
    include: Annotated[str | list[str], Meta(description="Further files (globs), relative to this one.")] = field(
        default_factory=list
    )
    plugins: Annotated[list[str], Meta(description="Folders with bots of this site.")] = field(default_factory=list)
    fields: Annotated[
        dict[str, dict[str, Any]], Meta(description="Further fields of events, as the catalogue writes them.")
    ] = field(default_factory=dict)
    archive: Annotated[ArchiveEntry | bool, Meta(description="What is kept of raw reports; false: nothing.")] = True
    lease: Annotated[Duration, Meta(description="After so long without a sign of life, work is taken over.")] = "60s"
    memory: Annotated[
        Size, Meta(description="The most memory of its own that a worker may use; more fails the item at hand.")
    ] = "2GiB"
    defaults: BotDefaults = BotDefaults()
    bots: Annotated[dict[Name, BotEntry], Meta(min_length=1, description="Every bot by its id.")]
    tests: Annotated[list[TestEntry], Meta(description="Tests of this configuration: 'cleanbots test'.")] = field(
        default_factory=list
    )
    members: Annotated[str, Meta(min_length=1, description="The file of the members.")] | None = None
    delivery: DeliveryEntry = DeliveryEntry()
