"""Hand deliveries over to members' webhooks: signed after Standard Webhooks 1.0, to public addresses only."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Annotated

from cleanbots import Meta
from cleanbots.bot import Courier
from cleanbots.clearinghouse.webhook.signatures import sign
from cleanbots.context import Context
from cleanbots.errors import Retry
from cleanbots.message import Message, Outcome
from cleanbots.params import Duration, Params, seconds
from cleanbots.services.guard import Answer, Denied, Guard, GuardedSession
from cleanbots.services.http import user_agent

ANSWER_BYTES = 64 * 2**10
LONGEST_WAIT = 24 * 3600.0

_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,256}")
_SECONDS = re.compile(r"[0-9]+", re.ASCII)


class WebhookParams(Params):
    """Parameters of ``output/webhook``."""

    hub: Annotated[
        str, Meta(pattern=r"^[\x21-\x27\x2a-\x7e]*$", description="The hub's domain or page, told in User-Agent.")
    ] = ""
    timeout: Annotated[Duration, Meta(description="How long a delivery may take, its answer included.")] = "30s"
    at_once: Annotated[
        int, Meta(ge=1, le=100, description="How many endpoints may be waited for at the same time.")
    ] = 16
    allow: Annotated[
        tuple[str, ...],
        Meta(
            description="Receivers that are not public https hosts: networks (10.1.2.0/24) open their addresses for any "
            "port and http; names (hooks.example.net, hooks.example.net:9443) open ports and http, never an address."
        ),
    ] = ()
    ca: Annotated[str, Meta(description="A file of further trusted certificates (PEM); the system's, if empty.")] = ""

    def __post_init__(self) -> None:
        """Refuse entries of *allow* that are neither network nor name."""
        Guard(self.allow)


class Webhook(Courier[WebhookParams]):
    """POST the bytes of a message to its endpoint and judge the status: 2xx accepted, 410 gone, anything else later.

    Redirects are never followed, proxies never used; names are resolved once per connection and every address of a name
    must be public. A message's ``secrets`` are the secrets themselves when it comes here.
    """

    def __init__(self, params: WebhookParams, context: Context | None = None) -> None:
        super().__init__(params, context)
        ca = str(self.context.path(params.ca)) if params.ca else None
        self._session = GuardedSession(Guard(params.allow), deadline=seconds(params.timeout), ca=ca)

    def open(self) -> None:
        """Load the trusted certificates."""
        self._session.open()

    def close(self) -> None:
        """Close the connections that were kept alive."""
        self._session.close()

    @property
    def at_once(self) -> int:
        """How many endpoints may be waited for at the same time."""
        return self.params.at_once

    def give(self, message: Message) -> Outcome:
        """Send *message* once; an endpoint that can't be reached or mustn't be is asked again later."""
        if _ID.fullmatch(message.id) is None:
            return Outcome(verdict="refused", answer="the message's id can't be sent: no blanks, no dots, ASCII only")
        if not message.secrets:
            return Outcome(verdict="later", answer="the delivery has no secret, and nothing is sent unsigned")
        try:
            answer = self._session.request(
                "POST", message.recipient, headers=self._headers(message), body=message.data, limit=ANSWER_BYTES
            )
        except (Denied, Retry, ValueError) as error:
            return Outcome(verdict="later", answer=str(error))
        return self._judged(answer)

    def probe(self, url: str = "") -> None:
        """See whether certificates can be judged, and, given *url*, whether that endpoint can be connected to.

        Raises:
            CleanbotsError: with the reason, if not.
        """
        try:
            self._session.open()
            if url:
                self._session.probe(url)
        finally:
            self._session.close()

    def _headers(self, message: Message) -> dict[str, str]:
        timestamp = int(self.context.clock.now().timestamp())
        return {
            "Content-Type": "application/json",
            "User-Agent": f"{user_agent()} (+{self.params.hub})" if self.params.hub else user_agent(),
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(message.secrets, message.id, timestamp, message.data),
        }

    def _judged(self, answer: Answer) -> Outcome:
        said = answer.body.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
        if 200 <= answer.status < 300:
            return Outcome(verdict="accepted", code=answer.status, answer=said)
        if answer.status == 410:
            return Outcome(verdict="gone", code=answer.status, answer=said)
        if 300 <= answer.status < 400:
            said = "a redirect, which is never followed; give the endpoint's own URL"
        after = self._wait(answer.headers.get("retry-after", "").strip())
        return Outcome(verdict="later", code=answer.status, answer=said, after=after)

    def _wait(self, text: str) -> float | None:
        """Read ``Retry-After`` (RFC 9110 §10.2.3: seconds or a date); what is neither, or past, says nothing."""
        if _SECONDS.fullmatch(text):
            return min(float(text[:16]), LONGEST_WAIT)
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        wait = (moment - self.context.clock.now()).total_seconds()
        return min(wait, LONGEST_WAIT) if wait > 0 else None
