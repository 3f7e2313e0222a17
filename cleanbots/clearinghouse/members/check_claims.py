"""Check what members claim, and take it into the table."""

from datetime import date
from pathlib import Path
from typing import Protocol

from ...config.finding import Finding, Place, closest
from ...config.finding import Path as Where
from ...config.source import Source
from ...errors import shorten
from ...harmonization.network import fqdn, suffix
from .addresses import WIDEST, Block, block, mail_address, reserved_asn, special
from .shape import ClaimEntry, CustomerEntry, GuardEntry, MemberEntry, NetworkEntry
from .table import ALWAYS, CLAIM, CUSTOMER, EXCLUDE, GUARD, NEVER, NOBODY, SHARED, Builder, Detail, Row

MAX_LIST_BYTES = 256 * 2**20
_MOST_OF_A_LIST = 100
_BUILT_IN = ("(built in)", 0)


class _Suffixes(Protocol):
    def is_public(self, domain: str) -> bool: ...


class Claims:
    """Takes the claims of all members.

    Args:
        source: the file as written; takes the findings.
        ids: of all members.
    """

    def __init__(self, source: Source, ids: list[str]) -> None:
        self.builder = Builder()
        self.warnings: list[Finding] = []
        self.files: list[Path] = []
        self.contents: list[bytes] = []
        self.places: dict[str, Place] = {}
        self._source = source
        self._ids = frozenset(ids)
        self._suffixes: _Suffixes | None = None
        self._lists: dict[Path, bytes] = {}

    def guard(self, entry: GuardEntry) -> None:
        """Take what nobody may claim, and what is the hub's or a notifier's own."""
        from .addresses import SPECIAL

        for text, why in SPECIAL.items():
            row = self.builder.row(NOBODY, GUARD, _BUILT_IN, detail=Detail(why=f"special purpose: {why}"))
            self.builder.network(block(text), row)
        for number, network in enumerate(entry.networks):
            at: Where = ("guard", "networks", number, "prefix")
            if (where := self._block(at, network.prefix)) is not None:
                detail = Detail(why=network.why)
                self.builder.network(where, self.builder.row(NOBODY, GUARD, self._place(at), detail=detail))
        for number, text in enumerate(entry.domains):
            at = ("guard", "domains", number)
            if (name := self._name(at, text, public=True)) is not None:
                self.builder.name(name, self.builder.row(NOBODY, GUARD, self._place(at)))

    def member(self, at: Where, number: int, entry: MemberEntry) -> None:
        """Take what one member claims."""
        held: list[Block] = []
        for index, system in enumerate(entry.resources.asns):
            here: Where = (*at, "resources", "asns", index)
            if why := reserved_asn(system.asn):
                self._source.find((*here, "asn"), f"AS{system.asn} is {why}", "claim the AS number that is theirs")
            self.builder.asn(system.asn, self._row(here, number, entry, system))
        for index, network in enumerate(entry.resources.networks):
            here = (*at, "resources", "networks", index)
            held += self._networks(here, number, entry, network)
        for index, domain in enumerate(entry.resources.domains):
            here = (*at, "resources", "domains", index)
            if (name := self._name((*here, "suffix"), domain.suffix)) is not None:
                self.builder.name(name, self._row(here, number, entry, domain))
        self._parts(at, number, entry, held)
        self._customers(at, number, entry, held)

    def _parts(self, at: Where, number: int, entry: MemberEntry, held: list[Block]) -> None:
        """Take exclusions and shared addresses: parts of what the member holds."""
        for index, exclusion in enumerate(entry.resources.exclude):
            here: Where = (*at, "resources", "exclude", index, "prefix")
            if (where := self._block(here, exclusion.prefix)) is not None:
                self._inside(here, where, entry, held)
                row = self.builder.row(number, EXCLUDE, self._place(here), detail=Detail(why=exclusion.why))
                self.builder.network(where, row)
        for index, shared in enumerate(entry.shared_addresses):
            here = (*at, "shared_addresses", index, "prefix")
            if (where := self._block(here, shared.prefix)) is not None:
                self._inside(here, where, entry, held)
                self.builder.network(where, self.builder.row(number, SHARED, self._place(here)))

    def _networks(self, at: Where, number: int, entry: MemberEntry, network: NetworkEntry) -> list[Block]:
        if (network.prefix is None) == (network.list is None):
            self._source.find(at, "needs either 'prefix' or 'list'", "add 'prefix: 192.0.2.0/24', or 'list: FILE'")
            return []
        row = self._row(at, number, entry, network)
        if network.prefix is not None:
            where = self._block((*at, "prefix"), network.prefix)
            if where is None or not self._claimable((*at, "prefix"), where, wide=network.wide):
                return []
            self.builder.network(where, row)
            return [where]
        return self._listed((*at, "list"), network, number, row)

    def _listed(self, at: Where, network: NetworkEntry, number: int, row: Row) -> list[Block]:
        """Take the prefixes of a list: one a line, ``#`` begins a comment."""
        path = self._source.base / Path(network.list or "").expanduser()
        content = self._content(at, path)
        name = str(path)
        first = self.builder.row(number, CLAIM, (name, 0), (row.since, row.until), self._detail(network))
        held: list[Block] = []
        mistakes = 0
        for line, text in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
            prefix = text.partition("#")[0].strip()
            if not prefix:
                continue
            try:
                where = block(prefix)
                reason = self._unclaimable(where, wide=network.wide)
            except ValueError as error:
                reason = str(error)
            if reason:
                mistakes += 1
                if mistakes <= _MOST_OF_A_LIST:
                    self._source.findings.append(Finding(name, line, 1, reason, "correct or remove the line"))
                continue
            held.append(where)
            self.builder.network(where, first._replace(line=line))
        if mistakes > _MOST_OF_A_LIST:
            self._source.find(at, f"{mistakes} lines of {name} are wrong", f"the first {_MOST_OF_A_LIST} are listed")
        return held

    def _content(self, at: Where, path: Path) -> bytes:
        if path in self._lists:
            return self._lists[path]
        try:
            with path.open("rb") as file:
                content = file.read(MAX_LIST_BYTES + 1)
        except OSError as error:
            self._source.find(at, f"{path} can't be read: {error.strerror}", "paths start at the folder of this file")
            return b""
        if len(content) > MAX_LIST_BYTES:
            self._source.find(at, f"{path} is larger than {MAX_LIST_BYTES // 2**20} MiB", "split it up")
            return b""
        self._lists[path] = content
        self.files.append(path)
        self.contents.append(content)
        return content

    def _customers(self, at: Where, number: int, entry: MemberEntry, held: list[Block]) -> None:
        blocks: dict[Block, CustomerEntry] = {}
        for index, customer in enumerate(entry.customers):
            here: Where = (*at, "customers", index)
            where = self._block((*here, "prefix"), customer.prefix)
            contact = self._mail((*here, "contact"), customer.contact)
            if where is None:
                continue
            self._inside((*here, "prefix"), where, entry, held)
            if where in blocks:
                hint = f"it is {blocks[where].ref!r} already; a block has one customer"
                self._source.find((*here, "prefix"), f"{where} is given twice", hint)
            blocks[where] = customer
            detail = Detail(ref=customer.ref, contact=contact, share=customer.share)
            self.builder.network(where, self.builder.row(number, CUSTOMER, self._place(here), detail=detail))
        for index, customer in enumerate(entry.customers):
            if customer.share == "member" or customer.contact is not None:
                continue
            where = next((each for each, found in blocks.items() if found is customer), None)
            if where and not any(each.covers(where) and found.contact for each, found in blocks.items()):
                here = (*at, "customers", index, "share")
                self._source.find(here, f"{customer.share!r}, but nobody to tell", "add 'contact: ADDRESS'")

    def _mail(self, at: Where, text: str | None) -> str:
        if text is None:
            return ""
        try:
            return mail_address(text)
        except ValueError as error:
            self._source.find(at, f"{shorten(text)} is no mail address: {error}", "write one address: name@example.org")
            return ""

    def _inside(self, at: Where, where: Block, entry: MemberEntry, held: list[Block]) -> None:
        """A part must lie within what the member holds; within an AS that can't be told."""
        if entry.resources.asns or any(each.covers(where) or where.covers(each) for each in held):
            return
        self._source.find(at, f"{where} lies in none of the member's networks", "claim the network around it first")

    def _row(self, at: Where, number: int, entry: MemberEntry, claim: ClaimEntry) -> Row:
        since = day(self._source, (*at, "since"), claim.since, ALWAYS)
        until = day(self._source, (*at, "until"), claim.until, NEVER)
        if since >= until:
            text = f"ends on {claim.until}, but begins on {claim.since}"
            self._source.find((*at, "until"), text, "'until' is the first day on which it counts no more")
        if claim.relay_only and entry.kind != "relay":
            self._source.find((*at, "relay_only"), f"the member is no relay but {entry.kind}", "remove it", key=True)
        for index, other in enumerate(claim.shared_with):
            if other not in self._ids or other == entry.id:
                here = (*at, "shared_with", index)
                self._source.find(here, f"there is no other member {other!r}", closest(other, self._ids - {entry.id}))
        return self.builder.row(number, CLAIM, self._place(at), (since, until), self._detail(claim))

    @staticmethod
    def _detail(claim: ClaimEntry) -> Detail | None:
        if not claim.shared_with and not claim.relay_only:
            return None
        return Detail(shared_with=tuple(claim.shared_with), relay_only=claim.relay_only)

    def _place(self, at: Where) -> tuple[str, int]:
        place = self._source.value_place(at)
        self.places.setdefault(f"{place.file}:{place.line}", place)
        return place.file, place.line

    def _block(self, at: Where, text: str) -> Block | None:
        try:
            return block(text)
        except ValueError as error:
            self._source.find(at, str(error), _without_host_bits(text))
            return None

    def _claimable(self, at: Where, where: Block, *, wide: bool) -> bool:
        reason = self._unclaimable(where, wide=wide)
        if reason:
            hint = "add 'wide: true' if that is really theirs" if "wider" in reason else "nobody can hold it"
            self._source.find(at, reason, hint)
        return not reason

    @staticmethod
    def _unclaimable(where: Block, *, wide: bool) -> str:
        if reason := special(where):
            return f"{where} {reason}"
        if where.length < WIDEST[where.family] and not wide:
            return f"{where} is wider than /{WIDEST[where.family]}"
        return ""

    def _name(self, at: Where, text: str, *, public: bool = False) -> str | None:
        try:
            name = suffix(text) if public else fqdn(text)
        except ValueError as error:
            self._source.find(at, f"{shorten(text)}: {error}", "write a domain, as example.org")
            return None
        if self._suffixes is None:
            from publicsuffixlist import PublicSuffixList  # a large list, needed for domains only

            self._suffixes = PublicSuffixList()
        if not public and self._suffixes.is_public(name):
            self._source.find(at, f"{name} is a public suffix; nobody holds all below it", "write the domain below it")
            return None
        return name


def day(source: Source, at: Where, text: str | None, otherwise: int) -> int:
    """Give a day as a number; one that the calendar lacks is a finding."""
    if text is None:
        return otherwise
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError as error:
        source.find(at, f"{text!r}: {error}", "write a day, as 2026-11-20")
        return otherwise


def _without_host_bits(text: str) -> str:
    from ipaddress import ip_network

    try:
        return f"write {ip_network(text, strict=False)}"
    except ValueError:
        return "write a network, as 192.0.2.0/24 or 2001:db8::/32"
