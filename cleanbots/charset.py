"""Character sets: what the first bytes of a text tell, and which sets have line ends of more than one byte."""

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with the same bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def marked(start: bytes) -> str:
    """Give the character set that a byte order mark (Unicode 16.0, 23.8) at the start names, or ""."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), "")


def is_known(encoding: str) -> bool:
    """Tell whether text in *encoding* can be read."""
    try:
        codecs.lookup(encoding)
    except (LookupError, ValueError):
        return False
    return bool(encoding)


def is_wide(encoding: str) -> bool:
    """Tell whether *encoding* is a form of Unicode in which a line end is more than one byte."""
    return is_known(encoding) and codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
