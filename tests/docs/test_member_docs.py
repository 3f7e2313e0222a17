"""What members are told about their notices is what they get: samples and the table of columns are made by the code.

After a wanted change, make them anew and read the difference::

    PYTHONPATH=. python tests/docs/test_member_docs.py
"""

import csv
import email
import email.policy
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cleanbots.clearinghouse.formats.delimited import COLUMNS
from cleanbots.clearinghouse.mail import render_mail
from cleanbots.clearinghouse.model import Delivery, Digest, Feed, Finding, Hub, Match, Member
from cleanbots.clearinghouse.rendering import Renderer
from cleanbots.clearinghouse.webhook import render_webhook
from cleanbots.plugins import discover

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "members"
SAMPLES = FOLDER / "samples"
PAGES = {"README.md": 0, "README.nl.md": 1}
BEGIN, END = "<!-- columns: made by tests/docs/test_member_docs.py -->\n", "<!-- end -->\n"

HEADS = ("| # | column | meaning |\n|---|---|---|\n", "| # | kolom | betekenis |\n|---|---|---|\n")
MEANINGS = {
    "state": ("new, back or still", "new (nieuw), back (terug) of still (nog aanwezig)"),
    "severity": ("critical, high, medium, low or info", "ernst: critical, high, medium, low of info"),
    "priority": ("urgent, high, normal or low", "spoed: urgent, high, normal of low"),
    "type": ("type after RSIT, e.g. `vulnerable-system`", "soort volgens RSIT, bijvoorbeeld `vulnerable-system`"),
    "identifier": ("what exactly, e.g. `open-redis`", "wat precies, bijvoorbeeld `open-redis`"),
    "ip": ("address", "adres"),
    "port": ("port", "poort"),
    "port_is": (
        "`service`: what is open; `source`: the client's port of what was seen",
        "`service`: wat openstaat; `source`: de poort van de client die is gezien",
    ),
    "transport": ("tcp or udp", "tcp of udp"),
    "time_utc": ("when the notifier saw it", "wanneer de melder het zag"),
    "time_precision": ("second, minute, hour or day", "nauwkeurig op second, minute, hour of day"),
    "first_seen_utc": ("the finding's first sighting", "wanneer de bevinding voor het eerst is gezien"),
    "last_seen_utc": ("the finding's last sighting", "wanneer de bevinding het laatst is gezien"),
    "times_seen": ("how often, over all reports", "hoe vaak, over alle meldingen"),
    "hostname": ("name that was seen, else by reverse DNS", "naam die is gezien, anders volgens reverse DNS"),
    "url": ("as it is, not defanged: don't open it", "zoals hij is, niet onklaar gemaakt: niet openen"),
    "malware": ("name of the malware", "naam van de malware"),
    "cve": ("CVE ids, with blanks between them", "CVE-nummers, met spaties ertussen"),
    "asn": ("number of the autonomous system", "nummer van het autonome systeem"),
    "matched": ("why you, e.g. `prefix 203.0.113.0/24`", "waarom u, bijvoorbeeld `prefix 203.0.113.0/24`"),
    "customer_ref": ("your own reference for that block", "uw eigen kenmerk van dat blok"),
    "notifier": ("who saw it", "wie het zag"),
    "feed": ("in which report", "in welke melding"),
    "tlp": ("whom you may tell", "met wie u het mag delen"),
    "finding_id": ("of the finding: the same over all days", "van de bevinding: op alle dagen hetzelfde"),
    "event_id": ("of this observation", "van deze waarneming"),
    "reference": ("of this mail", "kenmerk van deze mail"),
    "description": ("one line in your language", "één regel in uw taal"),
    "advice_url": ("a page that helps", "een pagina die helpt"),
    "original": (
        "the notifier's row as `name=value;…`, if it may be shared",
        "de rij van de melder als `naam=waarde;…`, als die gedeeld mag worden",
    ),
}

