"""Many messages to servers that misbehave by seeded chance: what was taken, how often, under which id."""

from collections import Counter

import pytest
from servers import HttpServer, Shares, SmtpServer

from bots.outputs.mail import Mail, MailParams
from bots.outputs.webhook import Webhook, WebhookParams
from cleanbots.bot import Courier
from cleanbots.message import Message

SECRET = "whsec_Y2xlYW5ib3RzLXRlc3QtdmVjdG9yLXNlY3JldC0zMmI="  # noqa: S105  # for tests
MESSAGES = 150
ATTEMPTS = 40


def campaign(courier: Courier, messages: list[Message]) -> dict[str, list[str]]:
    """Give each message until it is settled; id to the verdicts of its attempts."""
    told: dict[str, list[str]] = {message.id: [] for message in messages}
    waiting = messages
    for _ in range(ATTEMPTS):
        later = []
        for message in waiting:
            verdict = courier.give(message).verdict
            told[message.id].append(verdict)
            if verdict == "later":
                later.append(message)
        waiting = later
    assert not waiting
    return told


def test_mail_campaign():
    """Each mail that can be delivered is taken, twice only where the server broke off; refusals are those meant."""
    messages = [
        Message(
            id=f"mp-{n}.p1@hub.example.net",
            recipient=f"abuse{n}@member.example",
            sender=f"bounces+mp-{n}.1.x@hub.example.net",
            data=f"Message-ID: <mp-{n}.p1@hub.example.net>\r\n\r\nmail {n}\r\n".encode(),
        )
        for n in range(MESSAGES)
    ]
    shares = Shares(transient=0.3, permanent=0.05, hang=0.03, cut=0.05)
    with SmtpServer(shares=shares, seed=11) as server:
        courier = Mail(MailParams(host=server.host, port=server.port, timeout="150ms", mails_per_connection=20))
        courier.open()
        told = campaign(courier, messages)
        courier.close()

    refused = {message.recipient for message in messages if told[message.id][-1] == "refused"}
    assert (
        refused
        == {message.recipient for message in messages if server.doomed(message.recipient)}
        == set(server.refused)
    )
    taken = Counter((mail.id, mail.recipient, mail.sender, mail.data) for mail in server.accepted)
    expected = {(m.id, m.recipient, m.sender, m.data) for m in messages if m.recipient not in refused}
    assert set(taken) == expected
    cuts = Counter(mail.id for mail in server.accepted if not mail.told)
    assert cuts
    assert {identifier: number - 1 for (identifier, *_), number in taken.items() if number > 1} == dict(cuts)


@pytest.mark.parametrize("seed", [7])
def test_webhook_campaign(seed):
    """Each message to a living endpoint is taken under one id; doubles only where the server broke off."""
    shares = Shares(transient=0.3, permanent=0.05, hang=0.03, cut=0.05)
    with HttpServer(shares=shares, seed=seed) as server:
        messages = [
            Message(id=f"MP-{n}-p1", recipient=server.url(f"/hook/{n}"), data=b'{"n":%d}' % n, secrets=(SECRET,))
            for n in range(MESSAGES)
        ]
        courier = Webhook(WebhookParams(allow=("127.0.0.1",), timeout="150ms"))
        courier.open()
        told = campaign(courier, messages)
        courier.close()

    gone = {message.id for message in messages if told[message.id][-1] == "gone"}
    assert gone == {request.id for request in server.requests if request.status == 410}
    taken = Counter((request.id, request.path, request.body) for request in server.accepted)
    assert set(taken) == {(m.id, f"/hook/{m.id.split('-')[1]}", m.data) for m in messages if m.id not in gone}
    cuts = Counter(request.id for request in server.requests if request.status == 0)
    assert cuts
    assert {identifier: number - 1 for (identifier, *_), number in taken.items() if number > 1} == dict(cuts)
