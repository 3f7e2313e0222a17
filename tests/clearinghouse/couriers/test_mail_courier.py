"""The mail courier against real SMTP servers on the loopback interface."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import CUT, HANG, SmtpServer

from bots.outputs._envelope import envelope
from bots.outputs.mail import Mail, MailParams
from cleanbots.context import Context
from cleanbots.errors import CleanbotsError, Retry
from cleanbots.message import Message

BODY = b"Subject: six new\r\nMessage-ID: <mp-1.p1@hub.example.net>\r\n\r\nhello\r\n.dot\r\n..\r\nend\r\n"
SENDER = "bounces+mp-20261120-0042.1.0a1b2c3d@hub.example.net"


def message(recipient: str = "abuse@member.example", data: bytes = BODY, number: int = 1) -> Message:
    return Message(id=f"mp-{number}.p1@hub.example.net", recipient=recipient, sender=SENDER, data=data)


def login(password: str) -> dict[str, str]:
    return {"user": "hub", "password": password}


Make = Callable[..., Mail]


@pytest.fixture
def courier() -> Iterator[Make]:
    """Make couriers to a server; they are closed when the test is over."""
    made: list[Mail] = []

    def make(server: SmtpServer | None = None, **params: object) -> Mail:
        where = {"host": server.host, "port": server.port} if server is not None else {}
        mail = Mail(msgspec.convert({"timeout": "5s", **where, **params}, MailParams), Context(bot="mail"))
        mail.open()
        made.append(mail)
        return mail

    yield make
    for mail in made:
        mail.close()


def test_bytes_arrive_as_they_were(courier):
    """The server gets exactly the stored bytes, for one recipient, under the mail's own envelope sender."""
    with SmtpServer() as server:
        outcome = courier(server).give(message())

    assert (outcome.verdict, outcome.code) == ("accepted", 250)
    assert "queued as 1" in outcome.answer
    (mail,) = server.accepted
    assert (mail.data, mail.sender, mail.recipient) == (BODY, SENDER, "abuse@member.example")
    assert f"SIZE={len(BODY)}" in mail.options


def test_one_connection_carries_many_mails(courier):
    """Mails go over one connection until its number is reached; then a new one is made."""
    with SmtpServer() as server:
        mail = courier(server, mails_per_connection=3)
        outcomes = [mail.give(message(f"a{number}@member.example")) for number in range(7)]

    assert [outcome.verdict for outcome in outcomes] == ["accepted"] * 7
    assert [mail.connection for mail in server.accepted] == [1, 1, 1, 2, 2, 2, 3]
    assert server.commands.count("quit") == 2


@pytest.mark.parametrize(
    ("phase", "reply", "verdict", "code"),
    [
        ("rcpt", "550 5.1.1 no such mailbox", "refused", 550),
        ("rcpt", "553 not here", "refused", 553),
        ("rcpt", "450 4.2.0 greylisted", "later", 450),
        ("rcpt", "451 4.3.0 busy", "later", 451),
        ("rcpt", "452 4.2.2 full", "later", 452),
        ("rcpt", "530 5.7.0 log in first", "later", 530),
        ("mail", "550 5.7.1 not with this sender", "later", 550),
        ("mail", "552 5.3.4 too big", "refused", 552),
        ("mail", "451 4.7.1 slow down", "later", 451),
        ("data", "554 5.7.1 no", "refused", 554),
        ("data", "451 not now", "later", 451),
        ("end", "554 5.7.1 looks like spam", "refused", 554),
        ("end", "552 5.3.4 too large", "refused", 552),
        ("end", "451 4.3.0 disk full", "later", 451),
        ("end", "421 4.3.2 shutting down", "later", 421),
        ("mail", "421 4.7.0 too many mails", "later", 421),
        ("rcpt", "421 4.7.0 too many mails", "later", 421),
        ("connect", "554 5.7.1 not you", "later", 0),
        ("connect", "421 4.3.2 overloaded", "later", 0),
    ],
)
def test_replies_become_outcomes(courier, phase, reply, verdict, code):
    """5xx about a recipient or a mail refuses it; 4xx, and 5xx about us, are for later; the words are kept."""
    with SmtpServer(script={phase: [reply]}) as server:
        mail = courier(server)
        outcome = mail.give(message())
        again = mail.give(message())

    assert (outcome.verdict, outcome.code) == (verdict, code)
    assert reply.partition(" ")[2].split()[-1] in outcome.answer
    assert again.verdict == "accepted"
    assert len(server.accepted) == 1


