"""The registry: who the members are, and whom an event concerns; the file behind it may change while it is in use."""

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ...clock import Clock
from ..model import Match, Member
from .check import check
from .matching import Asset, Matched, Matcher, Question
from .table import Table

_STRENGTH = ("act", "relay", "inform")


class Registry:
    """One version of the members; it never changes.

    Args:
        table: the compiled claims.
        clock: for events without any time.
    """

    def __init__(self, table: Table, clock: Clock | None = None) -> None:
        self.table = table
        self.version = table.side.version
        self.members: dict[str, Member] = {member.id: member for member in table.side.members}
        self._matcher = Matcher(table, clock)

    @classmethod
    def load(cls, path: Path, clock: Clock | None = None) -> "Registry":
        """Check and compile the members in *path*, in memory.

        Raises:
            ConfigError: if there are mistakes; the text lists them all.
        """
        return cls(Table(check(path, formats=None, channels=None).require()), clock)

    def match(
        self,
        fields: Mapping[str, Any],
        at: date | datetime | None = None,
        *,
        asset: Asset = "source",
        announced: int | None = None,
        explain: bool = False,
    ) -> Matched:
        """Tell whom an event concerns, and why.

        Args:
            fields: canonical fields.
            at: look as if it had been seen then; None: at ``time.source``, else ``time.observation``, else now.
            asset: whose address, name and so on is meant: the source's, or the destination's (the victim's).
            announced: the number of the autonomous system by our own table, if it was looked up.
            explain: tell of every claim that touches the asset what became of it.
        """
        question = self._matcher.question(fields, at, asset=asset, announced=announced)
        return self._matcher.answer(question, explain=explain)

    def question(self, fields: Mapping[str, Any], *, asset: Asset = "source", announced: int | None = None) -> Question:
        """Give all of an event that decides; see `answer`."""
        return self._matcher.question(fields, asset=asset, announced=announced)

    def answer(self, question: Question) -> Matched:
        """Decide; events with the same question have the same answer."""
        return self._matcher.answer(question)

    def still_holds(self, fields: Mapping[str, Any], match: Match, now: date | datetime, customer: str = "") -> bool:
        """Tell whether a match of an event would be made *now*, too: same member, no weaker role.

        A member that left, a claim that ended or was taken out, a holder that is new in between: all say no, unless the
        member is concerned by its name as well: it is told by the better of its two matches, so either keeps it told.

        Args:
            fields: the event's.
            match: that was made.
            now: the time.
            customer: address of a customer who must still be told, too.
        """
        asset: Asset = "destination" if "victim" in match.reason else "source"
        for found in self.match(fields, now, asset=asset).matches:
            if found.member == match.member:
                told = not customer or customer in (found.customer_contact, *found.other_contacts)
                if told and _STRENGTH.index(found.role) <= _STRENGTH.index(match.role):
                    return True
        return False
