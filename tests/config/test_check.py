"""The check: every mistake in one run, each where it is, and what would mend it."""

from pathlib import Path

import pytest

from cleanbots.config.check import check

GOOD = """\
name: clearinghouse
bots:
  fetch: {use: collector/fetch, every: 15m, params: {url: "https://feed.example/"}, to: rows}
  rows: {use: parser/rows, to: window}
  window: {use: expert/window, to: keep}
  keep: {use: output/keep}
"""

TWELVE = """\
name: twelve
borker: embedded
bots:
  fetch:
    use: collector/fetch
    every: 15
    params: {port: 70000, password: hunter2}
    to: [rows, window]
  rows: {use: parser/rows, to: windwo}
  window:
    use: expert/window
    params: {least: 20}
    to: {default: keep, odd: keep}
  keep: {use: output/kep}
  keep: {use: output/keep}
  lost: {use: output/keep}
"""


def mended(old: str, new: str) -> str:
    """Give the good configuration with one thing replaced."""
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_good_configuration_has_no_findings(write, bots):
    """What is right compiles."""
    checked = check(write(GOOD), bots)

    assert checked.findings == []
    assert checked.settings is not None


def test_twelve_mistakes_are_twelve_findings(write, bots):
    """Twelve different mistakes of all kinds are found in one run, each at its line and column."""
    findings = check(write(TWELVE), bots).findings

    assert [(f.line, f.column, f.text.partition(":")[0]) for f in findings] == [
        (2, 1, "borker"),
        (6, 12, "bots.fetch.every"),
        (7, 5, "bots.fetch.params"),
        (7, 20, "bots.fetch.params.port"),
        (7, 37, "bots.fetch.params.password"),
        (8, 16, "bots.fetch.to[1]"),
        (9, 32, "bots.rows.to"),
        (12, 13, "bots.window.params"),
        (13, 25, "bots.window.to.odd"),
        (14, 15, "bots.keep.use"),
        (15, 3, "bots.keep"),
        (16, 3, "bots.lost"),
    ]


def test_each_finding_is_one_line_with_a_hint(write, bots):
    """A finding reads ``file:line:column: text → hint`` and says what to do, never just 'invalid'."""
    path = write(TWELVE)

    for finding in check(path, bots).findings:
        line = str(finding)
        assert line.startswith(f"{path}:{finding.line}:{finding.column}: ")
        assert "\n" not in line
        assert finding.hint
        assert "invalid" not in line.lower()


def test_a_finding_cannot_steer_the_terminal(write, bots):
    """Control characters in names are not printed."""
    (finding, *_) = check(write('"\\e[31mred\\r\\u2028": 1\n'), bots).findings

    assert str(finding).isprintable()


def test_a_secret_is_never_shown(write, bots):
    """What stands where a secret belongs is not repeated in a finding, whatever is wrong with it."""
    for value in ("hunter2", "[hunter2]", "{hunter2: hunter2}", "!hunter2"):
        text = mended('url: "https://feed.example/"', f'url: "https://feed.example/", headers: {{a: {value}}}')
        findings = check(write(text), bots).findings
        assert findings
        assert not [str(f) for f in findings if "hunter2" in str(f) and "tag" not in str(f) and "no such" not in str(f)]


