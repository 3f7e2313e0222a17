"""Made-up reports for the demo, the benchmarks and the big tests: the same seed gives the same bytes.

Addresses, AS numbers and names are those reserved for documentation (RFC 3849, 5398, 5737, 2606).
"""

import argparse
import csv
import io
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

COLUMNS = [
    "timestamp",
    "severity",
    "ip",
    "protocol",
    "port",
    "hostname",
    "tag",
    "asn",
    "geo",
    "region",
    "city",
    "naics",
    "hostname_source",
    "sector",
    "version",
    "os",
    "architecture",
    "uptime",
    "connected_clients",
]
"""The columns of our ``scan_redis`` reports, in the order of a report's header."""

_PLACES = (
    ("NL", "NOORD-HOLLAND", "AMSTERDAM"),
    ("NL", "UTRECHT", "UTRECHT"),
    ("NL", "GRONINGEN", "GRONINGEN"),
    ("BE", "ANTWERPEN", "ANTWERPEN"),
    ("DE", "HESSEN", "FRANKFURT AM MAIN"),
)
_SECTORS = ("", "Communications, Service Provider, and Hosting Service", "Education Services", "Retail Trade")
_TAGS = ("redis", "redis", "redis;iot", "redis;cve-2022-0543", "redis;cve-2025-49844;cve-2022-0543")
_VERSIONS = ("5.0.7", "6.0.16", "6.2.14", "7.0.15", "7.2.4", "8.0.1")
_SYSTEMS = ("Linux 5.15.0-91-generic x86_64", "Linux 6.1.0-18-amd64 x86_64", "FreeBSD 14.0-RELEASE amd64")
_SEVERITIES = ("high", "high", "high", "critical", "medium", "")
_PREFIXES = ("192.0.2.", "198.51.100.", "203.0.113.")


class Sample(NamedTuple):
    """What a sample holds.

    Args:
        rows: all rows below the header.
        broken: those that no parser can use.
        duplicates: those that repeat a row above, byte for byte.
    """

    rows: int
    broken: int
    duplicates: int


def shadowserver_csv(
    path: Path,
    rows: int,
    seed: int = 1,
    *,
    newlines: float = 0.0,
    broken: float = 0.0,
    duplicates: float = 0.0,
    day: str = "2026-11-20",
    wide: bool = False,
) -> Sample:
    """Write a report in the style of Shadowserver's ``scan_redis``, with 19 columns.

    Args:
        path: the file; name it ``<day>-scan_redis-<anything>.csv``.
        rows: how many rows below the header.
        seed: same seed, same bytes.
        newlines: share of the rows that have a quoted newline in a column.
        broken: share of the rows that are broken, in five ways by turns.
        duplicates: share of the rows that repeat the last good row.
        day: the day of the timestamps, as ``YYYY-MM-DD``.
        wide: take the addresses from the 131 072 of RFC 2544 instead of the 762 of RFC 5737.

    Returns:
        what was written, counted.
    """
    random = Random(seed)
    breaks = repeats = 0
    address = _wide_address if wide else _address
    last = ""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(f'"{name}"' for name in COLUMNS) + "\n")
        for number in range(rows):
            chance = random.random()
            if chance < broken:
                file.write(_line(_BREAKS[breaks % len(_BREAKS)](_row(random, day, number, address))))
                breaks += 1
                continue
            if chance < broken + duplicates and last:
                repeats += 1
            else:
                last = _line(_row(random, day, number, address, newline=chance > 1.0 - newlines))
            file.write(last)
    return Sample(rows, breaks, repeats)


def report(folder: Path, rows: int) -> Path:
    """Write the report of the speed figures into *folder* and give its path."""
    path = folder / "2026-11-20-scan_redis-bench.csv"
    shadowserver_csv(path, rows, wide=True)
    return path


