"""Autonomous systems of addresses, from tables of the usual layouts."""

import pytest

from bots.experts.asn import Asn
from cleanbots.testing import run


def looked_up(record: object, event: dict | None = None, **params: object) -> dict:
    """Give the event for 192.0.2.1 if the table has *record* for it."""
    tables = {"asn.mmdb": {"192.0.2.0/24": record}}
    given = {"id": "a-1", "source.ip": "192.0.2.1", **(event or {})}
    (made,) = run(Asn, [given], params={"database": "asn.mmdb", **params}, tables=tables).sent
    return {
        name.removeprefix("source."): value for name, value in made.fields.items() if name not in {"id", "source.ip"}
    }


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (
            {"autonomous_system_number": 64496, "autonomous_system_organization": "Example"},
            {"asn": 64496, "as_name": "Example"},
        ),
        ({"asn": "AS64496", "name": "Example", "domain": "example.net"}, {"asn": 64496, "as_name": "Example"}),
        ({"asn": "AS64496", "as_name": "Example"}, {"asn": 64496, "as_name": "Example"}),
        ({"as_number": 64496, "as_description": "EXAMPLE"}, {"asn": 64496, "as_name": "EXAMPLE"}),
        ({"asn": 64496}, {"asn": 64496}),
        ({"asn": 0, "name": "Not routed"}, {}),
        ({}, {}),
    ],
)
def test_usual_layouts(record, expected):
    """Number and name are read from tables of several makers; number 0 is nobody's."""
    assert looked_up(record) == expected


@pytest.mark.parametrize(
    ("event", "overwrite", "expected"),
    [
        ({"source.asn": 64500}, False, {"asn": 64500}),
        ({"source.asn": 64496}, False, {"asn": 64496, "as_name": "Example"}),
        ({"source.asn": 64500, "source.as_name": "Old"}, True, {"asn": 64496, "as_name": "Example"}),
    ],
)
def test_name_goes_with_its_number(event, overwrite, expected):
    """A number that the notifier gave stays, and doesn't get the name of another."""
    record = {"asn": 64496, "name": "Example"}

    assert looked_up(record, event, overwrite=overwrite) == expected
