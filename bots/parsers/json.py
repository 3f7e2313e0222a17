"""Parse JSON and JSON lines: by a mapping from paths to fields, or events as another system wrote them."""

import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Annotated, Any, Literal

from cleanbots import Chunk, Context, Cut, Event, JsonParser, Meta, Row, RowParser
from cleanbots.charset import is_known
from cleanbots.formats import json_line_rows, json_rows
from cleanbots.harmonization import revalidate
from cleanbots.harmonization.exchange import flat, from_intelmq

from ._fields import Conversion, FieldParams, check_fields, places

Path = tuple[str | int, ...]

_STEP = re.compile(r"""\.?(?:([^.\[\]"]+)|\["([^"]*)"\]|\[(\d+)\])""")


class JsonParams(FieldParams):
    """Parameters of ``parser/json``."""

    format: Annotated[
        Literal["mapped", "events", "intelmq"],
        Meta(
            description=(
                "What the objects are: `mapped` by `fields`, our own `events` (flat or nested), or events of `intelmq`."
            )
        ),
    ] = "mapped"
    fields: Annotated[
        dict[str, str | list[str]],
        Meta(
            description=(
                'Which value fills which field: a path such as `host.addresses[0].ip` (a key with a dot as `["a.b"]`) to a '
                "field, or to a list of fields that is tried until the value fits one."
            )
        ),
    ] = {}
    records: Annotated[
        str, Meta(description="Keys, joined by dots, that lead to the list of objects; by default the document is it.")
    ] = ""
    lines: Annotated[bool, Meta(description="Whether each line is a document of its own.")] = False
    encoding: Annotated[str, Meta(description="The character set; by default what the source declares, or UTF-8.")] = ""

    def __post_init__(self) -> None:
        """Check what a schema can't say."""
        super().__post_init__()
        if self.encoding and not is_known(self.encoding):
            raise ValueError(f"encoding: no such character set: {self.encoding!r}; write e.g. utf-8 or cp1252")
        if (self.format == "mapped") != bool(self.fields):
            raise ValueError("fields: is needed for `format: mapped`, and only there")
        if self.lines and self.records:
            raise ValueError("records: has no meaning with `lines`, where each line is an object")
        composed = (place for template in self.compose.values() for place in places(template))
        for path in (*self.fields, *self.keep, *self.skip, *composed):
            _steps(path)
        check_fields(field for target in self.fields.values() for field in _fields_of(target))


class Json(JsonParser[JsonParams]):
    """Parse JSON objects, each of which becomes an event.

    A value that doesn't fit its field is kept under ``extra.rejected.``, unless the field is required: then the object
    fails alone. The id of an event from elsewhere is kept as ``extra.event_id``.
    """

    def __init__(self, params: JsonParams, context: Context | None = None) -> None:
        super().__init__(params, context)
        self.encoding = params.encoding
        self.place = "line" if params.lines else "element"
        self.records = tuple(params.records.split(".")) if params.records else ()
        self._conversion = Conversion(params)
        self._fields = [(_steps(path), _fields_of(target)) for path, target in params.fields.items()]
        self._read = from_intelmq if params.format == "intelmq" else _own

    @classmethod
    def cut(cls, params: JsonParams) -> Cut:
        """Tell that lines may be parted and documents may not."""
        return Cut("lines" if params.lines else "whole", encoding=params.encoding)

    def rows(self, report: Chunk) -> Iterator[Row]:
        """Take a chunk apart into objects."""
        if self.params.lines:
            return json_line_rows(report, self.encoding)
        return json_rows(report, self.records, self.encoding)

    def restore(self, unit: Row) -> Chunk:  # type: ignore[override]  # a worker's unit is a row
        """Give a chunk that holds this object alone."""
        return RowParser.restore(self, unit) if self.params.lines else super().restore(unit)

    def parse_row(self, row: dict[str, Any], event: Event) -> Event | None:
        """Fill *event* from an object."""
        conversion = self._conversion
        value: Callable[[str], Any] = partial(_at, row)
        if conversion.filters and not conversion.wanted(value):
            return None
        event.fields.update(conversion.constants)
        if self.params.format != "mapped":
            found = self._read(row)
            if "id" in found:
                found["extra.event_id"] = found.pop("id")
            event.fields.update(found)
        for path, fields in self._fields:
            if len(fields) == 1:
                conversion.offer(event, fields[0], _walk(row, path))
            else:
                conversion.offer_first(event, fields, _walk(row, path))
        return conversion.finish(event, value)


def _own(row: dict[str, Any]) -> dict[str, Any]:
    return revalidate({field: value for field, value in flat(row).items() if value is not None})


def _fields_of(target: str | list[str]) -> list[str]:
    return [target] if isinstance(target, str) else target


@cache
def _steps(path: str) -> Path:
    """Take a path such as ``a.b[0]["c.d"]`` apart.

    Raises:
        ValueError: if it is none.
    """
    steps: list[str | int] = []
    place = 0
    while place < len(path):
        match = _STEP.match(path, place)
        if match is None:
            raise ValueError(f"{path!r}: not a path at character {place + 1}; write e.g. host.addresses[0].ip")
        bare, quoted, index = match.groups()
        steps.append(int(index) if index is not None else quoted if quoted is not None else bare)
        place = match.end()
    return tuple(steps)


def _at(row: Any, path: str) -> Any:
    return _walk(row, _steps(path))


def _walk(value: Any, path: Path) -> Any:
    """Give what is at *path*; None if nothing is."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
