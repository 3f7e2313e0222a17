"""Known rows: each with a serial number, and in itself what must become of it."""

import csv
import random
from datetime import UTC, datetime
from pathlib import Path

COLUMNS = ("serial", "time", "address", "label", "kill", "drop")
_KINDS = ("fault", "memory", "fault", "fault", "memory", "fault", "loop")


def write_rows(path: Path, first: int, rows: int, killers: int, chance: random.Random) -> None:
    """Write *rows* rows, the serial numbers counting on from *first*; one in fifty repeats an earlier one of the file.

    Args:
        path: of the file.
        first: the serial number of the first row.
        rows: how many.
        killers: how many of them kill the bot ``deadly``.
        chance: decides all else.
    """
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    deadly = dict(zip(chance.sample(range(rows), killers), _KINDS * killers, strict=False))
    written: list[tuple[str, ...]] = []
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(rows):
            if number in deadly:
                row = _row(first + number, now, "192.0.2.1", kill=f"{deadly[number]} deadly")
            elif written and chance.random() < 0.02:
                row = chance.choice(written)
            else:
                row = _usual(first + number, now, chance)
                written.append(row)
            writer.writerow(row)


def _usual(serial: int, now: str, chance: random.Random) -> tuple[str, ...]:
    claimed = chance.random() < 0.3
    address = f"{'192.0.2' if claimed else '198.51.100'}.{chance.randrange(1, 255)}"
    label = chance.choice(("GREEN", "AMBER", "RED"))
    kind = chance.random()
    if kind < 0.01:
        address = "broken"
    return _row(serial, now, address, label, drop="yes" if kind > 0.98 else "")


def _row(serial: int, now: str, address: str, label: str = "GREEN", kill: str = "", drop: str = "") -> tuple[str, ...]:
    return (str(serial), now, address, label, kill, drop)
