"""How long is waited for what is away, and how often that is said."""

import logging

from cleanbots.errors import Retry
from cleanbots.runtime.faults import Backoff

log = logging.getLogger("cleanbots.test")


def test_a_reason_is_told_once(caplog):
    """While the same thing is away, one line says so; another reason, or another time, is another line."""
    backoff = Backoff(0.1, 1.0)
    with caplog.at_level(logging.WARNING, log.name):
        waits = [backoff.told(Retry(reason), log) for reason in ("gone", "gone", "gone", "full")]
        backoff.reset()
        waits.append(backoff.told(Retry("gone", after=0.3), log))

    assert [record.message.partition(";")[0] for record in caplog.records] == ["gone", "full", "gone"]
    assert waits == [0.1, 0.2, 0.4, 0.8, 0.3]
