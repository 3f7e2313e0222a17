"""What the status says of deliveries."""

import pytest

from cleanbots.config.model import Settings
from cleanbots.supervisor import Counts, Deliveries, Status, assess


def status(deliveries: Deliveries | None) -> Status:
    """Give the status of a host on which nothing else is wrong."""
    return assess(Settings("graph", "/base", "/state"), "main", "", [], [], Counts(), deliveries)


def test_the_mode_is_in_the_headline():
    """Deliveries that go on are no problem; their mode is said."""
    assert status(None).headline == "graph on main: running, all is well"
    assert status(Deliveries("preview")).headline == "graph on main: running, all is well; deliveries in mode preview"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("*", "deliveries are stopped; 'cleanbots deliveries start' lets"),
        ("acme", "deliveries of acme are stopped; 'cleanbots deliveries start --member acme'"),
        (
            "acme/daily",
            "deliveries daily of acme are stopped; 'cleanbots deliveries start --member acme --delivery daily'",
        ),
        ("*/daily", "deliveries daily are stopped; 'cleanbots deliveries start --delivery daily'"),
    ],
)
def test_each_stop_has_the_command_that_takes_it_back(name, remedy):
    """A stop of everything, a member, a delivery or both is said with its own remedy, and shouted first."""
    found = status(Deliveries("live", stopped=[name]))

    assert found.headline.startswith("DELIVERIES STOPPED (")
    assert found.problems[0].startswith(remedy)


def test_many_held_deliveries_are_summed_up():
    """Ten held deliveries are named; of the others only their number is said."""
    found = status(Deliveries("live", held={f"CB-20261120-{n:04}": "acme/daily: first" for n in range(1, 14)}))

    assert len(found.problems) == 11
    assert found.problems[-1].startswith("3 more deliveries are held; 'cleanbots deliveries list --held'")


def test_a_store_that_is_not_the_one_it_was_is_a_problem():
    """Whatever keeps everything from leaving is said."""
    assert status(Deliveries("live", error="the store was restored")).problems == ["the store was restored"]
