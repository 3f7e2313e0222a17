"""cleanbots: what a bot author imports, and nothing else."""

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
