"""Where the boxes of a drawing go: workers in layers from left to right, the bots of a worker as a tree inside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from .model import Settings

NODE_HEIGHT = 44.0
GAP_X = 40.0
GAP_Y = 14.0
LANE = 10.0
PAD = 14.0
HEAD = 20.0
LAYER_GAP = 76.0
BOX_GAP = 22.0
MARGIN = 24.0
SWEEPS = 12


class Sizes(NamedTuple):
    """Widths that depend on words: of a bot, of the longest label inside of workers, of each label between them."""

    node: float
    inner: float
    outer: Mapping[tuple[str, str], float]

    @property
    def step(self) -> float:
        """From one bot of a worker to the next."""
        return self.node + GAP_X + self.inner


class Point(NamedTuple):
    """A point, in pixels from the top left."""

    x: float
    y: float


@dataclass
class Box:
    """A worker, or one layer's part of an edge that passes it (then without bots and 1 pixel high)."""

    name: str
    width: float = 0.0
    height: float = 1.0
    x: float = 0.0
    y: float = 0.0
    bots: dict[str, Point] = field(default_factory=dict)
    lanes: dict[str, float] = field(default_factory=dict)

    @property
    def middle(self) -> float:
        """Its vertical middle."""
        return self.y + self.height / 2


class Route(NamedTuple):
    """An edge: from which bot to which, its paths, and the points that it runs through."""

    sender: str
    target: str
    paths: list[str]
    points: list[Point]


@dataclass
class Layout:
    """A finished layout; bots of a box are relative to it."""

    boxes: dict[str, Box]
    routes: list[Route]
    width: float
    height: float


def edges(settings: Settings) -> dict[tuple[str, str], list[str]]:
    """Give sender and target to the paths between them."""
    found: dict[tuple[str, str], list[str]] = {}
    for bot in settings.bots.values():
        for path, targets in bot.to.items():
            for target in targets:
                found.setdefault((bot.id, target), []).append(path)
    return found


def homes(settings: Settings) -> dict[str, str]:
    """Give each bot's worker."""
    return {bot: worker.name for worker in settings.workers.values() for bot in worker.bots}


def layout(settings: Settings, sizes: Sizes) -> Layout:
    """Lay out the graph of *settings*."""
    home = homes(settings)
    links = edges(settings)
    boxes = {name: _worker_box(name, worker.bots, links, sizes) for name, worker in settings.workers.items()}
    outer = {link: paths for link, paths in links.items() if home[link[0]] != home[link[1]]}
    rank = _ranks(settings, home, outer)
    layers: list[list[Box]] = [[] for _ in range(max(rank.values(), default=0) + 1)]
    for name, box in boxes.items():
        layers[rank[name]].append(box)
    chains = _chains(outer, home, boxes, rank, layers)
    _order(layers, chains)
    gaps = [LAYER_GAP] * len(layers)
    for (_, target), width in sizes.outer.items():  # a label stands before its target
        before = rank[home[target]] - 1
        gaps[before] = max(gaps[before], LAYER_GAP + width)
    _columns(layers, gaps)
    _rows(layers, chains)
    top = min((box.y for layer in layers for box in layer), default=0.0)
    for layer in layers:
        for box in layer:
            box.y += MARGIN - top
    routes = [
        Route(sender, target, paths, _points(chains[sender, target], sender, target, sizes.node))
        for (sender, target), paths in outer.items()
    ]
    for (sender, target), paths in links.items():
        if home[sender] == home[target]:
            routes.append(Route(sender, target, paths, _inside(boxes[home[sender]], sender, target, sizes.node)))
    every = [box for layer in layers for box in layer]
    width = max((box.x + box.width for box in every), default=0.0) + MARGIN
    height = max((box.y + box.height for box in every), default=0.0) + MARGIN
    return Layout(boxes, routes, width, height)


def _worker_box(name: str, bots: list[str], links: Mapping[tuple[str, str], list[str]], sizes: Sizes) -> Box:
    """Place a worker's bots as a tree; edges that leave from the middle of it get a lane of their own."""
    inside = set(bots)
    children = {bot: [target for sender, target in links if sender == bot and target in inside] for bot in bots}
    leaving = {sender for sender, target in links if sender in inside and target not in inside}
    box = Box(name)
    depth = {bots[0]: 0}
    bottom = HEAD + PAD

    def place(bot: str) -> float:
        nonlocal bottom
        middles = []
        for child in children[bot]:
            depth[child] = depth[bot] + 1
            middles.append(place(child))
        if children[bot] and bot in leaving:
            box.lanes[bot] = bottom + LANE / 2
            bottom += LANE + GAP_Y
        if middles:
            middle = (middles[0] + middles[-1]) / 2
        else:
            middle = bottom + NODE_HEIGHT / 2
            bottom += NODE_HEIGHT + GAP_Y
        box.bots[bot] = Point(PAD + depth[bot] * sizes.step, middle - NODE_HEIGHT / 2)
        return middle

    place(bots[0])
    deepest = max(depth.values())
    box.width = 2 * PAD + sizes.node + deepest * sizes.step
    box.height = bottom - GAP_Y + PAD
    return box


