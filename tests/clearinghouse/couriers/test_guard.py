"""The guard: no spelling, redirect or change of a name's addresses leads to an address that is denied."""

import socket
import sys
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import HttpServer, Reply

from cleanbots.errors import CleanbotsError, Retry
from cleanbots.services.guard import Denied, Guard, GuardedSession, why_denied

_connects: list[object] = []
_watching = False


def _watch(event: str, args: tuple[object, ...]) -> None:
    if _watching and event == "socket.connect":
        _connects.append(args[1])


sys.addaudithook(_watch)


@pytest.fixture
def connects() -> Iterator[list[object]]:
    """The addresses that this process connects to during the test, as the interpreter sees them."""
    global _watching  # noqa: PLW0603  # an audit hook can't be taken back
    _connects.clear()
    _watching = True
    yield _connects
    _watching = False


@pytest.fixture
def listeners() -> Iterator[tuple[HttpServer, ...]]:
    """Servers on the denied addresses of this machine, v4 and v6."""
    with HttpServer() as v4, HttpServer(host="::1") as v6:
        yield v4, v6


LITERALS = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::7f00:1]",
    "[64:ff9b:1::a00:1]",
    "[100::1]",
    "[2001::1]",
    "[2001:0:7f00:1::]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[2001:db8::1]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[3fff::1]",
    "[4000::1]",
    "[5f00::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
]

SPELLINGS = [
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "127.0.0.01",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "\uff11\uff12\uff17.0.0.1",
    "127.0.0.1.0x0",
    "0",
    "4294967295",
    "localhost",
    "localhost.",
    "LOCALHOST",
]

TRICKS = [
    "https://hooks.example.net@127.0.0.1/",
    "https://user:password@hooks.example.net/",
    "https://127.0.0.1\\@hooks.example.net/",
    "https://127.0.0.1#@hooks.example.net/",
    "https://hooks.example.net#@127.0.0.1/",
    "https://hooks.example.net/#fragment",
    "https://1.0x7f/",
    "https://00127.0.0.1/",
    "https:/\\127.0.0.1/",
    "https:///127.0.0.1/",
    "https:127.0.0.1",
    "//127.0.0.1/",
    "https://[::1",
    "https://::1/",
    "https://[::1%25lo]/",
    "https://[::1%lo]/",
    "https://[v1.x]/",
    "https://127.0.0.1%2f.hooks.example.net/",
    "https://127.0.0.1%00.hooks.example.net/",
    "https://127.0.0.1\t/",
    " https://127.0.0.1/",
    "https://127.0.0.1/\r\nHost: hooks.example.net",
    "https://127.0.0.1 .hooks.example.net/",
    "https://127.0.0.1:443:443/",
    "https://127.0.0.1:+443/",
    "https://127.0.0.1:0/",
    "https://127.0.0.1:99999/",
    "https:///",
    "https://",
    "",
    "http://hooks.example.net/",
    "https://hooks.example.net:22/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:25/_HELO",
    "ftp://127.0.0.1/",
    "javascript:alert(1)",
    "https://ho\N{SOFT HYPHEN}oks..example.net/",
    "https://hooks.example.net/" + "x" * 4096,
]


def names(*answers: Sequence[str]) -> Guard:
    """Make a guard whose resolver gives these answers in turn, the last one for ever."""
    remaining = list(answers)

    def resolver(host: str, port: int) -> Sequence[str]:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return Guard(resolver=resolver)


@pytest.mark.parametrize("host", LITERALS + SPELLINGS)
def test_no_spelling_of_a_denied_address_is_connected_to(host, listeners, connects):
    """However an address is written, in a URL or where connections are made, nothing is connected to."""
    for server in listeners:
        guard = Guard(ports=[server.port])
        session = GuardedSession(guard, deadline=5)
        with pytest.raises(Denied):
            session.request("POST", f"https://{host}:{server.port}/x", headers={}, body=b"{}")
        with pytest.raises((Denied, Retry)):
            guard.connect("https", host.strip("[]"), server.port, 1.0)
        session.close()

    assert [server.connections for server in listeners] == [0, 0]
    assert connects == []


@pytest.mark.parametrize("url", TRICKS)
def test_no_trick_of_a_url_gets_through(url, listeners, connects):
    """What is no plain https URL is refused before a name is asked for."""
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    session = GuardedSession(Guard(resolver=resolver), deadline=5)
    with pytest.raises(Denied) as refusal:
        session.request("POST", url, headers={}, body=b"{}")

    assert connects == []
    assert asked == []
    assert "password" not in str(refusal.value)


