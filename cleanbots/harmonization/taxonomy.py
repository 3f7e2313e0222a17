"""The Reference Security Incident Taxonomy (RSIT 1003), with the types that IntelMQ adds."""

from functools import cache

import msgspec

from ..data import data_path
from .scalars import Converter, one_of


class Taxonomy(msgspec.Struct, frozen=True):
    """The taxonomy file.

    Args:
        version: of RSIT.
        taxonomy: each class with its types.
        intelmq: types that are IntelMQ's, not RSIT's.
        intelmq_spelling: types that IntelMQ spells otherwise.
        aliases: further spellings of types that are accepted.
    """

    version: str
    taxonomy: dict[str, list[str]]
    intelmq: list[str]
    intelmq_spelling: dict[str, str]
    aliases: dict[str, str]

    @property
    def types(self) -> list[str]:
        """All types, in the order of their classes."""
        return [name for names in self.taxonomy.values() for name in names]


@cache
def rsit() -> Taxonomy:
    """Read the taxonomy, once."""
    return msgspec.json.decode(data_path("harmonization", "rsit-1003.json").read_bytes(), type=Taxonomy)


@cache
def _taxonomies() -> dict[str, str]:
    return {name: taxonomy for taxonomy, names in rsit().taxonomy.items() for name in names}


def taxonomy_of(classification: str) -> str:
    """Give the RSIT class of a canonical type.

    Raises:
        KeyError: if there is no such type.
    """
    return _taxonomies()[classification]


def _hyphenated(text: str) -> str:
    return text.lower().replace(" ", "-").replace("_", "-")


def classification() -> Converter:
    """Make the converter of ``classification.type``: any case, blanks for hyphens, and older names are accepted."""
    return one_of(rsit().types, rsit().aliases, _hyphenated)


def taxonomy() -> Converter:
    """Make the converter of ``classification.taxonomy``: any case, blanks for hyphens."""
    return one_of(rsit().taxonomy, {}, _hyphenated)
