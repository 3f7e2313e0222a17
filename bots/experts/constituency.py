"""Tell which members an event concerns, and why, by what they claim."""

from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from cleanbots import BatchExpert, Event, InvalidValue, Meta, Outlet, Params
from cleanbots.clearinghouse.members import Matched, Question, Registry
from cleanbots.harmonization import harmonise

from ._lookup import first

_PATHS = {
    "matched": "default",
    "unmatched": "unmatched",
    "ambiguous": "ambiguous",
    "guarded": "guarded",
    "excluded": "excluded",
}
_NUMBER = (("autonomous_system_number",), ("asn",), ("as_number",))
_OWN = ("members", "matches", "refused")


class ConstituencyParams(Params):
    """Parameters of ``expert/constituency``."""

    asset: Annotated[
        Literal["source", "destination"],
        Meta(description="Whose address and name count: the source's, or the destination's for feeds about victims."),
    ] = "source"
    database: Annotated[
        str | None,
        Meta(
            description="A table of autonomous systems (MMDB). Where it contradicts the number that the notifier gave, "
            "and nobody claims the address by a prefix, nobody is told."
        ),
    ] = None


class _Decision(NamedTuple):
    """What is set on every event with the same question, and where it leaves."""

    path: str
    fields: dict[str, Any]


class Constituency(BatchExpert[ConstituencyParams]):
    """Set ``members`` (acting ones first), ``matches`` (why) and ``refused`` (whom the traffic light keeps out).

    What concerns nobody leaves by a path that says why: ``unmatched``, ``ambiguous`` (AS numbers contradict each
    other), ``guarded`` (special-purpose, the hub's own, or inventory that nobody asked for) or ``excluded`` (its holder
    wants no reports about it). The members are those that ``members:`` of the configuration names, the rules are in
    ``docs/members-file.md``. The file may change while the bot runs; while it has mistakes, its last good version counts.
    """

    @classmethod
    def paths(cls, params: ConstituencyParams) -> tuple[str, ...]:
        """Give ``default`` and the reasons why nobody is told."""
        return tuple(_PATHS.values())

    def open(self) -> None:
        """Read the members."""
        context = self.context
        self._table = None
        if self.params.database is not None:
            self._table = context.tables.open(str(context.path(self.params.database)))
        context.members.get()

    def process_batch(self, items: list[Event], out: Outlet) -> None:
        """Decide for all events by one version of the members; events that ask the same are decided once."""
        registry: Registry = self.context.members.get()
        asset = self.params.asset
        decisions: dict[Question, _Decision] = {}
        numbers: dict[str, int | None] = {}
        for event in items:
            fields = event.fields
            announced = None if self._table is None else self._announced(fields.get(f"{asset}.ip"), numbers)
            question = registry.question(fields, asset=asset, announced=announced)
            decision = decisions.get(question)
            if decision is None:
                decision = decisions[question] = _decide(registry, question)
            # Whoever sent the event does not say whom it concerns.
            for name in _OWN:
                fields.pop(name, None)
            fields.update(decision.fields)
            if "time.source" not in fields:
                fields.setdefault("time_precision", "day")
            out.send(event, decision.path)

    def _announced(self, address: str | None, known: dict[str, int | None]) -> int | None:
        """Give the number of the system that announces an address by the table."""
        if address is None or self._table is None:
            return None
        if address not in known:
            found = first(self._table.get(address) or {}, *_NUMBER)
            try:
                known[address] = harmonise("source.asn", found) if found else None
            except InvalidValue as error:
                self.context.log.debug("%s: %s", self.params.database, error)
                known[address] = None
        return known[address]


def _decide(registry: Registry, question: Question) -> _Decision:
    matched: Matched = registry.answer(question)
    fields: dict[str, Any] = {}
    if matched.matches:
        fields["members"] = list(dict.fromkeys(match.member for match in matched.matches))
        fields["matches"] = msgspec.json.decode(msgspec.json.encode(matched.matches))
    if matched.refused:
        fields["refused"] = list(matched.refused)
    return _Decision(_PATHS[matched.verdict], fields)
