"""Check how members are told: contacts and deliveries, with every default filled in."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ...config.finding import Finding, closest
from ...config.finding import Path as Where
from ...config.rules import cron_fault
from ...config.source import Source
from ...config.values import HINT, is_reference
from ...errors import CleanbotsError, InvalidValue, shorten
from ...expression import compile_expression
from ...harmonization import harmonise
from ...harmonization.taxonomy import rsit
from ...params import seconds, size
from ..model import Contact, Delivery, Member
from ..schedule import blackouts, window_of
from .addresses import mail_address
from .check_claims import day
from .shape import CalendarEntry, ContactEntry, DeliveryEntry, InlineContact, Manner, MemberEntry
from .table import ALWAYS

FORMATS = ("text", "html", "csv", "csv-excel-nl", "csv-intelmq", "jsonl", "xarf", "shadowserver", "abusehub")
"""Formats that ship with cleanbots; plugins bring more."""

CHANNELS = ("mail", "webhook")
"""Couriers that ship with cleanbots; plugins bring more."""

EVENTS = ("finding.new", "finding.back", "finding.still", "finding.gone", "digest.sent", "test.ping")
"""What a webhook may be told."""

REPEAT = {"vulnerable": 7 * 86400.0, "other": 86400.0}
"""How often an unchanging finding is listed, unless said otherwise."""

GROUP = 15 * 60.0
"""How long an immediate mail gathers findings, unless said otherwise."""

_TIME = re.compile(r"(daily|workdays) ([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_ONLY_FOR = {"url": "webhook", "secrets": "webhook", "events": "webhook", "on_dead": "webhook"}


class People:
    """Checks and compiles members.

    Args:
        source: the file as written; takes the findings.
        defaults: for all members.
        calendars: by name.
        formats: names of formats; None for any.
        channels: names of couriers; None for any.
    """

    def __init__(
        self,
        source: Source,
        defaults: Manner,
        calendars: Mapping[str, CalendarEntry],
        formats: Collection[str] | None,
        channels: Collection[str] | None,
    ) -> None:
        self.defaults = defaults
        self.warnings: list[Finding] = []
        self._source = source
        self._calendars = calendars
        self._formats = formats
        self._channels = channels
        for name, calendar in calendars.items():
            for number, text in enumerate(calendar.closed):
                day(source, ("calendars", name, "closed", number), text, ALWAYS)

    def member(self, at: Where, entry: MemberEntry) -> Member:
        """Check one member and give it compiled."""
        check_manner(self._source, at, entry)
        for name in ("since", "paused_until"):
            day(self._source, (*at, name), getattr(entry, name), ALWAYS)
        contacts = self._contacts(at, entry)
        deliveries: dict[str, Delivery] = {}
        ids = [delivery.id for delivery in entry.deliveries]
        for number, delivery in enumerate(entry.deliveries):
            here: Where = (*at, "deliveries", number)
            if delivery.id in deliveries:
                self._source.find((*here, "id"), f"{delivery.id!r} is given twice", "each delivery has its own ledger")
            deliveries[delivery.id] = self._delivery(here, entry, delivery, contacts, ids)
        place = self._source.value_place(at)
        return Member(
            id=entry.id,
            name=entry.name,
            kind=entry.kind,
            state=entry.state,
            paused_until=entry.paused_until or "",
            contacts=contacts,
            deliveries=deliveries,
            customers=self._customers(at, entry),
            asns=tuple(system.asn for system in entry.resources.asns),
            place=f"{place.file}:{place.line}",
        )

    def _contacts(self, at: Where, entry: MemberEntry) -> dict[str, Contact]:
        found: dict[str, Contact] = {}
        for number, contact in enumerate(entry.contacts):
            here: Where = (*at, "contacts", number)
            if contact.id in found:
                self._source.find((*here, "id"), f"{contact.id!r} is given twice", "give each contact its own id")
            if contact.mail is None and contact.phone is None:
                self._source.find(here, "neither 'mail' nor 'phone'", "add 'mail: name@example.org'")
            day(self._source, (*here, "confirmed"), contact.confirmed, ALWAYS)
            found[contact.id] = self._contact(here, contact)
        return found

    def _customers(self, at: Where, entry: MemberEntry) -> dict[str, str]:
        """Give the customers that may be told; a reference is one customer's, as its ledger is known by it."""
        found: dict[str, str] = {}
        known: set[str] = set()
        if all(customer.share == "member" for customer in entry.customers):
            return found
        for number, customer in enumerate(entry.customers):
            try:
                address = mail_address(customer.contact or "")
            except ValueError:
                continue  # without an address, or said where the block is checked
            if found.get(customer.ref, address) != address:
                text = f"{customer.ref!r} has another contact above"
                hint = "give each customer its own reference; what one was told, the other must not be"
                self._source.find((*at, "customers", number, "ref"), text, hint)
            if address not in known:
                known.add(address)
                found[customer.ref] = address
        return found

    def _contact(self, at: Where, entry: ContactEntry) -> Contact:
        key = ""
        if entry.pgp is not None:
            path = self._source.base / Path(entry.pgp).expanduser()
            key = str(path)
            if not path.is_file():
                place = self._source.value_place((*at, "pgp"))
                text = f"there is no file {key}"
                self.warnings.append(Finding(*place, text, "what must be encrypted for this contact is held"))
        return Contact(
            id=entry.id,
            role=entry.role,
            mail=self._mail((*at, "mail"), entry.mail) if entry.mail is not None else "",
            phone=entry.phone or "",
            pgp=key,
            confirmed=entry.confirmed or "",
        )

    def _mail(self, at: Where, text: str) -> str:
        try:
            return mail_address(text)
        except ValueError as error:
            self._source.find(at, f"{shorten(text)} is no mail address: {error}", "write one address: name@example.org")
            return ""

    def _delivery(
        self, at: Where, member: MemberEntry, entry: DeliveryEntry, contacts: dict[str, Contact], ids: list[str]
    ) -> Delivery:
        source = self._source
        check_manner(source, at, entry)
        self._named(at, entry, contacts, ids)
        self._channel(at, entry)
        if reason := _when_fault(entry.when):
            source.find((*at, "when"), reason, "write immediately, hourly, 'daily 07:30', 'workdays 07:30' or 'cron …'")
        if entry.filter is not None:
            try:
                compile_expression(entry.filter)
            except CleanbotsError as error:
                source.find((*at, "filter"), str(error), "'cleanbots fields' lists the fields")
        for number, window in enumerate(entry.blackout):
            try:
                blackouts([window_of(window)], "UTC")
            except ValueError as error:
                source.find(
                    (*at, "blackout", number), str(error), "write {from: 2026-12-24T16:00, until: 2026-12-27T00:00}"
                )
        closed: tuple[str, ...] = ()
        if entry.calendar is not None:
            if entry.calendar not in self._calendars:
                text = f"there is no calendar {entry.calendar!r}"
                source.find((*at, "calendar"), text, closest(entry.calendar, self._calendars, "add 'calendars:'"))
            else:
                closed = tuple(self._calendars[entry.calendar].closed)
        mail = entry.channel == "mail"
        group = GROUP if mail and entry.when == "immediately" else 0.0
        return Delivery(
            id=entry.id,
            channel=entry.channel,
            to=self._recipients(at, entry, contacts),
            fallback=tuple(entry.fallback),
            format=tuple(entry.format) if entry.format is not None else ("text", "csv") if mail else (),
            when=entry.when,
            calendar=entry.calendar or "",
            closed=closed,
            filter=entry.filter or "",
            except_=tuple(entry.except_),
            also=tuple(entry.also),
            inventory=entry.inventory,
            empty=entry.empty,
            group=seconds(entry.group) if entry.group is not None else group,
            robot=entry.robot,
            blackout=tuple(map(window_of, entry.blackout)),
            url=entry.url or "",
            secrets=tuple(entry.secrets),
            events=tuple(entry.events),
            on_dead=entry.on_dead or "",
            **_manner(self.defaults, member, entry),
        )

    def _recipients(self, at: Where, entry: DeliveryEntry, contacts: dict[str, Contact]) -> tuple[str, ...]:
        """Give the ids of contacts; an address written in place becomes a contact with a made-up id."""
        found: list[str] = []
        for number, to in enumerate(entry.to):
            if not isinstance(to, InlineContact):
                found.append(to)
                continue
            name = f"{entry.id}:{number + 1}"
            contacts[name] = Contact(id=name, mail=self._mail((*at, "to", number, "mail"), to.mail))
            found.append(name)
        return tuple(dict.fromkeys(found))

    def _named(self, at: Where, entry: DeliveryEntry, contacts: Mapping[str, Contact], ids: list[str]) -> None:
        """Everything that is named exists."""
        own = [name for name in contacts if ":" not in name]
        named = [(("to", n), to) for n, to in enumerate(entry.to) if isinstance(to, str)]
        named += [(("fallback", n), name) for n, name in enumerate(entry.fallback)]
        named += [(("on_dead",), entry.on_dead)] if entry.on_dead is not None else []  # type: ignore[list-item]
        for where, name in named:
            if name not in own:
                hint = closest(name, own, "add it under 'contacts:'")
                self._source.find((*at, *where), f"the member has no contact {name!r}", hint)
            elif not contacts[name].mail:
                self._source.find((*at, *where), f"{name!r} has no mail address", "add 'mail:' to that contact")
        for number, name in enumerate(entry.except_):
            if name not in ids or name == entry.id:
                others = [each for each in ids if each != entry.id]
                hint = closest(name, others, "name another delivery of this member")
                self._source.find((*at, "except", number), f"the member has no other delivery {name!r}", hint)
        for number, name in enumerate(entry.format or ()):
            if self._formats is not None and name not in self._formats:
                self._source.find((*at, "format", number), f"there is no format {name!r}", closest(name, self._formats))

    def _channel(self, at: Where, entry: DeliveryEntry) -> None:
        source = self._source
        if self._channels is not None and entry.channel not in self._channels:
            hint = closest(entry.channel, self._channels)
            source.find((*at, "channel"), f"there is no channel {entry.channel!r}", hint)
            return
        if entry.channel == "mail":
            if not entry.to:
                source.find(at, "nobody is told", "add 'to:' with contacts", key=True)
            if entry.format is not None and not entry.format:
                source.find((*at, "format"), "a mail without any format", "write [text, csv]")
            for name in _ONLY_FOR:
                if getattr(entry, name):
                    source.find((*at, name), "only a webhook has this", "remove it", key=True)
        if entry.channel == "webhook":
            self._webhook(at, entry)

    def _webhook(self, at: Where, entry: DeliveryEntry) -> None:
        source = self._source
        if entry.url is None:
            source.find(at, "'url' is missing", "add 'url: https://…'", key=True)
        elif reason := _url_fault(entry.url):
            source.find((*at, "url"), reason, "write https://…, without a user; the signature says who sends")
        if not entry.secrets:
            source.find(
                at, "'secrets' is missing", "add 'secrets: [\"${env:NAME}\"]'; every request is signed", key=True
            )
        for number, text in enumerate(entry.secrets):
            if not is_reference(text):
                source.find((*at, "secrets", number), "a secret in plain text", HINT)
        for number, name in enumerate(entry.events):
            if name not in EVENTS:
                source.find((*at, "events", number), f"there is no event {shorten(name)}", closest(name, EVENTS))


