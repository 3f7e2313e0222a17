"""The door by which our delivery formats come in: the same one that an installed package and a site's folder use."""

from collections.abc import Iterable

from ..plugins import FormatRef, hookimpl

FORMATS = {
    "abusehub": "abusehub:AbuseHub",
    "csv": "delimited:Csv",
    "csv-excel-nl": "delimited:CsvExcelNl",
    "csv-intelmq": "intelmq:CsvIntelmq",
    "jsonl": "jsonl:JsonLines",
    "shadowserver": "shadowserver:Shadowserver",
    "xarf": "xarf:Xarf",
}
"""Name to module and class below ``formats``."""


@hookimpl
def cleanbots_formats() -> Iterable[FormatRef]:
    """Name every format of ours without importing any."""
    return [FormatRef(name, f"{__package__}.formats.{target}") for name, target in FORMATS.items()]