@pytest.mark.parametrize("denied", LITERALS)
def test_a_name_with_any_denied_address_is_refused(denied, connects):
    """One denied address among a name's answers, in any place, refuses the name."""
    address = denied.strip("[]")
    for answers in ([address], [address, "9.9.9.9"], ["9.9.9.9", address], ["2620:fe::fe", "9.9.9.9", address]):
        with pytest.raises(Denied, match=r"hooks\.example\.net"):
            names(answers).connect("https", "hooks.example.net", 443, 1.0)

    assert connects == []


def test_more_than_sixty_forms_are_tried():
    """The matrix is as large as it should be."""
    assert len(set(LITERALS + SPELLINGS + TRICKS)) >= 110


@pytest.mark.parametrize(
    "address", ["9.9.9.9", "1.1.1.1", "2620:fe::fe", "2a00::1", "64:ff9b::9.9.9.9", "::ffff:9.9.9.9"]
)
def test_public_addresses_are_not_denied(address):
    """The public Internet is allowed, also through NAT64."""
    assert not why_denied(ip_address(address))


@given(st.integers(0, 2**32 - 1))
def test_a_mapped_address_is_judged_as_what_it_leads_to(number):
    """IPv4 in IPv6, mapped or by NAT64, is denied if and only if the IPv4 address is."""
    plain = ip_address(number)
    mapped = [ip_address(f"::ffff:{plain}"), ip_address(f"64:ff9b::{plain}")]

    assert {bool(why_denied(address)) for address in mapped} == {bool(why_denied(plain))}


def test_the_checked_address_is_the_connected_one():
    """A name is resolved once for each connection: what a later answer says doesn't matter to it."""
    with HttpServer(host="127.0.0.2") as wanted, HttpServer() as denied:
        answers = iter([["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"]])
        guard = Guard(["127.0.0.2"], resolver=lambda host, port: next(answers))
        session = GuardedSession(guard, deadline=5)
        url = f"http://hooks.example.net:{wanted.port}/"
        kept = [session.request("POST", url, headers={}, body=b"{}").status for _ in range(2)]
        session.close()
        for port in (wanted.port, denied.port):
            with pytest.raises(Denied, match=r"127\.0\.0\.1"):
                session.request("POST", f"http://hooks.example.net:{port}/", headers={}, body=b"{}")
        session.close()

    assert kept == [200, 200]
    assert wanted.connections == 1
    assert denied.connections == 0
    assert wanted.requests[0].headers["host"] == f"hooks.example.net:{wanted.port}"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
