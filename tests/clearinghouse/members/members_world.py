"""What the tests of the members share: registries made of mappings, and a naive reference for matching."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import orjson

from cleanbots.clearinghouse.members import Registry

SILENT = {"left", "invited"}
NETWORKS_GUARDED = [ip_network(text) for text in ("10.0.0.0/8", "127.0.0.0/8", "192.168.0.0/16", "::/3", "8000::/1")]


def member(name: str, *networks: Any, **more: Any) -> dict[str, Any]:
    """Give a member's entry; a network may be a text or a mapping."""
    asns, domains = more.pop("asns", []), more.pop("domains", [])
    exclude = more.pop("exclude", [])
    return {
        "id": name,
        "name": f"Member {name}",
        "resources": {
            "asns": [{"asn": each} if isinstance(each, int) else each for each in asns],
            "networks": [{"prefix": each} if isinstance(each, str) else each for each in networks],
            "domains": [{"suffix": each} if isinstance(each, str) else each for each in domains],
            "exclude": [{"prefix": each} for each in exclude],
        },
        **more,
    }


def write_members(path: Path, members: Iterable[Mapping[str, Any]], **more: Any) -> Path:
    """Write a file of members; JSON is YAML."""
    path.write_bytes(orjson.dumps({"members": list(members), **more}, option=orjson.OPT_INDENT_2))
    return path


def registry(folder: Path, *members: Mapping[str, Any], **more: Any) -> Registry:
    """Compile members."""
    return Registry.load(write_members(folder / "members.yaml", members, **more))


def roles(matches: Iterable[Any], axis: str = "network") -> dict[str, str]:
    """Give member to role on one axis."""
    return {match.member: match.role for match in matches if match.axis == axis}


@dataclass
class Reference:
    """What the rules say on the network axis, by looking at every claim of everybody."""

    members: list[dict[str, Any]]
    roles: dict[str, str] = field(default_factory=dict)

    def ask(self, subject: str, day: date, asns: Iterable[int] = (), *, strict: bool = False) -> dict[str, str]:
        """Give member to role for an address or a network seen on *day*; an AS number or two may be known."""
        self.roles = {}
        where = ip_network(subject)
        if where.version == 6 and (mapped := where.network_address.ipv4_mapped):
            where = ip_network(f"{mapped}/{where.prefixlen - 96}")
        if any(where.subnet_of(each) for each in NETWORKS_GUARDED if each.version == where.version):
            return {}
        around = self._claims(where, day, around=True)
        within = [] if where.prefixlen == where.max_prefixlen else self._claims(where, day, around=False)
        named = [self._systems(number, day) for number in dict.fromkeys(asns)]
        contradictory = len(named) == 2 and set(named[0]) != set(named[1])
        systems = [] if contradictory else [each for group in named for each in group]
        held = [each for each in (*around, *within) if not self._relay(each[0])]
        if contradictory and not held:
            return {}
        self._decide(where, around, within, systems, held=bool(held))
        return {name: role for name, role in self.roles.items() if not strict or role == "act"}

    def _decide(self, where: Any, around: list[Any], within: list[Any], systems: list[str], *, held: bool) -> None:
        def excluded(name: str, place: Any) -> bool:
            entry = next(each for each in self.members if each["id"] == name)
            nets = [ip_network(each["prefix"]) for each in entry["resources"]["exclude"]]
            return any(net.version == place.version and place.subnet_of(net) for net in nets)

        longest = max((net.prefixlen for name, net in around if not self._relay(name)), default=-1)
        actors = {name for name, net in around if net.prefixlen == longest and not self._relay(name)}
        if not held:
            actors = {name for name in systems if not self._relay(name)}
        muted = bool(actors) and all(excluded(name, where) for name in actors)
        everybody = [*(name for name, _ in around), *systems]
        for name in everybody:
            if muted or excluded(name, where):
                continue
            if self._relay(name):
                self.roles[name] = "relay"
            elif name in actors:
                self.roles[name] = "act"
            else:
                self.roles.setdefault(name, "inform")
        for name, net in within:
            if not excluded(name, net):
                self.roles[name] = "relay" if self._relay(name) else "act"

    def _claims(self, where: Any, day: date, *, around: bool) -> list[tuple[str, Any]]:
        found = []
        for entry in self.members:
            for claim in entry["resources"]["networks"]:
                net = ip_network(claim["prefix"])
                if net.version != where.version or entry.get("state") in SILENT or not holds(claim, day):
                    continue
                if where.subnet_of(net) if around else (net.subnet_of(where) and net != where):
                    found.append((entry["id"], net))
        return found

    def _systems(self, number: int, day: date) -> list[str]:
        return [
            entry["id"]
            for entry in self.members
            for claim in entry["resources"]["asns"]
            if claim["asn"] == number and entry.get("state") not in SILENT and holds(claim, day)
        ]

    def _relay(self, name: str) -> bool:
        return any(entry["id"] == name and entry.get("kind") == "relay" for entry in self.members)


def holds(claim: Mapping[str, Any], day: date) -> bool:
    """Tell whether a claim counts on a day."""
    since, until = claim.get("since"), claim.get("until")
    return (since is None or date.fromisoformat(since) <= day) and (until is None or day < date.fromisoformat(until))


def mapped(text: str) -> str:
    """Give an IPv4 address as IPv6."""
    return f"::ffff:{ip_address(text)}"
