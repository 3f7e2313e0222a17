"""Audit deliveries from outside: is every event that concerns a member told, counted, or left out with a reason?

It imports nothing of the project. It reads what went in, what came out at the members' side and what the hub says of
its books, and works out by rules of its own, written as naively as possible, where each event has to be.

``python deliveries.py FOLDER`` expects in FOLDER: ``members.yaml`` (written as JSON), ``events.jsonl``, ``plan.json``,
``maildir/`` (mails that the mail server took; two lines before each say for whom, and whether the sender knows),
``hooks.jsonl`` (requests that endpoints took) and ``balance.json``, the output of ``cleanbots deliveries balance --json``. It prints the figures as JSON, or ends with an AssertionError that says what is
wrong and where.
"""

import base64
import csv
import email
import hashlib
import hmac
import io
import ipaddress
import json
import mailbox
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage, Message
from email.policy import default as policy
from pathlib import Path
from typing import Any

TESTERS = "testers@hub.example.net"
SECRET = base64.b64decode("Y2xlYW5ib3RzLXRlc3QtdmVjdG9yLXNlY3JldC0zMmI=")
STRICT = ("AMBER+STRICT", "RED", None)
RANKS = {"CLEAR": 0, "GREEN": 1, "AMBER": 2, "AMBER+STRICT": 3, None: 3, "RED": 4}
REPEAT = {"vulnerable": timedelta(days=7)}
NEWS = timedelta(hours=72)
ADDRESS = re.compile(r"(?<![\w.:])(?:2001:db8:[0-9a-f:]+|(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+)(?![\w.:/])")

IN_HAND = {"mail": 4, "webhook": 16}
"""How many messages a courier has in hand at most: when it is killed it doesn't know what became of them."""

Lane = tuple[str, str]
"""A member and one of its deliveries."""


# -- who is to be told, by naive rules


