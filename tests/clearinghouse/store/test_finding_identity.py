"""What makes two observations one finding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_world import infection, service

from cleanbots.clearinghouse.findings import finding_id, finding_number, finding_text


def test_the_same_service_tomorrow_is_the_same_finding():
    """Times, reports and severities are no part of the identity."""
    assert finding_id(service(1, id="a-1")) == finding_id(
        service(1, id="b-7", severity="low", time__source="2026-12-01T00:00:00+00:00", feed__name="other")
    )


def test_two_services_on_one_address_are_two_findings():
    """Port and transport belong to a service."""
    one = finding_id(service(1))
    assert one != finding_id(service(1, source__port=5353))
    assert one != finding_id(service(1, protocol__transport="tcp"))


def test_a_sinkhole_hit_with_fifty_source_ports_is_one_finding():
    """A client's port is another one each time and says nothing."""
    assert len({finding_id(infection(1, source__port=50000 + n)) for n in range(50)}) == 1


def test_a_port_of_unknown_meaning_is_left_out():
    """Only a port that is known to be a service's counts."""
    event = service(1)
    del event["port_is"]
    assert finding_id(event) == finding_id({**event, "source.port": 99})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("classification.type", "vulnerable-system"),
        ("classification.identifier", "open-redis"),
        ("malware.name", "otherbot"),
        ("source.ip", "192.0.2.99"),
    ],
)
def test_type_identifier_malware_and_address_tell_findings_apart(field, value):
    """Each of them is a part of the identity."""
    assert finding_id(infection(1)) != finding_id({**infection(1), field: value})


def test_what_is_published_is_named_by_its_url():
    """Two phishing pages on one address are two findings; one page that moves is one."""
    page = {
        "id": "p-1",
        "classification.taxonomy": "fraud",
        "classification.type": "phishing",
        "source.ip": "192.0.2.1",
        "source.fqdn": "shop.example.org",
        "source.url": "https://shop.example.org/login",
    }
    assert finding_id(page) == finding_id({**page, "source.ip": "192.0.2.2"})
    assert finding_id(page) != finding_id({**page, "source.url": "https://shop.example.org/other"})


def test_without_a_source_the_destination_is_the_asset():
    """Feeds about victims name only the destination."""
    victim = {"id": "v-1", "classification.type": "ddos", "destination.ip": "192.0.2.1"}
    assert finding_id(victim) == finding_id({**victim, "id": "v-2"})
    assert finding_id(victim) != finding_id({**victim, "destination.ip": "192.0.2.2"})


def test_without_any_asset_each_event_is_a_finding():
    """What can't be told apart must not be merged."""
    assert finding_id({"id": "x-1"}) != finding_id({"id": "x-2"})


def test_the_rule_is_pinned():
    """A changed id would make every known finding new: it needs a new version and a migration."""
    assert finding_id(service(1)) == "f-6dtvnzwjb6si"
    assert finding_id(infection(1)) == "f-dqz35w2fyyvt"


@given(st.integers(0, 2**60 - 1))
def test_ids_and_numbers_are_the_same_thing(number):
    """A finding's id is its number in base32."""
    text = finding_text(number)
    assert len(text) == 14
    assert finding_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "f-", "f-short", "g-aaaaaaaaaaaa", "f-aaaaaaaaaaa1", "f-AAAAAAAAAAAA", "aaaaaaaaaaaa"]
)
def test_other_texts_are_no_ids(text):
    """What is no id is refused."""
    with pytest.raises(ValueError, match="no finding's id"):
        finding_number(text)
