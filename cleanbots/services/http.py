"""HTTP as it is lent to bots: GET over requests, with time limits, size limits and nothing secret in messages."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

from ..clock import Clock, SystemClock
from ..errors import CleanbotsError, Retry

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

    from .guard import Guard

LIMIT = 64 * 2**20
"""The most that an answer may be, decompressed, if the caller names no limit."""

_PIECE = 64 * 2**10
_REDIRECTS = 5
_FOREIGN_PORTS = (80, 443, 8080, 8443)
_LONGEST_WAIT = 3600.0
_MOVED = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 425, 429})
_TO_ANYONE = frozenset({"accept", "accept-language", "if-modified-since", "if-none-match", "user-agent"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Args:
        url: where the answer came from, after redirects.
        status: 200 to 299, or 304 if the caller sent a validator and it still holds.
        headers: by lower-case name.
        body: decompressed.
    """

    url: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class HttpClient:
    """Fetches over HTTP(S): certificates are verified, proxies are taken from the environment, ``.netrc`` is not.

    The host that an operator wrote down may be any. Where data lead (a URL found in them, a redirect to another host)
    must be public: every address of a name is judged before anything is sent there. A proxy does that in our place.

    Args:
        clock: measures the deadline.
        timeout: seconds to wait for a connection, and for each piece of the answer.
        deadline: seconds for the whole fetch, redirects included.
        guard: judges where data lead.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        timeout: float = 30.0,
        deadline: float = 300.0,
        guard: "Guard | None" = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._timeout = timeout
        self._deadline = deadline
        self._guard = guard
        self._session: Session | None = None
        self._guarded: Session | None = None

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int | None = None,
        foreign: bool = False,
    ) -> bytes:
        """Fetch *url* and give the body.

        Args:
            url: an ``http`` or ``https`` URL; a user name and password in it are sent to its own host only.
            headers: sent to the URL's own origin; another one that it redirects to gets the harmless ones only.
            limit: the most bytes that the body may have, decompressed; 64 MiB by default.
            foreign: the URL comes from data and not from the configuration.

        Raises:
            Retry: if the world is at fault (no connection, time-out, 408, 425, 429, 5xx).
            CleanbotsError: if the URL, the answer's size or status (other 4xx) is.
        """
        return self.fetch(url, headers=headers, limit=limit, foreign=foreign).body

    def fetch(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int | None = None,
        foreign: bool = False,
    ) -> Answer:
        """Fetch *url* as `get` does, and give status and headers too (for ETag and Last-Modified)."""
        until = self._clock.monotonic() + self._deadline
        sent = dict(headers or {})
        home = None if foreign else urlsplit(url).hostname
        for _ in range(_REDIRECTS + 1):
            abroad = urlsplit(url).hostname != home
            with _explained(url, self._timeout), self._ask(url, sent, abroad=abroad) as response:
                if response.status_code not in _MOVED:
                    self._judge(url, response)
                    body = self._read(url, response, LIMIT if limit is None else limit, until)
                    lowered = {name.lower(): value for name, value in response.headers.items()}
                    return Answer(url, response.status_code, lowered, body)
                target = _redirected(url, response.headers.get("Location", ""))
            if _origin(target) != _origin(url):
                sent = {name: value for name, value in sent.items() if name.lower() in _TO_ANYONE}
            url = target
        raise CleanbotsError(f"{shown(url)}: redirected more than {_REDIRECTS} times; check the URL")

    def close(self) -> None:
        """Close the connections that are kept open."""
        for session in filter(None, (self._session, self._guarded)):
            session.close()
        self._session = self._guarded = None

    def _ask(self, url: str, headers: Mapping[str, str], *, abroad: bool) -> "Response":
        if urlsplit(url).scheme not in ("http", "https"):
            raise CleanbotsError(f"{shown(url)}: neither http nor https")
        return (self._abroad(url) if abroad else self._at_home()).get(
            url,
            headers=dict(headers),
            timeout=self._timeout,
            allow_redirects=False,
            stream=True,
            auth=None if urlsplit(url).username else _no_netrc,
        )

    def _at_home(self) -> "Session":
        if self._session is None:
            self._session = _session()
        return self._session

    def _abroad(self, url: str) -> "Session":
        """Give a session that connects to public addresses only; behind a proxy, the one that uses it."""
        from requests.utils import get_environ_proxies

        from .guard import Guard, is_address

        guard = self._guard = self._guard or Guard(schemes=("http", "https"), ports=_FOREIGN_PORTS)
        target = guard.target(url)
        if get_environ_proxies(url):
            if is_address(target.host):
                guard.addresses(target.scheme, target.host, target.port)
            return self._at_home()
        if self._guarded is None:
            from .guarded_pools import GuardedAdapter

            self._guarded = _session()
            self._guarded.trust_env = False
            for scheme in ("http://", "https://"):
                self._guarded.mount(scheme, GuardedAdapter(guard))
        return self._guarded

    def _judge(self, url: str, response: "Response") -> None:
        status = response.status_code
        if 200 <= status < 300 or status == HTTPStatus.NOT_MODIFIED:
            return
        said = f"{shown(url)}: the server answered {status} {_phrase(status)}"
        if status >= 500 or status in _LATER:
            raise Retry(said, after=self._wait(response.headers.get("Retry-After", "")))
        hints = {401: "check the credentials", 403: "check the credentials", 404: "check the URL", 410: "check the URL"}
        raise CleanbotsError(f"{said}; {hints.get(status, 'asking again will not help')}")

    def _wait(self, text: str) -> float | None:
        """Read ``Retry-After`` (RFC 9110 §10.2.3: seconds or a date); at most an hour."""
        if text.isdecimal():
            return min(float(text), _LONGEST_WAIT)
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max(_seconds_until(moment, self._clock), 0.0), _LONGEST_WAIT)

    def _read(self, url: str, response: "Response", limit: int, until: float) -> bytes:
        body = bytearray()
        while piece := response.raw.read1(_PIECE, decode_content=True):
            body += piece
            if len(body) > limit:
                raise CleanbotsError(
                    f"{shown(url)}: the answer is larger than {limit} bytes; raise the limit or refuse it"
                )
            if self._clock.monotonic() > until:
                raise Retry(f"{shown(url)}: not done after {self._deadline:g} s, {len(body)} bytes were read")
        return bytes(body)


def shown(url: str) -> str:
    """Give *url* as it may be shown and logged: without user name, password, query values and fragment."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(a URL that can't be read)"
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, host + port, parts.path, "…" if parts.query else "", ""))


