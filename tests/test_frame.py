"""Frames: what is put in comes out."""

import pytest

from cleanbots.errors import FrameError
from cleanbots.frame import EVENTS, decode, encode_events

ORIGINS = {"r": {"header": "ip,port\n"}}


def test_events_keep_their_fields_whatever_their_neighbours_have():
    """Events of different fields come out of a frame as they went in, in their order, with their origins."""
    events = [
        {"id": "r-1", "source.ip": "192.0.2.1", "extra.list": [{"a": None}, 1.5]},
        {},
        {"id": "r-3", "source.port": 0, "extra.flag": False, "raw": ""},
        {"source.ip": "2001:db8::1"},
    ]

    frame = decode(encode_events(events, ORIGINS))

    assert (frame.kind, frame.items, frame.origins) == (EVENTS, events, ORIGINS)


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_events_without_fields_are_counted_too(count):
    """However little events hold, none is lost."""
    assert decode(encode_events([{}] * count, {})).items == [{}] * count


def test_a_field_that_is_none_is_no_field():
    """None stands for a field that is not set."""
    assert decode(encode_events([{"id": "r-1", "extra.a": None}], {})).items == [{"id": "r-1"}]


def test_what_is_no_json_is_refused():
    """A value that JSON does not have is an error of the encoding, with the reason."""
    with pytest.raises(FrameError, match="can't be written as JSON"):
        encode_events([{"id": "r-1", "extra.a": object()}], {})
