"""The promise on a bad network: lost replies, cut and slow connections."""

from collections.abc import Callable, Iterator

import pytest
from campaign import Campaign
from proxy import Proxy
from server import QueueServer


@pytest.fixture
def proxy(start_server: Callable[..., QueueServer]) -> Iterator[tuple[Proxy, QueueServer]]:
    """A proxy, and the server behind it."""
    server = start_server()
    made = Proxy(server.port, seed=3)
    yield made, server
    made.close()


@pytest.mark.usefixtures("long_only")
def test_lost_replies(
    proxy: tuple[Proxy, QueueServer], make_campaign: Callable[..., Campaign], until: Callable[..., None]
) -> None:
    """Whoever misses a reply looks up what it holds and goes on at once: nothing is lost, doubled, or left lying.

    The lease is so long that nobody else takes over. Connections are also cut in between, whatever they carry, and slow.
    """
    between, server = proxy
    campaign = make_campaign(server, 3, between.address, slice_=20, instances=1)
    campaign.settings["lease"] = "1h"
    campaign.feed(40_000, files=80)
    campaign.up()
    between.lose(200, 0.02)
    until(lambda: not between.losing or campaign.drained(), "replies to be lost", 900.0)
    while between.losing:
        campaign.feed(500)
        until(lambda: not between.losing or campaign.drained(), "more replies to be lost", 300.0)
    between.delay = 0.01
    for _ in range(20):
        campaign.feed(200)
        before = campaign.progress()
        between.cut()
        until(lambda before=before: campaign.progress() != before, "the workers to come back")
    between.delay = 0.0
    campaign.drain()
    counts = campaign.account()
    print(f"{between.lost} lost replies, {between.lost_commits} of them to commits: {counts}")  # noqa: T201
    assert between.lost == 200
    assert between.lost_commits > 20
