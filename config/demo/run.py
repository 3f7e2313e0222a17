"""The demo: two days of sample reports through a whole clearinghouse, by the commands that an operator types.

Everything it makes lies in ``demo-output/``; run it again and it starts anew. Nothing leaves this machine: mails go
into a Maildir, webhooks to a receiver of the demo's own.
"""

import base64
import gzip
import json
import mailbox
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
ROWS = 2000
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

sys.path.insert(0, str(ROOT))


class Demo:
    """A folder with a graph in it, and the commands typed there.

    Args:
        folder: made anew.
        port: of the receiver of webhooks.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.command = str(Path(sys.executable).with_name("cleanbots"))
        secret = base64.b64encode(b"the demo's own secret, no other!").decode()
        self.environment = {**os.environ, "DEMO_HOOK": f"whsec_{secret}"}
        shutil.rmtree(folder, ignore_errors=True)
        for inbox in ("api", "mail", "partner"):
            (folder / "inbox" / inbox).mkdir(parents=True)
        for name in (HERE / "cleanbots.yaml", ROOT / "config" / "shadowserver-schema.json"):
            shutil.copy(name, folder)
        members = (HERE / "members.yaml").read_text().replace("127.0.0.1:8999", f"127.0.0.1:{port}")
        (folder / "members.yaml").write_text(members)

    def show(self, *words: str) -> None:
        """Type a command and show what it says."""
        print(f"\n$ cleanbots {' '.join(words)}", flush=True)
        done = subprocess.run([self.command, *words], cwd=self.folder, env=self.environment, check=False)
        if done.returncode:
            sys.exit(done.returncode)

    def ask(self, *words: str) -> Any:
        """Type a command and give its JSON; its log goes to ``run.log``."""
        with (self.folder / "run.log").open("ab") as log:
            done = subprocess.run(
                [self.command, *words, "--json"],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                check=False,
            )
        if done.returncode:
            print((self.folder / "run.log").read_text())
            sys.exit(done.returncode)
        return json.loads(done.stdout)

    def run(self, when: datetime) -> dict[str, dict[str, Any]]:
        """Collect and work off what is there, as if it were *when*; give the books by bot."""
        at = when.isoformat()
        print(f"\n$ cleanbots run --drain          # it is {when:%A %H:%M} UTC", flush=True)
        return {row["bot"]: row for row in self.ask("run", "--drain", "--at", at, "--log-level", "WARNING")}


def main() -> int:
    """Run the demo; give the exit code."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output").resolve()
    with _receiver() as (port, received):
        demo = Demo(folder, port)
        _first_day(demo)
        _second_day(demo)
        balanced = _tell(demo, received)
    return 0 if balanced else 1


def _first_day(demo: Demo) -> None:
    _reports(demo.folder, TODAY - timedelta(days=1))
    print(f"{ROWS} rows of a Shadowserver report, the same report again by mail, and a partner's list of 60 rows")
    print(f"are waiting in {demo.folder / 'inbox'}; five members want to know.")
    for command in ("check", "members check", "test", "graph"):
        demo.show(*command.split())
    books = demo.run(TODAY + timedelta(hours=5))
    demo.show("failed", "list")
    _books_of_the_graph(books)

    demo.run(TODAY + timedelta(hours=6, minutes=50))
    print("The first digests are made, and held: nothing reaches a member until an operator has looked.")
    demo.show("deliveries", "list", "--held")
    demo.show("deliveries", "approve", "--all")
    demo.run(TODAY + timedelta(hours=7))
    demo.show("deliveries", "list")


def _second_day(demo: Demo) -> None:
    _reports(demo.folder, TODAY, more=200)
    print("\nThe next day brings the same machines again, and some new ones.")
    demo.run(TODAY + timedelta(days=1, hours=5))
    demo.run(TODAY + timedelta(days=1, hours=6, minutes=50))
    demo.show("deliveries", "list")


def _reports(folder: Path, day: datetime, more: int = 0) -> None:
    from benchmarks.samples import blocklist_csv, shadowserver_csv
    from cleanbots.services.mmdb import build_tables

    date = f"{day:%Y-%m-%d}"
    report = folder / "inbox" / "api" / f"{date}-scan_redis-example.csv"
    shadowserver_csv(report, ROWS + more, newlines=0.01, broken=0.005, day=date)
    if more:
        return
    with gzip.open(folder / "inbox" / "mail" / f"{report.name}.gz", "wb") as copy:
        copy.write(report.read_bytes())
    rows = folder / "inbox" / "partner" / "blocklist.csv"
    blocklist_csv(rows)
    rows.write_bytes(rows.read_bytes().replace(b"2026-11-20", date.encode()))
    build_tables(HERE / "networks.txt", folder, datetime.now(UTC))


def _books_of_the_graph(books: dict[str, dict[str, Any]]) -> None:
    rows = books["shadowserver"]["in"] + books["blocklist"]["in"]
    failed = sum(row["failed"] for row in books.values())
    print("\nThe books of the graph:")
    _account(
        ("rows collected, in 3 reports", rows),
        ("failed, each with its line and reason (above)", -failed),
        ("events", books["dedup"]["in"]),
        ("duplicates: the report that came twice", -books["dedup"]["dropped"]),
        ("dropped by the rule 'abroad'", -books["route"]["dropped"]),
        ("told to networks (a file each) and to the members' store", books["networks"]["in"]),
        ("of these, matched to members", books["members"]["in"]),
    )


def _tell(demo: Demo, received: list[dict[str, Any]]) -> bool:
    demo.show("deliveries", "balance")
    books = demo.ask("deliveries", "balance")
    balanced = all(_adds_up(row) for row in books["deliveries"])
    print("\nthe books balance" if balanced else "\nTHE BOOKS DO NOT BALANCE")

    box = mailbox.Maildir(demo.folder / "mail", create=False)
    mails = sorted(_mails(box), key=lambda pair: pair[1]["Date"].datetime)
    print(f"\n{len(mails)} mails lie in {demo.folder / 'mail'}:")
    for path, mail in mails:
        print(f"  {path.name[:28]}…  To: {mail['To']}  {mail['Subject']}")
    print(f"{len(received)} webhooks were received: {', '.join(sorted({hook['type'] for hook in received}))};")
    print("the endpoint where nobody listens is tried again later, and holds nobody else up.")
    first = next(pair for pair in mails if "hosting" in pair[1]["To"])
    print(f"\nThe first mail to a member, {first[0]}:\n")
    text = first[1].get_body(("plain",)).get_content()
    print("\n".join(f"  | {line}" for line in text.splitlines()[:32]) + "\n  | …")
    print(
        "\nNext: 'cleanbots deliveries search 192.0.2.17' in that folder tells who was told of an address, 'explain ID'"
    )
    print("what became of an event, and README.md leads to a pipeline of your own.")
    return balanced


def _adds_up(row: dict[str, Any]) -> bool:
    places = ("mentioned", "still", "held", "owed", "changed_holder")
    reasons = sum(sum(row[name].values()) for name in ("suppressed", "given_up"))
    return bool(row["matched"] == sum(row[place] for place in places) + reasons)


def _mails(box: mailbox.Maildir) -> Iterator[tuple[Path, Any]]:
    for path in Path(box._path, "new").iterdir():  # noqa: SLF001  # the class has no public word for it
        yield path, BytesParser(policy=policy.default).parsebytes(path.read_bytes())


def _account(*lines: tuple[str, int]) -> None:
    for text, number in lines:
        print(f"  {number:>7}  {text}")


@contextmanager
def _receiver() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Listen for webhooks on this machine; what comes is kept."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], received
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
