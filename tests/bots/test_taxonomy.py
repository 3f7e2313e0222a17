"""The taxonomy follows from the type."""

import pytest

from bots.experts.taxonomy import Taxonomy
from cleanbots.harmonization.taxonomy import rsit
from cleanbots.testing import run


@pytest.mark.parametrize(
    ("taxonomy", "kind"), [(taxonomy, kind) for taxonomy, kinds in rsit().taxonomy.items() for kind in kinds]
)
def test_each_type_has_its_taxonomy(taxonomy, kind):
    """Every type of the catalogue gets the class that RSIT puts it in."""
    (event,) = run(Taxonomy, [{"classification.type": kind}]).sent

    assert event["classification.taxonomy"] == taxonomy


def test_event_without_type_is_undetermined():
    """An event without a type becomes undetermined, which is in the class 'other'."""
    (event,) = run(Taxonomy, [{}]).sent

    assert event["classification.type"] == "undetermined"
    assert event["classification.taxonomy"] == "other"


@pytest.mark.parametrize(("overwrite", "expected"), [(False, "vulnerable"), (True, "fraud")])
def test_taxonomy_that_is_there_stays_unless_told_otherwise(overwrite, expected):
    """A taxonomy set by the parser is replaced only with 'overwrite'."""
    given = {"classification.type": "phishing", "classification.taxonomy": "vulnerable"}

    (event,) = run(Taxonomy, [given], params={"overwrite": overwrite}).sent

    assert event["classification.taxonomy"] == expected


@pytest.mark.parametrize("overwrite", [False, True])
def test_undetermined_type_replaces_nothing(overwrite):
    """A taxonomy is more than a type that says nothing."""
    (event,) = run(Taxonomy, [{"classification.taxonomy": "vulnerable"}], params={"overwrite": overwrite}).sent

    assert event["classification.taxonomy"] == "vulnerable"
    assert event["classification.type"] == "undetermined"
