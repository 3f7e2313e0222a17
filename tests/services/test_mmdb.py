"""Prefix tables that we write are read alike by the C reader, and corrupt input is named."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path

import maxminddb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanbots.services.mmdb import build_tables, encode, write_mmdb

BUILT = datetime(2026, 11, 20, tzinfo=UTC)
Network = IPv4Network | IPv6Network


def v4_networks() -> st.SearchStrategy[Network]:
    """Networks crowded into a few bits, so that many of them nest."""
    return st.builds(
        lambda bits, length: IPv4Network((bits << 24 & (0xFFFFFFFF << (32 - length)), length)),
        st.integers(0, 255),
        st.integers(0, 32),
    )


def v6_networks() -> st.SearchStrategy[Network]:
    """Networks below 2001:db8::/32 and /0 to /64, so that many of them nest."""
    return st.builds(
        lambda bits, length: IPv6Network(
            (
                (0x2001_0DB8 << 96 | bits << 56) & (2**128 - 1) << (128 - length) & (2**128 - 1),
                length,
            )
        ),
        st.integers(0, 255),
        st.integers(1, 95),
    )


@settings(max_examples=60, deadline=None)
@given(
    entries=st.lists(st.tuples(st.one_of(v4_networks(), v6_networks()), st.integers(0, 2**70)), max_size=40),
    v4=st.integers(0, 2**32 - 1).map(IPv4Address),
    v6=st.integers(0, 2**96 - 1).map(lambda low: IPv6Address(0x2001_0DB8 << 96 | low)),
)
def test_reader_finds_the_most_specific_prefix(entries, v4, v6, tmp_path_factory):
    """For every address the C reader gives the record of the longest prefix that holds it, the later of equal ones."""
    path = tmp_path_factory.mktemp("mmdb") / "table.mmdb"
    write_mmdb(path, ((str(network), record) for network, record in entries), database_type="test", built=BUILT)

    addresses = [v4, v6, *(network.network_address for network, _ in entries)]
    addresses += [network.broadcast_address for network, _ in entries]
    with maxminddb.open_database(path, maxminddb.MODE_MMAP_EXT) as reader:
        for address in addresses:
            if isinstance(address, IPv6Address) and address in IPv6Network("::/96"):
                continue  # IPv4's place in the format
            holding = [(n.prefixlen, i, r) for i, (n, r) in enumerate(entries) if address in n]
            assert reader.get(address) == (max(holding)[2] if holding else None)


def test_every_type_of_the_format_comes_back(tmp_path):
    """Maps, lists, texts of any length, numbers, floats and booleans are read as they were written."""
    record = {
        "map": {"a": 1, "b": {}},
        "list": [1, "two", 3.5, True, False, []],
        "texts": ["", "x" * 28, "x" * 29, "é" * 150, "x" * 300, "x" * 70000],
        "numbers": [0, 1, -1, -(2**31), 2**16, 2**32 - 1, 2**32, 2**64 - 1, 2**64, 2**128 - 1],
    }
    write_mmdb(tmp_path / "t.mmdb", [("192.0.2.0/24", record)], database_type="test", built=BUILT)

    with maxminddb.open_database(tmp_path / "t.mmdb", maxminddb.MODE_MMAP_EXT) as reader:
        assert reader.get("192.0.2.1") == record


def test_metadata_says_what_the_table_is(tmp_path):
    """Readers see type, time, IP version and description."""
    write_mmdb(tmp_path / "t.mmdb", [], database_type="cleanbots-ASN", built=BUILT, description="Who.")

    with maxminddb.open_database(tmp_path / "t.mmdb", maxminddb.MODE_MMAP_EXT) as reader:
        metadata = reader.metadata()
    assert metadata.database_type == "cleanbots-ASN"
    assert metadata.build_epoch == BUILT.timestamp()
    assert metadata.ip_version == 6
    assert metadata.description == {"en": "Who."}


def test_ipv6_default_route_does_not_cover_ipv4(tmp_path):
    """A record for ::/0 is no answer for an IPv4 address."""
    write_mmdb(tmp_path / "t.mmdb", [("::/0", "six")], database_type="test", built=BUILT)

    with maxminddb.open_database(tmp_path / "t.mmdb", maxminddb.MODE_MMAP_EXT) as reader:
        assert reader.get("2001:db8::1") == "six"
        assert reader.get("192.0.2.1") is None


@pytest.mark.parametrize("address", ["::ffff:192.0.2.1", "2002:c000:201::", "64:ff9b::192.0.2.1"])
def test_ipv4_inside_ipv6_finds_the_ipv4_record(tmp_path, address):
    """Mapped, 6to4 and NAT64 addresses are looked up as the IPv4 address they hold."""
    write_mmdb(tmp_path / "t.mmdb", [("192.0.2.0/24", "four")], database_type="test", built=BUILT)

    with maxminddb.open_database(tmp_path / "t.mmdb", maxminddb.MODE_MMAP_EXT) as reader:
        assert reader.get(address) == "four"


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("192.0.2.1/24", "host bits"),
        ("192.0.2.0/33", "0 to 32"),
        ("192.0.2", "no prefix"),
        ("example.net", "no prefix"),
        ("::1/128", "IPv4"),
    ],
)
def test_a_bad_prefix_is_named_and_nothing_is_written(tmp_path, prefix, reason):
    """A prefix that can't be stored is refused with its text; no file appears and none is left behind."""
    with pytest.raises(ValueError, match=reason) as caught:
        write_mmdb(tmp_path / "t.mmdb", [(prefix, 1)], database_type="test", built=BUILT)

    assert prefix in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_type_without_place_in_the_format_is_refused():
    """A record may not hold what the format has no type for."""
    with pytest.raises(TypeError, match="set"):
        encode({1, 2})


def test_demo_networks_make_two_tables(tmp_path):
    """The demo's text file gives a table of places and one of autonomous systems, over documentation space only."""
    source = Path(__file__).parents[2] / "config" / "demo" / "networks.txt"

    geo, asn = build_tables(source, tmp_path / "tables", BUILT)

    with maxminddb.open_database(geo, maxminddb.MODE_MMAP_EXT) as reader:
        assert reader.get("192.0.2.70")["city"]["names"]["en"] == "Amsterdam"
        assert reader.get("192.0.2.1")["country"]["iso_code"] == "NL"
        assert reader.get("2001:db8::1") == {"country": {"iso_code": "NL"}}
    documentation = [ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
    with maxminddb.open_database(asn, maxminddb.MODE_MMAP_EXT) as reader:
        assert reader.get("198.51.100.130")["autonomous_system_number"] == 64500
        for network, record in reader:
            if isinstance(network, IPv4Network) or network in documentation[3]:
                assert any(network.version == d.version and network.subnet_of(d) for d in documentation)
                assert 64496 <= record["autonomous_system_number"] <= 64511


def test_a_bad_line_is_named_by_file_and_line(tmp_path):
    """A line that doesn't fit is reported with where it stands."""
    text = tmp_path / "networks.txt"
    text.write_text("# head\n192.0.2.0/24  NL  Utrecht  52.09  5.12  AS64496  EXAMPLE\n192.0.2.0/24  NL\n")

    with pytest.raises(ValueError, match=r"networks\.txt:3: 2 columns instead of 7"):
        build_tables(text, tmp_path, BUILT)