def test_one_refusal_harms_no_other(courier):
    """Of three recipients on one connection one is refused, one put off, one served."""
    with SmtpServer(script={"rcpt": ["550 no", "451 later", ""]}) as server:
        mail = courier(server)
        outcomes = [mail.give(message(f"{name}@member.example")) for name in "abc"]

    assert [outcome.verdict for outcome in outcomes] == ["refused", "later", "accepted"]
    assert [mail.recipient for mail in server.accepted] == ["c@member.example"]
    assert server.connections == 1


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data", "end"])
def test_a_server_that_hangs_is_left(courier, phase):
    """Whatever the server doesn't answer, the attempt ends in time, and the next one gets a new connection."""
    with SmtpServer(script={phase: [HANG]}) as server:
        mail = courier(server, timeout="200ms")
        outcome = mail.give(message())
        again = mail.give(message())

    assert (outcome.verdict, outcome.code) == ("later", 0)
    assert "no answer within 0.2 s" in outcome.answer
    assert again.verdict == "accepted"
    assert server.connections == 2


def test_a_connection_cut_after_the_message_leaves_doubt(courier):
    """If nobody knows whether a mail was taken it is for later, and the repeat has the same bytes and Message-ID."""
    with SmtpServer(script={"end": [CUT]}) as server:
        mail = courier(server)
        first, second = mail.give(message()), mail.give(message())

    assert (first.verdict, second.verdict) == ("later", "accepted")
    assert "whether it was taken is not known" in first.answer
    assert len({(mail.id, mail.data) for mail in server.accepted}) == 1
    assert [mail.told for mail in server.accepted] == [False, True]


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data"])
def test_a_connection_cut_before_leaves_none(courier, phase):
    """A connection that breaks before the message's end is for later, without doubt."""
    with SmtpServer(script={phase: [CUT]}) as server:
        outcome = courier(server).give(message())

    assert outcome.verdict == "later"
    assert "not known" not in outcome.answer
    assert not server.accepted


def test_a_connection_that_was_closed_meanwhile_is_replaced(courier):
    """A server may close a quiet connection; the next mail is given over a new one."""
    with SmtpServer(script={"rset": ["421 idle for too long"]}) as server:
        mail = courier(server)
        outcomes = [mail.give(message()).verdict for _ in range(2)]

    assert outcomes == ["accepted", "accepted"]
    assert server.connections == 2


def test_nobody_listens(courier):
    """A relay that is away is for later, with its name in the sentence."""
    with SmtpServer() as server:
        port = server.port
    outcome = courier(None, host="127.0.0.1", port=port).give(message())

    assert outcome.verdict == "later"
    assert f"127.0.0.1 port {port}" in outcome.answer


