"""Whatever a configuration holds, checking it ends with settings or findings, never with an exception."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cleanbots.config.check import check
from cleanbots.config.finding import Finding

KEYS = st.sampled_from(
    [
        "name",
        "broker",
        "state",
        "hosts",
        "include",
        "plugins",
        "archive",
        "lease",
        "defaults",
        "bots",
        "tests",
        "members",
        "delivery",
        "use",
        "params",
        "to",
        "feed",
        "every",
        "cron",
        "on_error",
        "limit",
        "failed_limit",
        "slice",
        "time_limit",
        "instances",
        "host",
        "isolate",
        "a",
        "b",
        "keep",
        "max",
        "events",
        "bytes",
        "mode",
        "tlp",
        "url",
        "expect",
        "retries",
        "delay",
    ]
)
WORDS = st.sampled_from(
    ["", "a", "b", "main", "15m", "0s", "1MiB", "* * * * *", "collector/fetch", "parser/rows", "expert/split", "output/keep",
     "embedded", "redis://[", "${env:NONE}", "file:none", "RED", "a\nb", "\u202e", "http://x.example"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=25
)
BOT = st.dictionaries(KEYS, VALUES, max_size=4).flatmap(
    lambda rest: st.builds(lambda use, to: {**rest, "use": use, "to": to}, WORDS, VALUES)
)
FILES = st.builds(
    lambda rest, bots: {**rest, "bots": bots},
    st.dictionaries(KEYS, VALUES, max_size=4),
    st.dictionaries(KEYS, BOT, max_size=5),
)


def findings_are_right(checked) -> None:
    """Each finding is one line with a place, and only without findings are there settings."""
    assert (checked.settings is None) == bool(checked.findings)
    for finding in checked.findings:
        assert isinstance(finding, Finding)
        assert finding.line >= 1
        assert finding.column >= 1
        assert len(str(finding).splitlines()) == 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=FILES | VALUES)
def test_any_structure_is_checked(file, write, bots):
    """Every mixture of keys and values of all types is checked."""
    findings_are_right(check(write(json.dumps(file)), bots))


@pytest.mark.parametrize("position", range(0, 330, 11))
def test_a_file_cut_short_is_checked(position, write, bots):
    """A file that ends anywhere is checked as far as it goes."""
    text = (
        "name: x\ndefaults: {slice: 5}\nbots:\n  fetch:\n    use: collector/fetch\n    every: 15m\n"
        '    params: {url: "https://feed.example/", headers: {A: "${env:NONE}"}}\n    to: [rows]\n'
        "  rows: {use: parser/rows, to: {default: [split, keep]}}\n  split: {use: expert/split, to: {rest: keep}}\n"
        "  keep: {use: output/keep, limit: {bytes: 1MiB}}\n"
    )

    findings_are_right(check(write(text[:position]), bots))
