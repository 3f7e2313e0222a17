"""Failed items: what operators do with a bot's dead letters. Page by page, so that their number does not matter.

Each entry of a failed queue is worked off by one commit, guarded by that entry: what is retried or dropped leaves, what
stays is appended again, or nothing happens. So two operators, a crash or a broken connection lose and double nothing.
"""

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..broker.protocol import Answer, Broker, Commit, FailedGuard, Output, Stored
from ..config.model import Settings
from ..errors import CleanbotsError, FrameError
from ..event import Origin
from ..frame import FAILED, FailedItem, decode, encode_chunks, encode_events, encode_failed
from ..report import Chunk

_PAGE = 10
_MAX_GROUPS = 1000
_REST = "(further errors, each of them rarer)"
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_PLACE = re.compile(r"\b(line|element|column|char|byte|entry) \d[\d-]*\b")
_VALUE = re.compile(r"(?<=: )-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?=: )")
_MEASURE = re.compile(r"\b\d+(?= (?:(?:characters|elements|words), and|columns? where)\b)")

Progress = Callable[[int], None]
"""Told how many items were looked at by now."""


class Selection(msgspec.Struct, frozen=True):
    """Which failed items are meant; what is empty restricts nothing.

    Args:
        ids: ids of items, or of reports (then all of the report's items).
        error: a part of the error's sentence, or the name of its class; upper and lower case are the same.
    """

    ids: frozenset[str] = frozenset()
    error: str = ""

    def takes(self, item: FailedItem) -> bool:
        """Tell whether *item* is meant."""
        if self.ids and item.id not in self.ids and item.id.partition("-")[0] not in self.ids:
            return False
        text = self.error.casefold()
        return not text or text in item.error.casefold() or text == item.kind.casefold()


class FailedGroup(msgspec.Struct):
    """Failed items of one bot that have the same error, apart from the values in it.

    Args:
        bot: the bot.
        kind: the class of the error.
        error: the sentence with places and values left out.
        count: how many.
        first: when the first failed (canonical time text).
        last: when the last failed.
        example: the id of one of them.
    """

    bot: str
    kind: str
    error: str
    count: int
    first: str
    last: str
    example: str


def fold(error: str) -> str:
    """Give an error's sentence without what differs from item to item, so that the same mistake looks the same.

    That is its place (``line 7``), quoted text, a number that is the value (``source.port: 70000: …``), and how long
    the value is. Other numbers belong to the reason (``parts are from 0 to 255``) and stay.
    """
    folded = _PLACE.sub(r"\1 N", _QUOTED.sub("'…'", error))
    return _MEASURE.sub("N", _VALUE.sub("N", folded))


def entries(broker: Broker, bot: str, most: int | None = None) -> Iterator[tuple[Stored, list[FailedItem]]]:
    """Walk through a bot's failed entries in order; a damaged one appears as a single item without content.

    Args:
        broker: the graph's.
        bot: its id.
        most: stop after so many entries; None for all.

    Raises:
        NewerFrame: if a newer cleanbots wrote an entry.
    """
    after = ""
    seen = 0
    while page := broker.failed(bot, _PAGE, after):
        for stored in page:
            if most is not None and seen >= most:
                return
            seen += 1
            after = stored.id
            yield stored, _decoded(bot, stored)


def _decoded(bot: str, stored: Stored) -> list[FailedItem]:
    try:
        frame = decode(stored.data)
    except FrameError as error:
        return [FailedItem(bot, f"entry {stored.id} of {stored.count} items: {error}", "FrameError", "")]
    if frame.kind != FAILED:
        return [FailedItem(bot, f"entry {stored.id} of {stored.count} items: not failed items", "FrameError", "")]
    return frame.items


def items(broker: Broker, bot: str, selection: Selection | None = None) -> Iterator[FailedItem]:
    """Walk through a bot's failed items that are meant by *selection*."""
    for _, found in entries(broker, bot):
        yield from (item for item in found if selection is None or selection.takes(item))


def groups(broker: Broker, bots: Sequence[str]) -> list[FailedGroup]:
    """Group failed items by bot and error, most frequent first; beyond 1000 groups the rest is one line per bot."""
    found: dict[tuple[str, str, str], FailedGroup] = {}
    for bot in bots:
        for item in items(broker, bot):
            key = (bot, item.kind, fold(item.error))
            if key not in found and len(found) >= _MAX_GROUPS:
                key = (bot, "", _REST)
            group = found.get(key)
            if group is None:
                found[key] = FailedGroup(*key, 1, item.at, item.at, item.id)
                continue
            group.count += 1
            group.first, group.last = min(group.first, item.at), max(group.last, item.at)
    return sorted(found.values(), key=lambda group: (-group.count, group.bot, group.error))


