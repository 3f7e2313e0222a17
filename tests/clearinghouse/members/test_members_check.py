"""What the check of members.yaml finds: every mistake at once, each with its place and a hint."""

from pathlib import Path

import pytest
from members_world import member, write_members

from cleanbots.clearinghouse.members import Registry, check
from cleanbots.errors import ConfigError

EXAMPLE = Path(__file__).parents[3] / "config" / "examples" / "members.yaml"
DESK = [{"id": "desk", "mail": "abuse@a.example"}]


def mistakes(folder, *members, **more) -> list[str]:
    """Give what the check finds, places left out."""
    found = check(write_members(folder / "members.yaml", members, **more)).findings
    return [finding.text for finding in found]


def told(folder, delivery, **more) -> list[str]:
    """Give what the check finds about one delivery of a member with a contact 'desk'."""
    return mistakes(folder, member("a", contacts=DESK, deliveries=[{"id": "d", "to": ["desk"], **delivery}], **more))


def test_example_is_fine():
    """The example that ships has no mistakes."""
    assert check(EXAMPLE).findings == []


def test_every_mistake_at_once_with_its_place(tmp_path):
    """Mistakes of form and of meaning are found in one run, each with file, line and column."""
    file = tmp_path / "members.yaml"
    file.write_text(
        "members:\n"
        "  - id: a\n"
        "    name: A\n"
        "    stat: live\n"
        "  - id: b\n"
        "    name: B\n"
        "    resources: {networks: [{prefix: 198.51.100.1/24}]}\n"
        "    contacts: [{id: desk, mail: 'b@b.example, c@c.example'}]\n"
    )

    found = check(file).findings

    assert [(finding.line, finding.column) for finding in found] == [(4, 5), (7, 37), (8, 33)]
    assert [finding.hint for finding in found] == [
        "did you mean 'state'?",
        "write 198.51.100.0/24",
        "write one address: name@example.org",
    ]


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ({"prefix": "198.32.0.0/11"}, "wider than /12"),
        ({"prefix": "2a00::/23"}, "wider than /24"),
        ({"prefix": "10.1.0.0/16"}, "private (RFC 1918)"),
        ({"prefix": "100.64.0.0/24"}, "RFC 6598"),
        ({"prefix": "fe80::/64"}, "not global unicast"),
        ({"prefix": "2002:c633:6400::/48"}, "6to4"),
        ({"prefix": "::ffff:198.51.100.0/120"}, "not global unicast"),
        ({"prefix": "0.0.0.0/0", "wide": True}, "RFC 791"),
        ({"prefix": "198.51.100.0/33"}, "must be from 0 to 32"),
        ({"prefix": "198.51.100.0/24", "since": "2026-02-30"}, "2026-02-30"),
        ({"prefix": "198.51.100.0/24", "since": "2026-03-01", "until": "2026-03-01"}, "ends on 2026-03-01"),
        ({"prefix": "198.51.100.0/24", "relay_only": True}, "no relay"),
        ({"prefix": "198.51.100.0/24", "shared_with": ["b"]}, "no other member 'b'"),
        ({}, "either 'prefix' or 'list'"),
    ],
)
def test_claims_that_nobody_can_hold(tmp_path, network, expected):
    """Wide and special-purpose networks, impossible days and unknown partners are refused."""
    (found,) = mistakes(tmp_path, member("a", network))

    assert expected in found


def test_wide_claim_can_be_meant(tmp_path):
    """'wide: true' lets a wide network pass."""
    assert mistakes(tmp_path, member("a", {"prefix": "198.32.0.0/11", "wide": True})) == []


@pytest.mark.parametrize("number", [23456, 64512, 65535, 4200000000])
def test_reserved_systems(tmp_path, number):
    """Reserved AS numbers can't be claimed."""
    (found,) = mistakes(tmp_path, member("a", asns=[number]))

    assert f"AS{number} is" in found


@pytest.mark.parametrize("name", ["com", "co.uk", "github.io"])
def test_public_suffixes(tmp_path, name):
    """A public suffix can't be claimed."""
    (found,) = mistakes(tmp_path, member("a", domains=[name]))

    assert "public suffix" in found or "single label" in found


@pytest.mark.parametrize(
    ("one", "two", "number"),
    [
        ({"prefix": "198.51.100.0/24"}, {"prefix": "198.51.100.0/24"}, 1),
        ({"prefix": "198.51.100.0/24", "until": "2026-07-01"}, {"prefix": "198.51.100.0/24", "since": "2026-07-01"}, 0),
        ({"prefix": "198.51.100.0/24", "until": "2026-07-02"}, {"prefix": "198.51.100.0/24", "since": "2026-07-01"}, 1),
        ({"prefix": "198.51.100.0/24", "shared_with": ["b"]}, {"prefix": "198.51.100.0/24"}, 1),
        (
            {"prefix": "198.51.100.0/24", "shared_with": ["b"]},
            {"prefix": "198.51.100.0/24", "shared_with": ["a"]},
            0,
        ),
        ({"prefix": "198.51.100.0/24"}, {"prefix": "198.51.100.0/25"}, 0),
    ],
)
def test_equal_claims(tmp_path, one, two, number):
    """The same claimed by two at the same time is a mistake, unless both say so; the hint names both places."""
    found = check(write_members(tmp_path / "members.yaml", [member("a", one), member("b", two)])).findings

    assert len(found) == number
    assert all("'a'" in each.text and "members.yaml:" in each.text for each in found)


