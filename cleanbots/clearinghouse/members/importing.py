"""Take members from a CSV into ``members.yaml``: only what is new or different is written, every comment stays.

The file is changed as text: a value is replaced where it stands, a new one is inserted beside its neighbours. The
result is checked before anybody sees it: it must say what was wanted, and otherwise what it said before.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import orjson

from ...config.finding import Finding
from ...config.finding import Path as Where
from ...config.yaml import Document, parse
from ...errors import ConfigError
from .check import check

COLUMNS = (
    "id", "name", "kind", "state", "language", "asns", "networks", "domains",
    "mail", "role", "delivery", "when", "tlp",
)  # fmt: skip
"""What the CSV may have; ``id`` it must have."""

MAX_BYTES = 16 * 2**20

_SCALARS = ("name", "kind", "state", "language", "tlp")
_LISTS = {"asns": "asn", "networks": "prefix", "domains": "suffix"}
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.@/-]*")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off"))
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\n]|\'\')*\'')


class Edit(NamedTuple):
    """A piece of text to be replaced: line and column (from 1), how many characters, by what."""

    line: int
    column: int
    length: int
    text: str


@dataclass
class Imported:
    """What an import would do.

    Args:
        path: the file.
        text: as it would be.
        difference: a unified diff, "" if nothing changes.
        findings: what would be wrong with it.
    """

    path: Path
    text: str
    difference: str
    findings: list[Finding] = field(default_factory=list)

    def write(self) -> None:
        """Replace the file, atomically."""
        with NamedTemporaryFile("w", dir=self.path.parent, prefix=f".{self.path.name}.", delete=False) as file:
            try:
                file.write(self.text)
                file.flush()
                Path(file.name).chmod(self.path.stat().st_mode & 0o777 if self.path.exists() else 0o640)
                Path(file.name).replace(self.path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise


def import_csv(path: Path, table: Path) -> Imported:
    """Work out what the CSV *table* changes in the members of *path*; nothing is written.

    Raises:
        ConfigError: if the CSV can't be read as such, or the file can't be changed without loss.
    """
    before = path.read_text(encoding="utf-8") if path.exists() else "members:\n"
    text = before
    for line, row in _rows(table):
        document = parse(text, str(path))
        if document.findings:
            raise ConfigError(f"{path} has mistakes; mend them first: {document.findings[0]}")
        edited = _edited(text, document, row)
        _verify(f"{table}:{line}", row, document, parse(edited, str(path)), str(path))
        text = edited
    difference = "".join(unified_diff(before.splitlines(True), text.splitlines(True), str(path), f"{path} (new)"))
    return Imported(path, text, difference, _findings(path, text) if difference else [])


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    if table.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{table} is larger than {MAX_BYTES // 2**20} MiB; split it up")
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            unknown = set(reader.fieldnames or ()) - set(COLUMNS)
            if unknown or "id" not in (reader.fieldnames or ()):
                what = f"unknown columns {', '.join(sorted(unknown))}" if unknown else "no column 'id'"
                raise ConfigError(f"{table}:1: {what}; the columns are {', '.join(COLUMNS)}")
            for row in reader:
                if None in row or None in row.values():
                    raise ConfigError(f"{table}:{reader.line_num}: more or fewer cells than columns")
                yield reader.line_num, {name: value.strip() for name, value in row.items() if value.strip()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{table}: can't be read as CSV in UTF-8: {error}") from error


def _edited(text: str, document: Document, row: dict[str, str]) -> str:
    """Give the text with one row taken in."""
    if "id" not in row:
        raise ConfigError("a row without an id; every member needs one")
    members = document.value.get("members") or [] if isinstance(document.value, dict) else []
    number = next((n for n, each in enumerate(members) if isinstance(each, dict) and each.get("id") == row["id"]), None)
    if number is None:
        return _appended(text, document, row)
    edits = list(_changes(text, document, ("members", number), members[number], row))
    return _applied(text, edits)


def _appended(text: str, document: Document, row: dict[str, str]) -> str:
    """Give the text with a new member at its end; 'members:' must be the last key, and in block style."""
    value = document.value if isinstance(document.value, dict) else {}
    places = [place for path, place in document.keys.items() if len(path) == 1]
    if "members" in value and max(places) != document.keys["members",]:
        raise ConfigError(
            f"{row['id']}: can't be added, because 'members:' is not the last key of the file; move it there"
        )
    first = document.places.get(("members", 0))
    if first is not None and text.splitlines()[first.line - 1][: first.column - 1].strip() not in {"-", ""}:
        raise ConfigError(f"{row['id']}: can't be added to a list in brackets; write one member below the other")
    indent = " " * (first.column - 3) if first is not None else "  "
    lines = [f"{key}: {_flow(inner)}" for key, inner in _entry(row).items()]
    head = "" if text.endswith("\n") or not text else "\n"
    start = "" if "members" in value else "members:\n"
    entry = f"{indent}- {lines[0]}\n" + "".join(f"{indent}  {line}\n" for line in lines[1:])
    return f"{text}{head}{start}{entry}"


def _entry(row: dict[str, str]) -> dict[str, Any]:
    """Give the entry of a new member."""
    entry: dict[str, Any] = {"id": row["id"], "name": row.get("name", row["id"])}
    entry |= {name: row[name] for name in _SCALARS[1:] if name in row}
    resources = {name: [{key: each} for each in _items(row, name)] for name, key in _LISTS.items() if name in row}
    if resources:
        entry["resources"] = resources
    if "mail" in row:
        entry["contacts"] = [{"id": "desk", "role": row.get("role", "abuse"), "mail": row["mail"]}]
        entry["deliveries"] = [_delivery(row, "desk")]
    return entry


def _delivery(row: dict[str, str], contact: str) -> dict[str, Any]:
    return {"id": row.get("delivery", "daily"), "to": [contact], "when": row.get("when", "daily 07:30")}


def _items(row: dict[str, str], name: str) -> list[Any]:
    texts = row.get(name, "").split()
    if name != "asns":
        return texts
    numbers = [text.upper().removeprefix("AS") for text in texts]
    return [int(number) if number.isdecimal() and number.isascii() else number for number in numbers]


def _changes(text: str, document: Document, at: Where, member: dict[str, Any], row: dict[str, str]) -> Iterator[Edit]:
    """Give the edits that make a known member what the row says; what the row lacks is left alone."""
    new: dict[str, Any] = {}
    for name in _SCALARS:
        if name in row and member.get(name) != row[name]:
            if name in member:
                yield _replaced(text, document, (*at, name), row[name])
            else:
                new[name] = row[name]
    resources = member.get("resources") or {}
    claims: dict[str, Any] = {}
    for name, key in _LISTS.items():
        known = [each.get(key) for each in resources.get(name) or ()]
        added = [{key: each} for each in _items(row, name) if each not in known]
        if added and resources.get(name):
            yield _inserted_items(text, document, (*at, "resources", name), added)
        elif added:
            claims[name] = added
    if claims and resources:
        yield _inserted_keys(text, document, (*at, "resources"), claims)
    elif claims:
        new["resources"] = claims
    yield from _told(text, document, at, member, row, new)
    if new:
        yield _inserted_keys(text, document, at, new)


def _told(
    text: str, document: Document, at: Where, member: dict[str, Any], row: dict[str, str], new: dict[str, Any]
) -> Iterator[Edit]:
    """Give the edits for contact and delivery; keys that the member lacks are added to *new*."""
    contacts, deliveries = member.get("contacts") or [], member.get("deliveries") or []
    desk = next((each["id"] for each in contacts if each.get("mail") == row.get("mail")), "desk")
    if "mail" in row and not any(each.get("mail") == row["mail"] for each in contacts):
        ids = {each.get("id") for each in contacts}
        desk = next(name for n in range(1, len(ids) + 2) if (name := f"desk{n if n > 1 else ''}") not in ids)
        contact = {"id": desk, "role": row.get("role", "abuse"), "mail": row["mail"]}
        if contacts:
            yield _inserted_items(text, document, (*at, "contacts"), [contact])
        else:
            new["contacts"] = [contact]
    if "delivery" not in row:
        return
    number = next((n for n, each in enumerate(deliveries) if each.get("id") == row["delivery"]), None)
    if number is None:
        if deliveries:
            yield _inserted_items(text, document, (*at, "deliveries"), [_delivery(row, desk)])
        else:
            new["deliveries"] = [_delivery(row, desk)]
    elif "when" in row and deliveries[number].get("when") != row["when"]:
        place: Where = (*at, "deliveries", number)
        if "when" in deliveries[number]:
            yield _replaced(text, document, (*place, "when"), row["when"])
        else:
            yield _inserted_keys(text, document, place, {"when": row["when"]})


def _replaced(text: str, document: Document, at: Where, value: str) -> Edit:
    place = document.places[at]
    rest = text.splitlines()[place.line - 1][place.column - 1 :]
    quoted = _QUOTED.match(rest)
    plain = re.match(r"[^#,\[\]{}]*?(?=\s*(?:[,\]}]|\s#|$))", rest)
    length = len(quoted[0]) if quoted else len(plain[0]) if plain else 0
    return Edit(place.line, place.column, length, _flow(value))


def _inserted_items(text: str, document: Document, at: Where, items: list[Any]) -> Edit:
    """Insert items before the first one of a list."""
    place = document.places[at]
    if text.splitlines()[place.line - 1][place.column - 1] == "[":
        return Edit(place.line, place.column + 1, 0, "".join(f"{_flow(item)}, " for item in items))
    indent = " " * (place.column - 1)
    return Edit(place.line, place.column, 0, "".join(f"- {_flow(item)}\n{indent}" for item in items))


def _inserted_keys(text: str, document: Document, at: Where, values: dict[str, Any]) -> Edit:
    """Insert keys into a mapping: in braces at its begin, else before its second key (or its first, if it has one)."""
    place = document.places[at]
    if text.splitlines()[place.line - 1][place.column - 1] == "{":
        return Edit(
            place.line, place.column + 1, 0, "".join(f"{key}: {_flow(inner)}, " for key, inner in values.items())
        )
    keys = sorted(found for path, found in document.keys.items() if path[:-1] == at)
    where = keys[1] if len(keys) > 1 else keys[0]
    indent = " " * (where.column - 1)
    return Edit(
        where.line, where.column, 0, "".join(f"{key}: {_flow(inner)}\n{indent}" for key, inner in values.items())
    )


def _applied(text: str, edits: list[Edit]) -> str:
    lines = text.splitlines(keepends=True)
    # From the end on, so that the places of those before stay true.
    for edit in sorted(edits, key=lambda each: (each.line, each.column), reverse=True):
        line = lines[edit.line - 1]
        lines[edit.line - 1] = line[: edit.column - 1] + edit.text + line[edit.column - 1 + edit.length :]
    return "".join(lines)


def _flow(value: Any) -> str:
    """Write a value in one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return orjson.dumps(value).decode()


