"""A collector that takes the files of a folder, and writes down which ones it was told to be done with."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

from cleanbots import Collector, Params, Report


class ShelfParams(Params):
    """Parameters of ``collector/shelf``."""

    folder: str


class Shelf(Collector[ShelfParams]):
    """Collect every file; one that is called ``broken`` can't be opened."""

    def collect(self) -> Iterator[Report | None]:
        for path in sorted(Path(self.params.folder).iterdir()):
            payload = _refuse if path.name == "broken" else partial(path.open, "rb")
            yield Report(key=path.name, payload=payload, name=path.name, cursor=path.name)

    def done(self, report: Report) -> None:
        with (Path(self.params.folder).parent / "done").open("a") as file:
            file.write(f"{report.name}\n")


def _refuse() -> NoReturn:
    raise ValueError("the door is locked; ask for the key")