def test_starttls_and_log_in(courier, authority):
    """With STARTTLS the log-in and the mail go over TLS, verified for the relay's name."""
    with SmtpServer(starttls=authority.tls(), users={"hub": "swordfish"}) as server:
        mail = courier(server, host="localhost", tls="starttls", ca=str(authority.ca), **login("swordfish"))
        outcome = mail.give(message())

    assert outcome.verdict == "accepted"
    verbs = [command.partition(" ")[0].upper() for command in server.commands]
    assert verbs[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


def test_implicit_tls(courier, authority):
    """With implicit TLS everything is protected from the first byte."""
    with SmtpServer(tls=authority.tls()) as server:
        outcome = courier(server, host="localhost", tls="implicit", ca=str(authority.ca)).give(message())

    assert outcome.verdict == "accepted"


@pytest.mark.parametrize(
    ("script", "offered", "words"),
    [
        ({}, False, "STARTTLS"),
        ({"starttls": ["454 4.7.0 not now"]}, True, "454"),
        ({}, True, "certificate is not trusted"),
    ],
)
def test_no_tls_no_mail(courier, authority, script, offered, words):
    """If TLS can't be had, or the certificate isn't trusted, nothing is sent in clear text."""
    with SmtpServer(script=script, starttls=authority.tls() if offered else None) as server:
        outcome = courier(server, tls="starttls").give(message())

    assert outcome.verdict == "later"
    assert words in outcome.answer
    assert "without which nothing is sent" in outcome.answer
    assert not [command for command in server.commands if command.startswith(("MAIL", "AUTH"))]


def test_a_wrong_password_is_told_to_the_operator(courier):
    """A failed log-in is for later and says what to check, not what the password was."""
    with SmtpServer(users={"hub": "swordfish"}) as server:
        outcome = courier(server, **login("tuna-fish")).give(message())

    assert outcome.verdict == "later"
    assert "check user and password" in outcome.answer
    assert "535" in outcome.answer
    assert "tuna" not in outcome.answer


def test_what_a_server_can_not_do_is_refused_before_it_is_sent(courier):
    """A mail that is too large, 8-bit or internationalised for the server is refused with the reason."""
    with SmtpServer(extensions=("SIZE 200",)) as server:
        mail = courier(server)
        large = mail.give(message(data=BODY + b"x" * 200 + b"\r\n"))
        eight_bit = mail.give(message(data=BODY + "é\r\n".encode()))
        header = mail.give(message(data="X: é\r\n\r\n".encode()))
        address = mail.give(message("misbruik-é@member.example"))
        fine = mail.give(message())

    assert [o.verdict for o in (large, eight_bit, header, address, fine)] == ["refused"] * 4 + ["accepted"]
    assert (large.code, "200 at most" in large.answer) == (552, True)
    assert "8BITMIME" in eight_bit.answer
    assert "SMTPUTF8" in header.answer
    assert "SMTPUTF8" in address.answer


def test_extensions_are_asked_for(courier):
    """8-bit mails and international addresses say so in MAIL; an international domain alone needs nothing."""
    with SmtpServer() as server:
        mail = courier(server)
        mail.give(message(data=BODY + "é\r\n".encode()))
        mail.give(message("misbruik-é@member.example"))
        mail.give(message("abuse@bücher.example"))

    eight_bit, address, domain = server.accepted
    assert "BODY=8BITMIME" in eight_bit.options
    assert "SMTPUTF8" in address.options
    assert address.recipient == "misbruik-é@member.example"
    assert "SMTPUTF8" not in domain.options
    assert domain.recipient == "abuse@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "recipient",
    [
        "",
        "abuse",
        "a@b@member.example",
        "a@member.example,b@evil.example",
        "a@member.example>\r\nRCPT TO:<b@evil.example",
        "a@member.example b@evil.example",
        "<a@member.example>",
        '"a b"@member.example',
        "a@[192.0.2.1]",
        "alice@example.org)bob@evil.example",
        "a\x00b@member.example",
        "a\u2028b@member.example",
        "a\ud800@member.example",
        "a@-member.example",
        "@member.example",
        "a@" + "x" * 300,
    ],
)
def test_what_is_no_address_is_refused_unasked(courier, recipient):
    """A recipient that is not one plain address is refused before a server hears of it."""
    with SmtpServer() as server:
        outcome = courier(server).give(message(recipient))

    assert outcome.verdict == "refused"
    assert "recipient" in outcome.answer
    assert server.connections == 0


@given(st.text(alphabet="ab@.\r\n\0<> ,;\u2028é", max_size=20), st.text(alphabet="ab.\r\n\0<>@ ", max_size=20))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_out_of_its_command(recipient, sender):
    """Whatever stands for an address, either it is refused, or it fits between two angle brackets on one line."""
    try:
        made = envelope(Message(id="x", recipient=recipient, sender=sender, data=BODY))
    except ValueError:
        return
    for address in (made.recipient, made.sender):
        assert re.search(r"[<>\s\x00]", address) is None


@given(st.binary(max_size=80).map(lambda data: data.replace(b"\n", b"\r\n.")))
@settings(max_examples=300, deadline=None)
def test_no_body_ends_the_message_early(data):
    """A body either goes between DATA and the lone dot, with that dot as the only one, or is refused."""
    try:
        dotted = envelope(Message(id="x", recipient="a@member.example", data=data)).dotted
    except ValueError:
        assert re.search(rb"(?<!\r)\n|\r(?!\n)|\x00", data)
        return
    assert (b"\r\n" + dotted).find(b"\r\n.\r\n") == len(dotted) - 3
    restored = re.sub(rb"(?m)^\.\.", b".", dotted[:-3])
    assert restored in (data, data + b"\r\n")


