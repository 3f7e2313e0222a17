"""The tests that a configuration holds (``tests:``): feed items in memory, compare what arrives where."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config.model import ConfigTest, Settings
from ..errors import CleanbotsError, ConfigError, shorten
from ..harmonization import harmonise
from ..plugins import Registry
from ..report import Report
from .bench import Item, Queued, fields_of
from .graph import GraphResult, run_graph


@dataclass(frozen=True)
class Outcome:
    """What came of one test.

    Args:
        test: the test.
        differences: one sentence for each expectation that was not met; none if it passed.
    """

    test: ConfigTest
    differences: list[str]

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.differences


def run_tests(settings: Settings, registry: Registry, tests: Sequence[ConfigTest]) -> Iterator[Outcome]:
    """Run the tests of a configuration one after the other; each begins with nothing remembered."""
    for test in tests:
        try:
            feed = {
                bot: [_item(item, Path(settings.base)) for item in _listed(items)] for bot, items in test.feed.items()
            }
            result = run_graph(settings, registry, feed)
        except CleanbotsError as error:
            yield Outcome(test, [str(error)])
        else:
            yield Outcome(test, list(_differences(test.expect, result)))


def _item(item: Any, base: Path) -> Item:
    """Read what a test writes: a payload, ``{file: PATH}`` for the payload in a file, or the fields of an event."""
    if isinstance(item, Mapping) and set(item) == {"file"}:
        path = base / item["file"]
        try:
            return Report(str(path), path.read_bytes(), name=path.name)
        except OSError as error:
            raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    if isinstance(item, (str, Mapping)):
        return item
    raise ConfigError(f"{shorten(item)} is no item; write a payload as text, 'file: PATH', or the fields of an event")


def _listed(items: Any) -> list[Any]:
    return items if isinstance(items, list) else [items]


def _differences(expect: Mapping[str, Any], result: GraphResult) -> Iterator[str]:
    for bot, wanted in expect.items():
        arrived = result.arrived.get(bot)
        if arrived is None:
            yield f"{bot}: no such bot; the graph has {', '.join(result.arrived)}"
        elif isinstance(wanted, int):
            if len(arrived) != wanted:
                yield f"{bot}: expected {_items(wanted)}, {len(arrived)} arrived{_whereabouts(result)}"
        else:
            yield from _unlike(bot, _listed(wanted), arrived, result)


def _unlike(bot: str, wanted: list[Any], arrived: list[Queued], result: GraphResult) -> Iterator[str]:
    if len(wanted) != len(arrived):
        yield f"{bot}: expected {_items(len(wanted))}, {len(arrived)} arrived{_whereabouts(result)}"
    for number, (partial, item) in enumerate(zip(wanted, arrived, strict=False), 1):
        fields = fields_of(item)
        for field, value in partial.items():
            if value is None:
                if field in fields:
                    yield f"{bot}: item {number}: {field}: expected none, got {shorten(fields[field])}"
            elif fields.get(field) != (canonical := harmonise(field, value)):
                got = shorten(fields[field]) if field in fields else "none"
                yield f"{bot}: item {number}: {field}: expected {shorten(canonical)}, got {got}"


def _whereabouts(result: GraphResult) -> str:
    """Tell where items went instead: which bots dropped or failed any, and why."""
    parts = [
        f"{bot} dropped {number} ({reason})"
        for bot, reasons in result.dropped.items()
        for reason, number in reasons.items()
    ]
    parts += [f"{bot} failed {len(failed)}, the first with: {failed[0].error}" for bot, failed in result.failed.items()]
    return f"; {'; '.join(parts)}" if parts else ""


def _items(number: int) -> str:
    return "1 item" if number == 1 else f"{number} items"
