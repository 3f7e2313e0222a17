"""Check ``members.yaml`` and compile it: every mistake in one run, each with its file, line and column."""

from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import orjson

from ...config.finding import Finding
from ...config.finding import Path as Where
from ...config.source import Source, load
from ...errors import ConfigError, shorten
from ...params import Params
from ..model import Member
from .check_claims import Claims
from .check_equal import equal_claims
from .check_member import CHANNELS, FORMATS, People, check_manner
from .review import review
from .shape import CalendarEntry, GuardEntry, Manner, MemberEntry, MembersFile
from .table import Table

P = TypeVar("P", bound=Params)

_FORM = 1
"""Number of the compiled form; raised when the same file must be compiled anew."""


@dataclass(frozen=True)
class CheckedMembers:
    """What `check` found.

    Args:
        findings: every mistake, sorted by file, line and column; with one of them nothing is compiled.
        warnings: what may well be meant, in the same form.
        data: the compiled table, or b"".
        version: a hash of what was written.
        watch: the files that were read, and the folders of included ones.
        source: the file as written, with places.
    """

    findings: list[Finding]
    source: Source
    warnings: list[Finding] = field(default_factory=list)
    data: bytes = b""
    version: str = ""
    watch: list[str] = field(default_factory=list)

    def require(self) -> bytes:
        """Give the compiled table.

        Raises:
            ConfigError: if there are findings; the text lists them all, one a line.
        """
        if self.findings:
            number = len(self.findings)
            lines = "\n".join(map(str, self.findings))
            raise ConfigError(f"the members have {number} mistake{'s' if number > 1 else ''}:\n{lines}")
        return self.data


def check(
    file: Path,
    *,
    formats: Collection[str] | None = FORMATS,
    channels: Collection[str] | None = CHANNELS,
    warn: bool = False,
) -> CheckedMembers:
    """Check the members in *file* and compile them; nothing is written.

    Args:
        file: the main file.
        formats: names of formats that deliveries may ask for; None for any, also those of plugins.
        channels: names of couriers; None for any.
        warn: whether to look for what may well be meant, too.
    """
    source = load(file, "members")
    if not source.value and source.findings:
        return CheckedMembers(source.findings, source, watch=_watch(source, []))
    _shape(source)
    entries = _entries(source)
    ids = [entry.id for _, entry in entries]
    claims = Claims(source, ids)
    people = People(source, _part(source, ("defaults",), Manner), _calendars(source), formats, channels)
    check_manner(source, ("defaults",), people.defaults)
    claims.guard(_part(source, ("guard",), GuardEntry))
    members: list[Member] = []
    first: dict[str, Where] = {}
    for number, (at, entry) in enumerate(entries):
        if entry.id in first:
            place = source.value_place((*first[entry.id], "id"))
            hint = f"the first is at {place.file}:{place.line}; an id is never used again"
            source.find((*at, "id"), f"{shorten(entry.id)} is given twice", hint)
        first.setdefault(entry.id, at)
        members.append(people.member(at, entry))
        claims.places.setdefault(members[-1].place, source.value_place(at))
        claims.member(at, number, entry)
    digests = [_digest(member, entry) for member, (_, entry) in zip(members, entries, strict=True)]
    version = _version(source, claims.contents)
    watch = _watch(source, claims.files)
    data = claims.builder.bytes(version, members, digests, watch)
    table = Table(data)
    source.findings += equal_claims(table, claims.places)
    findings = sorted(set(source.findings))
    if findings:
        return CheckedMembers(findings, source, version=version, watch=watch)
    warnings = sorted({*people.warnings, *claims.warnings, *review(table, claims.places)}) if warn else []
    return CheckedMembers([], source, warnings, data, version, watch)


def _shape(source: Source) -> None:
    value = {name: inner for name, inner in source.value.items() if name != "include"}
    try:
        msgspec.convert(value, MembersFile)
    except msgspec.ValidationError:
        # Only now: it costs much more, and workers that read good files need no jsonschema.
        from ...config.complain import complain

        complain(source, MembersFile, value, ())


def _part(source: Source, at: Where, struct: type[P]) -> P:
    """Give a part of the file; if it doesn't fit, which was said already, its default."""
    value: Any = source.value
    for step in at:
        value = value.get(step, {}) if isinstance(value, dict) else {}
    try:
        return msgspec.convert(value, struct)
    except msgspec.ValidationError:
        return struct()


def _calendars(source: Source) -> dict[str, CalendarEntry]:
    try:
        return msgspec.convert(source.value.get("calendars", {}), dict[str, CalendarEntry])
    except msgspec.ValidationError:
        return {}


def _entries(source: Source) -> list[tuple[Where, MemberEntry]]:
    """Give the members that have the form of one, each with its place."""
    listed = source.value.get("members")
    found: list[tuple[Where, MemberEntry]] = []
    for number, value in enumerate(listed if isinstance(listed, list) else ()):
        try:
            found.append((("members", number), msgspec.convert(value, MemberEntry)))
        except msgspec.ValidationError:
            continue
    return found


def _digest(member: Member, entry: MemberEntry) -> str:
    """Give a hash of all that decides who of this member is told of what, and how."""
    resources = msgspec.json.encode([entry.resources, entry.customers, entry.shared_addresses])
    told = msgspec.json.encode(msgspec.structs.replace(member, place=""))
    return blake2b(told + resources, digest_size=8).hexdigest()


def _version(source: Source, contents: list[bytes]) -> str:
    places = [[str(part) for part in path] + [place.file, place.line] for path, place in source.places.items()]
    digest = blake2b(orjson.dumps([_FORM, source.value, places]), digest_size=8)
    for content in contents:
        digest.update(content)
    return digest.hexdigest()


def _watch(source: Source, files: list[Path]) -> list[str]:
    """Give the files, and folders in which a new file may be included."""
    read = [path.absolute() for path in (*source.files, *files)]
    return [str(path) for path in dict.fromkeys([*read, *(path.parent for path in read[1:])])]
