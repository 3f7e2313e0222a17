"""The promise while the graph itself changes: reloads that regroup, add, remove and rewire bots with full queues."""

from copy import deepcopy
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from campaign import Campaign

Bots = dict[str, dict[str, Any]]


def _regroup(bots: Bots) -> None:
    """Take a bot out of its group, or put it back."""
    bots["members"]["isolate"] = not bots["members"].get("isolate", False)


def _add(bots: Bots) -> None:
    """Put a bot between two others."""
    bots["extra"] = {"use": "expert/taxonomy", "to": "dedup"}
    bots["deadly"]["to"] = "extra"


def _remove(bots: Bots) -> None:
    """Take it out again, whatever lies in its queue."""
    bots["deadly"]["to"] = "dedup"
    del bots["extra"]


def _rewire(bots: Bots) -> None:
    """Let the unclaimed go their way through another bot, or directly again."""
    to = bots["members"]["to"]
    if "detour" in bots:
        to["unmatched"] = "rest"
        del bots["detour"]
    else:
        to["unmatched"] = "detour"
        bots["detour"] = {"use": "expert/taxonomy", "isolate": True, "to": "rest"}


def _instances(bots: Bots) -> None:
    """Change how many instances a bot has."""
    bots["parse"]["instances"] = {"main": 3 - bots["parse"]["instances"]["main"]}


def _nothing(bots: Bots) -> None:
    """Change no more than a number that one worker sees."""
    bots["dedup"]["slice"] = 600 - bots["dedup"].get("slice", 100)


CHANGES = (_regroup, _add, _rewire, _remove, _instances)


@pytest.mark.usefixtures("long_only")
def test_fifty_reloads_under_load(campaign: Campaign) -> None:
    """Fifty reloads with full queues, half of which regroup, lose and double nothing, and leak nothing."""
    for bot in ("parse", "deadly", "dedup"):
        campaign.bots[bot]["slice"] = 100
    at_first = deepcopy(campaign.bots)
    campaign.feed(rows=20_000, files=4)
    campaign.up()
    running, descriptors = _running(campaign), _descriptors(campaign)
    left_over = 0
    changes = cycle(CHANGES)
    for number in range(49):
        change = _nothing if number % 2 else next(changes)
        change(campaign.bots)
        left_over += _reload(campaign)
        if campaign.progress() > 0.5:
            campaign.feed(rows=5_000)
    campaign.bots = at_first
    left_over += _reload(campaign)
    campaign.drain()
    assert _running(campaign) == running
    assert _descriptors(campaign) <= descriptors + 2
    counts = campaign.account()
    print(f"{left_over} queues were left over and drained; {counts}")  # noqa: T201


def _reload(campaign: Campaign) -> int:
    """Reload; drain what bots that are gone have left; give how many queues that were."""
    campaign.configure()
    said = campaign.command("reload")
    left = sorted(set(campaign.broker.queues()) - set(campaign.bots))
    for queue in left:
        assert f"wait for {queue}, which is configured no more" in said
        campaign.command("queues", "drain", queue)
    return len(left)


def _running(campaign: Campaign) -> list[tuple[str, str]]:
    lasting = campaign.processes("worker", "courier", "scheduler", "supervisord")
    return [(process.role, process.name) for process in lasting]


def _descriptors(campaign: Campaign) -> int:
    (supervisord,) = campaign.processes("supervisord")
    return len(list(Path(f"/proc/{supervisord.pid}/fd").iterdir()))