@pytest.mark.parametrize(
    "place", ["http://127.0.0.1:{port}/", "https://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "/again"]
)
def test_no_redirect_is_followed(status, place):
    """Whatever a server names as a better place, nobody goes there."""
    with HttpServer() as other:
        where = place.format(port=other.port)
        headers = {"Location": where, "Refresh": f"0; url={where}", "Alt-Svc": f'h2="127.0.0.1:{other.port}"'}
        with HttpServer(script=[Reply(status, headers)], host="127.0.0.2") as server:
            session = GuardedSession(Guard(["127.0.0.2"]), deadline=5)
            answer = session.request("POST", server.url(), headers={}, body=b"{}")
            session.close()

    assert answer.status == status
    assert len(server.requests) == 1
    assert other.connections == 0


def test_no_proxy_is_used(monkeypatch):
    """Proxies of the environment, which would connect for us, are ignored."""
    with HttpServer(host="127.0.0.2") as server, HttpServer() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        session = GuardedSession(Guard(["127.0.0.2"]), deadline=5)
        assert session.request("POST", server.url(), headers={}, body=b"{}").status == 200
        session.close()

    assert proxy.connections == 0


@pytest.mark.parametrize(
    ("allow", "url", "allowed"),
    [
        (["127.0.0.0/8"], "http://127.0.0.1:{port}/", True),
        (["127.0.0.1"], "http://127.0.0.1:{port}/", True),
        (["127.0.0.1"], "http://[::ffff:127.0.0.1]:{port}/", True),
        (["127.0.0.1"], "http://hooks.example.net:{port}/", True),
        (["hooks.example.net:{port}"], "http://hooks.example.net:{port}/", False),
        (["hooks.example.net"], "http://hooks.example.net:{port}/", False),
        (["127.0.0.2"], "http://127.0.0.1:{port}/", False),
        (["127.0.0.2"], "http://hooks.example.net:{port}/", False),
        (["10.0.0.0/8"], "http://hooks.example.net:{port}/", False),
    ],
)
def test_only_a_listed_network_opens_a_denied_address(allow, url, allowed):
    """Networks open addresses; names never do, as others answer for them."""
    with HttpServer() as server:
        guard = Guard([entry.format(port=server.port) for entry in allow], resolver=lambda host, port: ["127.0.0.1"])
        session = GuardedSession(guard, deadline=5)
        if allowed:
            assert session.request("GET", url.format(port=server.port), headers={}).status == 200
        else:
            with pytest.raises(Denied):
                session.request("GET", url.format(port=server.port), headers={})
        session.close()

    assert server.connections == allowed


@pytest.mark.parametrize(
    ("allow", "scheme", "host", "port", "allowed"),
    [
        ([], "https", "hooks.example.net", 443, True),
        ([], "https", "hooks.example.net", 8443, True),
        ([], "https", "hooks.example.net", 80, False),
        ([], "http", "hooks.example.net", 443, False),
        (["hooks.example.net:9443"], "https", "hooks.example.net", 9443, True),
        (["hooks.example.net:9443"], "http", "hooks.example.net", 9443, True),
        (["hooks.example.net:9443"], "https", "hooks.example.net", 9444, False),
        (["HOOKS.example.net."], "http", "hooks.example.net", 80, True),
        (["bücher.example"], "http", "xn--bcher-kva.example", 80, True),
        (["other.example.net"], "https", "hooks.example.net", 9443, False),
        (["10.0.0.0/8"], "https", "hooks.example.net", 9443, False),
    ],
)
def test_names_open_ports_and_http(allow, scheme, host, port, allowed):
    """Only https to 443 and 8443 is sent to, but for the listed names and their ports."""
    guard = Guard(allow, resolver=lambda host, port: ["9.9.9.9"])
    if allowed:
        assert guard.addresses(scheme, host, port) == [ip_address("9.9.9.9")]
    else:
        with pytest.raises(Denied, match=r"only https|port"):
            guard.addresses(scheme, host, port)


@pytest.mark.parametrize(
    "entry", ["", "10.0.0.1/8", "a b", "hooks.example.net:0", "hooks.example.net:x", "https://x.example"]
)
def test_a_list_says_what_it_does_not_understand(entry):
    """An entry that is neither network nor name is an error, not a silent hole."""
    with pytest.raises(ValueError, match="allow"):
        Guard([entry])


def test_a_certificate_is_verified_for_the_name(authority):
    """TLS is done for the name of the URL, though the connection goes to a checked address."""
    with HttpServer(tls=authority.tls()) as server:
        guard = Guard(["127.0.0.1"], resolver=lambda host, port: ["127.0.0.1"])
        session = GuardedSession(guard, ca=str(authority.ca), deadline=5)
        assert session.request("GET", server.url(host="hooks.example.net"), headers={}).status == 200
        session.probe(server.url(host="hooks.example.net"))
        for ask in (session.probe, lambda url: session.request("GET", url, headers={})):
            with pytest.raises(Retry, match="certificate is not trusted"):
                ask(server.url(host="other.example.net"))
        session.close()
        strange = GuardedSession(guard, deadline=5)
        with pytest.raises(Retry, match="certificate is not trusted"):
            strange.request("GET", server.url(host="hooks.example.net"), headers={})
        strange.close()

    assert len(server.requests) == 1


def test_a_resolver_has_its_deadline():
    """A name that isn't resolved in time is for later; one that doesn't exist too, and other faults are told."""
    import threading

    never = threading.Event()
    hanging = Guard(resolver=lambda host, port: [str(never.wait(30))], resolving=0.05)
    with pytest.raises(Retry, match="not resolved within"):
        hanging.addresses("https", "hooks.example.net", 443)
    never.set()

    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(Retry, match="can't be resolved"):
        Guard(resolver=unknown).addresses("https", "hooks.example.net", 443)
    with pytest.raises(Retry, match="no address"):
        Guard(resolver=lambda host, port: []).addresses("https", "hooks.example.net", 443)


def test_files_of_certificates_are_looked_at(tmp_path):
    """Certificates that can't be read are told with the file's name."""
    (tmp_path / "broken.pem").write_text("no certificate")
    for name in ("none.pem", "broken.pem"):
        with pytest.raises(CleanbotsError, match=name):
            GuardedSession(Guard(), ca=str(tmp_path / name)).open()
