"""Hand deliveries over as mail: to a relay by SMTP, or into a Maildir."""

from ipaddress import ip_address
from typing import Annotated, Literal

from cleanbots import Meta
from cleanbots.bot import Courier
from cleanbots.context import Context
from cleanbots.message import Message, Outcome
from cleanbots.params import Duration, Params, Port, Secret, seconds

from ._maildir import Maildir
from ._smtp import Relay, Smtp


class MailParams(Params):
    """Parameters of ``output/mail``."""

    transport: Annotated[
        Literal["smtp", "maildir"], Meta(description="To a relay by SMTP, or into a local Maildir.")
    ] = "smtp"
    host: Annotated[str, Meta(min_length=1, description="smtp: the relay; it should queue, sign and retry.")] = (
        "localhost"
    )
    port: Annotated[
        Port | None, Meta(description="smtp: the relay's port; by default 25, or 465 for implicit TLS.")
    ] = None
    tls: Annotated[
        Literal["auto", "starttls", "implicit", "none"],
        Meta(
            description="smtp: how the connection is protected; auto is none on this machine, else starttls, required."
        ),
    ] = "auto"
    ca: Annotated[
        str, Meta(description="smtp: a file of further trusted certificates (PEM); the system's, if empty.")
    ] = ""
    user: Annotated[str, Meta(description="smtp: log in as this user; not at all, if empty.")] = ""
    password: Annotated[Secret, Meta(description="smtp: the user's password, by reference.")] = ""
    helo: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9.:\[\]-]*$",
            description="smtp: the name we greet with; our address on the connection, if empty.",
        ),
    ] = ""
    timeout: Annotated[
        Duration, Meta(description="smtp: the most time for connecting, for the envelope, and for the message.")
    ] = "60s"
    mails_per_connection: Annotated[
        int, Meta(ge=1, le=10_000, description="smtp: how many mails go over one connection.")
    ] = 100
    connections: Annotated[
        int, Meta(ge=1, le=50, description="smtp: how many connections there may be at the same time.")
    ] = 4
    path: Annotated[str, Meta(description="maildir: the folder; made if it isn't there.")] = ""

    def __post_init__(self) -> None:
        """Refuse what doesn't fit together, above all a password in clear text."""
        if self.transport == "maildir" and not self.path:
            raise ValueError("path: a Maildir needs its folder")
        if bool(self.user) != bool(self.password):
            raise ValueError("user, password: give both or neither")
        if self.user and self.protection == "none" and not self.local:
            raise ValueError(
                "tls: a password is never sent in clear text; leave 'tls' out or choose starttls or implicit"
            )

    @property
    def local(self) -> bool:
        """Whether the relay is on this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def protection(self) -> str:
        """How the connection is protected."""
        return self.tls if self.tls != "auto" else "none" if self.local else "starttls"


class Mail(Courier[MailParams]):
    """Give each mail, byte for byte, to a relay or a Maildir; one recipient each, with its own envelope sender.

    A relay's 5xx about a recipient or a mail refuses it for good; whatever is about us, the network or the moment is for
    later. A connection that breaks after the message's end leaves open whether it was taken: the repeat has the same
    Message-ID. Without TLS nothing leaves this machine.
    """

    def __init__(self, params: MailParams, context: Context | None = None) -> None:
        super().__init__(params, context)
        self._transport: Maildir | Smtp = (
            Maildir(self.context.path(params.path)) if params.transport == "maildir" else Smtp(self._relay())
        )

    def open(self) -> None:
        """Get the transport ready; raises `cleanbots.CleanbotsError` if *ca* can't be read."""
        self._transport.open()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    @property
    def at_once(self) -> int:
        """How many connections to the relay there may be; a Maildir needs one courier."""
        return self.params.connections if self.params.transport == "smtp" else 1

    def give(self, message: Message) -> Outcome:
        """Hand *message* over once."""
        return self._transport.give(message)

    def probe(self) -> None:
        """See whether the relay takes our connection, TLS and log-in, or whether the Maildir can be written.

        Raises:
            CleanbotsError: with the reason, if not.
        """
        self._transport.probe()

    def _relay(self) -> Relay:
        params = self.params
        return Relay(
            host=params.host,
            port=params.port or (465 if params.protection == "implicit" else 25),
            tls=params.protection,
            user=params.user,
            password=params.password,
            helo=params.helo,
            timeout=seconds(params.timeout),
            mails=params.mails_per_connection,
            ca=self.context.path(params.ca) if params.ca else None,
        )
