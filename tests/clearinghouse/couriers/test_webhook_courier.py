"""The webhook courier against real HTTP(S) servers on the loopback interface."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import CUT, HANG, HttpServer, Reply
from standardwebhooks import Webhook as Reference

from bots.outputs.webhook import Webhook, WebhookParams
from cleanbots.clock import FixedClock
from cleanbots.context import Context
from cleanbots.errors import Retry
from cleanbots.message import Message
from cleanbots.services.guard import Answer

NOW = datetime(2026, 11, 20, 6, 30, 4, tzinfo=UTC)
BODY = b'{"type":"test.ping","timestamp":"2026-11-20T06:30:04Z","data":{"member":"voorbeeldhost"}}'
NEW = "whsec_Y2xlYW5ib3RzLXRlc3QtdmVjdG9yLXNlY3JldC0zMmI="
OLD = "whsec_b2xkLWNsZWFuYm90cy10ZXN0LXNlY3JldC0zMmI="

Make = Callable[..., Webhook]


@pytest.fixture
def courier() -> Iterator[Make]:
    """Make couriers that may reach this machine; they are closed when the test is over."""
    made: list[Webhook] = []

    def make(**params: object) -> Webhook:
        settled = msgspec.convert({"allow": ["127.0.0.1"], "timeout": "5s", **params}, WebhookParams)
        webhook = Webhook(settled, Context(bot="webhook", clock=FixedClock(NOW)))
        webhook.open()
        made.append(webhook)
        return webhook

    yield make
    for webhook in made:
        webhook.close()


def message(url: str, identifier: str = "MP-20261120-0042-p1", secrets: tuple[str, ...] = (NEW,)) -> Message:
    return Message(id=identifier, recipient=url, data=BODY, secrets=secrets)


def test_the_stored_bytes_are_posted_signed(courier, authority):
    """A message is POSTed over TLS as it is stored, with the headers of Standard Webhooks and an honest name."""
    with HttpServer(tls=authority.tls()) as server:
        outcome = courier(ca=str(authority.ca), hub="hub.example.net").give(message(server.url("/abuse?x=1")))

    assert (outcome.verdict, outcome.code) == ("accepted", 200)
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/abuse?x=1", BODY)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("cleanbots")
    assert request.headers["user-agent"].endswith(" (+hub.example.net)")
    assert request.headers["webhook-id"] == "MP-20261120-0042-p1"
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert not {"authorization", "cookie", "referer"} & set(request.headers)


def test_signatures_of_all_secrets_are_sent(courier):
    """While one secret replaces another each verifies alone, by the reference library; a former one doesn't."""
    now = FixedClock(datetime.now(UTC))
    webhook = Webhook(WebhookParams(allow=("127.0.0.1",)), Context(clock=now))
    with HttpServer() as server:
        webhook.give(message(server.url(), secrets=(NEW, OLD)))
        webhook.give(message(server.url(), secrets=(NEW,)))
    webhook.close()

    both, one = server.requests
    for secret in (NEW, OLD):
        Reference(secret).verify(both.body, dict(both.headers))
    Reference(NEW).verify(one.body, dict(one.headers))
    with pytest.raises(Exception, match="No matching signature"):
        Reference(OLD).verify(one.body, dict(one.headers))


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, "accepted"), (202, "accepted"), (204, "accepted"), (299, "accepted"), (410, "gone")]
    + [
        (status, "later") for status in (300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 422, 429, 500, 502, 503, 599)
    ],
)
def test_a_status_becomes_an_outcome(courier, status, verdict):
    """2xx is accepted, 410 gone; anything else is for later, and no redirect is followed."""
    with HttpServer() as other, HttpServer(script=[Reply(status, {"Location": other.url()}, b"words")]) as server:
        outcome = courier().give(message(server.url()))

    assert (outcome.verdict, outcome.code) == (verdict, status)
    assert ("words" in outcome.answer) == (status != 204 and not 300 <= status < 400)
    assert outcome.after is None
    assert len(server.requests) == 1
    assert other.connections == 0


def test_connections_are_kept(courier):
    """Messages to one endpoint go over one connection; one that was closed meanwhile is replaced."""
    script = [Reply(200), Reply(200), Reply(200, {"Connection": "close"}), Reply(200)]
    with HttpServer(script=script) as server:
        webhook = courier()
        outcomes = [webhook.give(message(server.url())).verdict for _ in range(4)]

    assert outcomes == ["accepted"] * 4
    assert [request.connection for request in server.requests][:3] == [1, 1, 1]


def test_the_same_message_has_the_same_id(courier):
    """Over all attempts the id and the bytes are the same; only the time of the attempt is signed anew."""
    with HttpServer(script=[Reply(500), Reply(act=CUT), Reply(200)]) as server:
        webhook = courier()
        verdicts = []
        for minute in range(3):
            webhook.context.clock.move(NOW + timedelta(minutes=minute))
            verdicts.append(webhook.give(message(server.url())).verdict)

    assert verdicts == ["later", "later", "accepted"]
    assert len({(request.id, request.body) for request in server.requests}) == 1
    assert len({request.headers["webhook-signature"] for request in server.requests}) == 3


