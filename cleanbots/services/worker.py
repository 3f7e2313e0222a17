"""What a worker lends to its bots: one set of services for the process, seen by each bot through its own window."""

from collections.abc import Callable

from ..broker.protocol import Broker
from ..context import Cache, Http, Members, Recorder, State, Tables
from .cache import BrokerCache


class StagedState:
    """A bot's state: what is put takes effect with the commit of the work at hand.

    Args:
        broker: where the committed state is.
        bot: the bot's id.
    """

    def __init__(self, broker: Broker, bot: str) -> None:
        self._broker = broker
        self._bot = bot
        self._committed: dict[str, bytes] | None = None
        self._staged: dict[str, bytes | None] = {}

    def get(self, key: str) -> bytes | None:
        """Give what is staged under *key*, else what is committed, else None."""
        if key in self._staged:
            return self._staged[key]
        if self._committed is None:
            self._committed = self._broker.state(self._bot)
        return self._committed.get(key)

    def put(self, key: str, value: bytes | None) -> None:
        """Stage *value*; None removes the key."""
        self._staged[key] = value

    def staged(self) -> dict[str, bytes | None]:
        """Give what is staged."""
        return dict(self._staged)

    def committed(self) -> None:
        """Say that the commit took place."""
        for key, value in self._staged.items():
            if self._committed is None:
                break
            if value is None:
                self._committed.pop(key, None)
            else:
                self._committed[key] = value
        self._staged.clear()

    def discard(self, *, forget: bool = False) -> None:
        """Drop what is staged; with *forget* the committed state is asked for again."""
        self._staged.clear()
        if forget:
            self._committed = None


class Lender:
    """A process's services.

    Args:
        broker: the graph's.
        recorder: makes the clearinghouse's recorder when it is first asked for.
        members: gives the members.
    """

    def __init__(self, broker: Broker, recorder: Callable[[], Recorder], members: Callable[[], Members]) -> None:
        self.broker = broker
        self._members = members
        self._make_recorder = recorder
        self._recorder: Recorder | None = None
        self.states: dict[str, StagedState] = {}
        self._tables: Tables | None = None
        self._http: Http | None = None

    def state(self, bot: str) -> StagedState:
        """Give the state of *bot*."""
        return self.states.setdefault(bot, StagedState(self.broker, bot))

    def staged(self) -> dict[str, dict[str, bytes | None]]:
        """Give what the bots staged since the last commit."""
        return {bot: staged for bot, state in self.states.items() if (staged := state.staged())}

    def committed(self) -> None:
        """Say that what was staged was committed."""
        for state in self.states.values():
            state.committed()

    def discard(self, *, forget: bool = False) -> None:
        """Drop what was staged."""
        for state in self.states.values():
            state.discard(forget=forget)

    @property
    def tables(self) -> Tables:
        """The process's prefix tables, made when first asked for."""
        if self._tables is None:
            from .tables import TablesService

            self._tables = TablesService()
        return self._tables

    @property
    def http(self) -> Http:
        """The process's HTTP client, made when first asked for."""
        if self._http is None:
            from .http import HttpClient

            self._http = HttpClient()
        return self._http

    @property
    def members(self) -> Members:
        """The members in use."""
        return self._members()

    @property
    def recorder(self) -> Recorder:
        """The clearinghouse's recorder."""
        if self._recorder is None:
            self._recorder = self._make_recorder()
        return self._recorder


class BotServices:
    """The window of one bot onto its process's services.

    Args:
        lender: the process's services.
        bot: the bot's id.
    """

    def __init__(self, lender: Lender, bot: str) -> None:
        self._lender = lender
        self._bot = bot

    @property
    def cache(self) -> Cache:
        """Keys remembered for this bot."""
        return BrokerCache(self._lender.broker, self._bot)

    @property
    def tables(self) -> Tables:
        """The process's prefix tables."""
        return self._lender.tables

    @property
    def http(self) -> Http:
        """The process's HTTP client."""
        return self._lender.http

    @property
    def members(self) -> Members:
        """The members in use."""
        return self._lender.members

    @property
    def recorder(self) -> Recorder:
        """The clearinghouse's recorder."""
        return self._lender.recorder

    def state(self, bot: str) -> State:
        """Give the bot's own state."""
        return self._lender.state(bot)


__all__ = ["BotServices", "Lender", "StagedState"]
