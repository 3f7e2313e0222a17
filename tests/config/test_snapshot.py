"""Snapshots and plans: what runs is immutable, and what would change is known before."""

from pathlib import Path

import msgspec
import pytest

from cleanbots.config import snapshot
from cleanbots.config.check import check
from cleanbots.config.plan import Change, diff
from cleanbots.errors import ConfigError

TEXT = """\
bots:
  listen: {use: collector/listen, to: rows}
  rows: {use: parser/rows, to: window}
  window: {use: expert/window, params: {least: 1}, to: [keep, more]}
  keep: {use: output/keep}
  more: {use: output/keep}
"""


@pytest.fixture
def compiled(write, bots):
    """Give a function that compiles a text."""
    return lambda text=TEXT: check(write(text), bots).require()


def lease(number: int) -> str:
    """Give a configuration that differs by one number."""
    return f"lease: {number}s\n{TEXT}"


def test_what_is_published_can_be_loaded(compiled):
    """A snapshot holds the whole configuration."""
    settings = compiled()

    file = snapshot.publish(settings)

    assert snapshot.load(Path(settings.state)) == settings
    assert snapshot.path(Path(settings.state)) == file
    assert file.stat().st_mode & 0o077 == 0


def test_without_a_snapshot_there_is_none(tmp_path: Path):
    """Nothing published is no error."""
    assert snapshot.load(tmp_path) is None
    assert snapshot.path(tmp_path) is None
    assert snapshot.history(tmp_path) == []


def test_rollback_changes_back_and_forth(compiled):
    """After a rollback the previous snapshot is current, and the one left is the previous."""
    one, two = compiled(lease(1)), compiled(lease(2))
    state = Path(one.state)
    snapshot.publish(one)
    snapshot.publish(two)

    assert snapshot.rollback(state).hash == one.hash
    assert snapshot.load(state, "current") == one
    assert snapshot.load(state, "previous") == two
    assert snapshot.rollback(state).hash == two.hash


def test_publishing_the_same_again_keeps_the_previous(compiled):
    """A reload without a change doesn't forget what to go back to."""
    one, two = compiled(lease(1)), compiled(lease(2))
    for settings in (one, two, two):
        snapshot.publish(settings)

    assert snapshot.load(Path(one.state), "previous") == one


def test_there_is_nothing_to_go_back_to_at_first(compiled):
    """A rollback without a previous snapshot is an error that says so."""
    snapshot.publish(settings := compiled())

    with pytest.raises(ConfigError, match="no previous snapshot"):
        snapshot.rollback(Path(settings.state))


def test_the_last_twenty_are_kept(compiled):
    """Older snapshots are removed, the current and the previous one never."""
    for number in range(1, 26):
        snapshot.publish(settings := compiled(lease(number)))

    kept = snapshot.history(Path(settings.state))
    assert len(kept) == snapshot.KEEP
    assert settings.hash in kept


def test_a_changed_snapshot_is_refused(compiled):
    """A snapshot that was edited isn't what was checked, so it isn't run."""
    file = snapshot.publish(settings := compiled())
    file.write_text(file.read_text().replace('"least": 1', '"least": 2'))

    with pytest.raises(ConfigError, match="was changed"):
        snapshot.load(Path(settings.state))


def test_a_plan_of_nothing_is_empty(compiled):
    """The same configuration, with lines moved, changes nothing."""
    assert diff(compiled(), compiled("# moved\n" + TEXT)).empty


def test_a_first_plan_starts_all(compiled):
    """Without a snapshot every bot is new and every worker starts."""
    plan = diff(None, compiled())

    assert plan.added == ["listen", "rows", "window", "keep", "more"]
    assert plan.start == ["listen", "rows", "keep", "more"]


def test_a_plan_names_what_changes(compiled):
    """Bots added, removed and changed (key by key), workers to start, stop and restart, queues left over."""
    text = TEXT.replace("least: 1", "least: 2").replace("[keep, more]", "[keep, third]").replace("  more:", "  third:")

    plan = diff(compiled(), compiled(text))

    assert plan.added == ["third"]
    assert plan.removed == plan.left_over == ["more"]
    assert plan.changed == {
        "window": [Change("params.least", 1, 2), Change("to.default", ["keep", "more"], ["keep", "third"])]
    }
    assert (plan.start, plan.stop, plan.restart) == (["third"], ["more"], ["rows"])


def test_a_new_limit_restarts_those_who_write_to_the_queue(compiled):
    """The limit of a queue is checked by its writers, so they have to learn of it."""
    plan = diff(
        compiled(), compiled(TEXT.replace("more: {use: output/keep}", "more: {use: output/keep, limit: {events: 5}}"))
    )

    assert plan.restart == ["rows", "more"]


def test_a_plan_shows_no_secret(compiled):
    """References are shown, anything else under a secret's name is not."""
    one = compiled()

    def with_password(text: str):
        bot = msgspec.structs.replace(one.bots["listen"], params={"password": text})
        return msgspec.structs.replace(one, bots={**one.bots, "listen": bot})

    (change,) = diff(with_password("hunter2"), with_password("${env:PW}")).changed["listen"]

    assert (change.old, change.new) == ("***", "${env:PW}")


def test_a_plan_shows_no_password_of_an_address(compiled):
    """A password inside of a URL is masked wherever the URL stands."""
    one = compiled()

    (change,) = diff(one, msgspec.structs.replace(one, broker="redis://:hunter2@h.example/0")).general

    assert change.new == "redis://:***@h.example/0"
