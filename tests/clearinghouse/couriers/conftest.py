"""What tests of couriers share: certificates of an authority of their own."""

import shutil
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Authority:
    """An authority that vouches for ``localhost``, ``hooks.example.net`` and ``127.0.0.1``.

    Args:
        ca: its certificate's file.
        tls: what a server shows.
    """

    ca: Path
    tls: Callable[[], ssl.SSLContext]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Certificates for servers on this machine."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make certificates with")
    folder = tmp_path_factory.mktemp("authority")
    ca, key, certificate, request, names = (
        folder / name for name in ("ca.pem", "key.pem", "certificate.pem", "request.pem", "names.cnf")
    )
    names.write_text("subjectAltName=DNS:localhost,DNS:hooks.example.net,IP:127.0.0.1\n")
    new = ("req", "-newkey", "rsa:2048", "-nodes")
    vouch = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for command in (
        (*new, "-x509", "-subj", "/CN=Test authority", *vouch, "-keyout", folder / "ca.key", "-out", ca),
        (*new, "-subj", "/CN=localhost", "-keyout", key, "-out", request),
        (
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            ca,
            "-CAkey",
            folder / "ca.key",
            "-extfile",
            names,
            "-out",
            certificate,
        ),
    ):
        subprocess.run([openssl, *command], check=True, capture_output=True)

    def tls() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    return Authority(ca, tls)