@pytest.mark.parametrize("greeting", ["HTTP/1.1 200 OK", "220-" + "x" * 100_000, "\x00\x01", "999999"])
def test_answers_that_are_none_end_the_conversation(courier, greeting):
    """Endless, binary or foreign answers are for later."""
    with SmtpServer(script={"connect": [greeting]}) as server:
        outcome = courier(server).give(message())

    assert outcome.verdict == "later"
    assert len(outcome.answer) < 500


def test_a_reply_that_never_ends_is_cut(courier):
    """Continuation lines without end cost neither memory nor time."""
    with SmtpServer(script={"rcpt": ["\r\n".join(["250-more"] * 100_000)]}) as server:
        outcome = courier(server).give(message())

    assert outcome.verdict == "later"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"transport": "maildir"}, "needs its folder"),
        ({"user": "hub"}, "both or neither"),
        ({"host": "mx.example.net", "tls": "none", "user": "hub", "password": "x"}, "never sent in clear text"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(params, words):
    """What doesn't fit together is said when the configuration is checked."""
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(params, MailParams)


@pytest.mark.parametrize(
    ("params", "protection"),
    [
        ({}, "none"),
        ({"host": "127.0.0.1"}, "none"),
        ({"host": "mx.example.net"}, "starttls"),
        ({"tls": "implicit"}, "implicit"),
    ],
)
def test_tls_is_the_default_beyond_this_machine(params, protection):
    """A relay elsewhere must offer STARTTLS unless something else is written down."""
    assert msgspec.convert(params, MailParams).protection == protection


def test_probe(courier, tmp_path):
    """A probe connects, logs in and leaves; what fails is one sentence."""
    with SmtpServer(users={"hub": "swordfish"}) as server:
        courier(server, **login("swordfish")).probe()
        with pytest.raises(Retry, match="check user and password"):
            courier(server, **login("wrong")).probe()
    courier(None, transport="maildir", path=str(tmp_path / "mail")).probe()

    assert not server.accepted
    assert server.commands.count("quit") == 1


def test_a_missing_file_of_certificates_is_said(tmp_path):
    """A wrong 'ca' is told when the courier starts."""
    mail = Mail(MailParams(ca=str(tmp_path / "none.pem")))

    with pytest.raises(CleanbotsError, match=r"none\.pem"):
        mail.open()


def test_a_maildir_gets_whole_files_once(courier, tmp_path):
    """Each message is one file in 'new' with exactly its bytes; a repeat adds none, also after a reader moved it."""
    mail = courier(None, transport="maildir", path=str(tmp_path / "mail"))
    given = [mail.give(m).verdict for m in (message(), message(), message("noc@member.example"), message(number=2))]
    files = sorted((tmp_path / "mail" / "new").iterdir())
    moved = files[0]
    moved.rename(tmp_path / "mail" / "cur" / f"{moved.name}:2,S")
    again = [mail.give(m).verdict for m in (message(), message("noc@member.example"), message(number=2))]

    assert given + again == ["accepted"] * 7
    assert len(files) == 3
    assert {file.read_bytes() for file in (tmp_path / "mail" / "cur").iterdir()} == {BODY}
    assert len(list((tmp_path / "mail" / "new").iterdir())) == 2
    assert list((tmp_path / "mail" / "tmp").iterdir()) == []


def test_a_maildir_that_can_not_be_written_is_for_later(courier, tmp_path):
    """A full or broken disk refuses nobody for good."""
    mail = courier(None, transport="maildir", path=str(tmp_path / "mail"))
    (tmp_path / "mail" / "tmp").rmdir()

    outcome = mail.give(message())

    assert outcome.verdict == "later"
    assert "can't be written" in outcome.answer


def test_maildir_below_the_configuration(tmp_path):
    """A relative path starts at the configuration's folder."""
    mail = Mail(MailParams(transport="maildir", path="out"), Context(base=Path(tmp_path)))
    mail.open()
    mail.give(message())

    assert len(list((tmp_path / "out" / "new").iterdir())) == 1
