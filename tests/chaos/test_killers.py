"""Items that kill, under the real supervisord: each costs a few deaths and itself, nothing else."""

import csv
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cleanbots.broker import connect

CLEANBOTS = Path(sys.executable).with_name("cleanbots")
SITE = Path(__file__).parent / "site"

CONFIG = """
name: killers
state: state
memory: 512MiB
plugins: [{site}]
defaults: {{time_limit: 1s}}
bots:
  inbox: {{use: collector/file, every: 1h, params: {{path: inbox, settle: 0s}}, to: parse}}
  parse: {{use: parser/csv, params: {{columns: {{address: source.ip, kill: extra.kill}}, type: scanner}}, to: a}}
  a: {{use: expert/deadly, params: {{name: a, deaths: deaths}}, to: b}}
  b: {{use: expert/deadly, params: {{name: b, deaths: deaths}}, to: c}}
  c: {{use: expert/deadly, isolate: true, params: {{name: c, deaths: deaths}}, to: out}}
  out: {{use: output/file, params: {{path: out.jsonl}}}}
"""


def _write(folder: Path, rows: int, killers: int, chance: random.Random) -> dict[int, str]:
    """Write the inbox; give the lines that kill, and the bot that each kills in."""
    deadly = chance.sample(range(rows), killers)
    kinds = ["fault", "loop", "memory"]
    chosen = {line + 2: (kinds[n % 3], chance.choice("abc")) for n, line in enumerate(deadly)}
    (folder / "inbox").mkdir()
    with (folder / "inbox" / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["address", "kill"])
        for line in range(2, rows + 2):
            writer.writerow([f"192.0.2.{line % 254 + 1}", " ".join(chosen.get(line, ()))])
    return {line: bot for line, (_, bot) in chosen.items()}


def _command(folder: Path, *words: str) -> str:
    done = subprocess.run([CLEANBOTS, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_killers_cost_themselves_alone(tmp_path: Path, long_form: bool, until: Callable[..., None]) -> None:
    """Exactly the items that kill are in the failed of the bot they kill in, after at most eight deaths each."""
    rows, killers = (100_000, 20) if long_form else (3_000, 3)
    deadly = _write(tmp_path, rows, killers, random.Random(7))
    (tmp_path / "cleanbots.yaml").write_text(CONFIG.format(site=SITE))
    queues = ["parse", "a", "b", "c", "out"]
    _command(tmp_path, "up")
    try:
        broker = connect("embedded", "killers", tmp_path / "state")
        until(lambda: broker.last_slot("inbox") and broker.drained(queues), "the queues to be worked off", 900.0)
        broker.close()
        _command(tmp_path, "failed", "export", "-o", "failed.jsonl")
    finally:
        _command(tmp_path, "down")
    failed = [json.loads(line) for line in (tmp_path / "failed.jsonl").read_text().splitlines()]
    written = [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    deaths = Counter(line.split()[0] for line in (tmp_path / "deaths").read_text().splitlines())
    print(f"{sum(deaths.values())} deaths for {killers} killers, at most {max(deaths.values())}")  # noqa: T201

    assert {(int(item["id"].rpartition("-")[2]), item["bot"]) for item in failed} == set(deadly.items())
    assert len(failed) == killers
    assert len(written) == len(set(written)) == rows - killers
    assert max(deaths.values()) <= 8
