"""Sets of networks, and what is known by network: which of them is an address in?"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from socket import AF_INET, AF_INET6, inet_pton
from typing import Generic, TypeVar

T = TypeVar("T")


class NetworkMap(Generic[T]):
    """What is known of networks; time grows with the prefix lengths in use, not with the networks.

    Args:
        known: networks (prefixes or single addresses as text), each with what is known of it.

    Raises:
        ValueError: if a text is no network, or has host bits.
    """

    __slots__ = ("_v4", "_v6")

    def __init__(self, known: Iterable[tuple[str, T]]) -> None:
        prefixes: dict[tuple[int, int], dict[int, T]] = {}
        for text, value in known:
            network = ip_network(text)
            shift = network.max_prefixlen - network.prefixlen
            prefixes.setdefault((network.version, shift), {})[int(network.network_address) >> shift] = value
        self._v4 = [(shift, found) for (version, shift), found in prefixes.items() if version == 4]
        self._v6 = [(shift, found) for (version, shift), found in prefixes.items() if version == 6]

    def find(self, address: object) -> Iterator[T]:
        """Give what is known of the networks that *address* (text) lies in; what is no address lies in none."""
        if isinstance(address, str):
            number, prefixes = self._place(address)
            for shift, found in prefixes:
                if (value := found.get(number >> shift)) is not None:
                    yield value

    def __contains__(self, address: object) -> bool:
        """Tell whether *address* (text) lies in one of the networks."""
        if not isinstance(address, str):
            return False
        number, prefixes = self._place(address)
        for shift, found in prefixes:  # noqa: SIM110  # a generator would double the time
            if number >> shift in found:
                return True
        return False

    def _place(self, address: str) -> tuple[int, list[tuple[int, dict[int, T]]]]:
        family, prefixes = (AF_INET6, self._v6) if ":" in address else (AF_INET, self._v4)
        try:
            return int.from_bytes(inet_pton(family, address), "big"), prefixes
        except (OSError, ValueError):
            return 0, []


class NetworkSet(NetworkMap[bool]):
    """Tells whether an address lies in one of some networks.

    Args:
        networks: prefixes or single addresses as text.

    Raises:
        ValueError: if a text is no network, or has host bits.
    """

    __slots__ = ()

    def __init__(self, networks: Iterable[str]) -> None:
        super().__init__((text, True) for text in networks)