def user_agent() -> str:
    """Give the name under which cleanbots fetches."""
    try:
        return f"cleanbots/{version('cleanbots')}"
    except PackageNotFoundError:  # run from a checkout
        return "cleanbots"


def _session() -> "Session":
    import requests  # slow to import, and most workers never fetch

    session = requests.Session()
    session.headers.update({"User-Agent": user_agent(), "Accept": "*/*"})
    return session


def _no_netrc(request: "PreparedRequest") -> "PreparedRequest":
    """Stand in for a login, so that requests doesn't look for one in the user's ``.netrc``."""
    return request


def _redirected(url: str, location: str) -> str:
    if not location:
        raise CleanbotsError(f"{shown(url)}: redirected to nowhere")
    target = urljoin(url, location)
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise CleanbotsError(f"{shown(url)}: redirected from https to {shown(target)}, which is not followed")
    return target


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _seconds_until(moment: datetime, clock: Clock) -> float:
    return (moment - clock.now()).total_seconds()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(no standard status)"


@contextmanager
def _explained(url: str, timeout: float) -> Iterator[None]:
    """Turn what requests and urllib3 raise into our errors, without their texts: these hold the whole URL."""
    import requests
    import urllib3

    from .guard import Denied

    try:
        yield
    except Denied as error:
        reason = str(error).partition("; 'allow' can list")[0]
        raise CleanbotsError(f"{reason}; if it is meant, write its URL into the configuration") from None
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        raise Retry(f"{shown(url)}: no answer within {timeout:g} s") from None
    except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidHeader):
        raise CleanbotsError(f"{shown(url)}: no URL or header that can be sent") from None
    except urllib3.exceptions.DecodeError:
        raise CleanbotsError(f"{shown(url)}: the answer's compression is damaged") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Retry(f"{shown(url)}: {cause(error)}") from None


def cause(error: BaseException) -> str:
    """Find the operating system's or TLS's own words at the root of *error*."""
    seen: set[int] = set()
    at: BaseException | None = error
    words = "the connection broke"
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        if isinstance(at, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({at.verify_message})"
        if isinstance(at, ssl.SSLError):
            return f"TLS failed ({at.reason or 'no reason given'})"
        if isinstance(at, OSError) and at.strerror:
            words = at.strerror[0].lower() + at.strerror[1:]
        at = at.__cause__ or at.__context__
    return words
