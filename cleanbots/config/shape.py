"""What a configuration file may say, as written: the structs make its JSON Schema, its check and its defaults.

`cleanbots.config.model` holds what becomes of it: compiled, with every default filled in.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from ..params import Duration, Params, Size

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
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
    share_raw: Annotated[bool, Meta(description="Whether original rows may be handed on.")] | None = None
    expect: Annotated[Duration, Meta(description="An alarm is due if nothing comes for so long.")] | None = None


class BotDefaults(Params):
    """What each bot has unless it says otherwise."""

    on_error: ErrorEntry = ErrorEntry()
    limit: LimitEntry = LimitEntry()
    failed_limit: FailedLimitEntry = FailedLimitEntry()
    slice: Annotated[int, Meta(ge=1, le=100_000, description="How many items a worker takes through at once.")] = 500
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


class DeliveryEntry(Params):
    """How deliveries to members are made."""

    mode: Annotated[
        Literal["preview", "test", "live"],
        Meta(description="'preview' only records, 'test' sends to the testers, 'live' sends to members."),
    ] = "preview"


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
            description="'embedded', a redis://, rediss:// or unix:// URL, or file:PATH with one; a password by "
            "${env:NAME} only.",
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
