"""Tell which autonomous system announces an address, by a table of prefixes."""

from collections.abc import Mapping
from typing import Any

from ._lookup import Facts, Lookup, LookupParams, first

_NUMBER = (("autonomous_system_number",), ("asn",), ("as_number",))
_NAME = (("autonomous_system_organization",), ("as_name",), ("name",), ("as_description",), ("organization",))


class AsnParams(LookupParams):
    """Parameters of ``expert/asn``."""


class Asn(Lookup[AsnParams]):
    """Set ``asn`` and ``as_name``. Tables laid out like GeoLite2-ASN, IPinfo and ip-location-db are understood."""

    key = "asn"

    def facts(self, record: Mapping[str, Any]) -> Facts:
        """Read a record; number 0 means that nobody announces the prefix."""
        number = first(record, *_NUMBER)
        if number in {None, 0, "0", "AS0"}:
            return {}
        return {"asn": number, "as_name": first(record, *_NAME)}