class Members:
    """Whom an event concerns, by going through all claims of all members."""

    def __init__(self, path: Path) -> None:
        self.all = {member["id"]: member for member in json.loads(path.read_text())["members"]}
        # Nothing concerns those who are only invited.
        matched = {id_: member for id_, member in self.all.items() if member["state"] != "invited"}
        self.claims = [
            (ipaddress.ip_network(claim["prefix"]), claim.get("until", "9999-12-31"), id_)
            for id_, member in matched.items()
            for claim in member["resources"]["networks"]
        ]
        self._domains = [
            (claim["suffix"], id_)
            for id_, member in matched.items()
            for claim in member["resources"].get("domains", ())
        ]
        self._systems = [
            (claim["asn"], id_) for id_, member in matched.items() for claim in member["resources"].get("asns", ())
        ]
        self._holding: dict[str, list[tuple[int, str, str]]] = {}

    def roles(self, fields: dict[str, Any], day: str) -> dict[str, str]:
        """Give the members that an event of that day concerns, each with its strongest role."""
        if fields.get("kind") == "inventory":
            return {}
        found = self._by_name(fields)
        for id_, role in self._by_address(fields, day).items():
            if found.get(id_) != "act":
                found[id_] = role
        if fields.get("tlp") in STRICT:
            return {id_: role for id_, role in found.items() if role == "act"}
        return found

    def _by_address(self, fields: dict[str, Any], day: str) -> dict[str, str]:
        address = ipaddress.ip_address(fields["source.ip"])
        valid = [(length, id_) for length, until, id_ in self._holders(address) if day < until]
        holders = [claim for claim in valid if not self._is_relay(claim[1])]
        by_system = [id_ for asn, id_ in self._systems if asn == fields.get("source.asn")]
        if not holders:
            roles = dict.fromkeys(by_system, "act")
        else:
            longest = max(length for length, _ in holders)
            acting = [id_ for length, id_ in holders if length == longest]
            if all(self._excludes(id_, address) for id_ in acting):
                return {}
            roles = {id_: "inform" for _, id_ in holders} | dict.fromkeys(by_system, "inform")
            roles |= dict.fromkeys(acting, "act")
            roles = {id_: role for id_, role in roles.items() if not self._excludes(id_, address)}
        return roles | {id_: "relay" for _, id_ in valid if self._is_relay(id_)}

    def _holders(self, address: Any) -> list[tuple[int, str, str]]:
        """Give the claims that hold an address, each with its length, its end and its member."""
        if str(address) not in self._holding:
            self._holding[str(address)] = [
                (network.prefixlen, until, id_)
                for network, until, id_ in self.claims
                if network.version == address.version and address in network
            ]
        return self._holding[str(address)]

    def _by_name(self, fields: dict[str, Any]) -> dict[str, str]:
        host = fields.get("source.url", "").removeprefix("https://").partition("/")[0]
        return {id_: "act" for suffix, id_ in self._domains if f".{host}".endswith(f".{suffix}")}

    def told_by(self, lane: Lane) -> tuple[set[str], str]:
        """Give the living mailboxes of a delivery, and why nobody there is told all: "", ``deaf`` or ``fails``."""
        member = self.all[lane[0]]
        delivery = next(each for each in member["deliveries"] if each["id"] == lane[1])
        if "url" in delivery:
            return set(), "fails" if delivery["url"].endswith(("/gone", "/dead")) else ""
        mailboxes = {contact["id"]: contact["mail"] for contact in member["contacts"]}
        wanted = {mailboxes[id_] for id_ in delivery["to"]}
        if any(each.startswith("gone@") for each in wanted):
            wanted |= {mailboxes[id_] for id_ in delivery.get("fallback", ())}
        living = {each for each in wanted if not each.startswith("gone@")}
        return living, "" if living else "deaf"

    def path(self, member: str) -> str:
        """Give the path of a member's endpoint."""
        hook = next(each for each in self.all[member]["deliveries"] if each["id"] == "hook")
        return "/" + hook["url"].split("/", 3)[3]

    def _is_relay(self, id_: str) -> bool:
        return bool(self.all[id_]["kind"] == "relay")

    def _excludes(self, id_: str, address: Any) -> bool:
        excluded = self.all[id_]["resources"].get("exclude", ())
        return any(address in ipaddress.ip_network(claim["prefix"]) for claim in excluded)

    def left_out(self, member: str, delivery: dict[str, Any], role: str, event: "Event") -> str:
        """Say why a delivery does not tell an event that concerns its member, or ""."""
        relay = self._is_relay(member)
        rank = RANKS[event.fields.get("tlp")]
        if role == "inform" and "inform" not in delivery.get("also", ()):
            return "role"
        if rank == RANKS["RED"] or rank > RANKS[self.all[member]["tlp"]] or (rank > RANKS["AMBER"] and relay):
            return "tlp"
        if "filter" in delivery and event.fields.get("priority") != "urgent":
            return "filter"
        return "too_old" if event.recorded - event.seen > REPEAT.get(event.taxonomy, NEWS) else ""


