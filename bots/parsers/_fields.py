"""What the generic parsers share: from a source's values to fields, as the configuration says."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from cleanbots import Event, InvalidRow, InvalidValue, Meta, Params, times
from cleanbots.harmonization import catalogue, harmonise

Convert = Callable[[Any], Any]

_EPOCHS: dict[str, Convert] = {"epoch": times.epoch_seconds, "epoch_ms": times.epoch_millis}
_PLACE = re.compile(r"\{([^{}]+)\}")


class FieldParams(Params):
    """Parameters that all generic parsers have."""

    type: Annotated[str, Meta(description="`classification.type` of every event, unless a column gives it.")] = ""
    type_translation: Annotated[
        dict[str, str],
        Meta(description="The source's word for a type to `classification.type`, e.g. `bot: infected-system`."),
    ] = {}
    constants: Annotated[dict[str, Any], Meta(description="Fields with one value for all events.")] = {}
    time_format: Annotated[
        str,
        Meta(
            min_length=1,
            description="How times are written: `iso`, `epoch` (seconds), `epoch_ms`, or as strptime has it: `%d.%m.%Y %H:%M`.",
        ),
    ] = "iso"
    time_zone: Annotated[
        str,
        Meta(
            description=(
                "The zone of times that don't name one, e.g. `UTC` or `Europe/Amsterdam`. A local time that comes twice, "
                "as clocks go back, is the first; one that is skipped, as they go forward, is refused."
            )
        ),
    ] = ""
    default_url_scheme: Annotated[
        str, Meta(pattern="^([a-z][a-z0-9+.-]*)?$", description="Put before URLs that lack it, e.g. `http`.")
    ] = ""
    json_fields: Annotated[list[str], Meta(description="Fields whose text is JSON, e.g. `extra.tags`.")] = []
    required: Annotated[
        list[str], Meta(description="Fields that must have a good value; without one the row fails.")
    ] = []
    compose: Annotated[
        dict[str, str],
        Meta(description="Field to a template of the source's values, e.g. `source.url: http://{host}{path}`."),
    ] = {}
    keep: Annotated[
        dict[str, str], Meta(description="Only rows where each of these values matches its regular expression.")
    ] = {}
    skip: Annotated[
        dict[str, str], Meta(description="No rows where one of these values matches its regular expression.")
    ] = {}

    def __post_init__(self) -> None:
        """Check what a schema can't say."""
        check_fields([*self.constants, *self.json_fields, *self.required, *self.compose])
        if self.type:
            harmonise("classification.type", self.type)
        for field, value in self.constants.items():
            harmonise(field, value)
        for kind in self.type_translation.values():
            harmonise("classification.type", kind)
        for pattern in (*self.keep.values(), *self.skip.values()):
            compiled(pattern)
        _time_converter(self)


def check_fields(names: Iterable[str]) -> None:
    """Check names of fields; raises UnknownField (with the closest known name)."""
    for name in names:
        catalogue().converter(name)


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression.

    Raises:
        ValueError: if it is none.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None


