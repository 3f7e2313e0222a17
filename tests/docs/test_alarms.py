"""Every alarm has a line in the operator's manual that says what to do."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanbots.broker import client, health

CODE = ["cleanbots/runtime", "cleanbots/broker", "cleanbots/supervisor/status.py", "bots/outputs/_append.py"]
HEADING = "## What it says, and what to do"
_HOLE = re.compile(r"%(?:\.\d+)?[sdf]|\{[^{}]*\}")


def said(node: ast.expr) -> str:
    """Give a sentence of the code with … for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(said(part) for part in node.values)
    if isinstance(node, ast.Constant):
        return _HOLE.sub("…", str(node.value))
    return "…"


def alarms(file: Path) -> Iterator[str]:
    """Give the sentences of a module that reach an operator: what it logs from warnings up, and the status's problems."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        is_log = node.func.attr in ("warning", "error", "exception")
        if is_log or (node.func.attr == "append" and file.name == "status.py"):
            sentence = said(node.args[0])
            if re.search(r"[a-z]{4}", sentence):  # else it hands on a sentence of another place
                yield sentence


def all_alarms(repository: Path) -> set[str]:
    """Give every alarm."""
    places = [repository / place for place in CODE]
    files = [file for place in places for file in (place.glob("*.py") if place.is_dir() else [place])]
    found = {sentence for file in files for sentence in alarms(file)}
    return found | set(client._WAIT_PREFIXES.values()) | set(health._UNSYNCED.values())


@pytest.fixture
def told(repository: Path) -> list[str]:
    """The sentences, or parts of them, in the first column of the manual's table."""
    text = (repository / "docs" / "operating.md").read_text().partition(HEADING)[2].partition("\n## ")[0]
    first = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [phrase for cell in first for phrase in re.findall(r"`([^`]+)`", cell)]


def test_every_alarm_is_in_the_manual(repository: Path, told: list[str]) -> None:
    """Whoever reads a sentence in a log or in the status finds it, or its core, in the table."""
    missing = sorted(alarm for alarm in all_alarms(repository) if not any(phrase in alarm for phrase in told))
    assert not missing


def test_the_manual_has_no_alarm_that_nobody_says(repository: Path, told: list[str]) -> None:
    """Each sentence of the table is one of the code, so that it stays true."""
    code = [*(repository / "cleanbots").rglob("*.py"), *(repository / "bots").rglob("*.py")]
    sentences = {said(node) for file in code for node in ast.walk(ast.parse(file.read_text())) if _is_text(node)}
    assert [phrase for phrase in told if not any(phrase in sentence for sentence in sentences)] == []


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
