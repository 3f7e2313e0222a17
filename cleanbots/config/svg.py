"""Draw the graph as SVG: workers as boxes, bots in them coloured by kind, edges with the names of their paths."""

from html import escape
from itertools import pairwise

from ..bot import DEFAULT
from .layout import HEAD, NODE_HEIGHT, PAD, Box, Point, Route, Sizes, edges, homes, layout
from .model import BotSettings, Settings, WorkerSettings

_COLOURS = {
    "collector": ("#e3f1fb", "#3b82b8"),
    "parser": ("#fdf1dc", "#c78a24"),
    "expert": ("#e9f5e6", "#579a46"),
    "output": ("#f6e6f2", "#a8528f"),
}
_STYLE = """
  text { font-family: system-ui, "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #22303c; }
  .id { font-size: 13px; font-weight: 600; }
  .use { font-size: 10.5px; fill: #5b6a77; }
  .note { font-size: 10.5px; fill: #7a8894; }
  .path { font-size: 10.5px; fill: #44525e; paint-order: stroke; stroke: #ffffff; stroke-width: 4px; }
  .title { font-size: 15px; font-weight: 600; }
  .edge { fill: none; stroke: #8a98a5; stroke-width: 1.4; }
"""
_TIMES = "\N{MULTIPLICATION SIGN}"
_TITLE = 34.0
_LEGEND = 30.0
_WIDEST = 30


def svg(settings: Settings) -> str:
    """Draw the graph of *settings*; the text is a whole SVG document that refers to nothing outside."""
    sizes = _sizes(settings)
    drawn = layout(settings, sizes)
    width, height = max(drawn.width, 420.0), drawn.height + _TITLE + _LEGEND
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'width="{width:.0f}" height="{height:.0f}" role="img" aria-label="graph of {escape(settings.name)}">'
        ),
        f"<style>{_STYLE}</style>",
        (
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0,0.8 L7.5,4 L0,7.2 z" fill="#8a98a5"/></marker></defs>'
        ),
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        f'<text class="title" x="24" y="28">{escape(settings.name)}</text>',
        f'<g transform="translate(0 {_TITLE:.0f})">',
        *(_worker(settings.workers[name], box, settings) for name, box in drawn.boxes.items()),
        *(_edge(route) for route in drawn.routes),
        *(
            _bot(settings.bots[bot], Point(box.x + at.x, box.y + at.y), sizes.node)
            for box in drawn.boxes.values()
            for bot, at in box.bots.items()
        ),
        *(_label(route) for route in drawn.routes),
        "</g>",
        _legend(height),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _sizes(settings: Settings) -> Sizes:
    longest = max((max(len(bot.id) * 1.2, len(bot.use)) for bot in settings.bots.values()), default=0)
    home = homes(settings)
    labels = {link: len(_name(paths)) * 6.0 for link, paths in edges(settings).items()}
    inner = max((width for (sender, target), width in labels.items() if home[sender] == home[target]), default=0.0)
    outer = {link: width for link, width in labels.items() if home[link[0]] != home[link[1]]}
    return Sizes(32 + 6.3 * max(14.0, min(longest, _WIDEST)), inner, outer)


def _worker(worker: WorkerSettings, box: Box, settings: Settings) -> str:
    note = escape(_cut(_placement(worker, settings), int(box.width / 5.6)))
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="10" '
        f'fill="#f6f8fa" stroke="#d3dae0"><title>worker {escape(worker.name)}</title></rect>'
        f'<text class="note" x="{box.x + PAD:.1f}" y="{box.y + HEAD:.1f}">{note}</text>'
    )


def _placement(worker: WorkerSettings, settings: Settings) -> str:
    many = len(settings.hosts) > 1
    places = [
        " ".join(part for part in (host if many else "", f"{_TIMES} {count}" if count > 1 else "") if part)
        for host, count in worker.hosts.items()
    ]
    bot = settings.bots[worker.bots[0]]
    when = ""
    if bot.every is not None:
        when = f"every {interval(bot.every)}"
    elif bot.cron is not None:
        when = f"cron {bot.cron}"
    elif worker.scheduled:
        when = "at start"
    return " · ".join(part for part in (when, *places) if part)


def interval(seconds: float) -> str:
    """Give a time span in the largest unit that fits it whole: ``15m``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and not seconds % length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s"


def _bot(bot: BotSettings, at: Point, width: float) -> str:
    fill, stroke = _COLOURS[bot.kind]
    fits = int((width - 20) / 6.3)
    return (
        f"<g><title>{escape(f'{bot.id}: {bot.use} ({bot.line})')}</title>"
        f'<rect x="{at.x:.1f}" y="{at.y:.1f}" width="{width:.1f}" height="{NODE_HEIGHT:.0f}" rx="6" '
        f'fill="{fill}" stroke="{stroke}" stroke-width="1.2"/>'
        f'<text class="id" x="{at.x + 11:.1f}" y="{at.y + 19:.1f}">{escape(_cut(bot.id, int(fits / 1.2)))}</text>'
        f'<text class="use" x="{at.x + 11:.1f}" y="{at.y + 34:.1f}">{escape(_cut(bot.use, fits))}</text></g>'
    )


def _edge(route: Route) -> str:
    start = route.points[0]
    path = f"M{start.x:.1f},{start.y:.1f}"
    for left, right in pairwise(route.points):
        if left.y == right.y:
            path += f" L{right.x:.1f},{right.y:.1f}"
        else:
            bend = (right.x - left.x) / 2
            path += f" C{left.x + bend:.1f},{left.y:.1f} {right.x - bend:.1f},{right.y:.1f} {right.x:.1f},{right.y:.1f}"
    return f'<path class="edge" d="{path}" marker-end="url(#tip)"/>'


def _label(route: Route) -> str:
    name = _name(route.paths)
    if not name:
        return ""
    # On the last bend: there the edges of one sender lie apart from each other.
    left, right = route.points[-2], route.points[-1]
    x, y = (left.x + right.x) / 2, (left.y + right.y) / 2
    return f'<text class="path" x="{x:.1f}" y="{y + 3.5:.1f}" text-anchor="middle">{escape(name)}</text>'


def _name(paths: list[str]) -> str:
    """Give an edge's label; the default path alone needs none."""
    return "" if paths == [DEFAULT] else _cut(", ".join(paths), 28)


def _legend(height: float) -> str:
    parts = []
    for number, (kind, (fill, stroke)) in enumerate(_COLOURS.items()):
        x, y = 24 + number * 92, height - 22
        parts.append(f'<rect x="{x}" y="{y:.1f}" width="12" height="12" rx="3" fill="{fill}" stroke="{stroke}"/>')
        parts.append(f'<text class="note" x="{x + 18}" y="{y + 10:.1f}">{kind}</text>')
    return "".join(parts)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(length - 1, 1)] + "…"
