"""Sign mails with OpenPGP (RFC 3156); the only module that knows pysequoia, the extra ``pgp``."""

import re
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from ...clock import Clock, SystemClock
from ...errors import CleanbotsError
from .seal import SealError

if TYPE_CHECKING:
    from pysequoia import Cert

_CONTENT = re.compile(rb"content-", re.IGNORECASE)
_LARGEST_KEY = 2**20


class OpenPgpSigner:
    """Signs with the hub's own key, as ``multipart/signed`` around the whole body.

    The key is read again for each message, so that a key that ran out or was replaced is noticed at once.

    Args:
        key: a file with the secret key, armored or not.
        password: gives that of the key, or None; what it raises holds the mail.
        fingerprint: what the key's fingerprint must be, or "" to take any.
        clock: tells whether the key has expired.
    """

    conceals = False

    def __init__(
        self, key: Path, password: Callable[[], str] | None = None, fingerprint: str = "", clock: Clock | None = None
    ) -> None:
        self._key = key
        self._password = password
        self._fingerprint = fingerprint.replace(" ", "").lower()
        self._clock = clock or SystemClock()

    def probe(self) -> None:
        """See whether mails can be signed now; raises `SealError` with the reason if not."""
        self._sign(b"probe\r\n")

    def __call__(self, message: bytes, recipient: str) -> bytes:
        """Sign one message; see `Seal`."""
        head, _, body = message.partition(b"\r\n\r\n")
        outer, inner = _split(head)
        part = b"\r\n".join((*inner, b"", body))
        if not part.endswith(b"\r\n"):
            part += b"\r\n"
        signature, micalg = self._sign(part)
        edge = b"=_s." + blake2b(part, digest_size=12).hexdigest().encode()
        kind = b'Content-Type: multipart/signed; micalg="%s"; protocol="application/pgp-signature";' % micalg
        return b"\r\n".join(
            (
                *outer,
                kind,
                b' boundary="%s"' % edge,
                b"",
                b"--%s" % edge,
                part,
                b"--%s" % edge,
                b'Content-Type: application/pgp-signature; name="signature.asc"',
                b"Content-Description: OpenPGP signature",
                b"",
                signature.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").rstrip(),
                b"--%s--" % edge,
                b"",
            )
        )

    def _sign(self, part: bytes) -> tuple[bytes, bytes]:
        """Give the armored signature and its ``micalg``."""
        try:
            from pysequoia import Sig, SignatureMode, Tsk, sign
        except ImportError:
            raise SealError("mails can't be signed: pysequoia is not installed; install cleanbots[pgp]") from None
        password = self._secret()
        try:
            key = Tsk.from_bytes(self._read())
            self._check(key.extract_certificate())
            signature = sign(key.signer(password), part, mode=SignatureMode.DETACHED)
            digest = str(Sig.from_bytes(signature).hash_algorithm).rpartition(".")[2].lower()
        except RuntimeError as error:  # pysequoia's errors have no class of their own, and carry a stack trace
            reason = str(error).partition("\n")[0]
            raise SealError(f"{self._key}: can't sign with this key: {reason}; give a valid secret key") from None
        return signature, b"pgp-" + digest.replace("_", "-").encode()

    def _secret(self) -> str | None:
        try:
            return self._password() if self._password is not None else None
        except CleanbotsError as error:
            raise SealError(f"{self._key}: the key's password can't be had: {error}") from None

    def _read(self) -> bytes:
        try:
            with self._key.open("rb") as file:
                data = file.read(_LARGEST_KEY + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SealError(f"{self._key}: the key can't be read: {reason}; put the hub's secret key there") from None
        if len(data) > _LARGEST_KEY:
            raise SealError(f"{self._key}: larger than 1 MiB, so no key; put the hub's secret key there")
        return data

    def _check(self, certificate: "Cert") -> None:
        if self._fingerprint and certificate.fingerprint.lower() != self._fingerprint:
            raise SealError(f"{self._key}: holds the key {certificate.fingerprint}, not {self._fingerprint}")
        if certificate.is_revoked:
            raise SealError(f"{self._key}: the key {certificate.fingerprint} was revoked; put a valid one there")
        if certificate.expiration is not None and certificate.expiration <= self._clock.now():
            ended = f"{certificate.expiration:%Y-%m-%d}"
            raise SealError(f"{self._key}: the key {certificate.fingerprint} expired on {ended}; extend or replace it")


def _split(head: bytes) -> tuple[list[bytes], list[bytes]]:
    """Part a message's header lines into those of the mail and those of its body (``Content-…``)."""
    outer: list[bytes] = []
    inner: list[bytes] = []
    goes = outer
    for line in head.split(b"\r\n"):
        if line[:1] not in {b" ", b"\t"}:
            goes = inner if _CONTENT.match(line) else outer
        goes.append(line)
    return outer, inner
