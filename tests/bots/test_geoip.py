"""Places of addresses, from tables of the usual layouts."""

from datetime import UTC, datetime, timedelta

import pytest

from bots.experts.geoip import GeoIp, GeoIpParams
from cleanbots import Context, Event, Outlet, Retry
from cleanbots.clock import FixedClock
from cleanbots.services.mmdb import write_mmdb
from cleanbots.services.tables import TablesService
from cleanbots.testing import run
from cleanbots.testing.services import MemoryServices

BUILT = datetime(2026, 11, 20, tzinfo=UTC)

GEOLITE = {
    "country": {"iso_code": "NL", "names": {"en": "Netherlands"}},
    "registered_country": {"iso_code": "DE"},
    "city": {"names": {"en": "Utrecht", "de": "Utrecht"}},
    "subdivisions": [{"names": {"en": "Utrecht province"}}],
    "location": {"latitude": 52.09, "longitude": 5.12},
}


def located(record: object, **params: object) -> dict:
    """Give what is said of 192.0.2.1 if the table has *record* for it."""
    table = {"geo.mmdb": {"192.0.2.0/24": record}}
    (event,) = run(GeoIp, [{"source.ip": "192.0.2.1"}], params={"database": "geo.mmdb", **params}, tables=table).sent
    prefix = "source.geolocation."
    return {name.removeprefix(prefix): value for name, value in event.fields.items() if name.startswith(prefix)}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (
            GEOLITE,
            {"cc": "NL", "city": "Utrecht", "region": "Utrecht province", "latitude": 52.09, "longitude": 5.12},
        ),
        (
            {"country": "nl", "city": "Utrecht", "region": "Utrecht", "lat": "52.09", "lng": "5.12"},
            {"cc": "NL", "city": "Utrecht", "region": "Utrecht", "latitude": 52.09, "longitude": 5.12},
        ),
        ({"country": "Netherlands", "country_code": "NL"}, {"cc": "NL"}),
        (
            {"country_code": "NL", "state1": "Utrecht", "latitude": 52.0},
            {"cc": "NL", "region": "Utrecht", "latitude": 52.0},
        ),
        ({"registered_country": {"iso_code": "DE"}}, {"cc": "DE"}),
        ({"country": {"names": {"en": "Nowhere"}}}, {}),
        ({"location": {"latitude": 999.0}, "country_code": "NL"}, {"cc": "NL"}),
        ("NL", {}),
        ({}, {}),
    ],
)
def test_usual_layouts(record, expected):
    """Country, city, region and coordinates are read from tables of several makers; what doesn't fit is left out."""
    assert located(record) == expected


def test_registered_country():
    """On demand the country of registration is taken."""
    assert located(GEOLITE, use_registered=True)["cc"] == "DE"


def test_both_sides_are_looked_up():
    """Source and destination are looked up unless one of them is chosen."""
    tables = {"geo.mmdb": {"192.0.2.0/24": {"country_code": "NL"}, "2001:db8::/32": {"country_code": "DE"}}}
    event = {"source.ip": "192.0.2.1", "destination.ip": "2001:db8::1"}

    (both,) = run(GeoIp, [event], params={"database": "geo.mmdb"}, tables=tables).sent
    (one,) = run(GeoIp, [event], params={"database": "geo.mmdb", "sides": ["destination"]}, tables=tables).sent

    assert both["source.geolocation.cc"] == "NL"
    assert both["destination.geolocation.cc"] == "DE"
    assert "source.geolocation.cc" not in one


@pytest.mark.parametrize(("overwrite", "expected"), [(False, "FR"), (True, "NL")])
def test_overwrite(overwrite, expected):
    """What the notifier said stays unless told otherwise."""
    event = {"source.ip": "192.0.2.1", "source.geolocation.cc": "FR"}
    tables = {"geo.mmdb": {"192.0.2.0/24": {"country_code": "NL"}}}

    (made,) = run(GeoIp, [event], params={"database": "geo.mmdb", "overwrite": overwrite}, tables=tables).sent

    assert made["source.geolocation.cc"] == expected