def check_manner(source: Source, at: Where, entry: Manner) -> None:
    """Check what schema and type can't: the time zone, and the words under 'repeat'."""
    if entry.timezone is not None:
        try:
            ZoneInfo(entry.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            text = f"there is no time zone {shorten(entry.timezone)}"
            source.find((*at, "timezone"), text, "write an IANA name, as Europe/Amsterdam")
    known = [*rsit().taxonomy, "other"]
    for name in entry.repeat or {}:
        if name not in known:
            source.find((*at, "repeat", name), f"there is no taxonomy {name!r}", closest(name, known), key=True)


def _manner(*entries: Manner) -> dict[str, Any]:
    """Give how a delivery is made: what each entry says overrides what those before it say."""
    found: dict[str, Any] = {"repeat": dict(REPEAT)}
    for entry in entries:
        for name in ("language", "timezone", "tlp"):
            if (value := getattr(entry, name)) is not None:
                found[name] = value
        for name in ("quiet", "max_age"):
            if (value := getattr(entry, name)) is not None:
                found[name] = seconds(value)
        found["repeat"] |= {name: seconds(span) for name, span in (entry.repeat or {}).items()}
        if entry.limits is not None:
            for name in ("mails_per_day", "findings_per_mail"):
                if (value := getattr(entry.limits, name)) is not None:
                    found[name] = value
            if entry.limits.attachment is not None:
                found["attachment"] = size(entry.limits.attachment)
    return found


def _when_fault(text: str) -> str:
    """Tell what is wrong with a schedule, "" if nothing is."""
    if text in {"immediately", "hourly"} or _TIME.fullmatch(text):
        return ""
    if text.startswith("cron "):
        reason = cron_fault(text.removeprefix("cron "))
        return f"{shorten(text)} is no schedule: {reason}" if reason else ""
    return f"{shorten(text)} is no schedule"


def _url_fault(text: str) -> str:
    """Tell what is wrong with an endpoint, "" if nothing is; plain HTTP is for tests on the same machine only."""
    try:
        url = harmonise("source.url", text)
    except InvalidValue as error:
        return error.reason
    if not url.startswith("https://") and urlsplit(url).hostname not in {"localhost", "127.0.0.1", "::1"}:
        return f"{shorten(text)} is not encrypted"
    return "a user or password in the URL" if "@" in urlsplit(url).netloc else ""
