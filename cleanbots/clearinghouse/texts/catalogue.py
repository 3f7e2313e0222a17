"""The text catalogue: one YAML file per language beside this module, and a site's own texts over it."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from ...config.yaml import Document, read
from ...errors import ConfigError
from ...harmonization.taxonomy import rsit

LANGUAGES: Final = ("nl", "en")
_SHIPPED = Path(__file__).parent
_FALLBACK = "undetermined"
_OPEN = "open-"
_PREFIXES = ("open-", "accessible-", "")
_LONGEST = 1000


class TextError(ConfigError):
    """A site's texts that can't be used; the text lists every mistake, one a line."""


class Advice(msgspec.Struct, frozen=True):
    """What a member reads about one kind of finding, as plain text without markup.

    Args:
        title: names it, for example ``Open DNS resolver``; a malware's name is added by `Catalogue.title`.
        what: what it means; starts in lower case, ends in a full stop.
        do: what helps; likewise.
    """

    title: str
    what: str
    do: str


class Catalogue:
    """The texts of all RSIT types and of common identifiers, in all languages.

    Args:
        types: language to type to text.
        identifiers: language to identifier to text.
    """

    def __init__(
        self, types: Mapping[str, Mapping[str, Advice]], identifiers: Mapping[str, Mapping[str, Advice]]
    ) -> None:
        self.types = types
        self.identifiers = identifiers

    @classmethod
    def load(cls, site: str = "") -> "Catalogue":
        """Read the shipped texts, and over them those of a site.

        Args:
            site: a folder with ``nl.yaml`` and ``en.yaml``, or one of them, laid out as ours. An entry may give only
                what differs; a new identifier gives all of ``title``, ``what`` and ``do``. "" for none.

        Raises:
            TextError: if the site's texts can't be used.
        """
        return _load(site)

    def advice(self, fields: Mapping[str, Any], language: str) -> Advice:
        """Give the text for an event.

        Args:
            fields: its canonical fields; only ``classification.type`` and ``classification.identifier`` are read.
            language: one of `LANGUAGES`.
        """
        found = self._by_identifier(fields.get("classification.identifier"), language)
        if found is not None:
            return found
        types = self.types[language]
        return types.get(fields.get("classification.type", _FALLBACK)) or types[_FALLBACK]

    def title(self, fields: Mapping[str, Any], language: str) -> str:
        """Name the finding in one line: the text's title, and what tells it apart if the title doesn't say it.

        That is the malware's name, else an identifier that has no text of its own, else the first vulnerability.
        These come from reports: escape them where markup is read.
        """
        identifier = fields.get("classification.identifier", "")
        title = self.advice(fields, language).title
        special = fields.get("malware.name") or ""
        if not special and self._by_identifier(identifier, language) is None:
            special = identifier or next(iter(fields.get("product.vulnerabilities") or ()), "")
        return f"{title}: {special}" if special else title

    def knows(self, fields: Mapping[str, Any]) -> bool:
        """Tell whether an event's identifier, or else its type, has a text of its own."""
        identifier = fields.get("classification.identifier")
        found = self._by_identifier(identifier, LANGUAGES[0])
        return found is not None or fields.get("classification.type") in self.types[LANGUAGES[0]]

    def _by_identifier(self, identifier: str | None, language: str) -> Advice | None:
        """Find an identifier's text; ``accessible-x`` and ``x`` are ``open-x`` where they have none of their own."""
        if not identifier:
            return None
        texts = self.identifiers[language]
        found = texts.get(identifier)
        if found is None:
            prefix = next(each for each in _PREFIXES if identifier.startswith(each))
            found = texts.get(_OPEN + identifier.removeprefix(prefix))
        return found


@cache
def _load(site: str) -> Catalogue:
    types: dict[str, dict[str, Advice]] = {}
    identifiers: dict[str, dict[str, Advice]] = {}
    mistakes: list[str] = []
    for language in LANGUAGES:
        texts = _Texts()
        texts.add(read(_SHIPPED / f"{language}.yaml"))
        if site and (Path(site) / f"{language}.yaml").exists():
            texts.add(read(Path(site) / f"{language}.yaml"))
        types[language], identifiers[language] = texts.types, texts.all_identifiers()
        mistakes += texts.mistakes
    if site and not Path(site).is_dir():
        mistakes.append(f"{site}: no such folder → name the folder that holds nl.yaml and en.yaml")
    if mistakes:
        raise TextError("\n".join(mistakes))
    return Catalogue(types, identifiers)


class _Texts:
    """One language's texts, file over file."""

    def __init__(self) -> None:
        self.types: dict[str, Advice] = {}
        self.identifiers: dict[str, Advice] = {}
        self.others: dict[str, str] = {}
        self.mistakes: list[str] = []

    def all_identifiers(self) -> dict[str, Advice]:
        """Give the identifiers' texts, also under their other names."""
        return {other: self.identifiers[name] for other, name in self.others.items()} | self.identifiers

    def add(self, document: Document) -> None:
        self.mistakes += map(str, document.findings)
        if document.findings:
            return
        for section, texts in (("types", self.types), ("identifiers", self.identifiers)):
            for name, entry in self._entries(document, section):
                if section == "types" and name not in rsit().types:
                    self._complain(document, (section, name), "no such type; 'cleanbots fields' lists them")
                else:
                    self._entry(document, (section, name), entry, texts)
        for name in document.value or ():
            if name not in {"types", "identifiers"}:
                self._complain(document, (name,), "unknown; allowed are types and identifiers")

    def _entries(self, document: Document, section: str) -> Iterator[tuple[str, Any]]:
        whole = document.value
        if whole is None:
            return
        entries = whole.get(section) or {} if isinstance(whole, dict) else None
        if not isinstance(entries, dict):
            self._complain(document, (section,), "must map names to title, what and do")
            return
        yield from entries.items()

    def _entry(self, document: Document, path: tuple[str, str], entry: Any, texts: dict[str, Advice]) -> None:
        if not isinstance(entry, dict):
            self._complain(document, path, "must map title, what and do to text")
            return
        also = entry.get("also", [])
        if not isinstance(also, list) or not all(isinstance(name, str) for name in also):
            self._complain(document, (*path, "also"), "must list identifiers")
            return
        told = {key: value for key, value in entry.items() if key != "also"}
        for key, value in told.items():
            if key not in Advice.__struct_fields__:
                self._complain(document, (*path, key), "unknown; allowed are title, what, do and also")
            elif not isinstance(value, str) or not value.strip() or len(value) > _LONGEST or not value.isprintable():
                self._complain(document, (*path, key), f"must be a line of text of at most {_LONGEST} characters")
        before = texts.get(path[1])
        whole = {**(msgspec.structs.asdict(before) if before else {}), **told}
        missing = [key for key in Advice.__struct_fields__ if key not in whole]
        if missing:
            self._complain(document, path, f"lacks {', '.join(missing)}")
        elif not self.mistakes:
            texts[path[1]] = Advice(whole["title"], whole["what"], whole["do"])
            self.others |= dict.fromkeys(also, path[1])

    def _complain(self, document: Document, path: tuple[str, ...], text: str) -> None:
        place = document.keys.get(path) or document.places.get(path) or document.places.get(())
        where = f"{place.file}:{place.line}:{place.column}" if place else "?"
        self.mistakes.append(f"{where}: {'.'.join(path)}: {text}")
