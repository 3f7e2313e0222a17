"""Tell where an address is, by a table of places."""

from collections.abc import Mapping
from typing import Annotated, Any

from cleanbots import Meta

from ._lookup import Facts, Lookup, LookupParams, first

_CODE = (("country", "iso_code"), ("country_code",), ("country",))
_REGISTERED = (("registered_country", "iso_code"),)
_CITY = (("city", "names", "en"), ("city",))
_REGION = (("subdivisions", 0, "names", "en"), ("region",), ("state1",))
_LATITUDE = (("location", "latitude"), ("latitude",), ("lat",))
_LONGITUDE = (("location", "longitude"), ("longitude",), ("lng",), ("lon",))
_LENGTH_OF_A_CODE = 2


class GeoIpParams(LookupParams):
    """Parameters of ``expert/geoip``."""

    use_registered: Annotated[
        bool, Meta(description="Take the country in which the network is registered, not where it is used.")
    ] = False


class GeoIp(Lookup[GeoIpParams]):
    """Set ``geolocation.cc``, ``.city``, ``.region``, ``.latitude`` and ``.longitude``.

    Tables laid out like GeoLite2 or DB-IP (Country and City), IPinfo and ip-location-db are understood.
    """

    key = "geolocation.cc"

    def facts(self, record: Mapping[str, Any]) -> Facts:
        """Read a record."""
        paths = (*_REGISTERED, *_CODE) if self.params.use_registered else (*_CODE, *_REGISTERED)
        country = first(record, *paths)
        if not isinstance(country, str) or len(country) != _LENGTH_OF_A_CODE:
            country = None
        return {
            "geolocation.cc": country,
            "geolocation.city": first(record, *_CITY),
            "geolocation.region": first(record, *_REGION),
            "geolocation.latitude": first(record, *_LATITUDE),
            "geolocation.longitude": first(record, *_LONGITUDE),
        }
