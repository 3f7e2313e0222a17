"""cleanbots: what a bot author imports, and nothing else. Each name is loaded when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msgspec import Meta

    from .bot import BatchExpert, BatchOutput, Collector, Courier, Expert, Outlet, Output, Parser, Router
    from .context import Context
    from .errors import InvalidRow, InvalidValue, Retry
    from .event import Event
    from .formats import CsvParser, JsonLinesParser, JsonParser, Row, RowParser
    from .harmonization import times
    from .message import Message, Outcome
    from .params import Duration, Params, Port, Secret, Size, Url, seconds, size
    from .report import Chunk, Cut, Report

__all__ = [
    "BatchExpert",
    "BatchOutput",
    "Chunk",
    "Collector",
    "Context",
    "Courier",
    "CsvParser",
    "Cut",
    "Duration",
    "Event",
    "Expert",
    "InvalidRow",
    "InvalidValue",
    "JsonLinesParser",
    "JsonParser",
    "Message",
    "Meta",
    "Outcome",
    "Outlet",
    "Output",
    "Params",
    "Parser",
    "Port",
    "Report",
    "Retry",
    "Router",
    "Row",
    "RowParser",
    "Secret",
    "Size",
    "Url",
    "seconds",
    "size",
    "times",
]

_HOMES = {
    "bot": "BatchExpert BatchOutput Collector Courier Expert Outlet Output Parser Router",
    "context": "Context",
    "errors": "InvalidRow InvalidValue Retry",
    "event": "Event",
    "formats": "CsvParser JsonLinesParser JsonParser Row RowParser",
    "harmonization": "times",
    "message": "Message Outcome",
    "params": "Duration Meta Params Port Secret Size Url seconds size",
    "report": "Chunk Cut Report",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    # So that the command line, which begins with this package, need not load what only bots need.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
