"""Draw the graph of bots and workers: as text for a terminal, as Mermaid, as SVG."""

from collections.abc import Callable

from ..bot import DEFAULT
from .layout import edges
from .model import Settings
from .svg import interval, svg

_SHAPES = {"collector": '(["{}"])', "parser": '[/"{}"/]', "expert": '["{}"]', "output": '[("{}")]'}


def text(settings: Settings) -> str:
    """Draw the graph as a tree for each collector; a bot reached again is only named (↑)."""
    lines = [f"{settings.name}: {summary(settings)}"]
    worker = {bot: each.name for each in settings.workers.values() for bot in each.bots}
    fed = {target for _, target in edges(settings)}
    shown: set[str] = set()

    def branch(name: str, path: str, lead: str, rest: str) -> None:
        bot = settings.bots[name]
        by = "" if path == DEFAULT else f"[{path}] "
        if name in shown:
            lines.append(f"{lead}{by}{name} ↑")
            return
        shown.add(name)
        note = "" if worker[name] == name else f"  · in worker {worker[name]}"
        lines.append(f"{lead}{by}{name}  {bot.use}{_when(settings, name)}{note}")
        after = [(target, path) for path, targets in bot.to.items() for target in targets]
        for number, (target, way) in enumerate(after, 1):
            last = number == len(after)
            branch(target, way, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))

    for name in settings.bots:
        if name not in fed:
            lines.append("")
            branch(name, DEFAULT, "", "")
    return "\n".join(lines) + "\n"


def mermaid(settings: Settings) -> str:
    """Draw the graph as a Mermaid flowchart; workers are boxes."""
    key = {bot: f"b{number}" for number, bot in enumerate(settings.bots)}
    lines = ["flowchart LR"]
    for number, worker in enumerate(settings.workers.values()):
        lines.append(f'  subgraph w{number}["worker {_quoted(worker.name)}"]')
        for name in worker.bots:
            bot = settings.bots[name]
            shape = _SHAPES[bot.kind].format(f"{_quoted(name)}<br/><small>{_quoted(bot.use)}</small>")
            lines.append(f"    {key[name]}{shape}")
        lines.append("  end")
    for (sender, target), paths in edges(settings).items():
        label = "" if paths == [DEFAULT] else f'|"{_quoted(", ".join(paths))}"|'
        lines.append(f"  {key[sender]} -->{label} {key[target]}")
    return "\n".join(lines) + "\n"


def summary(settings: Settings) -> str:
    """Say how big the graph is."""
    counts = ((len(settings.bots), "bot"), (len(settings.workers), "worker"), (len(edges(settings)), "edge"))
    return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)


FORMATS: dict[str, Callable[[Settings], str]] = {"text": text, "mermaid": mermaid, "svg": svg}
"""Name of each format to the function that draws it."""


def _when(settings: Settings, name: str) -> str:
    bot = settings.bots[name]
    if bot.every is not None:
        return f"  every {interval(bot.every)}"
    return f"  cron {bot.cron}" if bot.cron is not None else ""


def _quoted(words: str) -> str:
    return words.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
