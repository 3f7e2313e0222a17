"""How figures are kept and told: every value of every run, printed as a Markdown table, written as JSON."""

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple


class Figure(NamedTuple):
    """One thing that was measured, in every run.

    Args:
        what: its name, with whose it is.
        unit: of the values, as printed.
        values: one per run, in order; runs of two figures in the same place were made side by side.
        bar: what it has to reach, as text; empty if nothing was promised.
    """

    what: str
    unit: str
    values: Sequence[float]
    bar: str = ""

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)


def ratio(what: str, over: Figure, under: Figure, bar: str = "") -> Figure:
    """Give one figure over another, pair by pair."""
    pairs = zip(over.values, under.values, strict=True)
    return Figure(what, "times", [a / b for a, b in pairs], bar)


def markdown(title: str, figures: Iterable[Figure]) -> str:
    """Give a Markdown table: median, lowest and highest of each figure."""
    rows = [
        f"| {one.what} | {_text(one.median)} | {_text(min(one.values))} to {_text(max(one.values))} | {one.unit} | {one.bar} |"
        for one in figures
    ]
    return "\n".join((f"### {title}", "", "| | median | spread | unit | bar |", "|---|---|---|---|---|", *rows, ""))


def save(path: Path, title: str, figures: Iterable[Figure]) -> None:
    """Write the figures as JSON: ``{"title": …, "figures": [{"what": …, "unit": …, "values": […], "bar": …}]}``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"title": title, "figures": [one._asdict() for one in figures]}
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
