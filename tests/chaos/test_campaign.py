"""The promise under kills, freezes and killers: every row ends in exactly one place."""

from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import Campaign
from faults import plan
from server import QueueServer, programs


@pytest.mark.parametrize("program", programs(), ids=lambda program: Path(program).name)
def test_faults_of_processes(
    program: str, start_server: Callable[..., QueueServer], make_campaign: Callable[..., Campaign], long_form: bool
) -> None:
    """Nothing is lost or doubled when processes of every role are killed, or frozen beyond the lease."""
    if not long_form and program != programs()[0]:
        pytest.skip("the other servers belong to the long form")
    seed, rows, killers, kinds = 1, 1_000, 1, {"kill": 4, "freeze": 1}
    if long_form:
        rows, killers, kinds = 1_000_000, 20, {"kill": 100, "freeze": 40, "supervisord": 2, "machine": 1}
    server = start_server(program)
    campaign = (
        make_campaign(server, seed, slice_=500, instances=2)
        if long_form
        else make_campaign(server, seed, slice_=25, instances=1)
    )
    campaign.feed(rows, killers, files=max(1, rows // 50_000))
    campaign.up()
    hit = campaign.inject(plan(seed, kinds))
    campaign.drain()
    counts = campaign.account()
    print(f"{server.version}; seed {seed}: {hit}, {campaign.fenced()} late commits refused; {counts}")  # noqa: T201  # the figures of the bar
    assert hit == kinds
    assert counts["failed deadly"] == killers


@pytest.mark.usefixtures("long_only")
def test_frozen_workers(campaign: Campaign) -> None:
    """Workers that wake up long after others took their work over commit nothing, and nobody is blamed for their sleep."""
    campaign.settings["defaults"]["slice"] = 50
    campaign.feed(20_000, killers=4, files=4)
    campaign.up()
    kinds = {"freeze": 24, "kill": 6}
    hit = campaign.inject(plan(11, kinds))
    campaign.drain()
    counts = campaign.account()
    print(f"seed 11: {hit}, {campaign.fenced()} late commits refused; {counts}")  # noqa: T201
    assert hit == kinds
    assert campaign.fenced() > 0
