"""Full queues: no queue ever holds more than its limit and one frame, however many write into it at once."""

import threading
from collections.abc import Callable

import pytest
from campaign import Campaign
from server import QueueServer

LIMIT, SLICE = 100, 10


@pytest.mark.usefixtures("long_only")
def test_limits_hold_against_several_writers(
    start_server: Callable[..., QueueServer], make_campaign: Callable[..., Campaign]
) -> None:
    """Four instances that write into one slow queue never exceed its limit by more than the last frame, and all drains."""
    server = start_server()
    campaign = make_campaign(server, 4, slice_=SLICE, instances=3)
    campaign.bots["dedup"] |= {"limit": {"events": LIMIT}, "instances": 1}
    campaign.feed(rows=20_000, files=4)
    campaign.up()
    most = 0
    ended = threading.Event()

    def look() -> None:
        nonlocal most
        while not ended.is_set():
            most = max(most, int(server.call("HGET", "{chaos}:depths", "dedup:events") or 0))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        campaign.drain()
    finally:
        ended.set()
        looking.join()
    counts = campaign.account()
    print(f"at most {most} items in a queue of {LIMIT}: {counts}")  # noqa: T201
    assert LIMIT <= most < LIMIT + SLICE
