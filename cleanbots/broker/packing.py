"""Writes a commit down as the keys and arguments of ``commit.lua``."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from .keys import Keys
from .protocol import Commit, EntryGuard, FailedGuard, Limit, ReportGuard, TickGuard

_pack = msgspec.msgpack.Encoder().encode


def packed(commit: Commit, keys: Keys) -> tuple[list[str], list[bytes]]:
    """Give KEYS and ARGV; the script's head says what stands where."""
    guard, source, beside = _guard(commit.guard, keys)
    receiving = [] if commit.priority else [output.queue for output in commit.outputs]
    failing = [] if isinstance(commit.guard, FailedGuard) else [output.queue for output in commit.failed]
    work = {
        "guard": guard,
        "outputs": [(output.queue, output.count) for output in commit.outputs],
        "failed": [(output.queue, output.count) for output in commit.failed],
        "limits": _limits(receiving, commit.limits),
        "failed_limits": _limits(failing, commit.failed_limits),
        "counters": [(name, number) for name, number in commit.counters.items() if number],
        "states": [
            {
                "gone": [key for key, value in puts.items() if value is None],
                "puts": [key for key, value in puts.items() if value is not None],
            }
            for puts in commit.state.values()
        ],
    }
    used = [keys.statistics, keys.depths, keys.failed_depths, source, beside]
    used += [keys.queue(output.queue) for output in commit.outputs]
    used += [keys.failed(output.queue) for output in commit.failed]
    used += [keys.state(bot) for bot in commit.state]
    frames = [output.data for output in (*commit.outputs, *commit.failed)]
    values = [value for puts in commit.state.values() for value in puts.values() if value is not None]
    return used, [_pack(work), *frames, *values]


def _limits(names: Sequence[str], limits: Mapping[str, Limit]) -> list[tuple[str, int, int]]:
    return [(name, limits[name].events, limits[name].bytes) for name in dict.fromkeys(names) if name in limits]


def _guard(guard: EntryGuard | ReportGuard | TickGuard | FailedGuard, keys: Keys) -> tuple[dict[str, Any], str, str]:
    """Give a guard as the script reads it, and the two keys that it looks at."""
    match guard:
        case EntryGuard(entry, mark, then):
            source, beside = keys.queue(entry.queue), keys.marks(entry.queue)
            fields: dict[str, Any] = {
                "kind": "entry",
                "id": entry.id,
                "queue": entry.queue,
                "count": entry.count,
                "size": len(entry.data),
                "mark": mark,
                "unfinished": then is not None,
                "to": then or "",
            }
        case ReportGuard(collector, report, position, then, cursor):
            source, beside = keys.ledger(report), keys.cursors
            fields = {
                "kind": "report",
                "collector": collector,
                "report": report,
                "position": position,
                "to": then,
                "moved": cursor is not None,
                "cursor": cursor or "",
            }
        case TickGuard(bot, slot, instead):
            source = beside = keys.slots
            fields = {"kind": "tick", "bot": bot, "slot": slot, "instead": instead}
        case FailedGuard(bot, key, count, size):
            source = beside = keys.failed(bot)
            fields = {"kind": "failed", "bot": bot, "id": key, "count": count, "size": size}
    return fields, source, beside