@pytest.mark.parametrize("reply", [Reply(act=HANG), Reply(raw=b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 5000, drip=0.01)])
def test_no_answer_in_time_is_for_later(courier, reply):
    """Neither silence nor an answer that drips holds the courier longer than its timeout."""
    with HttpServer(script=[reply]) as server:
        webhook = courier(timeout="300ms")
        outcome = webhook.give(message(server.url()))
        again = webhook.give(message(server.url()))

    assert (outcome.verdict, outcome.code) == ("later", 0)
    assert "no answer within 0.3 s" in outcome.answer
    assert again.verdict == "accepted"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, body=b"x" * 300_000),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000, drip=0.01, swift=50),
        Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n" + b"x" * 300_000),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxxx"),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\nshort", drip=0.001, swift=50),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\x00ab"),
    ],
)
def test_an_odd_body_changes_no_verdict(courier, reply):
    """A status of 2xx was told: a body that is huge, slow, compressed, cut or binary is kept as far as it goes."""
    with HttpServer(script=[reply]) as server:
        webhook = courier(timeout="300ms")
        outcome = webhook.give(message(server.url()))
        again = webhook.give(message(server.url()))

    assert (outcome.verdict, outcome.code) == ("accepted", 200)
    assert len(outcome.answer) <= 65536
    assert "\x00" not in outcome.answer
    assert again.verdict == "accepted"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-server\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02",
    ],
)
def test_what_is_no_answer_is_for_later(courier, raw):
    """Nonsense, endless headers and other protocols are for later, with a sentence."""
    with HttpServer(script=[Reply(raw=raw or b" ", act="" if raw else CUT)]) as server:
        outcome = courier(timeout="500ms").give(message(server.url()))

    assert (outcome.verdict, outcome.code) == ("later", 0)
    assert outcome.answer.startswith("http://127.0.0.1")


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("999999999999999999999999", 86400.0),
        ("9" * 5000, 86400.0),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300.0),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), 86400.0),
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("١٢", None),
        ("Fri, 99 Nov 2026 99:99:99 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(courier, text, after, status):
    """Seconds and dates are honoured up to a day; anything else, and the past, leaves it to the schedule."""
    webhook = courier()

    outcome = webhook._judged(Answer(status, {"retry-after": text}, b""))

    assert (outcome.verdict, outcome.after) == ("later", after)


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_retry_after_breaks_the_courier(text):
    """Whatever stands in Retry-After, it is a time within a day or nothing."""
    webhook = Webhook(WebhookParams(), Context(clock=FixedClock(NOW)))
    after = webhook._judged(Answer(429, {"retry-after": text}, b"")).after

    assert after is None or 0 <= after <= 86400


@given(st.text(max_size=30))
@settings(max_examples=60, deadline=None)
def test_no_id_breaks_out_of_its_header(identifier):
    """An id with blanks, line ends, dots or beyond ASCII is refused before anything is sent."""
    webhook = Webhook(WebhookParams(allow=("127.0.0.1",)), Context(clock=FixedClock(NOW)))
    outcome = webhook.give(message("http://127.0.0.1:1/", identifier))

    sendable = identifier.isascii() and identifier.isprintable() and not set(identifier) & set(" .") and identifier
    assert outcome.verdict == ("later" if sendable else "refused")


@pytest.mark.parametrize(
    ("secrets", "words"),
    [
        ((), "no secret"),
        (("${env:HOOK}",), "starts with 'whsec_'"),
        (("whsec_!!!",), "not base64"),
        (("whsec_c2hvcnQ=",), "24 to 64 bytes"),
        ((NEW, "nonsense"), "starts with 'whsec_'"),
    ],
)
def test_nothing_is_sent_without_a_good_secret(courier, secrets, words):
    """A message that can't be signed by all its secrets waits, with a sentence that doesn't tell them."""
    with HttpServer() as server:
        outcome = courier().give(message(server.url(), secrets=secrets))

    assert outcome.verdict == "later"
    assert words in outcome.answer
    assert "c2hvcnQ" not in outcome.answer
    assert "nonsense" not in outcome.answer
    assert server.connections == 0


def test_an_endpoint_that_is_not_allowed_waits(courier):
    """An endpoint of this machine gets nothing by default; the sentence says what would allow it."""
    with HttpServer() as server:
        outcome = courier(allow=[]).give(message(server.url(host="localhost")))

    assert outcome.verdict == "later"
    assert "allow" in outcome.answer
    assert server.connections == 0


def test_probe(courier, authority):
    """A probe connects and judges the certificate, and sends no request."""
    with HttpServer(tls=authority.tls()) as server:
        courier(ca=str(authority.ca)).probe(server.url())
        courier().probe()
        with pytest.raises(Retry, match="certificate is not trusted"):
            courier().probe(server.url())

    assert server.requests == []


@pytest.mark.parametrize("params", [{"allow": ["http://x"]}, {"hub": "a\r\nb"}, {"hub": "a (b)"}, {"timeout": "30"}])
def test_parameters_that_do_not_fit_are_refused(params):
    """Mistakes are said when the configuration is checked."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(params, WebhookParams)
