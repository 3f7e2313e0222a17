"""Record events for the members that they concern; couriers tell them."""

from cleanbots import BatchOutput, Event, Outlet, Params


class Members(BatchOutput[Params]):
    """The end of a graph that tells members: each event becomes due in the deliveries that want it.

    Nothing is sent here. The store keeps each event for each delivery once, however often it comes; a batch is one
    transaction that is over before the batch is committed, so a crash in between changes nothing. Several instances may
    run: on one host with a SQLite store, anywhere with PostgreSQL.
    """

    def open(self) -> None:
        """Open the store before any event is at hand: that takes long at times, and no event is to blame for it."""
        self._recorder = self.context.recorder

    def process_batch(self, items: list[Event], out: Outlet) -> None:
        """Record *items*."""
        if items:
            self._recorder.record(items)