def test_equal_names_and_systems(tmp_path):
    """Equal claims of AS numbers and domains are mistakes, too; a relay may claim what its holder claims."""
    same = {"asns": [64500], "domains": ["example.org"]}

    assert len(mistakes(tmp_path, member("a", **same), member("b", **same))) == 2
    assert mistakes(tmp_path, member("a", **same), member("r", **same, kind="relay")) == []


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        ({"to": ["dask"]}, "no contact 'dask'"),
        ({"to": []}, "nobody is told"),
        ({"fallback": ["boss"]}, "no contact 'boss'"),
        ({"except": ["d"]}, "no other delivery 'd'"),
        ({"calendar": "holidays"}, "no calendar 'holidays'"),
        ({"format": ["cvs"]}, "no format 'cvs'"),
        ({"channel": "fax"}, "no channel 'fax'"),
        ({"filter": "severty == 'high'"}, "severty"),
        ({"when": "daily 24:00"}, "no schedule"),
        ({"when": "cron 61 * * * *"}, "no schedule"),
        ({"timezone": "Europe/Amsterdm"}, "no time zone"),
        ({"repeat": {"vulnerability": "7d"}}, "no taxonomy 'vulnerability'"),
        ({"url": "https://a.example/"}, "only a webhook"),
        ({"channel": "webhook", "secrets": ["${env:A}"]}, "'url' is missing"),
        ({"channel": "webhook", "url": "https://a.example/"}, "'secrets' is missing"),
        ({"channel": "webhook", "url": "http://a.example/", "secrets": ["${env:A}"]}, "not encrypted"),
        ({"channel": "webhook", "url": "https://u:p@a.example/", "secrets": ["${env:A}"]}, "user or password"),
        ({"channel": "webhook", "url": "https://a.example/", "secrets": ["hunter2"]}, "a secret in plain text"),
        (
            {"channel": "webhook", "url": "https://a.example/", "secrets": ["${env:A}"], "events": ["finding.now"]},
            "no event 'finding.now'",
        ),
    ],
)
def test_deliveries(tmp_path, delivery, expected):
    """Whatever a delivery names must exist, and what a channel needs must be there."""
    (found,) = told(tmp_path, delivery)

    assert expected in found
    assert "hunter2" not in found


BAD_ADDRESSES = [
    "", "a", "a@", "@a.example", "a@b", "a@localhost", "a@mail.local", "a@[192.0.2.1]", "a@192.0.2.1",
    "a@a.example, b@b.example", "a@a.example;b@b.example", "a@a.example b@b.example", "A <a@a.example>",
    "a@a.example)b@b.example", "a(comment)@a.example", '"a b"@a.example', '"a"@a.example', "a@b@a.example",
    "a..b@a.example", ".a@a.example", "a.@a.example", "a@a..example", "a@.a.example", "a@a.example.",
    "a@a.example\n", "a@a.example\r\nBcc: b@b.example", "a\n@a.example", "a@a.example\x00", "a@a.example\u2028",
    "é@a.example", "a@-a.example", "a" * 65 + "@a.example", "a@" + "b" * 64 + ".example", "a@" + "b." * 130 + "example",
    "a\t@a.example", "a @a.example", " a@a.example", "a@a.example ", "a@a .example", "a@*.example", "a%b@@a.example",
]  # fmt: skip


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_addresses_are_strict(tmp_path, address):
    """One plain address, or none: lists, names, comments, quotes, literals, line ends and blanks are refused."""
    contact = {"id": "desk", "mail": address}

    assert len(mistakes(tmp_path, member("a", contacts=[contact]))) == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("Abuse+x@A.Example", "Abuse+x@a.example"),
        ("o'neil@bücher.example", "o'neil@xn--bcher-kva.example"),
    ],
)
def test_addresses_that_are_fine(tmp_path, address, expected):
    """The local part is kept as it is; the domain becomes lower case and A-labels."""
    file = write_members(tmp_path / "members.yaml", [member("a", contacts=[{"id": "desk", "mail": address}])])

    assert Registry.load(file).members["a"].contacts["desk"].mail == expected


