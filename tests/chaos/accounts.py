"""Account for every row of a campaign: it lies in exactly one place, the one that the row itself names.

This imports nothing of the project. ``python accounts.py FOLDER`` reads

- ``inputs/*.csv``: what was fed, with the columns ``serial,time,address,label,kill,drop``;
- ``*/out/*.jsonl``: what the hosts' file outputs wrote: ``all``, ``rest``, ``duplicates``;
- ``*/state/store.db``: the store;
- ``*/maildir/**``: what the courier handed over;
- ``failed.jsonl`` (``cleanbots failed export``) and ``books.json``: ``dropped`` by bot and reason, ``queued``.

What must become of a row: killers in *failed* of ``deadly``; an address that is none in *failed* of ``parse``; a
serial that was fed before in ``duplicates`` (which of the copies is left to chance); ``drop`` is dropped by ``route``;
any other in ``all``, and beside that in ``rest`` if nobody claims its address, else once in the store for each
delivery of its member: owed or told, or withheld because of its label.
"""

import csv
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

CLAIMED = "192.0.2."
Row = dict[str, str]


def place(row: Row) -> str:
    """Say where a row belongs that was fed once."""
    if row["kill"]:
        return "failed deadly"
    if row["address"] == "broken":
        return "failed parse"
    return "dropped" if row["drop"] else "all"


def read_inputs(folder: Path) -> tuple[dict[str, Row], Counter[str]]:
    """Give the rows by serial, and how often each was fed."""
    rows: dict[str, Row] = {}
    times: Counter[str] = Counter()
    for path in sorted((folder / "inputs").glob("*.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                rows[row["serial"]] = row
                times[row["serial"]] += 1
    return rows, times


def read_lines(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Walk through the objects of files of JSON lines; a torn line is an error."""
    for path in paths:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                assert line.endswith(b"\n"), f"{path}:{number}: the last line is torn"
                yield json.loads(line)


class Accounts:
    """The books of one campaign.

    Args:
        folder: of the campaign.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows, self.times = read_inputs(folder)
        self.written = {
            name: [(event["id"], _serial(event)) for event in read_lines(sorted(folder.glob(f"*/out/{name}.jsonl")))]
            for name in ("all", "rest", "duplicates")
        }
        """Output to the ids and serials of what it wrote."""
        self.failed = [(item["bot"], _serial(item)) for item in read_lines([folder / "failed.jsonl"])]
        self.books = json.loads((folder / "books.json").read_text())
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()

    def balance(self) -> dict[str, int]:
        """Account for all; give the counts by place.

        Raises:
            AssertionError: naming everything that is lost, doubled or in the wrong place.
        """
        self._files()
        self._failed()
        (store,) = self.folder.glob("*/state/store.db")
        self._store(store)
        self.counts["queued"] = self.books["queued"]
        self.counts["in"] = self.times.total()
        parts = ("all", "duplicates", "dropped", "failed deadly", "failed parse", "queued")
        self._expect(sum(self.counts[part] for part in parts), self.counts["in"], "the sum of all places")
        assert not self.wrong, "; ".join(self.wrong)
        return dict(sorted(self.counts.items()))

    def _files(self) -> None:
        again = {serial: number - 1 for serial, number in self.times.items() if number > 1}
        goes_on = {serial for serial, row in self.rows.items() if place(row) in ("all", "dropped")}
        kept = {serial for serial in goes_on if place(self.rows[serial]) == "all"}
        unclaimed = {serial for serial in kept if not self.rows[serial]["address"].startswith(CLAIMED)}
        self._same("all", dict.fromkeys(kept, 1))
        self._same("rest", dict.fromkeys(unclaimed, 1))
        self._same("duplicates", {serial: number for serial, number in again.items() if serial in goes_on})
        dropped = self.books["dropped"].get("route:dropped:drop", 0)
        self.counts["dropped"] = dropped
        self._expect(dropped, len(goes_on) - len(kept), "dropped by route")

    def _failed(self) -> None:
        for name in ("deadly", "parse"):
            wanted = {serial: self.times[serial] for serial, row in self.rows.items() if place(row) == f"failed {name}"}
            found = Counter(serial for bot, serial in self.failed if bot == name)
            self.counts[f"failed {name}"] = found.total()
            self._compare(f"failed of {name}", found, wanted)
        others = Counter(bot for bot, _ in self.failed if bot not in ("deadly", "parse"))
        if others:
            self.wrong.append(f"failed where nothing may: {dict(others)}")

    def _store(self, path: Path) -> None:
        rows = ((event, self.rows[serial]) for event, serial in self.written["all"])
        ids = {event: row for event, row in rows if row["address"].startswith(CLAIMED)}
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as store:
            dues = store.execute("SELECT events.id, reason, digest FROM dues JOIN events ON events.n = dues.event")
            found: Counter[str] = Counter()
            for event, reason, digest in dues:
                found[event] += 1
                row = ids.get(event)
                if row is not None and (reason == "tlp") != (row["label"] == "RED"):
                    self.wrong.append(f"store: {event} with label {row['label']} has the reason {reason!r}")
                self.counts["store withheld tlp" if reason else "store told" if digest else "store owed"] += 1
            self._compare("store", found, dict.fromkeys(ids, 1))
            self._mails(path.parents[1], store)

    def _mails(self, host: Path, store: sqlite3.Connection) -> None:
        """Each message that the ledger calls accepted lies there exactly once."""
        sent = Counter(_message_id(path) for path in [*host.glob("maildir/new/*"), *host.glob("maildir/cur/*")])
        noted = dict.fromkeys((row[0] for row in store.execute("SELECT id FROM messages WHERE state = 'accepted'")), 1)
        self.counts["mails"] = sent.total()
        self._compare("mails", sent, noted)

    def _same(self, name: str, wanted: dict[str, int]) -> None:
        found = Counter(serial for _, serial in self.written[name])
        self.counts[name] = found.total()
        self._compare(name, found, wanted)
        twice = [event for event, n in Counter(event for event, _ in self.written[name]).items() if n > 1]
        if twice:
            self.wrong.append(f"{name}: {len(twice)} ids written twice, for example {twice[0]}")

    def _compare(self, name: str, found: Counter[str], wanted: dict[str, int]) -> None:
        lost = {key: number - found[key] for key, number in wanted.items() if found[key] < number}
        more = {key: number - wanted.get(key, 0) for key, number in found.items() if number > wanted.get(key, 0)}
        if lost:
            self.wrong.append(f"{name}: {sum(lost.values())} lost, for example {next(iter(lost))}")
        if more:
            self.wrong.append(f"{name}: {sum(more.values())} doubled or out of place, for example {next(iter(more))}")

    def _expect(self, found: int, wanted: int, what: str) -> None:
        if found != wanted:
            self.wrong.append(f"{what}: {found} instead of {wanted}")


def _serial(item: dict[str, Any]) -> str:
    event = item.get("event") or item
    serial = event.get("extra.serial")
    if serial is None:  # a row that could not be parsed: its first cell, after the header
        serial = str(item["raw"]).splitlines()[-1].partition(",")[0]
    return str(serial)


def _message_id(path: Path) -> str:
    with path.open("rb") as file:
        for line in file:
            name, _, value = line.partition(b":")
            if name.lower() == b"message-id":
                return (value.strip() or next(file).strip()).decode().strip("<>")
    raise AssertionError(f"{path}: a mail without a Message-ID")


if __name__ == "__main__":
    print(json.dumps(Accounts(Path(sys.argv[1])).balance(), indent=2))  # noqa: T201  # it is a program