def _ranks(settings: Settings, home: Mapping[str, str], outer: Mapping[tuple[str, str], list[str]]) -> dict[str, int]:
    rank = dict.fromkeys(settings.workers, 0)
    for bot in settings.bots:  # upstream first, and edges enter a worker at its first bot only
        for sender, target in outer:
            if target == bot:
                rank[home[bot]] = max(rank[home[bot]], rank[home[sender]] + 1)
    # A source stands right before what it feeds, not far away at the left.
    for name in rank:
        after = [rank[home[target]] for sender, target in outer if home[sender] == name]
        if after and not any(home[target] == name for _, target in outer):
            rank[name] = min(after) - 1
    return rank


def _chains(
    outer: Mapping[tuple[str, str], list[str]],
    home: Mapping[str, str],
    boxes: Mapping[str, Box],
    rank: Mapping[str, int],
    layers: list[list[Box]],
) -> dict[tuple[str, str], list[Box]]:
    """Give each edge's boxes from start to end; a long edge gets a thin box in each layer that it passes."""
    chains = {}
    for sender, target in outer:
        start, end = home[sender], home[target]
        chain = [boxes[start]]
        for number in range(rank[start] + 1, rank[end]):
            chain.append(Box(f"{sender}→{target}"))
            layers[number].append(chain[-1])
        chains[sender, target] = [*chain, boxes[end]]
    return chains


def _neighbours(chains: Mapping[tuple[str, str], list[Box]]) -> tuple[dict[int, list[Box]], dict[int, list[Box]]]:
    before: dict[int, list[Box]] = {}
    after: dict[int, list[Box]] = {}
    for chain in chains.values():
        for left, right in pairwise(chain):
            before.setdefault(id(right), []).append(left)
            after.setdefault(id(left), []).append(right)
    return before, after


def _order(layers: list[list[Box]], chains: Mapping[tuple[str, str], list[Box]]) -> None:
    """Sort each layer by the mean place of its neighbours, to and fro (the barycentre method)."""
    before, after = _neighbours(chains)
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        near = before if forth else after
        place = {id(box): number / max(len(layer), 1) for layer in layers for number, box in enumerate(layer)}
        for layer in layers if forth else reversed(layers):
            weight = {
                id(box): _mean([place[id(each)] for each in near.get(id(box), ())], place[id(box)]) for box in layer
            }
            layer.sort(key=lambda box: weight[id(box)])
            place.update({id(box): number / len(layer) for number, box in enumerate(layer)})


def _columns(layers: list[list[Box]], gaps: list[float]) -> None:
    x = MARGIN
    for layer, gap in zip(layers, gaps, strict=True):
        width = max((box.width for box in layer), default=0.0)
        for box in layer:
            # A passing edge runs straight through its layer.
            box.width = box.width if box.bots else width
            box.x = x + (width - box.width) / 2
        x += width + gap


def _rows(layers: list[list[Box]], chains: Mapping[tuple[str, str], list[Box]]) -> None:
    """Bring each box to the height of its neighbours as far as its layer's order and the gaps allow."""
    before, after = _neighbours(chains)
    for layer in layers:
        y = 0.0
        for box in layer:
            box.y = y
            y += box.height + BOX_GAP
    for sweep in range(SWEEPS):
        near = before if sweep % 2 == 0 else after
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = [
                _mean([each.middle for each in near.get(id(box), ())], box.middle) - box.height / 2 for box in layer
            ]
            _settle(layer, wanted)


def _settle(layer: list[Box], wanted: list[float]) -> None:
    """Put boxes where they want to be; those that would overlap form a block around their mean wish."""
    blocks: list[tuple[float, float, list[Box]]] = []  # start, height, boxes
    wishes: list[list[float]] = []
    for box, wish in zip(layer, wanted, strict=True):
        start, height, members, means = wish, box.height + BOX_GAP, [box], [wish]
        while blocks and blocks[-1][0] + blocks[-1][1] > start:
            _, earlier_height, earlier = blocks.pop()
            means = wishes.pop() + [mean - earlier_height for mean in means]
            members, height = earlier + members, earlier_height + height
            start = sum(means) / len(means)
        blocks.append((start, height, members))
        wishes.append(means)
    for start, _, members in blocks:
        y = start
        for box in members:
            box.y = y
            y += box.height + BOX_GAP


def _points(chain: list[Box], sender: str, target: str, node_width: float) -> list[Point]:
    first, last = chain[0], chain[-1]
    bot = first.bots[sender]
    points = [Point(first.x + bot.x + node_width, first.y + bot.y + NODE_HEIGHT / 2)]
    if sender in first.lanes:
        y = first.y + first.lanes[sender]
        points += [Point(points[0].x + GAP_X * 0.8, y), Point(first.x + first.width, y)]
    for box in chain[1:-1]:
        points += [Point(box.x, box.y), Point(box.x + box.width, box.y)]
    entry = last.bots[target]
    points.append(Point(last.x + entry.x, last.y + entry.y + NODE_HEIGHT / 2))
    return points


def _inside(box: Box, sender: str, target: str, node_width: float) -> list[Point]:
    start, end = box.bots[sender], box.bots[target]
    return [
        Point(box.x + start.x + node_width, box.y + start.y + NODE_HEIGHT / 2),
        Point(box.x + end.x, box.y + end.y + NODE_HEIGHT / 2),
    ]


def _mean(numbers: list[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise
