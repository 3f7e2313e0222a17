"""The guide for authors of bots is run from top to bottom: each file is written, each command gives what is shown."""

import ast
import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from cleanbots import CsvParser, RowParser, testing
from cleanbots.plugins import hookspecs

GUIDE = Path(__file__).parents[2] / "docs" / "writing-bots.md"
BLOCK = re.compile(r"^<!-- (file|run)(?:: (\S+))? -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(text):
    """Give the blocks of the guide in order: ``(file|run, argument, content)``."""
    return BLOCK.findall(text)


def run(line, folder):
    """Run a command of the guide; give its exit code and what it prints."""
    program, *args = line.split()
    environment = {**os.environ, "PYTEST_ADDOPTS": "-p no:cacheprovider -p no:randomly", "COLUMNS": "120"}
    command = {"cleanbots": ["-c", "from cleanbots.cli import main; main()"], "pytest": ["-m", "pytest"]}[program]
    done = subprocess.run(
        [sys.executable, *command, *args],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def pattern(shown):
    """Make a pattern of what is shown; ``…`` stands for any text (on a line of its own, for any lines)."""
    return re.escape(shown.strip()).replace("…", ".*")


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Follow the guide in an empty folder; give the folder and each command with what was shown and what came."""
    folder = tmp_path_factory.mktemp("guide")
    folder.chmod(0o755)
    commands = []
    for what, argument, content in steps(GUIDE.read_text()):
        if what == "file":
            path = folder / argument
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            path.write_text(content)
            path.chmod(0o644)
            continue
        for command in content.split("$ ")[1:]:
            line, _, shown = command.partition("\n")
            code, printed = run(line, folder)
            commands.append((line, int(argument or 0), shown, code, printed))
    return folder, commands


def test_each_command_gives_what_is_shown(followed):
    """What the guide shows after a command is what the command prints."""
    _, commands = followed

    assert len(commands) > 5
    for line, expected, shown, code, printed in commands:
        assert code == expected, f"{line}\n{printed}"
        assert re.fullmatch(pattern(shown), printed.strip(), re.DOTALL), f"{line}\n{printed}"


def test_configuration_of_the_guide_is_right(followed):
    """The configuration shown has no mistake."""
    folder, _ = followed
    (folder / "reports").mkdir()

    code, printed = run("cleanbots check", folder)

    assert code == 0, printed


def test_parser_of_the_guide_is_short():
    """A parser for a new feed is one file of at most 40 lines."""
    parser = next(content for _, path, content in steps(GUIDE.read_text()) if path == "site/parsers/example_scan.py")

    assert len(parser.splitlines()) <= 40


def test_each_hook_is_in_the_table():
    """The table of hooks has every hook with its exact arguments, and no other."""
    hooks = {
        f"{name}({', '.join(inspect.signature(hook).parameters)})"
        for name, hook in vars(hookspecs).items()
        if name.startswith("cleanbots_")
    }

    assert set(re.findall(r"^\| `(cleanbots_\w+\([^)]*\))` \|", GUIDE.read_text(), re.MULTILINE)) == hooks


def table(head):
    """Give the first column of the table whose first heading is *head*."""
    rows = GUIDE.read_text().partition(f"| {head} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)


def test_each_attribute_of_csv_is_in_the_table():
    """The table of class attributes names each, with its default."""
    documented = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", GUIDE.read_text(), re.MULTILINE)
    attributes = {name for cls in (CsvParser, RowParser) for name in vars(cls)["__annotations__"]}

    assert {name for name, _ in documented} == attributes - {"place", "_names"}
    for name, default in documented:
        assert ast.literal_eval(default) == getattr(CsvParser, name)


def test_each_argument_of_run_is_in_the_table():
    """The tables of run's arguments and of what it gives are complete."""
    assert table("argument of `run`") == list(inspect.signature(testing.run).parameters)[2:]
    assert sorted(table("of the `Result`")) == sorted(["sent", *(field.name for field in fields(testing.Result))])


def test_each_block_of_code_is_run():
    """No block of the guide is outside of this test."""
    text = GUIDE.read_text()

    assert len(steps(text)) == len(re.findall(r"^```\w", text, re.MULTILINE))
