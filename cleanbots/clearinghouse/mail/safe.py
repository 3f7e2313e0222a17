"""Make text from elsewhere harmless: in a line, in a header, as a name or URL that nobody follows by accident."""

import re
import unicodedata
from typing import Final

from ...errors import InvalidValue

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_scheme = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_address = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
)
_not_token = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_ADDRESS: Final = 254
_LONGEST_LOCAL: Final = 64


def one_line(text: str) -> str:
    """Give *text* on one line: whatever steers a terminal, a mail or the direction of writing is replaced."""
    whole = " ".join(text.split())
    return whole if whole.isprintable() else "".join(each if each.isprintable() else _REPLACEMENT for each in whole)


def defanged(text: str) -> str:
    """Give a URL or name so that no program makes a link of any part of it: ``hxxps://example[.]org/a[.]html``."""
    return _scheme.sub(_unfollowed, one_line(text)).replace(".", "[.]").replace("@", "[@]")


def _unfollowed(found: re.Match[str]) -> str:
    scheme = found[1].lower()
    return f"{scheme.replace('tt', 'xx') if scheme.startswith('http') else f'{scheme}[:]'}://"


def ascii_line(text: str) -> str:
    """Give *text* for a header that must be ASCII; accents are dropped, other letters become ``?``."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", one_line(text)) if not unicodedata.combining(each))
    return plain.replace(_REPLACEMENT, "?").encode("ascii", "replace").decode()


def token(text: str) -> str:
    """Give *text* as a word of letters, digits, ``_``, ``.`` and ``-``: for Message-IDs, boundaries and parameters."""
    return _not_token.sub("-", text).strip("-.") or "x"


def mail_address(text: str) -> str:
    """Give a mail address for a header or an envelope.

    Raises:
        InvalidValue: unless it is a plain ``local@domain`` in ASCII (RFC 5321 dot-string) of sane length.
    """
    local = text.partition("@")[0]
    if not _address.fullmatch(text) or len(text) > _LONGEST_ADDRESS or len(local) > _LONGEST_LOCAL:
        raise InvalidValue("mail address", text, "must be local@domain in ASCII, without comments, quotes or blanks")
    return text