def blocklist_csv(path: Path, rows: int = 60, seed: int = 1) -> Sample:
    """Write a plain list (``seen,address,port,kind,note``), seven of whose rows are broken, each in its own way."""
    random = Random(seed)
    breaks = dict(zip(sorted(random.sample(range(rows), len(_LIST_BREAKS))), _LIST_BREAKS, strict=True))
    with path.open("wb") as file:
        file.write(b"seen,address,port,kind,note\n")
        for number in range(rows):
            row = [
                f"2026-11-20T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z",
                random.choice(_PREFIXES) + str(random.randrange(1, 255)),
                random.choice(("22", "23", "445", "3389")),
                random.choice(("brute-force", "scanner", "infected-system")),
                random.choice(("", "seen by sensor-7", '"several ports, one after another"')),
            ]
            line = breaks[number](row) if number in breaks else ",".join(row)
            file.write(line.encode("utf-8", "surrogateescape") + b"\n")
    return Sample(rows, len(breaks), 0)


def networks(path: Path, seed: int = 1) -> None:
    """Write where the wide addresses are and who announces them: 512 networks, as `build_tables` reads them."""
    random = Random(seed)
    lines = []
    for number in range(512):
        country, _, city = random.choice(_PLACES)
        place = f"{country}  {city.title()}  {random.uniform(50, 54):.2f}  {random.uniform(3, 9):.2f}"
        lines.append(
            f"198.{18 + number // 256}.{number % 256}.0/24  {place}  AS{random.randrange(64_496, 64_512)}  EXAMPLE-{number}"
        )
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _address(random: Random) -> tuple[str, int]:
    """Give an address for documentation, and the number of its host."""
    host = random.randrange(1, 255)
    return f"{random.choice(_PREFIXES)}{host}", host


def _wide_address(random: Random) -> tuple[str, int]:
    """Give an address for benchmarks (RFC 2544), and the number of its host."""
    host = random.randrange(1 << 17)
    return f"198.{18 + (host >> 16)}.{host >> 8 & 255}.{host & 255}", host


def _row(
    random: Random, day: str, number: int, place: Callable[[Random], tuple[str, int]], *, newline: bool = False
) -> list[str]:
    second = number * 7 % 86_400
    country, region, city = random.choice(_PLACES)
    address, host = place(random)
    version = random.choice(_VERSIONS)
    return [
        f"{day} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}",
        random.choice(_SEVERITIES),
        address,
        "tcp",
        "6379" if random.random() < 0.95 else str(random.randrange(1024, 65_536)),
        f"host{host}.example.net" if random.random() < 0.6 else "",
        random.choice(_TAGS),
        str(random.randrange(64_496, 64_512)),
        country,
        region,
        city,
        random.choice(("0", "517311", "518210")),
        random.choice(("", "ptr")),
        random.choice(_SECTORS),
        f"{version}\nstandalone" if newline else version,
        random.choice(_SYSTEMS),
        random.choice(("64", "64", "32", "")),
        str(random.randrange(1, 10_000_000)),
        str(random.randrange(0, 500)),
    ]


def _line(row: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(row)
    return out.getvalue()


def _set(index: int, value: str) -> Callable[[list[str]], list[str]]:
    return lambda row: [*row[:index], value, *row[index + 1 :]]


_BREAKS: tuple[Callable[[list[str]], list[str]], ...] = (
    _set(0, "yesterday"),
    _set(2, "192.0.2.256"),
    _set(2, ""),
    lambda row: row[:11],
    lambda row: [*row, "one too many"],
)

_LIST_BREAKS: tuple[Callable[[list[str]], str], ...] = (
    lambda row: ",".join(_set(0, "20-11-2026 25:61")(row)),
    lambda row: ",".join(_set(1, "192.0.2.999")(row)),
    lambda row: ",".join(_set(1, "")(row)),
    lambda row: ",".join(_set(1, "198.51.100.0/24")(row)),
    lambda row: ",".join(row[:2]),
    lambda row: ",".join([*row, "surplus"]),
    lambda row: ",".join(_set(4, "caf\udce9")(row)),
)


def main() -> None:
    """Write a sample from the command line."""
    parser = argparse.ArgumentParser(description="Write a made-up Shadowserver report of 19 columns.")
    parser.add_argument("path", type=Path, help="the file, named <day>-scan_redis-<anything>.csv")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"{given.path}: {shadowserver_csv(given.path, given.rows, given.seed)}")


if __name__ == "__main__":
    main()
