"""Regular expressions of other people can't take for ever."""

import pytest

from cleanbots.expression.patterns import bounded, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("login", "www.login.example"),
        (r"^mail\d{1,3}\.", "mail12.example.net"),
        (r"(?i)(foo|bar).*baz", "xxBARyyBAZ"),
        (r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "mac 00:00:5e:00:53:01."),
        (r"^a.*b.*c.*d", "a1b2c3d"),
        (r"colou?r", "color"),
    ],
)
def test_usual_patterns_are_searched(pattern, text):
    """A usual pattern is found anywhere in a text, and not in one that lacks it."""
    assert compile_pattern(pattern)(text)
    assert bounded(pattern)(text)
    assert not bounded(pattern)("-")


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a*)*b",
        "(a|aa)+$",
        "(a?){50}a{50}",
        "a?" * 40 + "a" * 40,
        "(a|ab)" * 40,
        ".*a.*b.*c.*d.*e",
        r"(\w{1,100}){1,100}x",
        "((a{100}){100}){100}",
        r"(a)\1",
        "(?=a)b",
        "(?<!a)b",
        "(",
        "*",
    ],
)
def test_patterns_that_could_take_for_ever_are_refused(pattern):
    """What can't be bounded, or is no pattern, is refused when it is compiled."""
    with pytest.raises(ValueError):
        bounded(pattern)


@pytest.mark.parametrize("pattern", ["a.*b.*c", "x*y", "a*a*b", "[a-z]*[a-y]*$", "(a{30}){30}b"])
def test_slowest_accepted_patterns_end(pattern):
    """The worst text for an accepted pattern is worked off within the limit of the test run."""
    assert bounded(pattern)("a" * 1_000_000) in {True, False}


def test_overlong_pattern_is_refused():
    """A pattern may have a thousand characters."""
    with pytest.raises(ValueError, match="the limit is 1000"):
        compile_pattern("x" * 1001)
