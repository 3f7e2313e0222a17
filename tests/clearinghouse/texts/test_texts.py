"""The text catalogue: complete in all languages, plain, and open to a site's own words."""

import re
from pathlib import Path

import pytest

from cleanbots.clearinghouse.texts import LANGUAGES, Advice, Catalogue, TextError
from cleanbots.harmonization.taxonomy import rsit

SHIPPED = Catalogue.load()
ENTRIES = [
    (language, name, advice)
    for language in LANGUAGES
    for texts in (SHIPPED.types[language], SHIPPED.identifiers[language])
    for name, advice in texts.items()
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_type_has_its_text(language: str) -> None:
    """Each of the 44 types is explained in each language, and nothing else is among the types."""
    assert len(rsit().types) == 44
    assert set(SHIPPED.types[language]) == set(rsit().types)


def test_languages_explain_the_same_identifiers() -> None:
    """An identifier that has a text in one language has it in all."""
    assert set(SHIPPED.identifiers["nl"]) == set(SHIPPED.identifiers["en"])
    assert {"open-redis", "open-rdp", "dns-open-resolver", "open-ssdp", "ntp-monitor", "open-telnet"} <= set(
        SHIPPED.identifiers["nl"]
    )


def test_texts_are_plain() -> None:
    """Titles name without a full stop; what and do are sentences in lower case, without shouting, links or deadlines."""
    for language, name, advice in ENTRIES:
        whole = f"{advice.title} {advice.what} {advice.do}"
        assert not advice.title.endswith("."), (language, name)
        assert len(advice.title) <= 60, (language, name)
        for sentence in (advice.what, advice.do):
            assert sentence[0].islower(), (language, name, sentence)
            assert sentence.endswith("."), (language, name, sentence)
        assert not re.search(r"!|https?:|\b(immediately|urgent|onmiddellijk|within \d|binnen \d)\b", whole), name
        assert whole.isprintable()


def test_languages_differ() -> None:
    """No text was left in the other language."""
    for name, advice in SHIPPED.types["nl"].items():
        assert advice.what != SHIPPED.types["en"][name].what
        assert advice.do != SHIPPED.types["en"][name].do


@pytest.mark.parametrize("identifier", ["open-redis", "accessible-redis", "redis"])
def test_identifier_goes_before_type(identifier: str) -> None:
    """An identifier's text is used before its type's, however its notifier says that a service is open."""
    fields = {"classification.type": "vulnerable-system", "classification.identifier": identifier}

    assert SHIPPED.title(fields, "en") == "Redis reachable without a password"


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"classification.type": "infected-system", "malware.name": "examplebot"}, "System infected: examplebot"),
        (
            {"classification.type": "vulnerable-system", "classification.identifier": "new-box"},
            "Vulnerable system: new-box",
        ),
        (
            {"classification.type": "vulnerable-system", "product.vulnerabilities": ["CVE-2026-0001", "CVE-2026-0002"]},
            "Vulnerable system: CVE-2026-0001",
        ),
        ({"classification.type": "phishing"}, "Phishing page"),
        ({}, "Observation without a type"),
    ],
)
def test_title_tells_apart(fields: dict[str, object], title: str) -> None:
    """A title adds what tells a finding apart where the catalogue's words don't."""
    assert SHIPPED.title(fields, "en") == title


def test_site_texts_go_first(tmp_path: Path) -> None:
    """A site changes part of an entry, under all its names, and adds identifiers of its own; the rest stays."""
    (tmp_path / "en.yaml").write_text(
        "types: {phishing: {do: call us.}}\n"
        "identifiers:\n"
        "  open-ntp: {title: Our words for NTP}\n"
        "  open-lamp: {title: Lamp reachable, what: it can be switched off., do: close the port., also: [lamp-2]}\n"
    )
    ours = Catalogue.load(str(tmp_path))

    assert ours.types["en"]["phishing"] == Advice("Phishing page", SHIPPED.types["en"]["phishing"].what, "call us.")
    assert ours.identifiers["en"]["ntp-monitor"].title == "Our words for NTP"
    assert ours.title({"classification.identifier": "lamp-2"}, "en") == "Lamp reachable"
    assert ours.types["nl"] == SHIPPED.types["nl"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("types: {phising: {do: x.}}", "en.yaml:1:9: types.phising: no such type"),
        ("types: {phishing: {doo: x.}}", "types.phishing.doo: unknown; allowed are title, what, do and also"),
        ("types: {phishing: {do: 3}}", "types.phishing.do: must be a line of text"),
        ("types: {phishing: text}", "types.phishing: must map title, what and do to text"),
        ("identifiers: {x: {title: X}}", "identifiers.x: lacks what, do"),
        ("identifiers: {open-ntp: {also: ntp}}", "identifiers.open-ntp.also: must list identifiers"),
        ("typ: {}", "typ: unknown; allowed are types and identifiers"),
        ("[]", "must map"),
        ("types: [", "en.yaml:"),
        ('types: {phishing: {do: "a\\u2028b"}}', "types.phishing.do: must be a line of text"),
    ],
)
def test_bad_site_texts_are_refused(tmp_path: Path, text: str, said: str) -> None:
    """A mistake in a site's texts is named with its place."""
    (tmp_path / "en.yaml").write_text(text)

    with pytest.raises(TextError) as caught:
        Catalogue.load(str(tmp_path))
    assert said in str(caught.value)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    """A folder of texts that isn't there is a mistake, not a silent default."""
    with pytest.raises(TextError, match="no such folder"):
        Catalogue.load(str(tmp_path / "gone"))
