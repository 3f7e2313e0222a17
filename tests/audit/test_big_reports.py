"""Reports of any size go through in constant memory, and no row is lost on the way."""

import gzip
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.samples import shadowserver_csv

CLEANBOTS = Path(sys.executable).with_name("cleanbots")
MOST = 250 * 2**20

CONFIG = """
name: big
state: state
archive: false
bots:
  inbox: {use: collector/file, every: 1d, params: {path: inbox, settle: 0s, max_size: 8GiB}, to: parse}
  parse: {use: parser/shadowserver, params: {schema: schema.json}, to: taxonomy}
  taxonomy: {use: expert/taxonomy, to: out}
  out: {use: output/file, params: {path: out.csv, format: csv, fields: [id]}}
"""


def _peaks(parent: int, peaks: dict[str, int]) -> None:
    """Note the peak memory of each process below *parent*, by what it runs."""
    todo = [parent]
    while todo:
        process = todo.pop()
        try:
            todo += map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
            status = Path(f"/proc/{process}/status").read_text()
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        peak = next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
        name = " ".join(word.decode() for word in words[:1] + words[5:6])[-40:]
        peaks[name] = max(peaks.get(name, 0), peak)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_memory_stays_flat(packed: bool, tmp_path: Path, repository: Path, long_form: bool) -> None:
    """No process, the queue server included, needs more than 250 MiB; each row's id comes out once."""
    rows = 10_900_000 if long_form else 60_000
    (tmp_path / "inbox").mkdir()
    report = tmp_path / "2026-11-20-scan_redis-big.csv"
    shadowserver_csv(report, rows, 11, newlines=0.05)
    if packed:
        with report.open("rb") as plain, gzip.open(tmp_path / "inbox" / f"{report.name}.gz", "wb", 1) as file:
            shutil.copyfileobj(plain, file, 2**20)
    else:
        report.rename(tmp_path / "inbox" / report.name)
    (tmp_path / "cleanbots.yaml").write_text(CONFIG)
    (tmp_path / "schema.json").write_bytes((repository / "config" / "shadowserver-schema.json").read_bytes())

    peaks: dict[str, int] = {}
    started = time.monotonic()
    with (tmp_path / "run.log").open("wb") as log:
        command = [CLEANBOTS, "run", "--drain", "--json", "--log-level", "WARNING"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log)
        while process.poll() is None:
            _peaks(process.pid, peaks)
            time.sleep(0.1)
    out, _ = process.communicate()
    took = time.monotonic() - started
    assert process.returncode == 0, (tmp_path / "run.log").read_text()[-4000:]
    books = {row["bot"]: row for row in json.loads(out)}

    figures = {name: f"{peak / 2**20:.0f} MiB" for name, peak in peaks.items()}
    print(f"{rows} rows in {took:.0f} s, {figures}")  # noqa: T201  # the figures of the bar
    assert books["parse"]["in"] == rows
    assert _rows_once(tmp_path / "out.csv") == rows
    assert max(peaks.values()) < MOST


def _rows_once(path: Path) -> int:
    """Count the ids; each must be the only one of its line."""
    seen = bytearray(2**22)
    count = 0
    with path.open() as file:
        next(file)
        for line in file:
            number = int(line.rstrip().rpartition("-")[2])
            byte, bit = divmod(number, 8)
            assert not seen[byte] >> bit & 1, f"line {number} came out twice"
            seen[byte] |= 1 << bit
            count += 1
    return count
