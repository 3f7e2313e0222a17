"""Events: setting, offering, rejecting and reading values."""

from datetime import UTC, datetime
from ipaddress import IPv4Address

import orjson
import pytest

from cleanbots.errors import InvalidValue, UnknownField
from cleanbots.event import Event


def test_setting_converts():
    """A value that is set is stored in canonical form."""
    event = Event()
    event["source.ip"] = " 192.0.2.1 "

    assert event["source.ip"] == "192.0.2.1"


def test_setting_a_bad_value_leaves_the_field_as_it_was():
    """A value that does not fit raises, and what was there stays."""
    event = Event({"source.ip": "192.0.2.1"})

    with pytest.raises(InvalidValue):
        event["source.ip"] = "nope"
    assert event.fields == {"source.ip": "192.0.2.1"}


def test_offering_keeps_what_does_not_fit_with_its_reason():
    """An offered value that does not fit is kept below ``extra.rejected.``, and the answer is False."""
    event = Event()

    assert event.offer("source.port", "80")
    assert not event.offer("destination.port", "0")
    assert event.fields == {
        "source.port": 80,
        "extra.rejected.destination.port": {"value": "0", "reason": "must be from 1 to 65535"},
    }


@pytest.mark.parametrize("value", [None, "", "  \t"])
def test_offering_nothing_sets_and_rejects_nothing(value):
    """None and blank text are no values."""
    event = Event()

    assert not event.offer("source.port", value)
    assert event.fields == {}


def test_unknown_field_is_always_an_error():
    """A field that the catalogue lacks is a mistake of the bot, also when offered."""
    with pytest.raises(UnknownField):
        Event().offer("source.prot", 80)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("x" * 3_000_000, id="long text"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param(float("nan"), id="nan"),
        pytest.param(10**30, id="beyond 64 bits"),
        pytest.param(10**5000, id="beyond what repr gives"),
        pytest.param(b"\xff", id="bytes"),
        pytest.param(["a"] * 10**5, id="long list"),
    ],
)
def test_rejected_value_is_always_small_and_fit_for_json(value):
    """Whatever was offered, what is kept of it can be stored and is short."""
    event = Event()
    event.offer("source.port", value)

    assert len(orjson.dumps(event.fields)) < 5000


def test_typed_reading():
    """Times and addresses are read as objects, or None if not set."""
    event = Event({"source.ip": "192.0.2.1", "time.source": "2026-11-20T07:30:00+00:00"})

    assert event.address("source.ip") == IPv4Address("192.0.2.1")
    assert event.time("time.source") == datetime(2026, 11, 20, 7, 30, tzinfo=UTC)
    assert event.address("destination.ip") is None
    assert event.time("time.observation") is None


def test_derived_event_has_an_id_of_its_own():
    """An event derived of another has its fields and its id with a number, and leaves it alone."""
    event = Event({"id": "abc-2", "comment": "x"})
    derived = event.derive(1)
    derived["comment"] = "y"

    assert (derived.id, event.id, event["comment"]) == ("abc-2.1", "abc-2", "x")


def test_representation_shows_no_values():
    """What is logged of an event is its id and size, never its values."""
    assert "secret" not in repr(Event({"id": "abc-2", "comment": "secret"}))
