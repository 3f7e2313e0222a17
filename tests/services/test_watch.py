"""Being told that something changes in a folder."""

import sys

import pytest

from cleanbots.services.watch import ARRIVED, CHANGED, Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def watch(tmp_path):
    """A watch for files that arrive."""
    made = Watch(tmp_path, events=ARRIVED)
    yield made
    made.close()


def test_a_file_that_is_moved_in_is_told(watch, tmp_path):
    """Whoever waits is told of a file that got its final name, once."""
    folder = tmp_path.parent / "elsewhere"
    folder.mkdir()
    (folder / "a.csv").write_text("1\n")
    assert not watch.wait(0.0)

    (folder / "a.csv").rename(tmp_path / "a.csv")

    assert watch.wait(30.0)
    assert not watch.wait(0.0)


def test_a_file_that_is_closed_after_writing_is_told(watch, tmp_path):
    """A file that was written in place counts when its writer is done."""
    with (tmp_path / "a.csv").open("w") as file:
        file.write("1\n")
        file.flush()
        assert not watch.wait(0.0)

    assert watch.wait(30.0)


def test_a_change_within_a_file_is_told_if_asked_for(tmp_path):
    """What appends to a file and keeps it open, as a database does, is noticed, too."""
    with (tmp_path / "log").open("w") as file:
        watch = Watch(tmp_path, events=CHANGED)
        file.write("1\n")
        file.flush()

        assert watch.wait(30.0)
        watch.close()


def test_without_a_folder_the_time_passes():
    """A watch of nothing waits and tells nothing."""
    watch = Watch()

    assert not watch.wait(0.01)
    watch.close()
    assert not watch.wait(0.01)
