"""Signatures after Standard Webhooks 1.0 (HMAC-SHA256, scheme ``v1``)."""

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable

PREFIX = "whsec_"
_LENGTHS = range(24, 65)


def key(secret: str) -> bytes:
    """Give the bytes of a secret such as ``whsec_Y2xl…``: base64 of 24 to 64 random bytes.

    Raises:
        ValueError: if it is none; the text doesn't repeat it.
    """
    if not secret.startswith(PREFIX):
        raise ValueError(f"a webhook's secret starts with {PREFIX!r}, and this one doesn't")
    try:
        data = b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {PREFIX!r} in a webhook's secret is not base64") from None
    if len(data) not in _LENGTHS:
        raise ValueError(f"a webhook's secret has {_LENGTHS[0]} to {_LENGTHS[-1]} bytes, and this one has {len(data)}")
    return data


def sign(secrets: Iterable[str], identifier: str, timestamp: int, body: bytes) -> str:
    """Give the value of ``webhook-signature``: one signature per secret, in their order, joined by blanks.

    Args:
        secrets: the endpoint's; while one replaces another there are two.
        identifier: the value of ``webhook-id``.
        timestamp: the value of ``webhook-timestamp``: seconds since 1970, of this attempt.
        body: the bytes that are sent.

    Raises:
        ValueError: if a secret is none.
    """
    content = b"%s.%d.%s" % (identifier.encode(), timestamp, body)
    return " ".join(
        "v1," + b64encode(hmac.digest(key(secret), content, "sha256")).decode("ascii") for secret in secrets
    )
