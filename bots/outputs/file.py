"""Append events to files, as JSON lines, CSV or IntelMQ's JSON lines; no line torn, none doubled."""

import re
from typing import Annotated, Literal

from cleanbots import BatchOutput, Context, Event, Meta, Outlet, Params
from cleanbots.harmonization import catalogue

from ._append import Appender
from ._lines import EXTRA, Encode, csv_columns, csv_header, csv_lines, intelmq_lines, json_lines
from ._path import PathTemplate

_STEP = "step"


class FileParams(Params):
    """Parameters of ``output/file``."""

    path: Annotated[
        str,
        Meta(
            min_length=1,
            description="The file; fields and parts of times may stand in it: "
            "events/{time.observation:%Y-%m-%d}/{source.asn|unknown}.jsonl.",
        ),
    ]
    format: Annotated[
        Literal["jsonl", "csv", "intelmq"],
        Meta(description="JSON lines, CSV with a header, or JSON lines in IntelMQ's data format."),
    ] = "jsonl"
    fields: Annotated[
        tuple[str, ...],
        Meta(
            description="Write these fields only (jsonl), or these columns (csv; extra: all free fields as JSON); all if empty."
        ),
    ] = ()
    formula_safe: Annotated[
        bool,
        Meta(description="CSV: write an apostrophe before texts that a spreadsheet would take for a formula."),
    ] = True
    max_open: Annotated[int, Meta(ge=1, le=1024, description="How many files are kept open at once.")] = 64
    sync: Annotated[
        bool,
        Meta(description="Bring each batch to the disk itself: survives a loss of power, takes milliseconds a batch."),
    ] = False

    def __post_init__(self) -> None:
        """Refuse a path that can't be read and fields that the catalogue doesn't have."""
        PathTemplate(self.path)
        for field in set(self.fields) - ({EXTRA} if self.format == "csv" else set()):
            catalogue().converter(field)
        if self.fields and self.format == "intelmq":
            raise ValueError("fields: IntelMQ's format is written whole; leave 'fields' out or choose another format")


class File(BatchOutput[FileParams]):
    """Write events to files, each exactly once, also over kills of the worker and retries.

    The files may be rotated by renaming or deleting them. One instance writes: what a killed one left is cut off by the
    next, which must be the only one. Two hidden files (``.<bot>.journal``, ``.<bot>.lock``) lie beside the written ones.
    """

    single = True

    def __init__(self, params: FileParams, context: Context | None = None) -> None:
        super().__init__(params, context)
        self._path = PathTemplate(params.path)
        self._encode, self._header = self._format()
        root = self.context.path(str(self._path.root))
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", self.context.bot)
        self._appender = Appender(root, name, params.max_open, sync=params.sync)

    def open(self) -> None:
        """Take the folder; raises `cleanbots.Retry` while another process has it."""
        self._appender.open()

    def close(self) -> None:
        """Let go of the folder."""
        self._appender.close()

    def process_batch(self, items: list[Event], out: Outlet) -> None:
        """Append each event to its file; the step's number is committed with the batch."""
        if not items:
            return
        pieces = {file: self._encode(events) for file, events in self._by_file(items).items()}
        state = self.context.state
        committed = state.get(_STEP)
        number = self._appender.append(
            int(committed) if committed else None,
            pieces,
            self._header,
            at=self.context.clock.now().timestamp(),
            first=items[0].id,
        )
        state.put(_STEP, str(number).encode())

    def _by_file(self, items: list[Event]) -> dict[str, list[Event]]:
        path = self._path
        if path.fixed:
            return {path(items[0].fields): items}
        groups: dict[str, list[Event]] = {}
        for event in items:
            groups.setdefault(path(event.fields), []).append(event)
        return groups

    def _format(self) -> tuple[Encode, bytes]:
        params = self.params
        if params.format == "intelmq":
            return intelmq_lines, b""
        if params.format == "jsonl":
            return json_lines(params.fields), b""
        columns = csv_columns(params.fields)
        return csv_lines(columns, formula_safe=params.formula_safe), csv_header(columns)
