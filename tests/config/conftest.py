"""Bot classes and a registry of them for the tests of the configuration."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import field

from cleanbots import (
    BatchOutput,
    Chunk,
    Collector,
    Cut,
    Duration,
    Event,
    Expert,
    Meta,
    Outlet,
    Params,
    Parser,
    Port,
    Report,
    Router,
    Secret,
    Url,
)
from cleanbots.bot import Bot
from cleanbots.errors import PluginError


class FetchParams(Params):
    """Parameters of the collector."""

    url: Url
    port: Port = 443
    password: Secret | None = None
    headers: dict[str, Secret] = field(default_factory=dict)
    pause: Duration = "1s"


class Fetch(Collector[FetchParams]):
    """Fetch something."""

    def collect(self) -> Iterator[Report | None]:
        yield Report(key="fetched", payload=b"")


class Listen(Collector[Params]):
    """Listen to a stream for ever."""

    continuous = True

    def collect(self) -> Iterator[Report | None]:
        yield None


class RowsParams(Params):
    """Parameters of the parser."""

    delimiter: Annotated[str, Meta(min_length=1, max_length=1, description="Between two cells.")] = ","


class Rows(Parser[RowsParams]):
    """Parse rows."""

    @classmethod
    def cut(cls, params: RowsParams) -> Cut:
        return Cut(unit="rows", header=1, delimiter=params.delimiter)

    def parse(self, report: Chunk) -> Iterator[Event]:
        yield self.event(report, 1)


class WindowParams(Params):
    """Parameters with a rule across fields."""

    least: int = 0
    most: int = 10

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise ValueError(f"least ({self.least}) is more than most ({self.most})")


class Window(Expert[WindowParams]):
    """Keep what lies in the window."""

    def process(self, event: Event) -> Event | None:
        return event


class Count(Expert[Params]):
    """Count events; one instance has the number."""

    single = True

    def process(self, event: Event) -> Event | None:
        return event

    def tick(self, now: datetime, out: Outlet) -> None:
        self.context.log.info("counted at %s", now)


class Lookup(Expert[Params]):
    """Ask the network."""

    isolate = True

    def process(self, event: Event) -> Event | None:
        return event


class SplitParams(Params):
    """Parameters of the router."""

    rules: dict[str, str] = field(default_factory=dict)


class Split(Router[SplitParams]):
    """Send events out by the names of rules."""

    @classmethod
    def paths(cls, params: SplitParams) -> tuple[str, ...]:
        return (*params.rules, "rest")

    def route(self, event: Event) -> list[str]:
        return ["rest"]


class Keep(BatchOutput[Params]):
    """Keep events."""

    def process_batch(self, items: list[Event], out: Outlet) -> None:
        self.context.log.debug("kept %d", len(items))


class Bots:
    """A registry of the classes above."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.bots: dict[str, type[Bot[Any]]] = {
            "collector/fetch": Fetch,
            "collector/listen": Listen,
            "parser/rows": Rows,
            "expert/window": Window,
            "expert/count": Count,
            "expert/lookup": Lookup,
            "expert/split": Split,
            "output/keep": Keep,
        }

    def names(self) -> list[str]:
        return sorted(self.bots)

    def fields(self) -> dict[str, Any]:
        return {}

    def functions(self) -> dict[str, Any]:
        return {}

    def load(self, use: str) -> type[Bot[Any]]:
        try:
            return self.bots[use]
        except KeyError:
            raise PluginError(f"no bot {use!r}") from None


@pytest.fixture
def bots() -> Bots:
    """Give a registry of the classes above."""
    return Bots()


@pytest.fixture
def write(tmp_path: Path):
    """Give a function that writes a file of the configuration and gives its path."""

    def written(text: str, name: str = "cleanbots.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return written