HUB = Hub(
    mode="live",
    name="Netwerk Meldpunt NL",
    mail="meldpunt@hub.example.net",
    reply_to="helpdesk@hub.example.net",
    bounces="bounces@hub.example.net",
    phone="+31 20 555 0199",
    privacy="https://hub.example.net/privacy",
    domain="hub.example.net",
    reference="MP",
    subject="[Meldpunt]",
)
CLAIM = Match(member="voorbeeldhost", value="203.0.113.0/24", since="2019-05-01")
REDIS = ('"timestamp","ip","port","protocol","version"\r\n', '"2026-11-19 23:14:07","203.0.113.25",6379,"tcp","6.0.16"')
EVENTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "f-3kq7ztab2cde",
        "new",
        {
            "classification.taxonomy": "vulnerable",
            "classification.type": "vulnerable-system",
            "classification.identifier": "open-redis",
            "protocol.application": "redis",
            "severity": "critical",
            "source.ip": "203.0.113.25",
            "source.port": 6379,
            "port_is": "service",
            "source.reverse_dns": "vps25.voorbeeldhost.example",
            "feed.name": "Open-Redis",
            "feed.code": "scan_redis",
            "time.source": "2026-11-19T23:14:07+00:00",
        },
    ),
    (
        "f-hx2c5p7rqw3n",
        "new",
        {
            "classification.taxonomy": "malicious-code",
            "classification.type": "infected-system",
            "classification.identifier": "sinkhole-http",
            "malware.name": "examplebot",
            "severity": "high",
            "source.ip": "203.0.113.77",
            "source.port": 51234,
            "port_is": "source",
            "feed.name": "Sinkhole-Events",
            "time.source": "2026-11-20T01:02:03+00:00",
        },
    ),
    (
        "f-m4tn6xkyu2ea",
        "new",
        {
            "classification.taxonomy": "fraud",
            "classification.type": "phishing",
            "severity": "high",
            "source.ip": "203.0.113.40",
            "source.url": "https://login.shop.example.org/verify",
            "feed.provider": "Example Partner",
            "feed.name": "Phishing",
            "time.source": "2026-11-20T04:40:00+00:00",
        },
    ),
    (
        "f-w5tt2pdabcd7",
        "back",
        {
            "classification.taxonomy": "vulnerable",
            "classification.type": "vulnerable-system",
            "classification.identifier": "open-rdp",
            "protocol.application": "rdp",
            "severity": "high",
            "source.ip": "203.0.113.91",
            "source.port": 3389,
            "port_is": "service",
            "feed.name": "Accessible-RDP",
            "feed.code": "scan_rdp",
            "time.source": "2026-11-20T03:05:10+00:00",
        },
    ),
)


def _finding(number: int, id_: str, state: str, event: dict[str, Any]) -> Finding:
    common = {
        "id": f"abcdefgh12345678-{number}",
        "feed.provider": "Shadowserver",
        "protocol.transport": "tcp",
        "source.asn": 64500,
        "time.observation": "2026-11-20T05:41:22+00:00",
        "tlp": "AMBER",
    }
    seen = event["time.source"]
    redis = event.get("classification.identifier") == "open-redis"
    return Finding(
        id=id_,
        state=state,  # type: ignore[arg-type]
        event={**common, **event},
        match=CLAIM,
        first_seen=seen if state == "new" else "2026-10-02T02:51:00+00:00",
        last_seen=seen,
        times_seen=1 if state == "new" else 29,
        original="".join(REDIS) if redis else "",
        report="2026-11-19-scan_redis-voorbeeldhost-asn.csv" if redis else "",
        mentioned="" if state == "new" else "MP-20261002-0007",
    )


def _place(finding: Finding) -> tuple[bool, int, str]:
    """Sort as the store does: state, severity, address."""
    severity = ("critical", "high", "medium").index(finding.event["severity"])
    return finding.state == "back", severity, finding.event["source.ip"]