def test_place_in_another_country_is_not_mixed_in():
    """If the notifier names another country, the table's city is not set beside it."""
    event = {"source.ip": "192.0.2.1", "source.geolocation.cc": "FR"}
    tables = {"geo.mmdb": {"192.0.2.0/24": GEOLITE}}

    (made,) = run(GeoIp, [event], params={"database": "geo.mmdb"}, tables=tables).sent

    assert "source.geolocation.city" not in made


def test_neighbours_in_smaller_networks_are_told_apart(tmp_path):
    """What holds for half of a /24 is not taken for the other half, in whatever order they come; nor are unknown ones."""
    write_mmdb(
        tmp_path / "geo.mmdb",
        [("192.0.2.0/25", {"country_code": "NL"}), ("198.51.100.0/24", {"country_code": "BE"}), ("2001:d00::/24", {})],
        database_type="City",
        built=BUILT,
    )
    addresses = [
        "192.0.2.1",
        "192.0.2.200",
        "192.0.2.2",
        "198.51.100.1",
        "198.51.100.200",
        "203.0.113.1",
        "2001:db8::1",
    ]

    sent = run(GeoIp, [{"source.ip": ip} for ip in addresses], params={"database": "geo.mmdb"}, base=tmp_path).sent

    assert [event.get("source.geolocation.cc") for event in sent] == ["NL", None, "NL", "BE", "BE", None, None]


def test_event_without_address_passes():
    """An event without an address, and one whose address the table lacks, pass as they are."""
    tables = {"geo.mmdb": {"192.0.2.0/24": {"country_code": "NL"}}}

    events = run(GeoIp, [{}, {"source.ip": "198.51.100.1"}], params={"database": "geo.mmdb"}, tables=tables).sent

    assert [set(event.fields) for event in events] == [{"id"}, {"id", "source.ip"}]


def test_table_file_below_the_configuration(tmp_path):
    """A relative path is one below the configuration's folder; the file is read by the C reader."""
    write_mmdb(tmp_path / "geo.mmdb", [("192.0.2.0/24", GEOLITE)], database_type="City", built=BUILT)

    (event,) = run(GeoIp, [{"source.ip": "192.0.2.1"}], params={"database": "geo.mmdb"}, base=tmp_path).sent

    assert event["source.geolocation.city"] == "Utrecht"


def test_missing_table_makes_the_work_wait(tmp_path):
    """Events don't pass without the facts; the sentence names the file."""
    with pytest.raises(Retry, match=r"none\.mmdb"):
        run(GeoIp, [{"source.ip": "192.0.2.1"}], params={"database": "none.mmdb"}, base=tmp_path)


def test_replaced_table_is_used(tmp_path):
    """A table that is replaced while in use is asked within two seconds, for addresses seen before, too."""
    clock = FixedClock(BUILT)
    services = MemoryServices(clock)
    services.tables = TablesService(clock)
    bot = GeoIp(GeoIpParams(database="geo.mmdb"), Context(base=tmp_path, clock=clock, services=services))

    def country() -> str:
        out = Outlet()
        bot.process_batch([Event({"id": "a-1", "source.ip": "192.0.2.1"})], out)
        return out.sent["default"][0]["source.geolocation.cc"]

    write_mmdb(tmp_path / "geo.mmdb", [("192.0.2.0/24", {"country_code": "NL"})], database_type="C", built=BUILT)
    bot.open()
    assert country() == "NL"
    write_mmdb(tmp_path / "geo.mmdb", [("192.0.2.0/24", {"country_code": "BE"})], database_type="C", built=BUILT)
    clock.move(BUILT + timedelta(seconds=2))

    assert country() == "BE"
    services.tables.close()
