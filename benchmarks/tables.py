"""``python -m benchmarks.tables``: the members' claims at national scale: how they are compiled, mapped and looked up.

A million made-up prefixes, each claimed by two members that share it, and nested as registries hand them out; by seed.
Whole-sale carriers hold what their customers' prefixes lie in, so that most addresses lie in several claims.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from benchmarks.figures import Figure, markdown, save
from benchmarks.processes import pss_bytes
from cleanbots.clearinghouse.members.addresses import V4, V6, WIDTH
from cleanbots.clearinghouse.members.check import check
from cleanbots.clearinghouse.members.table import Table, write

PREFIXES = 1_000_000
MEMBERS = 1_000
V4_SHARE = 0.7
LOOKUPS = 100_000

_LENGTHS = {V4: (16, 24), V6: (32, 56)}
_SPACE = {V4: (0x1800_0000, 0x6300_0000), V6: (0x2A00_0000 << 96, 0x2A00_1000 << 96)}
"""From where to where the made-up prefixes lie."""
_MIB = 2**20


def claims(folder: Path, prefixes: int = PREFIXES, members: int = MEMBERS, seed: int = 1) -> Path:
    """Write ``members.yaml`` and lists of prefixes; each is claimed by two members that share it.

    Returns:
        the file of the members.
    """
    random = Random(seed)
    pairs = members // 2
    four = _prefixes(random, V4, round(prefixes * V4_SHARE))
    all_ = [*four, *_prefixes(random, V6, prefixes - len(four))]
    random.shuffle(all_)
    entries = []
    for pair in range(pairs):
        (folder / f"list{pair}.txt").write_text("\n".join(all_[pair::pairs]) + "\n")
        one, other = f"m{2 * pair}", f"m{2 * pair + 1}"
        entries += [_member(one, other, pair), _member(other, one, pair)]
    file = folder / "members.yaml"
    file.write_bytes(msgspec.json.encode({"members": entries}))
    return file


def addresses(table: Table, family: int, count: int = LOOKUPS, seed: int = 2) -> list[int]:
    """Give addresses as numbers: three of four are in a prefix that is claimed, the others anywhere."""
    random, branch = Random(seed), table.branches[family]
    found = []
    for number in range(count):
        block = branch.block(random.randrange(len(branch)))
        found.append(random.randrange(*_SPACE[family]) if number % 4 == 3 else random.randint(block.start, block.end))
    return found


def _prefixes(random: Random, family: int, count: int) -> list[str]:
    found: set[str] = set()
    width, (low, high) = WIDTH[family], _SPACE[family]
    while len(found) < count:
        length = random.randint(*_LENGTHS[family])
        host = width - length
        start = random.randrange(low, high) >> host << host
        found.add(f"{_text(start, family)}/{length}")
    return sorted(found)


def _text(number: int, family: int) -> str:
    kind = IPv4Network if family == V4 else IPv6Network
    return str(kind(number).network_address)


def _member(id_: str, partner: str, pair: int) -> dict[str, Any]:
    return {
        "id": id_,
        "name": id_,
        "state": "live",
        "resources": {"networks": [{"list": f"list{pair}.txt", "shared_with": [partner]}]},
        "contacts": [{"id": "abuse", "mail": f"abuse@{id_}.example.net"}],
        "deliveries": [{"id": "daily", "channel": "mail", "to": ["abuse"], "when": "daily 07:30"}],
    }


def build(file: Path, table: Path) -> tuple[float, float, float]:
    """Check and compile the members in *file*; give seconds by the clock, of CPU, and MiB at most."""
    started, cpu = time.perf_counter(), time.process_time()
    write(table, check(file).require())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.perf_counter() - started, time.process_time() - cpu, peak


def look_up(table: Table, numbers: Sequence[int], family: int) -> float:
    """Give the microseconds of CPU that a look-up takes: from an address, as a number, to its claims."""
    find, rows = table.branches[family].find, table.branches[family].rows

    def work() -> None:
        for number in numbers:
            rows(find(number))

    return _seconds(work) / len(numbers) * 1e6


def _seconds(work: Callable[[], None]) -> float:
    times = []
    for _ in range(5):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def _shared(table: Path) -> float:
    """Give the MiB, proportionally, that one of two processes uses which have the table mapped and in use."""
    context = get_context("spawn")
    ready, done = context.Semaphore(0), context.Semaphore(0)
    processes = [context.Process(target=_user, args=(table, ready, done)) for _ in range(2)]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    used = pss_bytes(process.pid for process in processes if process.pid is not None) / 2 / _MIB
    for process in processes:
        done.release()
        process.join()
    return used


def _user(path: Path, ready: Any, done: Any) -> None:
    table = Table.open(path)
    for family, branch in table.branches.items():
        for number in addresses(table, family, 20_000):
            branch.find(number)
    ready.release()
    done.acquire()


def measure(prefixes: int, members: int) -> Iterator[Figure]:
    """Build, map and look up."""
    with tempfile.TemporaryDirectory() as name:
        file, path = claims(Path(name), prefixes, members), Path(name) / "claims.table"
        with get_context("spawn").Pool(1) as pool:
            wall, cpu, peak = pool.apply(build, (file, path))
        yield Figure(f"{prefixes} prefixes, 2 members each: built", "s", [wall], "≤ 30")
        yield Figure("  of CPU", "s", [cpu])
        yield Figure("  peak memory", "MiB", [peak], "≤ 500")
        yield Figure("  size of the table", "MiB", [path.stat().st_size / _MIB])
        yield Figure("a process that uses it beside another one", "MiB", [_shared(path)])
        started = time.perf_counter()
        table = Table.open(path)
        yield Figure("taken into use", "ms", [(time.perf_counter() - started) * 1e3])
        for family in (V4, V6):
            numbers = addresses(table, family)
            yield Figure(f"look-up, IPv{family}", "µs", [look_up(table, numbers, family)], "≤ 3")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--prefixes", type=int, default=PREFIXES)
    parser.add_argument("--members", type=int, default=MEMBERS)
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    figures = list(measure(args.prefixes, args.members))
    print(markdown("Claims at national scale", figures))
    if args.json is not None:
        save(args.json, "Claims at national scale", figures)


if __name__ == "__main__":
    main()
