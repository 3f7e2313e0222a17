"""What bots are lent while they are asked whether they reach what they need: nothing that a graph would notice."""

from typing import Never

from ..errors import CleanbotsError
from .http import HttpClient
from .tables import TablesService


class ProbeServices:
    """Tables and HTTP as they are; whatever belongs to a running graph is refused."""

    def __init__(self) -> None:
        self.tables = TablesService()
        self.http = HttpClient()

    @property
    def cache(self) -> Never:
        """No cache: there is no graph."""
        raise CleanbotsError("a probe must not use the cache")

    @property
    def members(self) -> Never:
        """No members: there is no graph."""
        raise CleanbotsError("a probe must not ask for members; 'cleanbots members check' looks at them")

    @property
    def recorder(self) -> Never:
        """No recorder: there is no graph."""
        raise CleanbotsError("a probe must not record")

    def state(self, bot: str) -> Never:
        """No state: there is no graph."""
        raise CleanbotsError(f"{bot}: a probe must not use state")