def digest_in(language: str, **changes: Any) -> Digest:
    """Give the digest that all samples are made of; *changes* are those of its delivery."""
    usual = {"id": "daily", "to": ("desk",), "format": ("text", "csv", "xarf"), "tlp": "AMBER"}
    delivery = Delivery(**{**usual, "language": language, **changes})
    findings = [_finding(number, *each) for number, each in enumerate(EVENTS, 117)]
    return Digest(
        reference="MP-20261120-0042",
        hub=HUB,
        member=Member(id="voorbeeldhost", name="Voorbeeld Hosting B.V.", state="live", asns=(64500,)),
        delivery=delivery,
        recipients=(delivery.url or "abuse@voorbeeldhost.example",),
        period=("2026-11-19T06:30:00+00:00", "2026-11-20T06:30:00+00:00"),
        frozen="2026-11-20T06:30:04+00:00",
        findings=tuple(sorted(findings, key=_place)),
        still={"dns-open-resolver": (3, "2026-11-02T04:00:00+00:00")},
        suppressed={"filter": 14, "too_old": 1},
        feeds=(Feed(provider="Shadowserver", last="2026-11-20T05:41:22+00:00"),),
        highest="critical",
        tlp="AMBER",
    )


@cache
def samples() -> dict[str, bytes]:
    """Make all samples: file name to bytes."""
    plugins = discover()
    renderer = Renderer(lambda name: plugins.formats.load(name)(), render_mail, render_webhook)
    made: dict[str, bytes] = {}
    for language in ("en", "nl"):
        (mail,) = renderer.messages(digest_in(language, format=("text", "html", "csv", "xarf")))
        body = email.message_from_bytes(mail.data, policy=email.policy.SMTP).get_body(("plain",))
        assert body is not None
        made[f"digest.{language}.txt"] = body.get_content().replace("\r\n", "\n").encode()
        if language == "en":
            made["digest.en.eml"] = mail.data.replace(b"\r\n", b"\n")
    for attachment in renderer.attachments(digest_in("en", format=("csv", "jsonl", "xarf"))):
        made[attachment.name] = attachment.data
    hook = {"channel": "webhook", "url": "https://hooks.voorbeeldhost.example/abuse"}
    for name, when in (("finding.new.json", "immediately"), ("digest.sent.json", "daily 07:30")):
        first, *_ = renderer.messages(digest_in("en", when=when, **hook))
        made[name] = msgspec.json.format(first.data) + b"\n"
    return made


def columns(language: int) -> str:
    """Make the table of the CSV's columns."""
    rows = [f"| {n} | `{name}` | {MEANINGS[name][language]} |\n" for n, name in enumerate(COLUMNS, 1)]
    return HEADS[language] + "".join(rows)