@pytest.mark.parametrize(
    ("old", "new", "text", "hint"),
    [
        ("every: 15m", "^evry: 15m", "bots.fetch.evry: no such key", "did you mean 'every'?"),
        ("every: 15m", "every: ^15 minutes", "'15 minutes' is no time span", "30s, 15m"),
        ("every: 15m", "every: ^0s", "no time at all", "longer"),
        ("every: 15m", "cron: ^'61 * * * *'", "is no cron line: bad minute", "five fields"),
        ("every: 15m", "cron: ^'0 0 31 2 *'", "is no cron line", "five fields"),
        ("every: 15m", "cron: ^'* * * * * *'", "it has 6 fields", "five fields"),
        ("every: 15m", "every: 15m, ^cron: '0 * * * *'", "are both given", "keep one"),
        ("collector/fetch", "^colector/fetch", "names no bot class", "collector, parser, expert or output"),
        ("collector/fetch", "^collector/fecth", "there is no bot class", "did you mean 'collector/fetch'?"),
        ("to: rows", "to: [rows, ^keep]", "takes events, not the reports", "put a parser between"),
        ("to: rows", "to: [rows, ^rows]", "'rows' is named twice", "once"),
        ("window, to: keep", "window, to: [keep, ^rows]", "takes reports, not the events", "fed by collectors"),
        ("window, to: keep", "window, to: [keep, ^fetch]", "takes nothing", "nothing can be sent"),
        ("window, to: keep", "window, to: [keep, ^window]", "circle: window → window", "remove one"),
        ("window, to: keep", "window, ^every: 1h, to: keep", "does nothing at a time slot", "remove 'every:'"),
        ("window, to: keep", "window, to: {^odd: keep, default: []}", "has no path 'odd'", "its paths: default"),
        ("window, to: keep", "split, to: ^keep", "has no path 'default'", "its paths: rest"),
        ("window, to: keep", "window, params: {least: ^x}, to: keep", "expected a whole number", "write a whole"),
        ("window, to: keep", "window, params: ^{least: 11}, to: keep", "more than most (10)", "describe"),
        ("window, to: keep", "window, host: ^man, to: keep", "there is no host 'man'", "did you mean 'main'?"),
        ("window, to: keep", "window, instances: {^b: 2}, to: keep", "there is no host 'b'", "known: main"),
        ("window, to: keep", "window, instances: ^0, to: keep", "0 is less than 1", "write"),
        ("window, to: keep", "window, ^feed: {name: x}, to: keep", "only a collector has a feed", "move it"),
        ("expert/window", "expert/count, ^instances: 2", "needs one instance", "remove 'instances:'"),
        ("every: 15m", "every: 15m, ^instances: 2", "runs once at a time", "remove 'instances:'"),
        ("output/keep", "output/keep, ^to: window", "an output sends to no bot", "remove 'to:'"),
        ("output/keep", "output/keep, limit: {bytes: ^12}", "12 has no unit", "write 12KiB"),
        ("output/keep", "output/keep, on_error: {then: ^explode}", "'explode' is not allowed", "fail, stop"),
        ("output/keep", "output/keep, params: {^x: 1}", "no such key", "nothing can be set here"),
        ("output/keep", "output/keep, isolate: ^on", "expected true or false, got 'on'", "true or false"),
        ("output/keep", "output/keep, description: ^5", "expected text, got 5", 'quote it: "5"'),
        ("every: 15m", "feed: {tlp: ^PURPLE}", "'PURPLE' is not allowed", "AMBER+STRICT"),
        ("every: 15m", "feed: {url: ^'not a url'}", "feed.url", "feed.url of every event"),
        ("name: clearinghouse", "name: ^'no spaces'", "'no spaces' is no name", "letters, digits"),
        ("name: clearinghouse", "broker: ^http://h.example", "unknown kind of address 'http'", "redis://"),
        ("name: clearinghouse", "broker: ^'redis://:pw1@h.example'", "a password in plain text", "${env:NAME}"),
        (
            "name: clearinghouse",
            "broker: ^redis+sentinel://a.example/main?sentinel_password=pw1",
            "a password in plain text",
            "${env:NAME}",
        ),
        ("name: clearinghouse", "broker: ^redis+sentinel://a.example,b.example", "name of the primary", "embedded"),
        ("name: clearinghouse", "broker: ^redis+cluster://a.example/1", "one database only", "embedded"),
        ("name: clearinghouse", "broker: ^'${env:NO_SUCH_VARIABLE}'", "NO_SUCH_VARIABLE is not set", "set it"),
        ("name: clearinghouse", "hosts: ^[main, b]", "2 hosts can't share a queue server", "redis://"),
        ("name: clearinghouse", "lease: ^soon", "'soon' is no time span", "30s"),
        ("name: clearinghouse", "archive: {keep: ^7}", "7 has no unit", "7s or 7m"),
        ("name: clearinghouse", "fields: {^Bad Name: {type: text}}", "fields.Bad Name", "cleanbots fields"),
        ("name: clearinghouse", "fields: {^source.ip: {type: x}}", "fields.source.ip", "cleanbots fields"),
        ("name: clearinghouse", "defaults: {^slize: 5}", "no such key", "did you mean 'slice'?"),
        ("name: clearinghouse", "tests: [{name: t, expect: {^kep: 1}}]", "no bot 'kep'", "did you mean 'keep'?"),
        ("name: clearinghouse", "tests: [^{expect: {}}]", "'name' is missing", "add 'name:'"),
        ("name: clearinghouse", "delivery: {mode: ^loud}", "'loud' is not allowed", "live, preview, test"),
        ("window, to: keep", "window, to: [keep, ^5]", "expected text, got 5", "quote it"),
    ],
)
def test_each_kind_of_mistake_is_found_where_it_is(write, bots, old, new, text, hint):
    """One mistake is one finding, at its place (marked ^ here), with a sentence and a hint."""
    before, _, after = mended(old, new).partition("^")
    place = (before.count("\n") + 1, len(before) - before.rfind("\n"))

    findings = check(write(before + after), bots).findings

    assert [(f.line, f.column) for f in findings] == [place]
    assert text in findings[0].text
    assert hint in findings[0].hint


