"""The README does what it says: its pipeline and its bot run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

CLEANBOTS = Path(sys.executable).with_name("cleanbots")


def _blocks(readme: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL)


@pytest.fixture
def readme(repository: Path) -> str:
    """The text of the README."""
    return (repository / "README.md").read_text()


def _say(folder: Path, *words: str) -> str:
    done = subprocess.run([CLEANBOTS, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_first_pipeline(readme: str, tmp_path: Path) -> None:
    """Configuration, input and commands of the README lead to one event and one failed row."""
    (config,), (rows,) = _blocks(readme, "yaml"), _blocks(readme, "csv")
    (tmp_path / "cleanbots.yaml").write_text(config)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "list.csv").write_text(rows)
    (tmp_path / "cleanbots.yaml").write_text(config.replace('pattern: "*.csv"', 'pattern: "*.csv", settle: 0s'))

    assert "fine" in _say(tmp_path, "check")
    assert "1 passed" in _say(tmp_path, "test")
    _say(tmp_path, "run", "--drain")
    failed = _say(tmp_path, "failed", "list")
    (events,) = (tmp_path / "events").glob("*.jsonl")

    assert "source.ip" in failed
    assert events.name == "2026-11-20.jsonl"
    assert events.read_text().count("\n") == 1


def test_the_first_bot(readme: str, tmp_path: Path) -> None:
    """The parser of the README runs as it stands there."""
    (bot,) = _blocks(readme, "python")
    folder = tmp_path / "site" / "parsers"
    folder.mkdir(parents=True)
    (folder / "resolvers.py").write_text(bot)
    (tmp_path / "list.csv").write_text("seen,address,answers\n2026-11-20T07:30:00Z,192.0.2.53,yes\n")

    said = _say(tmp_path, "try", "parser/resolvers", "--site", "site", "--file", "list.csv")

    assert "192.0.2.53" in said


def test_every_link_leads_somewhere(readme: str, repository: Path) -> None:
    """A document that the README names is there."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", readme) if not link.startswith("http")]
    assert links
    missing = [link for link in links if not (repository / link).exists()]
    assert not missing


def test_every_command_of_the_readme_exists(readme: str) -> None:
    """Commands are spelt as they are."""
    from cleanbots.cli import COMMANDS

    used = set(re.findall(r"^\$ cleanbots ([a-z]+)", readme, re.MULTILINE))
    assert used
    assert used <= set(COMMANDS)