def with_columns(page: str, language: int) -> str:
    """Give a page with the table as it has to be."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, "the page has no place for the table"
    assert end, "the table does not end"
    return before + begin + columns(language) + end + after


@pytest.mark.parametrize("name", sorted(samples()))
def test_samples_are_current(name: str) -> None:
    """A sample is, byte for byte, what the code makes today."""
    assert (SAMPLES / name).read_bytes() == samples()[name]


def test_there_are_no_other_samples() -> None:
    """Nothing lies among the samples that is not made anew."""
    assert {path.name for path in SAMPLES.iterdir()} == set(samples())


@pytest.mark.parametrize(("name", "language"), PAGES.items())
def test_the_table_of_columns_is_current(name: str, language: int) -> None:
    """Both pages list the columns that the CSV has, in their order."""
    page = (FOLDER / name).read_text()
    assert with_columns(page, language) == page
    assert set(MEANINGS) == set(COLUMNS)


def test_all_channels_tell_the_same_findings() -> None:
    """Ids, states and times are the same in CSV, JSON lines, XARF and webhook."""
    made = {name: data.decode() for name, data in samples().items()}
    rows = list(csv.DictReader(made["MP-20261120-0042.csv"].splitlines()))
    lines = [json.loads(line) for line in made["MP-20261120-0042.jsonl"].splitlines()]
    page = json.loads(made["digest.sent.json"])["data"]["findings"]
    reports = [json.loads(line) for line in made["MP-20261120-0042.xarf.jsonl"].splitlines()]

    told = [(row["finding_id"], row["state"], row["time_utc"]) for row in rows]
    assert len(told) == len(EVENTS)
    assert lines == page
    assert [(each["id"], each["state"], each["time"]["observed"]) for each in page] == told
    tags = [f"finding:{id_}" for id_, *_ in told]
    assert [tag for report in reports for tag in report["tags"] if tag.startswith("finding:")] == tags
    assert json.loads(made["finding.new.json"])["data"]["finding"] == page[0]


@pytest.mark.parametrize(("name", "language"), [("README.md", "en"), ("README.nl.md", "nl")])
def test_what_the_pages_quote_is_in_the_mail(name: str, language: str) -> None:
    """Lines of the mail that a page explains are lines that a mail has."""
    page = (FOLDER / name).read_text()
    text = samples()[f"digest.{language}.txt"].decode()
    (mail,) = render_mail(digest_in(language), [])
    subject = str(email.message_from_bytes(mail.data, policy=email.policy.SMTP)["Subject"])

    _, _, reading, *_ = page.split("\n## ")
    quoted = re.findall(r"^\| (`[^|]*?) \|", reading, re.MULTILINE)
    assert len(quoted) > 8
    said = f"{subject}\n{re.sub(' +', ' ', text)}"
    phrases = [each for cell in quoted for each in re.findall("`([^`]+)`", cell)]
    missing = [each for each in phrases if re.sub(" +", " ", each) not in said]
    assert not missing


def test_every_link_leads_somewhere() -> None:
    """Files, and headings within them, are there."""
    pages = {path: path.read_text() for path in FOLDER.glob("*.md")}
    links = [(path, link) for path, text in pages.items() for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [(path, *link.split("#")) for path, link in links if not link.startswith("http")]
    assert len(local) > 20

    for path, name, *heading in local:
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{path.name}: {name}"
        if heading:
            titles = re.findall("^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert heading[0] in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def test_both_languages_say_the_same() -> None:
    """The Dutch page has the sections, tables and links of the English one."""
    shapes = []
    for name in PAGES:
        page = (FOLDER / name).read_text()
        links = {link for link in re.findall(r"\]\(([^)\s]+)\)", page) if "README" not in link and link[0] != "#"}
        shapes.append((page.count("\n## "), page.count("\n|"), page.count("\n- "), links))
    assert shapes[0] == shapes[1]


def test_figures_are_those_of_the_code() -> None:
    """What the pages say of days and minutes is what the code does unless told otherwise."""
    day, quiet = 86400, Delivery(id="x").quiet
    for name in PAGES:
        page = (FOLDER / name).read_text()
        for number in (quiet / day, HUB.keep_sent / day, HUB.keep_ledger / day / 365):
            assert re.search(rf"\b{number:.0f} (days|dagen|years|jaar)\b", page), f"{name}: {number}"


def test_samples_have_reserved_addresses_only() -> None:
    """No sample names an address or a system of anybody."""
    for name, data in samples().items():
        found = set(re.findall(rb"\b\d{1,3}(?:\.\d{1,3}){3}\b", data))
        assert all(address.startswith(b"203.0.113.") for address in found), f"{name}: {found}"


if __name__ == "__main__":
    SAMPLES.mkdir(exist_ok=True)
    for stale in SAMPLES.iterdir():
        stale.unlink()
    for sample, content in samples().items():
        (SAMPLES / sample).write_bytes(content)
    for page_name, which in PAGES.items():
        path_ = FOLDER / page_name
        path_.write_text(with_columns(path_.read_text(), which))
