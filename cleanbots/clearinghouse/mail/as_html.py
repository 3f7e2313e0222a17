"""Write blocks as HTML: the same words as the text, nothing fetched from elsewhere, no links, no scripts, no images."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from .blocks import Banner, Block, Commands, Counts, Entry, Heading, Labelled, Paragraph, Row, Rule, Table

_COLOURS: Final = {
    "critical": "#8c1c13",
    "high": "#b4460b",
    "medium": "#8a6500",
    "low": "#3b6a3f",
    "info": "#3f5b77",
}
_STYLE = """
body { margin: 0; background: #ffffff; color: #1f2a33; }
main { max-width: 46em; margin: 0 auto; padding: 20px 16px; font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h2 { margin: 28px 0 8px; padding-bottom: 4px; border-bottom: 1px solid #c9d2d9; font-size: 17px; }
p { margin: 6px 0; overflow-wrap: anywhere; }
.apart { margin-top: 18px; }
table { border-collapse: collapse; margin: 6px 0; }
td { padding: 2px 16px 2px 0; vertical-align: top; }
.banner { width: 100%; margin: 0; }
.banner td + td { padding-right: 0; text-align: right; white-space: nowrap; }
.entry { width: 100%; margin: 20px 0 4px; font-weight: 600; }
.entry td + td { padding-right: 0; text-align: right; width: 3em; }
.severity { display: inline-block; padding: 0 7px; border-radius: 3px; color: #ffffff; font-size: 13px; }
.rows { width: 100%; font: 13px/1.6 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
.rows td { overflow-wrap: anywhere; }
.rows td:last-child { width: 99%; }
.rows .whole { white-space: nowrap; overflow-wrap: normal; }
.detail { padding-left: 20px; color: #43525e; }
.label td:first-child { min-width: 4em; font-weight: 600; }
.counts td { padding: 4px 24px 4px 0; font-weight: 600; }
pre { margin: 8px 0; padding: 8px 12px; background: #f1f4f6; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 640px) {
  .rows td { display: inline-block; white-space: normal; }
  .rows td:last-child { width: auto; }
  .rows .detail { display: block; }
}
hr { margin: 28px 0; border: 0; border-top: 3px double #c9d2d9; }
"""
_NOWRAP_BELOW = 45
_LABEL = 8
_EM = 0.6


def as_html(blocks: Sequence[Block], language: str, title: str) -> str:
    """Give a whole HTML document; everything that is not ours alone is escaped.

    Args:
        blocks: the body.
        language: of the document, ``nl`` or ``en``.
        title: of the document.
    """
    body = "\n".join(part for block in blocks for part in _parts(block))
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _parts(block: Block) -> Iterator[str]:
    match block:
        case Banner(left, right):
            yield f'<table class="banner"><tr><td>{escape(left)}</td><td>{escape(right)}</td></tr></table>'
        case Heading(text):
            yield f"<h2>{escape(text)}</h2>"
        case Paragraph(text, _, apart):
            yield f'<p class="apart">{escape(text)}</p>' if apart else f"<p>{escape(text)}</p>"
        case Counts(texts):
            yield f'<table class="counts"><tr>{"".join(f"<td>{escape(text)}</td>" for text in texts)}</tr></table>'
        case Entry():
            yield _entry(block)
        case Table(rows):
            yield f'<table class="rows">{"".join(part for row in rows for part in _row(row))}</table>'
        case Labelled(label, text, _, width):
            column = f'<td style="width:{max(width, _LABEL) * _EM:.1f}em">{escape(label)}</td>'
            yield f'<table class="label"><tr>{column}<td>{escape(text)}</td></tr></table>'
        case Commands(lines):
            yield f"<pre>{escape(chr(10).join(lines))}</pre>"
        case Rule():
            yield "<hr>"


def _entry(entry: Entry) -> str:
    colour = _COLOURS.get(entry.severity, "#55626d")
    titles = "<br>".join(map(escape, entry.titles))
    mark = f'<span class="severity" style="background:{colour}">{escape(entry.severity)}</span>'
    return f'<table class="entry"><tr><td>{mark} {titles}</td><td>{entry.number}</td></tr></table>'


def _row(row: Row) -> Iterator[str]:
    yield f"<tr>{''.join(map(_cell, row.cells))}</tr>"
    for detail in row.details:
        yield f'<tr><td class="detail" colspan="{len(row.cells)}">{escape(detail)}</td></tr>'


def _cell(text: str) -> str:
    return f'<td class="whole">{escape(text)}</td>' if len(text) < _NOWRAP_BELOW else f"<td>{escape(text)}</td>"
