"""Numbers for what many rows name: deliveries, kinds of findings, shared texts. Remembered, for they are few."""

from collections.abc import Collection
from typing import Any, TypeVar

from sqlalchemy import Connection

from .database import many, run, select_in, take_numbers
from .payload import content_hash

_DAY = 86_400_000_000
_MOST = 50_000

Key = tuple[str, ...]
K = TypeVar("K", bound=Key)


class Names:
    """What this process knows of the numbers; what a transaction adds counts once it is committed (`keep`)."""

    def __init__(self) -> None:
        self._kept: dict[Any, int] = {}
        self._fresh: dict[Any, int] = {}

    def keep(self) -> None:
        """Say that the transaction was committed."""
        if len(self._kept) > _MOST:
            self._kept.clear()
        self._kept.update(self._fresh)
        self._fresh.clear()

    def forget(self) -> None:
        """Say that the transaction was rolled back."""
        self._fresh.clear()

    def kinds(self, connection: Connection, keys: Collection[tuple[str, str, str]]) -> dict[tuple[str, str, str], int]:
        """Give the numbers of (taxonomy, type, identifier)."""
        return self._numbers(connection, "kinds", ("taxonomy", "type", "identifier"), keys)

    def deliveries(self, connection: Connection, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Give the numbers of (member, delivery)."""
        return self._numbers(connection, "deliveries", ("member", "delivery"), keys)

    def shared(self, connection: Connection, texts: Collection[bytes], at: int) -> dict[bytes, int]:
        """Give the numbers of shared texts, and note at least once a day that they are used."""
        day = at // _DAY
        found: dict[bytes, int] = {}
        missing: dict[bytes, bytes] = {}
        remembered = {text: number for text in texts if (number := self._known((text, day))) is not None}
        # Others may have erased what this process remembers.
        there_still = {
            row.n for row in select_in(connection, "SELECT n FROM shared WHERE n IN :keys", list(remembered.values()))
        }
        for text in texts:
            number = remembered.get(text)
            if number is None or number not in there_still:
                missing[content_hash(text)] = text
            else:
                found[text] = number
        if not missing:
            return found
        there = {
            bytes(row.hash): row.n
            for row in select_in(connection, "SELECT hash, n FROM shared WHERE hash IN :keys", list(missing))
        }
        many(connection, "UPDATE shared SET used = ? WHERE n = ?", [(at, n) for n in sorted(there.values())])
        fresh = [hash_ for hash_ in missing if hash_ not in there]
        first = take_numbers(connection, "shared", len(fresh))
        there.update(zip(fresh, range(first, first + len(fresh)), strict=True))
        many(
            connection,
            "INSERT INTO shared (n, hash, data, used) VALUES (?, ?, ?, ?)",
            [(there[hash_], hash_, missing[hash_], at) for hash_ in fresh],
        )
        for hash_, text in missing.items():
            self._fresh[text, day] = found[text] = there[hash_]
        return found

    def _known(self, key: Any) -> int | None:
        number = self._kept.get(key)
        return self._fresh.get(key) if number is None else number

    def _numbers(self, connection: Connection, table: str, columns: Key, keys: Collection[K]) -> dict[K, int]:
        found: dict[K, int] = {}
        for key in sorted(keys):
            number = self._known((table, key))
            if number is None:
                number = self._fresh[table, key] = _number(connection, table, columns, key)
            found[key] = number
        return found


def _number(connection: Connection, table: str, columns: Key, key: Key) -> int:
    values = dict(zip(columns, key, strict=True))
    where = " AND ".join(f"{column} = :{column}" for column in columns)
    # Table and columns are names of this module, never data.
    number: int | None = run(connection, f"SELECT n FROM {table} WHERE {where}", **values).scalar()  # noqa: S608
    if number is None:
        number = take_numbers(connection, table)
        names = ", ".join(columns)
        marks = ", ".join(f":{column}" for column in columns)
        run(connection, f"INSERT INTO {table} (n, {names}) VALUES (:n, {marks})", n=number, **values)  # noqa: S608
    return number