class Conversion:
    """How values become fields, for one set of parameters.

    Args:
        params: checked ones.
    """

    def __init__(self, params: FieldParams) -> None:
        self.params = params
        given = {"classification.type": params.type} if params.type else {}
        self.constants = {field: harmonise(field, value) for field, value in (given | params.constants).items()}
        self.required = frozenset(params.required)
        self._compose = list(params.compose.items())
        self._keep = [(name, compiled(pattern)) for name, pattern in params.keep.items()]
        self._skip = [(name, compiled(pattern)) for name, pattern in params.skip.items()]
        self.filters = bool(self._keep or self._skip)
        self._converters: dict[str, Convert | None] = {}

    def converter(self, field: str) -> Convert | None:
        """Give what a value for *field* goes through before the harmonisation; None if nothing."""
        if field not in self._converters:
            self._converters[field] = self._make_converter(field)
        return self._converters[field]

    def _make_converter(self, field: str) -> Convert | None:
        params = self.params
        definition = catalogue().fields.get(field)
        kind = definition.type if definition else ""
        if field in params.json_fields:
            return _json
        if kind == "time":
            return _time_converter(params)
        if kind == "url" and params.default_url_scheme:
            return lambda value: _with_scheme(value, params.default_url_scheme)
        if field == "classification.type" and params.type_translation:
            return lambda value: params.type_translation.get(value, value)
        return None

    def wanted(self, value: Callable[[str], Any]) -> bool:
        """Tell whether a row passes `keep` and `skip`; *value* gives the source's value by its name."""
        return all(pattern.search(text(value(name))) for name, pattern in self._keep) and not any(
            pattern.search(text(value(name))) for name, pattern in self._skip
        )

    def offer(self, event: Event, field: str, value: Any) -> bool:
        """Set *field* if *value* fits; a required field's value must fit."""
        if value is None or value == "":
            return False
        convert = self.converter(field)
        if convert is not None:
            try:
                value = convert(value)
            except ValueError as error:
                return self._reject(event, field, value, str(error))
        if field in self.required:
            event[field] = value
            return True
        return event.offer(field, value)

    def offer_first(self, event: Event, fields: list[str], value: Any) -> None:
        """Set the first of *fields* that *value* fits; if it fits none, it is kept as rejected by each."""
        trial = Event()
        for field in fields:
            if self.offer(trial, field, value):
                event.fields[field] = trial.fields[field]
                return
        event.fields.update(trial.fields)

    def finish(self, event: Event, value: Callable[[str], Any]) -> Event:
        """Compose fields, and see that none is missing.

        Raises:
            InvalidRow: if a required field is.
        """
        for field, template in self._compose:
            composed = fill(template, value)
            if composed:
                self.offer(event, field, composed)
        for field in self.required:
            if field not in event:
                raise InvalidRow(f"{field}: no value, and it is required")
        return event

    def _reject(self, event: Event, field: str, value: Any, reason: str) -> bool:
        error = InvalidValue(field, value, reason)
        if field in self.required:
            raise error
        event.reject(error)
        return False


def fill(template: str, value: Callable[[str], Any]) -> str:
    """Put values in the places of a template such as ``{host}:{port}``; "" if one of them is missing."""
    missing = False

    def put(match: re.Match[str]) -> str:
        nonlocal missing
        found = text(value(match[1]))
        missing = missing or not found
        return found

    filled = _PLACE.sub(put, template)
    return "" if missing else filled


def places(template: str) -> list[str]:
    """Name the places of a template."""
    return _PLACE.findall(template)


def text(value: Any) -> str:
    """Give a source's value as text; "" for none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def pick(names: Mapping[str, int], row: list[str]) -> Callable[[str], str]:
    """Give a function from a column's name to its text in *row*."""
    return lambda name: row[names[name]] if names[name] < len(row) else ""


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from None


def _with_scheme(value: Any, scheme: str) -> Any:
    return f"{scheme}://{value}" if isinstance(value, str) and "://" not in value else value


def _time_converter(params: FieldParams) -> Convert:
    """Give the converter of times.

    Raises:
        ValueError: if format or zone can't be used.
    """
    zone = _zone(params.time_zone) if params.time_zone else None
    form = params.time_format
    if form in _EPOCHS:
        return _EPOCHS[form]
    if form == "iso":
        return times.iso if zone is None else lambda value: times.zoned(str(value), zone)
    if "%" not in form:
        raise ValueError(
            f"time_format: {form!r} is none; write iso, epoch, epoch_ms or a format such as %d.%m.%Y %H:%M"
        )
    if zone is None:
        if "%z" not in form:
            raise ValueError(f"time_format: {form!r} has no zone (%z); name it by time_zone, e.g. UTC")
        return lambda value: times.by_format(str(value), form)
    return lambda value: times.by_format(str(value), form, zone)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"time_zone: {name!r} is no zone of the IANA data base; write e.g. Europe/Amsterdam") from None
