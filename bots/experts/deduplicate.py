"""Drop an event if the same row was already collected, by whatever way."""

from typing import Annotated, Literal

import orjson

from cleanbots import BatchExpert, Duration, Event, InvalidValue, Meta, Outlet, Params, seconds
from cleanbots.harmonization import catalogue

DEFAULT, DUPLICATE = "default", "duplicate"

_NOT_THE_ROW = frozenset({"id", "time.observation", "feed.url"})
_LENGTH_OF_A_DAY = 10


class DeduplicateParams(Params):
    """Parameters of ``expert/deduplicate``."""

    window: Annotated[Duration, Meta(description="How long a row is remembered.")] = "7d"
    fields: Annotated[
        tuple[str, ...],
        Meta(
            description="Compare these fields instead of the row. Beware: a finding that is reported again tomorrow is "
            "dropped if they are the same, so nobody learns that it was still seen."
        ),
    ] = ()
    missing: Annotated[
        Literal["fail", "skip", "value"],
        Meta(
            description="An event that lacks one of 'fields': set it aside (fail), let it pass (skip), or take "
            "'missing' for a value like any other (value)."
        ),
    ] = "skip"

    def __post_init__(self) -> None:
        """Refuse fields that the catalogue doesn't have."""
        for field in self.fields:
            catalogue().converter(field)
        if seconds(self.window) <= 0:
            raise ValueError("window: nothing would be remembered; give a time span, such as 7d")


class Deduplicate(BatchExpert[DeduplicateParams]):
    """Tell events whose row was collected before from new ones.

    A row is the same if its text, the notifier (``feed.provider``) and the report (``feed.code``, else ``feed.name``)
    are. A row without ``time.source`` counts once for each day of observation, so that tomorrow's list is no duplicate
    of today's. An event without ``raw`` is compared by all its fields. An event met again under its own id is none.
    """

    @classmethod
    def paths(cls, params: DeduplicateParams) -> tuple[str, ...]:
        """New events leave by ``default``, those met before by ``duplicate``."""
        return DEFAULT, DUPLICATE

    def open(self) -> None:
        """Read the time span once."""
        self._window = seconds(self.params.window)

    def process_batch(self, items: list[Event], out: Outlet) -> None:
        """Claim the keys of all events in one call."""
        events = items
        if self.params.fields:
            events = self._complete(items, out)
            keys = [self._chosen_key(event) for event in events]
        else:
            keys = [row_key(event) for event in events]
        ids = [event.id for event in events]
        owners = self.context.cache.claim(keys, ids, self._window) if keys else []
        if owners == ids:
            out.send_all(events)
            return
        out.send_all([event for event, own, owner in zip(events, ids, owners, strict=True) if own == owner])
        out.send_all([event for event, own, owner in zip(events, ids, owners, strict=True) if own != owner], DUPLICATE)

    def _complete(self, items: list[Event], out: Outlet) -> list[Event]:
        """Give the events that can be compared; the others are dealt with as ``missing`` says."""
        if self.params.missing == "value":
            return items
        complete = []
        for event in items:
            absent = next((field for field in self.params.fields if field not in event.fields), None)
            if absent is None:
                complete.append(event)
            elif self.params.missing == "skip":
                out.send(event)
            else:
                out.fail(event, InvalidValue(absent, None, "deduplication compares this field, and it is not set"))
        return complete

    def _chosen_key(self, event: Event) -> bytes:
        get = event.fields.get
        return orjson.dumps([get(field) for field in self.params.fields])


def row_key(event: Event) -> bytes:
    """Give bytes that are the same whenever a row is collected again: what makes it that row, as JSON."""
    fields = event.fields
    get = fields.get
    raw = get("raw")
    if raw is None:
        raw = sorted((name, value) for name, value in fields.items() if name not in _NOT_THE_ROW)
    observed = get("time.observation")
    return orjson.dumps(
        [
            raw,
            get("feed.provider"),
            get("feed.code") or get("feed.name"),
            get("id", "").partition(".")[2],
            None if "time.source" in fields or observed is None else observed[:_LENGTH_OF_A_DAY],
        ]
    )
