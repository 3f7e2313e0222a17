"""The journal of a store: numbered changes in files, whatever a crash leaves of them."""

import random

import pytest

from cleanbots.clearinghouse.store.journal import Change, GapError, Journal


@pytest.fixture
def journal(tmp_path):
    """A journal that begins with change 1."""
    made = Journal(tmp_path / "journal")
    made.begin(0, 0)
    yield made
    made.close()


def change(number, text="INSERT"):
    """Give what is written as a change."""
    return [Change(f"{text} {number}", [1, "two", b"three", None], False)]


def numbers(journal, after=0):
    """Give the numbers and first statements of what was changed after a number."""
    return [(entry.number, entry.changes[0].statement) for entry in journal.after(after)]


def test_what_is_written_is_read(journal):
    """In order, with its values, from any number on."""
    for number in (1, 2, 3):
        journal.append(number, number * 10, change(number))

    assert numbers(journal, 1) == [(2, "INSERT 2"), (3, "INSERT 3")]
    assert journal.last() == (3, 30)
    assert next(journal.after(2)).changes[0].values == [1, "two", b"three", None]


def test_a_number_that_comes_again_replaces_what_was_not_committed(journal):
    """Only the last change of a number was committed."""
    journal.append(1, 0, change(1))
    journal.append(2, 0, change(2, "LOST"))
    journal.append(2, 0, change(2))
    journal.append(3, 0, change(3))

    assert numbers(journal) == [(1, "INSERT 1"), (2, "INSERT 2"), (3, "INSERT 3")]


@pytest.mark.parametrize("number", [0, 1, 5])
def test_a_number_that_does_not_follow_is_refused(journal, number):
    """A database that is behind, or ahead, is not written on."""
    for fit in (1, 2, 3):
        journal.append(fit, 0, change(fit))
    with pytest.raises(GapError):
        journal.append(number, 0, change(number))


def test_a_gap_is_told(journal, tmp_path):
    """A file that is missing in between is no reason to go on without it."""
    for number in range(1, 7):
        journal.append(number, 0, change(number))
        journal.rotate()
    next(iter(sorted(journal.folder.glob("*4.log")))).unlink()

    assert [number for number, _ in numbers(journal, 4)] == [5, 6]
    with pytest.raises(GapError):
        numbers(journal)


@pytest.mark.parametrize("seed", range(20))
def test_a_torn_end_is_passed_over(journal, seed):
    """Cut anywhere, or with rubbish at its end: whole changes before are read, and new ones are added."""
    chance = random.Random(seed)
    for number in range(1, 6):
        journal.append(number, 0, change(number))
    file = journal.folder / "current"
    data = file.read_bytes()
    start = data.rindex(b"\x93cbj")
    rubbish = chance.randbytes(chance.randrange(60))
    file.write_bytes(data[: chance.randrange(start, len(data))] + rubbish)

    assert journal.last().number == 4
    journal.append(5, 0, change(5, "AGAIN"))
    journal.append(6, 0, change(6))
    assert numbers(journal, 3) == [(4, "INSERT 4"), (5, "AGAIN 5"), (6, "INSERT 6")]


def test_a_full_disk_leaves_nothing_torn(journal, monkeypatch):
    """What could be written of a change is taken back."""
    import os

    journal.append(1, 0, change(1))
    before = (journal.folder / "current").read_bytes()
    real = os.write

    def full(file, data):
        if len(data) > 20:
            return real(file, data[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", lambda file, data: full(file, data[:25]))
    with pytest.raises(OSError, match="No space"):
        journal.append(2, 0, change(2))
    assert (journal.folder / "current").read_bytes() == before


def test_old_files_are_removed(journal):
    """Those whose last change is old, and none that is needed after it."""
    for number in range(1, 6):
        journal.append(number, number, change(number))
        journal.rotate()
    assert journal.purge(4) == 3
    assert [number for number, _ in numbers(journal, 3)] == [4, 5]


def test_another_process_may_begin_a_new_file(journal):
    """Who writes next finds it."""
    other = Journal(journal.folder)
    journal.append(1, 0, change(1))
    other.rotate()
    journal.append(2, 0, change(2))
    other.append(3, 0, change(3))
    assert [number for number, _ in numbers(other)] == [1, 2, 3]
    other.close()