@dataclass(frozen=True)
class Event:
    """An event as it went in, at its first recording."""

    fields: dict[str, Any]
    recorded: datetime

    @property
    def id(self) -> str:
        return str(self.fields["id"])

    @property
    def seen(self) -> datetime:
        return datetime.fromisoformat(self.fields["time.source"])

    @property
    def taxonomy(self) -> str:
        return str(self.fields["classification.taxonomy"])

    @property
    def strict(self) -> bool:
        return self.fields.get("tlp") in STRICT

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it the same finding as another one."""
        get = self.fields.get
        if get("classification.type") == "phishing":
            return "phishing", self.fields["source.url"]
        port = f"{get('source.port')}" if get("port_is") == "service" else ""
        return self.fields["classification.type"], get("classification.identifier", ""), self.fields["source.ip"], port


# -- what arrived


@dataclass
class Told:
    """A digest as a member has it: its rows, and the time until which it tells."""

    reference: str
    lane: Lane
    until: datetime
    rows: list[dict[str, str]] = field(default_factory=list)
    still: int | None = None

    @property
    def strict(self) -> bool:
        return self.rows[0]["tlp"] == "TLP:AMBER+STRICT"


class Arrived:
    """Everything that is in the mailbox and in the log of the receiver."""

    def __init__(self, folder: Path, members: Members) -> None:
        self._members = members
        self.mails = 0
        self.requests = 0
        self.repeated = 0
        self.instead = 0
        self._parts: set[str] = set()
        self._confirmed: set[Any] = set()
        self._unexplained: Counter[str] = Counter()
        self.texts: list[tuple[str, str]] = []
        digests: dict[Any, Told] = {}
        kills = json.loads((folder / "plan.json").read_text())["kills"]
        for mail in self._read_mails(folder / "maildir"):
            self._take_mail(mail, digests)
        for request in _json_lines(folder / "hooks.jsonl"):
            self._take_request(request, digests)
        for channel, number in self._unexplained.items():
            most = kills * IN_HAND[channel]
            assert number <= most, f"{number} arrived twice by {channel}, though the hub knew of the first"
        # Of two digests of one moment, the one with the stricter rows is made last.
        self.told = sorted((each for each in digests.values() if each.rows), key=lambda each: (each.until, each.strict))

    def _read_mails(self, folder: Path) -> Iterator[EmailMessage]:
        """Give each mail once for each mailbox, and account for those that came again."""
        seen: dict[tuple[str, str], bytes] = {}
        confirmed: set[tuple[str, str]] = set()
        for key, mail in mailbox.Maildir(folder, factory=None, create=False).iteritems():
            parsed = email.message_from_bytes(mail.as_bytes(), policy=policy)
            assert isinstance(parsed, EmailMessage)
            name, told = (parsed["Message-ID"], parsed["Delivered-To"]), parsed["X-Told"] == "yes"
            del parsed["X-Told"]
            data = parsed.as_bytes()
            self._unexplained["mail"] += told and name in confirmed
            confirmed |= {name} if told else set()
            if seen.setdefault(name, data) is not data:
                assert seen[name] == data, f"{name} came again with other bytes (second: {key})"
                self.repeated += 1
            else:
                yield parsed

    def _take_mail(self, mail: EmailMessage, digests: dict[Any, Told]) -> None:
        member, _, delivery = mail["X-Cleanbots-Member"].partition("; delivery=")
        recipient = mail["Delivered-To"]
        if member == "operator":
            assert recipient == "operator@hub.example.net", f"{mail['Subject']} is a mail to {recipient}"
            return
        tested = self._members.all[member]["state"] == "test"
        if delivery in ("dead-contact", "dead-endpoint"):
            contacts = [TESTERS] if tested else [each["mail"] for each in self._members.all[member]["contacts"]]
            assert recipient in contacts, f"{mail['Subject']} about {member} is a mail to {recipient}"
            return
        self.mails += 1
        living, _ = self._members.told_by((member, delivery))
        expected = {TESTERS} if tested else living
        assert recipient in expected, f"{mail['Message-ID']} for {member} went to {recipient}"
        self.instead += recipient.startswith("noc@")
        self._parts_of(mail, member, delivery, digests)

    def _parts_of(self, mail: EmailMessage, member: str, delivery: str, digests: dict[Any, Told]) -> None:
        until = datetime.fromisoformat(mail["X-Cleanbots-Period"].partition("/")[2])
        reference = mail["X-Cleanbots-Reference"].partition(";")[0]
        told = digests.setdefault(reference, Told(reference, (member, delivery), until))
        counts = dict(part.strip().split("=") for part in mail["X-Cleanbots-Counts"].split(";"))
        told.still = int(counts.get("still", 0))
        first = mail["X-Cleanbots-Reference"] not in self._parts
        self._parts.add(mail["X-Cleanbots-Reference"])
        for part in mail.walk():
            name = part.get_filename("") if first else ""
            if name.endswith(".csv"):
                told.rows += csv.DictReader(io.StringIO(_file(part).decode(), newline=""))
            elif name.endswith(".jsonl"):
                told.rows += [_row(json.loads(line)) for line in _file(part).splitlines()]
            elif part.get_content_type() in ("text/plain", "text/html"):
                self.texts.append((member, part.get_content()))

    def _take_request(self, request: dict[str, Any], digests: dict[Any, Told]) -> None:
        self.requests += 1
        body = request["body"].encode()
        _check_signature(request, body)
        message = json.loads(body)
        data = message["data"]
        member = data["member"]
        expected = "/testers" if self._members.all[member]["state"] == "test" else self._members.path(member)
        assert request["path"] == expected, f"{request['id']} for {member} went to {request['path']}"
        key = member, request["id"]
        known = digests.get(key)
        if known is not None:
            assert known.reference == body, f"{request['id']} came again with another body"
            self.repeated += 1
            self._unexplained["webhook"] += request["told"] and key in self._confirmed
        self._confirmed |= {key} if request["told"] else set()
        if known is not None:
            return
        digests[key] = Told(body, (member, "hook"), datetime.min.replace(tzinfo=UTC))
        findings = [data["finding"]] if "finding" in data else data.get("findings", ())
        for finding in findings:
            row = _row(finding)
            at = datetime.fromisoformat(message["timestamp"])
            digest = member, at, row["tlp"] == "TLP:AMBER+STRICT"
            digests.setdefault(digest, Told(f"{digest}", (member, data["delivery"]), at)).rows.append(row)
        if not findings:
            assert data["test"], f"{request['id']} of type {message['type']} tells nothing"


def _file(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data


def _row(finding: dict[str, Any]) -> dict[str, str]:
    return {
        "state": finding["state"],
        "finding_id": finding["id"],
        "event_id": finding["event_id"],
        "ip": finding["asset"]["ip"],
        "tlp": finding["tlp"],
    }


def _check_signature(request: dict[str, Any], body: bytes) -> None:
    signed = f"{request['id']}.{request['timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
    assert request["signature"] == expected, f"{request['id']} is not signed by the member's secret"


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


# -- the account of one delivery


class Account:
    """Where each event of a lane has to be, step by step: the naive history of one delivery."""

    def __init__(self, lane: Lane, owed: list[Event], members: Members) -> None:
        self.lane = lane
        self._owed = owed
        self._members = members
        self._mentioned: dict[tuple[str, ...], datetime] = {}
        self._ids: dict[str, tuple[str, ...]] = {}
        self._told_events: set[str] = set()
        self._new: set[str] = set()
        self.told: Counter[str] = Counter()
        self.claimed: dict[str, datetime] = {}

    def take(self, digest: Told, elsewhere: dict[str, datetime], waits: set[str]) -> None:
        """Account for a digest: what it lists is mentioned; other observations that it settles must be *still*.

        Args:
            digest: the next one of this lane.
            elsewhere: events that an excepted delivery told, and when.
            waits: events that an excepted delivery will tell.
        """
        listed = self._listed(digest)
        rest = []
        for event in self._owed:
            if event.recorded >= digest.until or event.strict != digest.strict:
                rest.append(event)
            elif elsewhere.get(event.id, digest.until) < digest.until:
                self._settle_elsewhere(event, elsewhere)
            elif event.id in waits:
                rest.append(event)
            elif not self._holds(event, digest.until):
                self._settle(event, "changed_holder", digest.until)
            else:
                listed.get(event.key, []).append(event)
                self._settle(event, self._place(event, digest, listed), digest.until)
        self._owed = rest
        for key, events in listed.items():
            assert events, f"{digest.reference} of {self.lane} lists {key}, of which nothing was owed"
            self._mentioned[key] = digest.until

    def finish(self, elsewhere: dict[str, datetime], end: datetime) -> None:
        """Account for what no digest settled: told elsewhere, its holder changed, or owed."""
        for event in self._owed:
            if event.id in elsewhere:
                self._settle_elsewhere(event, elsewhere)
            elif not self._holds(event, end):
                self._settle(event, "changed_holder", end)
            else:
                self.told["owed"] += 1
                known = self._mentioned.get(event.key)
                assert known, f"{event.id} ({event.key}) is owed to {self.lane} and never was mentioned: it is lost"

    def _listed(self, digest: Told) -> dict[tuple[str, ...], list[Event]]:
        by_id = {event.id: event for event in self._owed}
        listed: dict[tuple[str, ...], list[Event]] = {}
        for row in digest.rows:
            id_, finding = row["event_id"], row["finding_id"]
            assert id_ not in self._told_events, f"{id_} is told twice to {self.lane}, again by {digest.reference}"
            assert id_ in by_id, f"{digest.reference} tells {id_} to {self.lane}, to whom it is not owed"
            event = by_id[id_]
            assert row["ip"] == event.fields["source.ip"], f"{digest.reference}: {id_} with another address"
            assert self._ids.setdefault(finding, event.key) == event.key, f"{finding} is two findings"
            assert event.key not in listed, f"{digest.reference} lists {finding} twice"
            assert (row["state"] == "new") == (finding not in self._new), (
                f"{digest.reference}: {finding} is {row['state']}"
            )
            self._new.add(finding)
            self._told_events.add(id_)
            listed[event.key] = []
        return listed

    def _place(self, event: Event, digest: Told, listed: dict[tuple[str, ...], list[Event]]) -> str:
        if event.key in listed:
            return "mentioned"
        known = self._mentioned.get(event.key)
        assert known, f"{digest.reference} settles {event.id} ({event.key}) of {self.lane} without ever mentioning it"
        limit = REPEAT.get(event.taxonomy, timedelta(days=1))
        assert digest.until - known < limit, f"{digest.reference} of {self.lane} doesn't list {event.key} in time"
        return "still"

    def _settle_elsewhere(self, event: Event, elsewhere: dict[str, datetime]) -> None:
        """What was told elsewhere is excepted at the next slot, unless its holder has changed by then."""
        told = max(elsewhere[event.id], event.recorded)
        slot = told.replace(hour=7, minute=0, second=0) + timedelta(days=told.hour >= 7)
        self._settle(event, "except" if self._holds(event, slot) else "changed_holder", slot)

    def _settle(self, event: Event, place: str, at: datetime) -> None:
        self.told[place] += 1
        if place in ("mentioned", "still"):
            self.claimed[event.id] = at

    def _holds(self, event: Event, at: datetime) -> bool:
        strength = ("act", "relay", "inform")
        member = self.lane[0]
        before = self._members.roles(event.fields, event.fields["time.source"][:10])[member]
        now = self._members.roles(event.fields, at.date().isoformat()).get(member)
        return now is not None and strength.index(now) <= strength.index(before)


# -- the audit


def audit(folder: Path) -> dict[str, Any]:
    """Account for every event.

    Returns:
        figures: events, mails, requests, repeats, and how many observations are where.

    Raises:
        AssertionError: if something is lost, told twice, told to the wrong member, or booked otherwise than it was.
    """
    members = Members(folder / "members.yaml")
    plan = json.loads((folder / "plan.json").read_text())
    end = datetime.fromisoformat(plan["phases"][-1]["at"])
    events = _events(folder / "events.jsonl")
    arrived = Arrived(folder, members)
    due, static, addresses = _due(events, members)
    assert any(due.values()), "nothing was to be told"

    _check_isolation(arrived, addresses)
    shut = {plan["unapproved"]} | {id_ for id_, member in members.all.items() if member["state"] == "paused"}
    told = defaultdict(list)
    for digest in arrived.told:
        told[digest.lane].append(digest)
    balance = json.loads((folder / "balance.json").read_text())
    books = {(book["member"], book["delivery"]): book for book in balance["deliveries"]}
    totals: Counter[str] = Counter()
    claimed: dict[Lane, dict[str, datetime]] = {}
    # Urgent ones first: what they told is only named by the daily ones.
    for lane in sorted(due, key=lambda each: each[1] != "urgent"):
        assert lane in books, f"{lane} is not in the books"
        tested = members.all[lane[0]]["state"] == "test"
        trouble = (
            "preview"
            if tested and lane[1] == "hook" and not plan["tested"]
            else ""
            if tested
            else members.told_by(lane)[1]
        )
        if lane[0] in shut:
            assert not told[lane], f"{lane} was told something behind a shut door"
            _compare(lane, books[lane], Counter({"unsent": len(due[lane])}), static[lane])
            totals["unsent"] += len(due[lane])
        elif trouble:
            totals += _troubled(lane, trouble, books[lane], due[lane], told[lane], static[lane])
        else:
            account = Account(lane, due[lane], members)
            elsewhere = claimed.get((lane[0], "urgent"), {}) if lane[1] == "daily" else {}
            for digest in told[lane]:
                waits = {id_ for id_, at in elsewhere.items() if at >= digest.until}
                account.take(digest, elsewhere, waits)
            account.finish(elsewhere, end)
            claimed[lane] = account.claimed
            _compare(lane, books[lane], account.told, static[lane])
            totals += account.told
        totals += Counter({f"suppressed: {reason}": count for reason, count in static[lane].items()})
    strangers = set(told) - set(due)
    assert not strangers, f"{strangers} were told something that does not concern them"
    matched = {event.id for event in events if members.roles(event.fields, event.fields["time.source"][:10])}
    assert balance["events"]["matched"] == len(matched), f"{balance['events']}, and {len(matched)} concern members"
    return {
        "events": len(events),
        "matched": len(matched),
        "mails": arrived.mails,
        "requests": arrived.requests,
        "repeated": arrived.repeated,
        "told instead": arrived.instead,
        "places": dict(sorted(totals.items())),
    }


def _events(path: Path) -> list[Event]:
    """Give each event once, as it came first."""
    found: dict[str, Event] = {}
    for row in _json_lines(path):
        found.setdefault(row["fields"]["id"], Event(row["fields"], datetime.fromisoformat(row["recorded"])))
    return list(found.values())


def _due(
    events: list[Event], members: Members
) -> tuple[dict[Lane, list[Event]], dict[Lane, Counter[str]], dict[str, set[str]]]:
    """Give what each lane owes, what it leaves out by reason, and the addresses that each member may see."""
    due: dict[Lane, list[Event]] = defaultdict(list)
    left_out: dict[Lane, Counter[str]] = defaultdict(Counter)
    addresses: dict[str, set[str]] = defaultdict(set)
    for event in events:
        for member, role in members.roles(event.fields, event.fields["time.source"][:10]).items():
            addresses[member].add(event.fields["source.ip"])
            for delivery in members.all[member]["deliveries"]:
                lane = member, delivery["id"]
                reason = members.left_out(member, delivery, role, event)
                due[lane] += [] if reason else [event]
                left_out[lane] += Counter([reason] if reason else [])
    return due, left_out, addresses


def _check_isolation(arrived: Arrived, addresses: dict[str, set[str]]) -> None:
    """No text names an address that does not concern its member."""
    found = 0
    for member, text in arrived.texts:
        named = set(ADDRESS.findall(text))
        found += len(named)
        foreign = named - addresses[member]
        assert not foreign, f"a mail to {member} names {sorted(foreign)[:3]}"
    assert found, "no text names any address"


def _troubled(
    lane: Lane, trouble: str, book: dict[str, Any], due: list[Event], told: list[Told], static: Counter[str]
) -> Counter[str]:
    """Account for a lane of which nobody is told all: each event is somewhere, with the reason, and nothing is made up."""
    suppressed = Counter(book["suppressed"])
    excepted = suppressed.pop("except", 0)
    assert suppressed == +static, f"{lane}: suppressed by the books {suppressed}, found {static}"
    given_up = sum(book["given_up"].values())
    where = Counter({name: book[name] for name in ("mentioned", "still", "owed", "held", "changed_holder")})
    assert where.total() + given_up + excepted == len(due), f"{lane}: {len(due)} are due, and the books say {book}"
    ids = {event.id for event in due}
    rows = [row["event_id"] for digest in told for row in digest.rows]
    assert len(set(rows)) == len(rows) <= where["mentioned"], f"{lane}: told {len(rows)}, by the books {where}"
    assert ids.issuperset(rows), f"{lane}: was told what is not owed to it"
    if trouble != "fails":
        assert not rows, f"{lane} is {trouble}, and was told something"
    if trouble == "deaf":
        assert not where["mentioned"] + where["still"], f"{lane}: nobody takes its mails, and the books say {book}"
    if trouble == "preview":
        assert not given_up, f"{lane}: of a preview {given_up} are given up"
    return Counter({trouble: where["mentioned"] + where["still"], "given up": given_up, "owed": where["owed"]})


def _compare(lane: Lane, book: dict[str, Any], account: Counter[str], static: Counter[str]) -> None:
    """The hub's books of a lane say what was found outside."""
    suppressed = {name: count for name, count in (static + Counter({"except": account["except"]})).items() if count}
    where = {name: book[name] for name in ("mentioned", "still", "owed", "changed_holder")}
    assert not book["given_up"], f"{lane}: given up: {book['given_up']}"
    assert book["suppressed"] == suppressed, f"{lane}: suppressed by the books {book['suppressed']}, found {suppressed}"
    total = sum(where.values()) + book["held"] + sum(suppressed.values())
    assert book["matched"] == total, f"{lane}: the book does not balance: {book}"
    if "unsent" in account:
        unsent = book["owed"] + book["held"]
        assert unsent == account["unsent"], f"{lane}: {unsent} are owed or held, and {account['unsent']} are due"
        return
    found = {name: account[name] for name in where}
    assert where == found, f"{lane}: by the books {where}, found {found}"
    assert book["held"] == 0, f"{lane}: {book['held']} are held"


if __name__ == "__main__":
    print(json.dumps(audit(Path(sys.argv[1])), indent=2, sort_keys=True))  # noqa: T201  # it is a program
