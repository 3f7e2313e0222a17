"""Does the campaign notice? Break the promise on purpose, in a copy of the tree, and see that a test turns red.

``python tests/chaos/mutations.py [NAME…]`` tries all mutations, or those named: each is applied to a copy of its own,
and its test is run there (long forms, an hour in all). The tree itself is not touched. Exit code 1 if a mutation
survives.

================  ==============================================================================  =======================
mutation          what is broken                                                                  what notices
================  ==============================================================================  =======================
unguarded         a commit is done whether its guard holds or not                                 a frozen worker that wakes up
retried           redis-py sends again what had no reply                                          lost replies, with a long lease
delivery-token    deduplication knows a delivery of an event, not the event                       killed workers
local-ledger      the ledger lies in the state folder                                             a lost state folder
told-early        the source is told before what was collected is durable                         kills of the server, ``everysec``
grabbing          whatever another holds is claimed, alive or not                                 innocents in failed
noted-early       a delivery is noted as handed over before it is                                 a courier that dies in between
limits-outside    limits are looked at before the commit, not in it                               several writers
================  ==============================================================================  =======================
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Mutation(NamedTuple):
    """One way to break the promise.

    Args:
        name: of it.
        test: what notices, as pytest takes it.
        changes: file, text, and what stands there instead.
    """

    name: str
    test: str
    changes: tuple[tuple[str, str, str], ...]


_LEDGER = """
    def _ledger(self):
        import json
        file = self._folder / "ledger.json"
        return file, json.loads(file.read_text()) if file.exists() else {}

    def commit(self, commit: Commit) -> Result:
        import dataclasses, json
        from .protocol import ReportGuard
        if not isinstance(commit.guard, ReportGuard):
            return self._commit(commit)
        file, ledger = self._ledger()
        if ledger.get(commit.guard.report, "") != commit.guard.position:
            return Result(Answer.LOST)
        known = self._client.run("position", [self._keys.ledger(commit.guard.report)], [commit.guard.report]).decode()
        result = self._commit(dataclasses.replace(commit, guard=dataclasses.replace(commit.guard, position=known)))
        if result.answer is Answer.COMMITTED:
            ledger[commit.guard.report] = commit.guard.then
            file.write_text(json.dumps(ledger))
        return result

    def _commit(self, commit: Commit) -> Result:
"""

_FAULTS = "tests/chaos/test_campaign.py::test_frozen_workers"

MUTATIONS = (
    Mutation(
        "unguarded",
        _FAULTS,
        (
            (
                "cleanbots/broker/commit.lua",
                "if not holds[guard.kind]() then return {'lost'} end",
                "holds[guard.kind](); consumer = consumer or 'nobody'",
            ),
        ),
    ),
    Mutation(
        "retried",
        "tests/chaos/test_connections.py",
        (
            (
                "cleanbots/broker/pool.py",
                """        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": _SOCKET_TIMEOUT,""",
                """        "retry": Retry(NoBackoff(), 10),
        "socket_timeout": _SOCKET_TIMEOUT,""",
            ),
        ),
    ),
    Mutation(
        "delivery-token",
        _FAULTS,
        (
            (
                "bots/experts/deduplicate.py",
                "ids = [event.id for event in events]",
                'ids = [__import__("uuid").uuid4().hex for event in events]',
            ),
        ),
    ),
    Mutation(
        "local-ledger",
        "tests/chaos/test_machines.py::test_a_loss_of_power_and_a_lost_state_folder",
        (
            (
                "cleanbots/broker/redis.py",
                "        self._on_close = on_close\n",
                "        self._on_close = on_close\n        self._folder = folder\n",
            ),
            ("cleanbots/broker/redis.py", "\n    def commit(self, commit: Commit) -> Result:\n", _LEDGER),
            (
                "cleanbots/broker/redis.py",
                '        position: bytes = self._client.run("position", [self._keys.ledger(report)], [report])\n        return position.decode()',
                '        return self._ledger()[1].get(report, "")',
            ),
        ),
    ),
    Mutation(
        "told-early",
        "tests/chaos/test_server_faults.py::test_kills_of_the_server[everysec-1.5-redis]",
        (("cleanbots/runtime/collecting.py", "if not self._broker.durable(_DURABLE):", "if False:"),),
    ),
    Mutation(
        "grabbing",
        _FAULTS,
        (("cleanbots/broker/redis.py", "max(0, int(idle * 1000))", "0"),),
    ),
    Mutation(
        "noted-early",
        "tests/chaos/test_outbox.py::test_a_crash_at_any_point_loses_nothing",
        (
            (
                "cleanbots/clearinghouse/giving.py",
                "        self._crew.send(Parcel(row, message))\n",
                """        self._store.attempt(reference, message.id, Outcome(verdict="accepted"), now, None, message.recipient)
        self._crew.send(Parcel(row, message))
""",
            ),
        ),
    ),
    Mutation(
        "limits-outside",
        "tests/chaos/test_limits.py",
        (
            (
                "cleanbots/broker/redis.py",
                "        keys, arguments = packed(commit, self._keys)\n",
                """        import dataclasses
        for output in () if commit.priority else commit.outputs:
            limit = commit.limits.get(output.queue)
            if limit and self.depths([output.queue])[output.queue].events >= limit.events:
                return Result(Answer.FULL, output.queue)
        commit = dataclasses.replace(commit, limits={})
        keys, arguments = packed(commit, self._keys)
""",
            ),
        ),
    ),
)


def survives(mutation: Mutation, folder: Path) -> bool:
    """Apply a mutation to a copy of the tree in *folder*, and tell whether its test is still green."""
    tree = folder / mutation.name
    shutil.copytree(
        ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
    )
    for name, old, new in mutation.changes:
        path = tree / name
        text = path.read_text()
        assert text.count(old) == 1, f"{mutation.name}: {name} was changed since, mend the mutation: {old!r}"
        path.write_text(text.replace(old, new))
    command = [sys.executable, "-m", "pytest", mutation.test, "--long", "-x", "-n", "0", "-p", "no:cacheprovider"]
    command += ["--basetemp", str(folder / f"{mutation.name}-run")]
    done = subprocess.run(
        command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True, check=False
    )
    why = [line for line in done.stdout.splitlines() if line.startswith("E ")]
    print(f"    {why[0] if why else done.stdout[-500:]}")  # noqa: T201  # it is a program
    return done.returncode == 0


def main() -> int:
    """Try the mutations named on the command line, or all; give the exit code."""
    names = sys.argv[1:] or [mutation.name for mutation in MUTATIONS]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        for mutation in MUTATIONS:
            if mutation.name in names:
                began = time.monotonic()
                print(f"{mutation.name} ({mutation.test})", flush=True)  # noqa: T201
                alive = survives(mutation, Path(folder))
                print(f"    {'SURVIVED' if alive else 'noticed'} after {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
                survivors += [mutation.name] * alive
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main())