def retry(
    broker: Broker, settings: Settings, bot: str, selection: Selection, progress: Progress = lambda _: None
) -> int:
    """Give failed items back to their bot's own queue; its worker takes them from there as if they came now.

    Items that fail while this runs are left for the next time.

    Returns:
        how many items.

    Raises:
        CleanbotsError: if the configuration that runs has no such bot, or it is a collector, which has no queue.
    """
    known = settings.bots.get(bot)
    if known is None:
        raise CleanbotsError(f"{bot}: not in the running configuration, so nobody would take its items; drop or export")
    if known.kind == "collector":
        raise CleanbotsError(f"{bot}: a collector has no queue; it asks its source again by itself")

    return _remove(broker, bot, selection, progress, again=True)


def drop(broker: Broker, bot: str, selection: Selection, progress: Progress = lambda _: None) -> int:
    """Delete failed items for good; give how many."""
    return _remove(broker, bot, selection, progress, again=False)


def count(broker: Broker, bot: str, selection: Selection) -> int:
    """Count the failed items that are meant."""
    if selection == Selection():
        depth = broker.failed_depths().get(bot)
        return depth.events if depth else 0
    return sum(1 for _ in items(broker, bot, selection))


def exported(item: FailedItem) -> dict[str, Any]:
    """Give a failed item as JSON-ready mapping that can be read without cleanbots.

    ``raw`` is the original row (with its header if it is a piece of a report); where that is no text in the report's
    encoding, ``raw_base64`` stands instead. ``event`` is the event as the bot received it.
    """
    row: dict[str, Any] = {
        "bot": item.bot,
        "id": item.id,
        "report": item.id.partition("-")[0],
        "line": _line(item),
        "kind": item.kind,
        "error": item.error,
        "at": item.at,
        "times": item.times,
    }
    if item.chunk is not None:
        row |= _payload(item.chunk)
    if item.event is not None:
        row["raw"] = item.event.get("raw")
        row["event"] = item.event
    return row


def _remove(broker: Broker, bot: str, selection: Selection, progress: Progress, *, again: bool) -> int:
    depth = broker.failed_depths().get(bot)
    done = looked_at = 0
    # What stays is appended again, and what is retried may fail again: without a fixed end this could go on for ever.
    for stored, found in entries(broker, bot, depth.entries if depth else 0):
        looked_at += len(found)
        taken = [item for item in found if selection.takes(item) and (_whole(item) or not again)]
        if taken and _commit(broker, bot, stored, found, taken, again=again):
            done += len(taken)
        progress(looked_at)
    return done


def _commit(
    broker: Broker, bot: str, stored: Stored, found: list[FailedItem], taken: list[FailedItem], *, again: bool
) -> bool:
    chosen = set(map(id, taken))
    stay = [item for item in found if id(item) not in chosen]
    result = broker.commit(
        Commit(
            guard=FailedGuard(bot, stored.id, stored.count, len(stored.data)),
            outputs=_frames(bot, taken) if again else [],
            failed=[Output(bot, encode_failed(stay), len(stay))] if stay else [],
            counters={f"{bot}:{'retried' if again else 'discarded'}": len(taken)},
            priority=True,
        )
    )
    if result.answer in (Answer.COMMITTED, Answer.LOST):  # lost: somebody else did it first, so it is not ours to count
        return result.answer is Answer.COMMITTED
    raise CleanbotsError(f"{result.name}: is full, so nothing of this entry of {bot} was changed; try again later")


def _whole(item: FailedItem) -> bool:
    return item.event is not None or item.chunk is not None


def _frames(bot: str, taken: Sequence[FailedItem]) -> list[Output]:
    events = [item.event for item in taken if item.event is not None]
    chunks = [item.chunk for item in taken if item.chunk is not None]
    origins: dict[str, Origin] = {}
    for item in taken:
        origins.update(item.origins)
    outputs = []
    if events:
        outputs.append(Output(bot, encode_events(events, origins), len(events)))
    if chunks:
        outputs.append(Output(bot, encode_chunks(chunks), len(chunks)))
    return outputs


def _line(item: FailedItem) -> int | None:
    if item.chunk is not None:
        return item.chunk.line
    digits = item.id.partition("-")[2].partition(".")[0]
    return int(digits) if digits.isdecimal() else None


def _payload(chunk: Chunk) -> dict[str, Any]:
    data = chunk.header + chunk.payload
    facts = {"name": chunk.name, "encoding": chunk.encoding, "fields": chunk.fields}
    try:
        return {"raw": data.decode(chunk.encoding or "utf-8"), **facts}
    except (UnicodeDecodeError, LookupError):
        return {"raw_base64": base64.b64encode(data).decode("ascii"), **facts}
