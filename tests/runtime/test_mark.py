"""Progress marks: how an entry is worked off after deaths."""

from cleanbots.runtime.mark import Mark, read_mark


def test_a_mark_survives_its_text() -> None:
    """What is written as a mark is read back as it was."""
    mark = Mark(item=2, position=17, slice=62, danger=500, calling="geoip", killer="geoip", kills=1)
    assert read_mark(mark.text()) == mark


def test_no_mark_is_the_start() -> None:
    """An entry that nobody committed a part of begins before its first unit."""
    assert read_mark("") == Mark(-1, -1)


def test_a_death_shrinks_the_slice_by_eight() -> None:
    """Each death leaves an eighth of the slice, down to one unit."""
    sizes = []
    mark = Mark()
    for _ in range(4):
        mark = mark.after_death(500)
        sizes.append(mark.slice)
    assert sizes == [62, 7, 1, 1]


def test_the_slice_stays_small_only_within_the_danger() -> None:
    """Beyond the stretch that was worked on when the worker died, slices have their full size again."""
    mark = Mark().after_death(500)
    for number in range(8):
        mark = mark.advance(0, number, 62)
    assert (mark.slice, mark.danger) == (62, 4)
    assert mark.advance(0, 8, 62).slice == 0


def test_two_deaths_in_the_same_bot_make_poison() -> None:
    """An item that kills twice in one bot must not be given to that bot again."""
    mark = Mark(slice=1, danger=1).call("geoip").after_death(500)
    assert mark.poisoned == ""
    assert mark.call("parser").call("geoip").after_death(500).poisoned == "geoip"


def test_deaths_in_different_bots_are_no_poison() -> None:
    """Random deaths, here in one bot and there in another, condemn no item."""
    mark = Mark(slice=1, danger=1).call("geoip").after_death(500).call("parser").after_death(500)
    assert mark.poisoned == ""


def test_a_killer_costs_five_deaths() -> None:
    """From full slices to a poisoned item it takes three deaths to close in and two to be sure."""
    mark, deaths = Mark(), 0
    while not mark.poisoned:
        mark = (mark.call("b") if mark.slice == 1 else mark).after_death(500)
        deaths += 1
    assert deaths == 5


def test_an_entry_let_go_is_no_suspect() -> None:
    """A worker that stops cleanly leaves its entry to the next one without suspicion."""
    mark = Mark(0, 499).released()
    assert mark.after_death(500) == Mark(0, 499)
