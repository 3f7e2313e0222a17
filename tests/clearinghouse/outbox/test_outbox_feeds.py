"""Feeds of which something is expected: digests name the sources that are late, and the operator hears of them."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from outbox_world import World

from cleanbots.broker import RedisBroker
from cleanbots.broker.protocol import DONE, FEEDS, Commit, ReportGuard
from cleanbots.clearinghouse.equipment import Equipment
from cleanbots.clearinghouse.feeds import Feeds
from cleanbots.clock import FixedClock, iso
from cleanbots.config.feeds import feed_health
from cleanbots.config.model import BotSettings, FeedSettings, Settings
from cleanbots.errors import BrokerUnavailable
from cleanbots.plugins import discover
from cleanbots.supervisor import Counts, assess

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)


def settings(**feeds: FeedSettings) -> Settings:
    """Give a configuration with a collector for each feed."""
    bots = {name: BotSettings(name, "collector/file", "collector", feed=feed) for name, feed in feeds.items()}
    return Settings("hub", "/base", "/state", bots=bots)


THREE = settings(
    scan=FeedSettings(provider="Scans", expect="26h"),
    vulnerable=FeedSettings(provider="Volunteers", expect="2d"),
    sector=FeedSettings(provider="Sector", expect="6h"),
    quiet=FeedSettings(provider="Quiet"),
)


def ago(**span: float) -> str:
    """Give a canonical time before now."""
    return iso(NOW - timedelta(**span))


@pytest.mark.parametrize(
    ("last", "health"),
    [("25h", "ok"), ("27h", "late"), ("51h", "late"), ("53h", "silent"), ("", "ok")],
)
def test_a_feed_is_late_and_then_silent(last, health):
    """Late after what is expected, silent after twice that; one that never came counts from the first look."""
    times = {"scan": ago(hours=float(last[:-1]))} if last else {}

    (found,) = feed_health(settings(scan=THREE.bots["scan"].feed), times, NOW - timedelta(hours=1), NOW)

    assert (found.provider, found.health, found.last) == ("Scans", health, times.get("scan", ""))


def test_only_what_is_expected_is_watched():
    """A feed without ``expect`` is not mentioned; two of one provider are told apart by their names."""
    two = settings(
        api=FeedSettings(provider="Scans", name="by API", expect="1h"),
        mail=FeedSettings(provider="Scans", expect="1h"),
        none=FeedSettings(provider="Scans"),
    )

    found = feed_health(two, {}, NOW, NOW)

    assert [each.provider for each in found] == ["Scans by API", "Scans mail"]


def test_a_digest_names_its_sources_and_the_operator_hears_of_silent_ones(world: World):
    """Members see that missing notices prove nothing; the operator gets one mail a day for each such feed."""
    last = {"scan": ago(hours=1), "vulnerable": ago(days=3), "sector": ago(days=2)}
    feeds = Feeds(THREE, world.store, lambda: last)
    world.member()
    world.record()
    world.at("2026-11-20T06:50")

    outbox = world.outbox(feeds=feeds)
    for _ in range(3):
        outbox.step()
        world.pass_(seconds=30)

    (digest,) = world.postman.to("desk@acme.example")
    text = message_from_bytes(digest.data, policy=default).get_body(("plain",)).get_content()
    assert "Scans       last delivery" in text
    assert "Volunteers  no new list since" in text
    assert "Sector      SILENT since" in text
    alarms = [message_from_bytes(each.data, policy=default) for each in world.postman.to("operator@hub.example.net")]
    assert sorted(mail["Subject"].split("]")[1].split("[")[0].strip() for mail in alarms) == [
        "operator: feed late",
        "operator: feed silent",
    ]
    assert all("cleanbots status" in mail.get_body(("plain",)).get_content() for mail in alarms)


def test_a_server_that_is_away_says_nothing_of_the_feeds(world: World):
    """What is not known is not told, and no digest waits for it."""

    def away() -> dict[str, str]:
        raise BrokerUnavailable("the server is away")

    assert Feeds(THREE, world.store, away)(NOW) == ()


def test_the_server_is_asked_once_a_minute(world: World):
    """A thousand digests ask no thousand times."""
    asked = []
    feeds = Feeds(THREE, world.store, lambda: asked.append(1) or {})

    for second in range(0, 120, 5):
        feeds(NOW + timedelta(seconds=second))

    assert len(asked) == 2


def test_equipment_asks_the_graph_s_own_server(broker: RedisBroker, graph: str, server, tmp_path: Path):
    """What collectors note with their last chunk is what digests say."""
    guard = ReportGuard("scan", "r1", "", DONE)
    broker.commit(Commit(guard, state={FEEDS: {"scan": ago(hours=1).encode()}}))
    made = Settings(graph, str(tmp_path), str(tmp_path / "state"), broker=server.address, bots=THREE.bots)
    equipment = Equipment(made, discover(), FixedClock(NOW))

    health = {feed.provider: feed.health for feed in equipment.feeds(NOW)}

    equipment.close()
    assert health == {"Scans": "ok", "Volunteers": "ok", "Sector": "ok"}


def test_status_names_feeds_that_do_not_come():
    """``status`` says which collector to look at."""
    counts = Counts(feeds={"scan": ago(hours=1), "sector": ago(days=2)})
    found = assess(THREE, "main", iso(NOW - timedelta(days=9)), [], [], counts, now=NOW)

    assert [problem.partition(":")[0] for problem in found.problems] == [
        "vulnerable (Volunteers) is silent",
        "sector (Sector) is silent",
    ]
