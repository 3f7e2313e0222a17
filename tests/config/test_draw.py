"""Drawing: the graph as text, Mermaid and SVG."""

import xml.etree.ElementTree as ET

import pytest

from cleanbots.config.check import check
from cleanbots.config.draw import FORMATS, mermaid, text
from cleanbots.config.layout import NODE_HEIGHT, Sizes, layout
from cleanbots.config.svg import svg

GRAPH = """\
hosts: [main, b]
broker: redis://queue.example
bots:
  fetch: {use: collector/fetch, every: 15m, params: {url: "https://feed.example/"}, to: rows}
  rows: {use: parser/rows, to: [window, keep]}
  window: {use: expert/window, to: split}
  split: {use: expert/split, params: {rules: {urgent: x, "<b>&": y}}, to: {urgent: keep, rest: ask, "<b>&": keep}}
  ask: {use: expert/lookup, instances: {main: 2, b: 1}, to: keep}
  keep: {use: output/keep}
"""


@pytest.fixture
def settings(write, bots):
    """Give the compiled graph."""
    return check(write(GRAPH), bots).require()


@pytest.mark.parametrize("form", FORMATS)
def test_every_bot_is_drawn(settings, form):
    """No drawing leaves a bot out."""
    drawing = FORMATS[form](settings)

    assert all(name in drawing for name in settings.bots)


def test_text_shows_a_bot_once_and_names_it_again(settings):
    """A bot that several send to is shown at the first and named at the others."""
    drawing = text(settings)

    assert drawing.count("output/keep") == 1
    assert drawing.count("keep ↑") == 3
    assert "[urgent] keep" in drawing
    assert "every 15m" in drawing


def test_mermaid_quotes_names(settings):
    """Names of paths can't break the flowchart."""
    assert '|"urgent, &lt;b&gt;&amp;"|' in mermaid(settings)


def test_svg_is_whole_and_refers_to_nothing_outside(settings):
    """The drawing is well-formed XML without links, scripts or foreign content."""
    root = ET.fromstring(svg(settings))  # noqa: S314  # our own text

    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not [node for node in root.iter() if "href" in "".join(node.attrib) or node.tag.endswith("script")]
    assert any(node.text == "urgent, <b>&" for node in root.iter())


def test_boxes_do_not_overlap(settings):
    """Workers, and the bots inside of each, lie apart from each other."""
    boxes = list(layout(settings, Sizes(120.0, 40.0, {})).boxes.values())

    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            beside = one.x + one.width <= other.x or other.x + other.width <= one.x
            below = one.y + one.height <= other.y or other.y + other.height <= one.y
            assert beside or below
        for bot in one.bots.values():
            assert 0 <= bot.x <= one.width - 120.0
            assert 0 <= bot.y <= one.height - NODE_HEIGHT


def test_edges_run_from_left_to_right(settings):
    """No edge runs backwards."""
    for route in layout(settings, Sizes(120.0, 40.0, {})).routes:
        assert all(left.x <= right.x for left, right in zip(route.points, route.points[1:], strict=False))
