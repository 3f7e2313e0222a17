"""What an address of a queue server says, and which mistakes in one are told."""

import pytest

from cleanbots.broker.address import Address, parse, without_password

PW = "pw"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/q.sock?db=2", Address("socket", path="/run/q.sock", database=2)),
        ("unix://me:pw%40@/run/q.sock", Address("socket", path="/run/q.sock", user="me", password=PW + "@")),
        ("redis://q.example.net", Address("server", (("q.example.net", 6379),))),
        ("redis://:pw@[2001:db8::1]:6380/3", Address("server", (("2001:db8::1", 6380),), database=3, password=PW)),
        (
            "rediss://q.example.net?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false",
            Address(
                "server",
                (("q.example.net", 6379),),
                tls=True,
                tls_options={"ssl_ca_certs": "/etc/ca.pem", "ssl_check_hostname": False},
            ),
        ),
        (
            "redis+sentinel://me:pw@a,[2001:db8::2],c:7/main/1?sentinel_password=pw%26",
            Address(
                "sentinel",
                (("a", 26379), ("2001:db8::2", 26379), ("c", 7)),
                primary="main",
                database=1,
                user="me",
                password=PW,
                sentinel_password=PW + "&",
            ),
        ),
        ("rediss+cluster://a:7001,b", Address("cluster", (("a", 7001), ("b", 6379)), tls=True)),
    ],
)
def test_an_address_says_where_and_as_whom(text, address):
    """Hosts, database, user, password, TLS; what is percent-encoded is decoded."""
    assert parse(text) == address
    assert address.fails_over is ("+" in text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("queue.example.net", "no address"),
        ("http://queue.example.net", "unknown kind of address 'http'"),
        ("redis://", "can't be read"),
        ("redis://a:notaport", "can't be read"),
        ("redis://a,b", "several hosts: write redis\\+sentinel"),
        ("redis://a/main", "a number is expected"),
        ("redis://a?ssl_ca_certs=x", "unknown option 'ssl_ca_certs'"),
        ("rediss://a?ssl_cert_reqs=none", "unknown option 'ssl_cert_reqs'"),
        ("rediss://a?ssl_check_hostname=no", "true or false"),
        ("redis+sentinel://a,b", "the name of the primary is missing"),
        ("redis+cluster://a/1", "one database only"),
        ("unix://run/q.sock", "begins with a slash"),
    ],
)
def test_a_mistake_is_told_without_the_address(text, reason):
    """Each mistake has its sentence; the address may be a secret, so no sentence repeats it."""
    with pytest.raises(ValueError, match=reason) as caught:
        parse(text.replace("://", "://me:geheim@") if "://" in text else text)
    assert "geheim" not in str(caught.value)


def test_an_address_is_shown_without_its_secrets():
    """Neither user, password nor options are shown, whatever the hosts look like."""
    text = "redis+sentinel://me:pw@[2001:db8::1]:7,b/main?sentinel_password=s"
    assert without_password(text) == "redis+sentinel://[2001:db8::1]:7,b/main"
    assert "pw" not in repr(parse(text))
