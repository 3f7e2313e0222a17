"""The books of a graph: what each bot took in, sent on, dropped and failed."""

from collections.abc import Mapping
from typing import Any

from ..config.model import Settings


def balance(settings: Settings, statistics: Mapping[str, int]) -> list[dict[str, Any]]:
    """Give a row per bot, upstream first, from the graph's counters.

    Args:
        settings: the graph.
        statistics: ``<bot>:<what>`` to number, as the broker keeps them.

    Returns:
        rows of ``bot``, ``in`` (rows or events; None for collectors), ``out`` (reports or events), ``dropped``, ``failed`` and ``details``.
    """
    rows = []
    for bot in settings.bots:
        collects = settings.bots[bot].kind == "collector"
        mine = {key.partition(":")[2]: n for key, n in statistics.items() if key.partition(":")[0] == bot}
        details = [f"{what.partition(':')[2]}: {n}" for what, n in sorted(mine.items()) if ":" in what]
        rows.append(
            {
                "bot": bot,
                "in": None if collects else mine.get("in", 0),
                "out": mine.get("reports", 0) if collects else _sum(mine, "out:"),
                "dropped": _sum(mine, "dropped:"),
                "failed": mine.get("failed", 0),
                "details": ", ".join(details),
            }
        )
    return rows


def _sum(counters: Mapping[str, int], prefix: str) -> int:
    return sum(number for what, number in counters.items() if what.startswith(prefix))
