"""``python -m benchmarks.rules``: what an event costs in a filter of up to a thousand rules with five clauses each.

Rules and events are made up by seed; an event meets one rule at most. Compared are the index of `cleanbots.expression.Rules`
and the rules one after another.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.figures import Figure, markdown, save
from cleanbots.expression import Rules, compile_expression

Fields = dict[str, Any]

_TYPES = ("vulnerable-system", "infected-system", "ddos-amplifier", "brute-force", "phishing", "c2-server")
_SEVERITIES = ("info", "low", "medium", "high", "critical")
_COUNTRIES = ("NL", "BE", "DE", "FR")
_FEEDS = ("scan_redis", "scan_dns", "event4_sinkhole", "scan_rdp")


def rules(count: int, seed: int = 1) -> list[str]:
    """Give expressions of five clauses; each asks for a system, a network, a name or a customer of its own."""
    random = Random(seed)
    return [_rule(random, number) for number in range(count)]


def _rule(random: Random, number: int) -> str:
    mark = random.choice(("high", "critical", "medium"))
    alike = [
        f'severity >= "{mark}"',
        f'source.geolocation.cc in ["{random.choice(_COUNTRIES)}", "NL"]',
        f'classification.type != "{random.choice(_TYPES)}"',
        f'feed.code == "{random.choice(_FEEDS)}"',
    ]
    own = (
        f"source.asn == {64512 + number}",
        f"source.ip in {_network(number)}",
        f'source.fqdn == "host{number}.example.net"',
        f"extra.customer in [{number}, {1_000_000 + number}]",
    )[number % 4]
    alike.insert(random.randrange(5), own)
    return " and ".join(alike)


def events(count: int, of: int, seed: int = 2) -> Iterator[Fields]:
    """Give events, three of four of which are about what one of *of* rules asks for."""
    random = Random(seed)
    for _ in range(count):
        number = random.randrange(of * 4 // 3)
        event: Fields = {
            "severity": random.choice(_SEVERITIES),
            "source.geolocation.cc": random.choice(_COUNTRIES),
            "classification.type": random.choice(_TYPES),
            "feed.code": random.choice(_FEEDS),
            "source.asn": 64512 + number if number % 4 == 0 else 64496,
            "source.ip": _address(number, random) if number % 4 == 1 else "192.0.2.1",
        }
        if number % 4 == 2:
            event["source.fqdn"] = f"host{number}.example.net"
        if number % 4 == 3:
            event["extra.customer"] = number
        yield event


def _network(number: int) -> str:
    return f"2001:db8:{number:x}::/48"


def _address(number: int, random: Random) -> str:
    return f"2001:db8:{number:x}::{random.randrange(1, 0xFFFF):x}"


def one_after_another(texts: Sequence[str]) -> Callable[[Fields], int | None]:
    """Give what evaluates the rules in their order, as the index is to be compared with."""
    conditions = [compile_expression(text) for text in texts]

    def first(fields: Fields) -> int | None:
        for number, met in enumerate(conditions):
            if met(fields):
                return number
        return None

    return first


def measure(count: int, of: int) -> Iterator[Figure]:
    """Give the microseconds of CPU that an event takes."""
    texts, sample = rules(of), list(events(count, of))
    started = time.process_time()
    indexed = Rules(texts)
    yield Figure(f"{of} rules: compiled", "ms", [(time.process_time() - started) * 1e3])
    yield Figure(f"{of} rules: an event", "µs", [_cost(indexed.first, sample)], "≤ 20")
    few = sample[: max(1, count * 10 // of)]
    yield Figure(f"{of} rules: an event, one rule after another", "µs", [_cost(one_after_another(texts), few)])


def _cost(first: Callable[[Fields], int | None], sample: Sequence[Fields]) -> float:
    times = []
    for _ in range(3):
        started = time.process_time()
        for fields in sample:
            first(fields)
        times.append(time.process_time() - started)
    return min(times) / len(sample) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rules", type=int, nargs="*", default=[1, 10, 100, 1_000])
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    figures = [figure for of in args.rules for figure in measure(args.events, of)]
    print(markdown("Rules at scale", figures))
    if args.json is not None:
        save(args.json, "Rules at scale", figures)


if __name__ == "__main__":
    main()
