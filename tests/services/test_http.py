"""The HTTP client, against real servers on the loopback interface."""

import gzip
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cleanbots.clock import FixedClock
from cleanbots.errors import CleanbotsError, Retry
from cleanbots.services.guard import Guard
from cleanbots.services.http import HttpClient, shown

NOW = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)

Answerer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def server(answer: Answerer, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve *answer* for every GET; gives the base URL and the list of the headers that were received."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({name.lower(): value for name, value in self.headers.items()} | {"path": self.path})
            answer(self)

        def log_message(self, *args: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        running.socket = tls.wrap_socket(running.socket, server_side=True)
        running.handle_error = lambda *_: None  # a client that turns away is what is tested
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{running.server_port}", seen
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@pytest.fixture
def client() -> Iterator[HttpClient]:
    """A client whose clock stands still."""
    client = HttpClient(FixedClock(NOW), timeout=5)
    yield client
    client.close()


def body(data: bytes, status: int = 200, **headers: str) -> Answerer:
    """Make an answer of *data*."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return answer


def moved(to: str) -> Answerer:
    """Make a redirect to *to*."""
    return body(b"", 302, Location=to)


def test_a_body_is_fetched_under_an_honest_name(client):
    """A fetch gives the body and says who asks."""
    with server(body(b"hello")) as (url, seen):
        assert client.get(f"{url}/list.csv") == b"hello"

    assert seen[0]["user-agent"].startswith("cleanbots")


def test_validators_come_back(client):
    """`fetch` gives the headers by lower-case name, and 304 is an answer."""
    with server(body(b"", 304, ETag='"v1"')) as (url, seen):
        answer = client.fetch(url, headers={"If-None-Match": '"v1"'})

    assert (answer.status, answer.headers["etag"], answer.body) == (304, '"v1"', b"")
    assert seen[0]["if-none-match"] == '"v1"'


@pytest.mark.parametrize("packed", [False, True])
def test_the_limit_counts_what_comes_out(client, packed):
    """An answer over the limit is refused, also if it is small on the wire."""
    data = b"0" * 300_000
    answer = body(gzip.compress(data), Content_Encoding="gzip") if packed else body(data)
    with server(answer) as (url, _), pytest.raises(CleanbotsError, match="larger than 200000 bytes") as error:
        client.get(url, limit=200_000)

    assert not isinstance(error.value, Retry)


def test_the_deadline_holds_for_a_slow_server():
    """A server that sends forever, a byte at a time, is given up at the deadline."""
    clock = FixedClock(NOW)
    client = HttpClient(clock, timeout=5, deadline=60)

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        clock.move(NOW + timedelta(seconds=61))
        request.wfile.write(b"x")

    with server(drip) as (url, _), pytest.raises(Retry, match="not done after 60 s"):
        client.get(url)
    client.close()


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_the_world_at_fault_is_a_retry(client, status):
    """Overload and server errors mean: later."""
    with server(body(b"", status, Retry_After="120")) as (url, _), pytest.raises(Retry, match=str(status)) as error:
        client.get(url)

    assert error.value.after == 120.0


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("Fri, 20 Nov 2026 07:31:30 GMT", 90.0),
        ("999999", 3600.0),
        ("Thu, 19 Nov 2026 07:30:00 GMT", 0.0),
        ("soon", None),
    ],
)
def test_retry_after_is_read_and_capped(client, text, after):
    """Retry-After may be seconds or a date, counts at most an hour, and nonsense is ignored."""
    with server(body(b"", 503, Retry_After=text)) as (url, _), pytest.raises(Retry) as error:
        client.get(url)

    assert error.value.after == after


def test_a_wrong_request_is_no_retry(client):
    """A 404 won't mend by waiting, and its message shows no secret of the URL."""
    with server(body(b"", 404)) as (url, _), pytest.raises(CleanbotsError, match="404 Not Found") as error:
        client.get(url.replace("//", "//joe:hunter2@") + "/list?key=s3cret#frag")

    assert not isinstance(error.value, Retry)
    assert not any(secret in str(error.value) for secret in ("joe", "hunter2", "s3cret", "frag"))


def test_no_connection_is_a_retry_without_secrets(client):
    """A refused connection is the world's fault; the message has the system's words and no secret."""
    with server(body(b"")) as (url, _):
        pass
    with pytest.raises(Retry, match="refused") as error:
        client.get(f"{url}/x?key=s3cret")

    assert "s3cret" not in str(error.value)


def test_a_silent_server_is_a_retry():
    """A server that accepts and says nothing is given up after the time-out."""
    client = HttpClient(timeout=0.05)
    gone = threading.Event()
    with server(lambda _: gone.wait(10) and None) as (url, _):
        with pytest.raises(Retry, match="no answer within"):
            client.get(url)
        gone.set()
    client.close()


def test_a_cut_answer_is_a_retry(client):
    """An answer shorter than it said is not taken for whole."""

    def cut(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "100")
        request.end_headers()
        request.wfile.write(b"only this")
        request.close_connection = True

    with server(cut) as (url, _), pytest.raises(Retry):
        client.get(url)


def test_a_redirect_to_another_origin_takes_no_secret_along(client):
    """Headers that may hold a secret go to the asked origin only; the harmless ones go along."""
    with server(body(b"there")) as (other, seen), server(moved(f"{other}/x")) as (url, asked):
        headers = {"Authorization": "Bearer t", "X-Api-Key": "k", "Accept": "text/csv"}
        assert client.get(url.replace("//", "//joe:pw@"), headers=headers) == b"there"

    assert asked[0]["x-api-key"] == "k"
    assert seen[0]["accept"] == "text/csv"
    assert not {"authorization", "x-api-key", "cookie"} & seen[0].keys()


def test_a_redirect_at_home_keeps_headers(client):
    """Within one origin nothing is taken away."""

    def home(request: BaseHTTPRequestHandler) -> None:
        (moved("/new") if request.path == "/old" else body(b"new"))(request)

    with server(home) as (url, seen):
        assert client.get(f"{url}/old", headers={"X-Api-Key": "k"}) == b"new"

    assert [one.get("x-api-key") for one in seen] == ["k", "k"]


def test_redirects_end(client):
    """More than five redirects are a mistake, not a way."""
    with server(moved("/again")) as (url, seen), pytest.raises(CleanbotsError, match="more than 5 times"):
        client.get(url)

    assert len(seen) == 6


def test_netrc_is_not_read(client, tmp_path, monkeypatch):
    """A login in the user's .netrc is never sent."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login joe password hunter2\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    with server(body(b"")) as (url, seen):
        client.get(url)

    assert "authorization" not in seen[0]


def test_a_certificate_that_nobody_vouches_for_is_refused(client, tmp_path):
    """TLS certificates are verified: a self-signed one gets no request."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = [
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"),
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run([openssl, *made], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    with server(body(b""), tls) as (url, seen), pytest.raises(Retry, match="certificate is not trusted"):
        client.get(url)

    assert seen == []


@pytest.mark.parametrize("url", ["ftp://example.net/x", "file:///etc/passwd", "example.net"])
def test_only_http_is_fetched(client, url):
    """Other schemes are refused before anything is asked."""
    with pytest.raises(CleanbotsError, match="neither http nor https"):
        client.get(url)


def test_shown_hides_what_may_be_secret():
    """Of a URL only scheme, host, port and path are shown."""
    assert shown("https://joe:pw@[2001:db8::1]:8443/a/b?key=1#x") == "https://[2001:db8::1]:8443/a/b?…"


def redirect(where: str) -> Answerer:
    """Make an answer that leads to *where*."""
    return body(b"", 302, Location=where)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_redirect_to_another_host_leads_to_no_denied_address(client, host):
    """A feed that sends us to the machine's own network gets nobody there."""
    with server(body(b"secret")) as (inner, asked):
        port = inner.rpartition(":")[2]
        with server(redirect(f"http://{host}:{port}/")) as (feed, _), pytest.raises(CleanbotsError) as raised:
            HttpClient(guard=Guard(schemes=("http",), ports=(int(port),))).get(feed)

    assert not asked
    assert "write its URL into the configuration" in str(raised.value)
    assert not isinstance(raised.value, Retry)


def test_a_port_that_serves_no_web_is_not_fetched_from(client):
    """Data lead to the usual ports of the web only."""
    with server(body(b"secret")) as (url, asked), pytest.raises(CleanbotsError, match="port"):
        client.get(url.replace("127.0.0.1", "192.0.2.1"), foreign=True)

    assert not asked


def test_a_url_that_comes_from_data_leads_to_no_denied_address(client):
    """What the operator may fetch from, data may not name."""
    with server(body(b"ours")) as (url, asked):
        port = int(url.rpartition(":")[2])
        strict = HttpClient(guard=Guard(schemes=("http",), ports=(port,)))
        assert strict.get(url) == b"ours"
        with pytest.raises(CleanbotsError, match=r"127\.0\.0\.1 is an address"):
            strict.get(url, foreign=True)
        strict.close()

    assert len(asked) == 1


def test_a_guarded_fetch_works_where_it_is_allowed():
    """The guard stands in the way of denied addresses only: bodies, headers and redirects are as ever."""
    client = HttpClient(guard=Guard(("127.0.0.0/8",)))
    with server(body(b"found", X_Kind="list")) as (there, _), server(redirect(f"{there}/x")) as (feed, _):
        answer = client.fetch(feed, foreign=True)
    client.close()

    assert (answer.body, answer.url) == (b"found", f"{there}/x")


def test_behind_a_proxy_the_proxy_connects(client, monkeypatch):
    """A proxy resolves names in our place; a denied address is not even asked it for."""
    with server(body(b"by proxy")) as (proxy, asked):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert client.get("http://feeds.example.net/list", foreign=True) == b"by proxy"
        with pytest.raises(CleanbotsError):
            client.get("http://169.254.169.254/latest", foreign=True)

    assert len(asked) == 1
