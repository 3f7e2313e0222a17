"""What the tests of the campaign share: servers, and campaigns that leave nothing running."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from campaign import Campaign
from server import QueueServer


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., QueueServer]]:
    """Start a queue server; takes `QueueServer`'s arguments but the folder."""
    with ExitStack() as stack:

        def start(*arguments: Any, **named: Any) -> QueueServer:
            server = QueueServer(tmp_path / "server", *arguments, **named)
            stack.callback(server.kill)
            server.start()
            return server

        yield start


@pytest.fixture
def make_campaign(tmp_path: Path) -> Iterator[Callable[..., Campaign]]:
    """Make a campaign; takes `Campaign`'s arguments but the folder."""
    with ExitStack() as stack:

        def make(*arguments: Any, **named: Any) -> Campaign:
            folder = tmp_path / named.get("name", "campaign")
            folder.mkdir()
            made = Campaign(folder, *arguments, **named)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def campaign(start_server: Callable[..., QueueServer], make_campaign: Callable[..., Campaign]) -> Campaign:
    """A campaign on the newest server that is installed, with seed 1."""
    return make_campaign(start_server(), 1)


@pytest.fixture
def long_only(long_form: bool) -> None:
    """Leave a test to the long form."""
    if not long_form:
        pytest.skip("belongs to the long form: --long")
