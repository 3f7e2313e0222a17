"""Sets of networks: is an address in one of them?"""

from collections.abc import Iterable
from ipaddress import ip_network
from socket import AF_INET, AF_INET6, inet_pton


class NetworkSet:
    """Tells whether an address lies in one of some networks; time grows with the prefix lengths in use, not with them.

    Args:
        networks: prefixes or single addresses as text.

    Raises:
        ValueError: if a text is no network, or has host bits.
    """

    __slots__ = ("_v4", "_v6")

    def __init__(self, networks: Iterable[str]) -> None:
        prefixes: dict[tuple[int, int], set[int]] = {}
        for text in networks:
            network = ip_network(text)
            shift = network.max_prefixlen - network.prefixlen
            prefixes.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)
        self._v4 = [(shift, frozenset(found)) for (version, shift), found in prefixes.items() if version == 4]
        self._v6 = [(shift, frozenset(found)) for (version, shift), found in prefixes.items() if version == 6]

    def __contains__(self, address: object) -> bool:
        """Tell whether *address* (text) lies in one of the networks; what is no address lies in none."""
        if not isinstance(address, str):
            return False
        family, prefixes = (AF_INET6, self._v6) if ":" in address else (AF_INET, self._v4)
        try:
            number = int.from_bytes(inet_pton(family, address), "big")
        except (OSError, ValueError):
            return False
        for shift, found in prefixes:  # noqa: SIM110  # a generator would double the time
            if number >> shift in found:
                return True
        return False
