"""The compiled claims at scale: whatever address is looked up, exactly the claims around it are found."""

from collections import defaultdict
from ipaddress import ip_network

from benchmarks.tables import addresses, claims
from cleanbots.clearinghouse.members.addresses import V4, V6, WIDTH
from cleanbots.clearinghouse.members.check import check
from cleanbots.clearinghouse.members.table import CLAIM, Table, write


def naive(folder):
    """Read the lists again, with nothing but the standard library: family, length, prefix to the members that list it."""
    found = defaultdict(set)
    for file in folder.glob("list*.txt"):
        pair = int(file.stem.removeprefix("list"))
        for line in file.read_text().split():
            network = ip_network(line)
            key = network.version, network.prefixlen, int(network.network_address)
            found[key] |= {f"m{2 * pair}", f"m{2 * pair + 1}"}
    return found


def around(table, family, number):
    """Look up: length of each prefix around an address to the members that claim it."""
    branch, found = table.branches[family], defaultdict(set)
    for node in branch.up(branch.find(number)):
        for row in branch.rows(node):
            if table.kind[row] == CLAIM:
                found[branch.lengths[node]].add(table.side.members[table.member[row]].id)
    return found


def test_look_ups_agree_with_a_naive_reference(tmp_path, long_form):
    """Every address is in exactly those prefixes, of exactly those members, that the lists say."""
    file = claims(tmp_path, *((1_000_000, 1_000) if long_form else (2_000, 20)))
    write(tmp_path / "claims.table", check(file).require())
    table, known = Table.open(tmp_path / "claims.table"), naive(tmp_path)

    for family in (V4, V6):
        lengths = {length for version, length, _ in known if version == family}
        for number in addresses(table, family, 50_000 if long_form else 1_000):
            hosts = {length: WIDTH[family] - length for length in lengths}
            expected = {
                length: members
                for length, host in hosts.items()
                if (members := known.get((family, length, number >> host << host)))
            }
            assert around(table, family, number) == expected
