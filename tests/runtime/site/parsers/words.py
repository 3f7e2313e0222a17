"""A parser of words, one a row below a header."""

from cleanbots import CsvParser, Event, Params


class Words(CsvParser[Params]):
    """Put the word into ``comment``."""

    def parse_row(self, row: dict[str, str], event: Event) -> Event:
        event["comment"] = row["word"]
        return event
