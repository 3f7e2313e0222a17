"""What ``docs/scaling.md`` shows: its blocks are the settings that the tests start servers with."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(chapter: str, language: str = "") -> list[str]:
    """Give the texts of the fenced blocks of a chapter."""
    text = PAGE.read_text("utf-8").partition(f"\n## {chapter}\n")[2].partition("\n## ")[0]
    return [found for kind, found in _BLOCK.findall(text) if kind == language]


def settings(chapter: str, number: int = 0) -> dict[str, str]:
    """Give a block of server settings as names and values."""
    lines = blocks(chapter)[number].splitlines()
    return dict(line.split(maxsplit=1) for line in lines)
