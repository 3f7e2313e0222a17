"""What the architecture forbids, and where it allows it: looked up in the syntax trees of all modules."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import pytest

from cleanbots.cli import COMMANDS

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    str(path.relative_to(ROOT)) for package in ("cleanbots", "bots") for path in ROOT.glob(f"{package}/**/*.py")
)

LIBRARIES = {
    "click": ("cleanbots/cli/",),
    "jsonschema": ("cleanbots/config/",),
    "pluggy": ("cleanbots/plugins/",),
    "redis": ("cleanbots/broker/", "cleanbots/services/"),
    "supervisor": ("cleanbots/supervisor/",),
    "xmlrpc": ("cleanbots/supervisor/",),
    "sqlalchemy": ("cleanbots/clearinghouse/",),
    "pytest": ("cleanbots/testing/compliance.py",),
    "pickle": (),
    "marshal": (),
    "shelve": (),
}
"""Library to the only places that import it."""

PROCESS_ENTRIES = (
    "cleanbots/cli/",
    "cleanbots/runtime/worker.py",
    "cleanbots/runtime/scheduler.py",
    "cleanbots/runtime/courier.py",
)
USES = {
    "sys.exit": PROCESS_ENTRIES,
    "exit": (),
    "print": (),
    "input": (),
    "os.environ": ("cleanbots/config/values.py",),
    "os.getenv": ("cleanbots/config/values.py",),
    "time.time": ("cleanbots/clock.py",),
    "time.monotonic": ("cleanbots/clock.py",),
    "time.perf_counter": ("cleanbots/clock.py",),
    "datetime.now": ("cleanbots/clock.py",),
    "datetime.utcnow": (),
    "date.today": (),
    "datetime.today": (),
    "eval": (),
    "exec": ("cleanbots/harmonization/plan.py",),
    "os.system": (),
    "yaml.load": (),
    "tempfile.mktemp": (),
}
"""Name to the only places that use it."""


@cache
def tree(module: str) -> ast.Module:
    """Give a module's syntax tree."""
    return ast.parse((ROOT / module).read_text(), module)


def imports(module: str) -> Iterator[tuple[int, str]]:
    """Give line and absolute name of what a module imports."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.lineno, node.module


def dotted(node: ast.AST) -> str:
    """Give the text of ``a.b.c``, or ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""


def public(module: str) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Give a module's public classes and functions, and the public methods of these classes."""
    bodies = [tree(module).body]
    for body in bodies:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                yield node
                if isinstance(node, ast.ClassDef):
                    bodies.append(node.body)


def test_floors_hold():
    """A module imports only from lower floors; import-linter proves it."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_stays_in_its_place(library):
    """Each of these libraries is known to one part only."""
    found = [
        f"{module}:{line}"
        for module in MODULES
        for line, name in imports(module)
        if name.partition(".")[0] == library and not module.startswith(LIBRARIES[library])
    ]

    assert not found


@pytest.mark.parametrize("name", USES)
def test_name_is_used_in_its_place_only(name):
    """Only the processes' entries exit, only click prints, one module reads the environment, one knows the time."""
    found = [
        f"{module}:{node.lineno}"
        for module in MODULES
        if not module.startswith(USES[name])
        for node in ast.walk(tree(module))
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load) and dotted(node) == name
    ]

    assert not found


def test_no_shell():
    """Programs are started by lists of arguments, never by a shell."""
    found = [
        f"{module}:{node.value.lineno}"
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.keyword) and node.arg == "shell"
    ]

    assert not found


@pytest.mark.parametrize("module", MODULES)
def test_public_things_have_docstrings(module):
    """Modules, public classes, functions and methods say what they are for."""
    silent = [f"{module}:{node.lineno}: {node.name}" for node in public(module) if not ast.get_docstring(node)]

    assert ast.get_docstring(tree(module)), f"{module} has no docstring"
    assert not silent


@pytest.mark.parametrize("module", MODULES)
def test_arguments_are_typed(module):
    """Each argument and each result of a function has a type."""
    untyped = []
    for node in ast.walk(tree(module)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            bare = [arg.arg for arg in every if arg and not arg.annotation and arg.arg not in {"self", "cls", "mcls"}]
            if bare or node.returns is None:
                untyped.append(f"{module}:{node.lineno}: {node.name}({', '.join(bare)})")

    assert not untyped


def test_core_does_not_know_the_bots():
    """`cleanbots` never imports `bots`: first-party bots come in by the door of all plugins."""
    found = [
        f"{m}:{line}"
        for m in MODULES
        if m.startswith("cleanbots/")
        for line, name in imports(m)
        if name.partition(".")[0] == "bots"
    ]

    assert not found


def test_bots_do_not_know_each_other():
    """A bot imports helpers (relative, with an underscore), but no other bot."""
    found = []
    for module in (m for m in MODULES if m.startswith("bots/")):
        found += [f"{module}:{line}: {name}" for line, name in imports(module) if name.partition(".")[0] == "bots"]
        found += [
            f"{module}:{node.lineno}: {node.module}"
            for node in ast.walk(tree(module))
            if isinstance(node, ast.ImportFrom)
            and node.level
            and not (node.module or "").rpartition(".")[2].startswith("_")
        ]

    assert not found


def test_bots_do_not_know_the_machinery():
    """A bot knows events: no queue, no worker, no configuration, no command."""
    machinery = {
        f"cleanbots.{part}" for part in ("broker", "cli", "config", "plugins", "runtime", "supervisor", "testing")
    }
    found = [
        f"{module}:{line}: {name}"
        for module in MODULES
        if module.startswith("bots/") and module != "bots/plugin.py"
        for line, name in imports(module)
        if ".".join(name.split(".")[:2]) in machinery
    ]

    assert not found


@pytest.mark.parametrize("module", ["cleanbots.runtime.worker", "cleanbots.testing"])
def test_worker_stays_light(module):
    """A worker imports neither click nor jsonschema; nor does a bot's test."""
    code = (
        f"import sys, {module}; print(sorted({{'click', 'jsonschema', 'sqlalchemy', 'requests'}} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_there(name):
    """Each command of the list has its module, its help, and a help for each of its options."""
    command = import_module(f"cleanbots.cli.{name}_command").command

    assert command.help
    for each in (command, *getattr(command, "commands", {}).values()):
        assert each.help, each.name
        assert all(option.help for option in each.params if isinstance(option, click.Option)), each.name