def test_a_collector_must_send_somewhere(write, bots):
    """A collector with an empty ``to`` is found, and so is the parser that it no longer feeds."""
    texts = [f.text for f in check(write(mended("to: rows", "to: []")), bots).findings]

    assert texts == ["bots.fetch: sends to no bot", "bots.rows: nothing sends to this bot"]


def test_bots_that_nothing_feeds_are_found(write, bots):
    """An expert or output that no bot sends to is a finding at its name."""
    text = mended("to: window", "to: keep")

    (finding,) = check(write(text), bots).findings

    assert (finding.line, finding.column) == (5, 3)
    assert "nothing sends to this bot" in finding.text


def test_a_circle_is_named(write, bots):
    """A circle is one finding that names its bots in order."""
    text = mended("window, to: keep", "window, to: [keep, more]") + "  more: {use: expert/window, to: window}\n"

    (finding,) = check(write(text), bots).findings

    assert "window → more → window" in finding.text


def test_paths_of_parameters_are_known(write, bots):
    """A router's paths come from its parameters; the allowed ones are listed."""
    text = mended(
        "expert/window, to: keep", "expert/split, params: {rules: {x: y}}, to: {x: keep, rest: keep, z: keep}"
    )

    (finding,) = check(write(text), bots).findings

    assert finding.hint == "its paths: x, rest"


def test_parsers_of_one_collector_cut_alike(write, bots):
    """A report is cut once, so two parsers that cut differently need two collectors."""
    text = mended("to: rows", "to: [rows, other]")
    text += "  other: {use: parser/rows, params: {delimiter: ;}, to: keep}\n"

    (finding,) = check(write(text), bots).findings

    assert "'other' cuts reports differently from 'rows'" in finding.text


def test_a_continuous_collector_has_no_time_slots(write, bots):
    """``every`` for a collector that keeps running is a finding."""
    text = mended('fetch, every: 15m, params: {url: "https://feed.example/"}', "listen, every: 15m")

    (finding,) = check(write(text), bots).findings

    assert "keeps running" in finding.text


def test_missing_secrets_are_found_where_they_are_named(write, bots, monkeypatch):
    """A reference that leads nowhere is a finding, and doesn't hide a mistake elsewhere."""
    monkeypatch.delenv("FEED_PASSWORD", raising=False)
    text = mended('"https://feed.example/"', '"https://feed.example/", password: "${env:FEED_PASSWORD}"')

    (finding,) = check(write(text), bots).findings

    assert "FEED_PASSWORD is not set" in finding.text

    monkeypatch.setenv("FEED_PASSWORD", "x")
    assert check(write(text), bots).findings == []


def test_broken_plugins_are_found(write, bots):
    """What the registry could not load is reported with the other mistakes."""
    bots.problems.append("plugin 'acme': can't be loaded")

    (finding,) = check(write(GOOD), bots).findings

    assert "acme" in finding.text


def test_a_bot_whose_paths_fail_does_not_hide_other_mistakes(write, bots):
    """A bot class that raises when asked for its paths is one finding among others."""

    class Broken(bots.bots["expert/split"]):
        @classmethod
        def paths(cls, params):
            raise KeyError("rules")

    bots.bots["expert/broken"] = Broken
    text = mended("expert/window", "expert/broken").replace("output/keep", "output/kep")

    found = {f.line: f.text for f in check(write(text), bots).findings}

    assert "paths can't be told" in found[5]
    assert "there is no bot class" in found[6]


def test_checking_writes_nothing(write, bots, tmp_path: Path):
    """A check leaves the folder as it was."""
    path = write(GOOD)

    check(path, bots)

    assert list(tmp_path.iterdir()) == [path]


def test_tests_are_kept_with_their_places(write, bots):
    """The tests that a configuration holds are handed on as they are."""
    checked = check(write(GOOD + "tests:\n  - name: all arrive\n    feed: {rows: [x]}\n    expect: {keep: 1}\n"), bots)

    (test,) = checked.tests
    assert (test.name, test.feed, test.expect) == ("all arrive", {"rows": ["x"]}, {"keep": 1})
    assert test.line.endswith("cleanbots.yaml:8")
    assert checked.places["tests", 0, "expect", "keep"].line == 10


@pytest.mark.parametrize(
    "text", ["bots: 5", "bots: {a: 5}", "bots: {a: {use: 5, to: {x: 5}, params: 5}}", "bots: {a: }"]
)
def test_wrong_shapes_are_found_not_raised(write, bots, text):
    """Whatever has the wrong shape is a finding, never an exception."""
    assert check(write(text + "\n"), bots).findings