def test_defaults_reach_each_delivery(tmp_path):
    """What defaults, member and delivery say is merged, the nearest wins; spans and sizes become numbers."""
    entry = member(
        "a",
        contacts=DESK,
        language="en",
        repeat={"fraud": "2d"},
        deliveries=[
            {"id": "one", "to": ["desk"], "limits": {"mails_per_day": 2}},
            {"id": "two", "to": ["desk", {"mail": "x@x.example"}], "language": "nl+en", "when": "immediately"},
        ],
    )
    defaults = {"max_age": "24h", "repeat": {"other": "3d"}, "limits": {"attachment": "1MiB", "mails_per_day": 9}}
    calendars = {"c": {"closed": ["2026-12-25"]}}
    entry["deliveries"][0]["calendar"] = "c"
    file = write_members(tmp_path / "members.yaml", [entry], defaults=defaults, calendars=calendars)

    made = Registry.load(file).members["a"]

    one, two = made.deliveries["one"], made.deliveries["two"]
    assert (one.language, one.max_age, one.mails_per_day, one.attachment) == ("en", 86400.0, 2, 2**20)
    assert one.repeat == {"vulnerable": 7 * 86400.0, "other": 3 * 86400.0, "fraud": 2 * 86400.0}
    assert (one.closed, two.closed) == (("2026-12-25",), ())
    assert (two.language, two.mails_per_day, two.group) == ("nl+en", 9, 900.0)
    assert [made.contacts[name].mail for name in two.to] == ["abuse@a.example", "x@x.example"]


@pytest.mark.parametrize(
    ("customer", "expected"),
    [
        ({"ref": "k", "prefix": "203.0.113.0/28"}, "lies in none"),
        ({"ref": "k", "prefix": "198.51.100.0/28", "share": "both"}, "nobody to tell"),
        ({"ref": "k", "prefix": "198.51.100.0/28", "share": "both", "contact": "k.example"}, "no mail address"),
    ],
)
def test_customers(tmp_path, customer, expected):
    """A customer's block lies within its member's, and who is to be told has an address."""
    found = mistakes(tmp_path, member("a", "198.51.100.0/24", customers=[customer]))

    assert any(expected in each for each in found)


def test_ids_are_unique(tmp_path):
    """Two members with one id are a mistake, and so are two contacts or deliveries of one."""
    entry = member("a", contacts=[*DESK, *DESK], deliveries=[{"id": "d", "to": ["desk"]}] * 2)

    assert sum("given twice" in each for each in mistakes(tmp_path, entry, member("a"))) == 3


def test_list_of_networks(tmp_path):
    """Many networks stand in a text file, one a line; each line is a place of its own."""
    (tmp_path / "a.txt").write_text("# ours\n198.51.100.0/25\n\n198.51.100.128/25  # new\n")
    known = Registry.load(write_members(tmp_path / "members.yaml", [member("a", {"list": "a.txt"})]))

    (match,) = known.match({"source.ip": "198.51.100.200"}).matches

    assert (match.value, match.place) == ("198.51.100.128/25", f"{tmp_path / 'a.txt'}:4")


def test_mistakes_in_a_list(tmp_path):
    """A bad line of a list is found by file and line; the good ones don't hide it."""
    (tmp_path / "a.txt").write_text("198.51.100.0/25\n198.51.101.0/23\n10.0.0.0/24\nx\n")

    found = check(write_members(tmp_path / "members.yaml", [member("a", {"list": "a.txt"})])).findings

    assert [(Path(each.file).name, each.line) for each in found] == [("a.txt", 2), ("a.txt", 3), ("a.txt", 4)]


def test_included_members(tmp_path):
    """Members may stand in several files; each keeps its own places."""
    (tmp_path / "more").mkdir()
    write_members(tmp_path / "more" / "b.yaml", [member("b", "198.51.100.0/24")])
    known = Registry.load(write_members(tmp_path / "members.yaml", [member("a")], include="more/*.yaml"))

    assert set(known.members) == {"a", "b"}
    assert known.members["b"].place.startswith(str(tmp_path / "more" / "b.yaml"))


def test_missing_file_says_so(tmp_path):
    """Without a file there is one clear sentence."""
    with pytest.raises(ConfigError, match=r"members\.yaml:1:1: can't be read"):
        Registry.load(tmp_path / "members.yaml")


def test_warnings(tmp_path):
    """A live member whose deliveries leave something out, and one that lies wholly within another, are warned about."""
    deliver = {"contacts": DESK, "deliveries": [{"id": "d", "to": ["desk"], "filter": "severity == 'high'"}]}
    file = write_members(
        tmp_path / "members.yaml",
        [member("c", "198.51.100.0/24"), member("p", "198.51.100.0/25", state="live", **deliver)],
    )

    found = [each.text for each in check(file, warn=True).warnings]

    assert len(found) == 2
    assert any("no delivery of 'p' takes anything of severity critical, medium" in each for each in found)
    assert any("all networks of 'p' lie within those of 'c'" in each for each in found)
