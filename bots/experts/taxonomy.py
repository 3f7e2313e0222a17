"""Derive the RSIT taxonomy of an event from its type."""

from typing import Annotated

from cleanbots import Event, Expert, Meta, Params
from cleanbots.harmonization.taxonomy import taxonomy_of

UNDETERMINED = "undetermined"


class TaxonomyParams(Params):
    """Parameters of ``expert/taxonomy``."""

    overwrite: Annotated[bool, Meta(description="Replace a taxonomy that the event has, if its type says another.")] = (
        False
    )


class Taxonomy(Expert[TaxonomyParams]):
    """Set ``classification.taxonomy`` by ``classification.type``; an event without a type gets ``undetermined``."""

    def process(self, event: Event) -> Event:
        """Set what is missing."""
        fields = event.fields
        kind = fields.setdefault("classification.type", UNDETERMINED)
        if "classification.taxonomy" not in fields or (self.params.overwrite and kind != UNDETERMINED):
            fields["classification.taxonomy"] = taxonomy_of(kind)
        return event