def _verify(place: str, row: dict[str, str], before: Document, after: Document, name: str) -> None:
    """Make sure that a row changed what it should, and nothing else.

    Raises:
        ConfigError: if it did not; the file must be changed by hand then.
    """
    sentence = f"{place}: {row['id']!r} can't be taken into {name} without loss; change that member by hand"
    if after.findings or not isinstance(after.value, dict):
        raise ConfigError(sentence)
    old = {each["id"]: each for each in (before.value or {}).get("members") or () if isinstance(each, dict)}
    new = {each["id"]: each for each in after.value["members"] if isinstance(each, dict) and "id" in each}
    member = new.get(row["id"], {})
    same = {key: value for key, value in new.items() if key != row["id"]}
    others = {key: value for key, value in old.items() if key != row["id"]}
    wanted = all(member.get(key) == row[key] for key in _SCALARS if key in row)
    claimed = all(
        each in [claim.get(key) for claim in (member.get("resources") or {}).get(kind, ())]
        for kind, key in _LISTS.items()
        for each in _items(row, kind)
    )
    kept = all(_kept(value, member.get(key)) for key, value in old.get(row["id"], {}).items() if key not in _SCALARS)
    if same != others or not (wanted and claimed and kept):
        raise ConfigError(sentence)


def _kept(old: Any, new: Any) -> bool:
    """Tell whether all that was there still is, schedules aside."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key == "when" or _kept(value, new.get(key)) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return all(any(_kept(value, other) for other in new) for value in old)
    return bool(old == new)


def _findings(path: Path, text: str) -> list[Finding]:
    """Check the text as if it stood in the file; relative paths start at the same folder."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", suffix=".check") as file:
        file.write(text)
        file.flush()
        found = check(Path(file.name)).findings
    return [each._replace(file=each.file.replace(file.name, str(path))) for each in found]
