"""Closing against a naive model, day by day; and the thirty days of the bar."""

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from store_world import START, Desk, infection, service, weight

from cleanbots.clearinghouse.store import open_store
from cleanbots.clock import FixedClock

QUIET = timedelta(days=14)
REPEAT = {"vulnerable": timedelta(days=7), "other": timedelta(days=1)}
TOLERANCE = {"vulnerable": timedelta(hours=3), "other": timedelta(hours=3)}


class Naive:
    """Says what a delivery should tell, from lists and dicts."""

    def __init__(self) -> None:
        self.owed: dict[str, list[datetime]] = {}
        self.told: dict[str, tuple[datetime, datetime]] = {}
        self.mentioned = 0
        self.still = 0

    def see(self, finding: str, seen: datetime) -> None:
        self.owed.setdefault(finding, []).append(seen)

    def state(self, finding: str, sightings: list[datetime]) -> str:
        if finding not in self.told:
            return "new"
        times = sorted(sightings)
        last = self.told[finding][1]
        for seen in times:
            if seen - last >= QUIET:
                return "back"
            last = max(last, seen)
        return "still"

    def close(self, now: datetime) -> dict[str, str]:
        states = {finding: self.state(finding, sightings) for finding, sightings in self.owed.items()}
        listed = {finding: state for finding, state in states.items() if state != "still" or self.repeats(finding, now)}
        if not listed:
            return {}
        for finding, sightings in self.owed.items():
            last = max([*sightings, *([self.told[finding][1]] if finding in self.told else [])])
            self.told[finding] = (now if finding in listed else self.told[finding][0], last)
            if finding in listed:
                self.mentioned += len(sightings)
            else:
                self.still += len(sightings)
        self.owed.clear()
        return listed

    def repeats(self, finding: str, now: datetime) -> bool:
        kind = "vulnerable" if finding.startswith("s") else "other"
        return now - self.told[finding][0] >= REPEAT[kind] - TOLERANCE[kind]


def event(finding: str, seen: datetime, number: int) -> dict[str, object]:
    host = int(finding[1:])
    make = service if finding.startswith("s") else infection
    return make(host, seen, id=f"e-{number}")


FINDINGS = ["s1", "s2", "i1", "i2"]
SIGHTING = st.tuples(st.sampled_from(FINDINGS), st.integers(0, 40))
DAYS = st.lists(st.tuples(st.integers(1, 20), st.lists(SIGHTING, max_size=6), st.booleans()), max_size=12)


@settings(max_examples=40, deadline=None)
@given(DAYS)
def test_closing_is_as_a_naive_model_says(days):
    """Whatever is seen when, recorded late or twice, closed or not: states, lists and books are the model's."""
    with TemporaryDirectory() as folder:
        clock = FixedClock(START + timedelta(days=60))
        store = open_store(Path(folder) / "c.db", clock)
        desk, naive, number = Desk(store, clock), Naive(), 0
        for pause, sightings, closes in days:
            now = desk.pass_time(days=pause)
            for finding, late in sightings:
                number += 1
                seen = now - timedelta(days=late)
                naive.see(finding, seen)
                desk.record([event(finding, seen, number)] * 2)
                assert desk.record([event(finding, seen, number)])["recorded"] == 0
            if closes:
                closed = desk.close()
                told = (
                    {}
                    if closed is None
                    else {
                        f"{'s' if f.event['port_is'] == 'service' else 'i'}{f.event['source.ip'].rpartition('.')[2]}": f.state
                        for f in closed.findings
                    }
                )
                assert told == naive.close(now)
        if number:
            book = desk.book()
            assert book["matched"] == number == weight(book)
            assert (book["mentioned"], book["still"]) == (naive.mentioned, naive.still)
        store.close_connections()


def test_thirty_days_of_reports(file_desk):
    """Three days are missing, two come twice: each unchanging service is new once and listed four more times."""
    desk = file_desk
    listed: dict[str, list[str]] = {}
    seen = 0
    for day in range(30):
        now = START + timedelta(days=day)
        desk.clock.move(now)
        if day in {9, 16, 23}:
            continue
        unchanging = [service(host, now) for host in range(1000)]
        changing = [service(1000 + 20 * day + host, now) for host in range(20)]
        for _ in range(2 if day in {5, 12} else 1):
            desk.record(unchanging + changing)
        seen += 1020
        closed = desk.close()
        for finding in closed.findings:
            listed.setdefault(finding.event["source.ip"], []).append(finding.state)
        known = 0 if day == 0 else 1000
        repeated = sum(finding.state == "still" for finding in closed.findings)
        assert sum(number for number, _ in closed.still.values()) + repeated == known

    lists = [listed[service(host)["source.ip"]] for host in range(1000)]
    assert lists == [["new", "still", "still", "still", "still"]] * 1000
    assert [states for address, states in listed.items() if len(states) == 1] == [["new"]] * 27 * 20
    book = desk.book()
    assert book["matched"] == seen == weight(book)
    assert book["mentioned"] == 1000 * 5 + 27 * 20
    assert book["still"] == 1000 * 22
