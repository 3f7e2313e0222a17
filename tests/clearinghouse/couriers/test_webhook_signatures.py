"""Signatures: the published test vector, the examples of the documentation, and the reference library."""

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook as Reference

from cleanbots.clearinghouse.webhook import schema, sign
from cleanbots.clearinghouse.webhook.signatures import PREFIX, key

PAGE = (Path(__file__).parents[3] / "docs" / "members" / "webhook.md").read_text()
SECRET = "whsec_Y2xlYW5ib3RzLXRlc3QtdmVjdG9yLXNlY3JldC0zMmI="  # noqa: S105  # the published vector
OTHER = "whsec_b2xkLWNsZWFuYm90cy10ZXN0LXNlY3JldC0zMmI="
IDENTIFIER = "MP-20261120-0042-p1"
TIMESTAMP = 1795156204
BODY = b'{"type":"test.ping","timestamp":"2026-11-20T06:30:04Z","data":{"member":"voorbeeldhost"}}'
SIGNATURE = "v1,vjC5WDgJY2drk1UpnYWN4b+HBiLCzWOl1e69qEnAMgc="

RUN: dict[str, tuple[str, str, str]] = {
    "python": (
        sys.executable,
        "py",
        "import sys\ns, i, t, g, b, n = sys.argv[1:]\nsys.exit(not verify(s, i, t, g, open(b, 'rb').read(), int(n)))\n",
    ),
    "javascript": (
        "node",
        "js",
        (
            "const [s, i, t, g, b, n] = process.argv.slice(2);\n"
            "const good = verify(s, i, t, g, require('node:fs').readFileSync(b), Number(n));\n"
            "process.exit(good ? 0 : 1);\n"
        ),
    ),
    "go": (
        "go",
        "go",
        (
            "func main() {\n"
            "\tbody, _ := os.ReadFile(os.Args[5])\n"
            "\tnow, _ := strconv.ParseInt(os.Args[6], 10, 64)\n"
            "\tif !verify(os.Args[1], os.Args[2], os.Args[3], os.Args[4], body, now) {\n\t\tos.Exit(1)\n\t}\n}\n"
        ),
    ),
    "php": (
        "php",
        "php",
        "[, $s, $i, $t, $g, $b, $n] = $argv;\nexit(verify($s, $i, $t, $g, file_get_contents($b), (int) $n) ? 0 : 1);\n",
    ),
    "sh": ("sh", "sh", 'verify "$@"\n'),
}


def example(language: str) -> str:
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return {"php": "<?php\n", "go": 'package main\n\nimport "os"\n\n'}.get(language, "") + code


def _built(script: Path) -> Path:
    """Compile an example: ``go run`` gives another exit code than the program."""
    made = script.with_suffix("")
    subprocess.run([shutil.which("go") or "go", "build", "-o", made, script], check=True, timeout=300)
    return made


def test_the_published_vector():
    """Secret, id, timestamp and body give the signature that the documentation names."""
    assert sign([SECRET], IDENTIFIER, TIMESTAMP, BODY) == SIGNATURE
    for text in (SECRET, IDENTIFIER, str(TIMESTAMP), BODY.decode(), SIGNATURE):
        assert f"| `{text}` |" in PAGE


@pytest.mark.parametrize("language", RUN)
@pytest.mark.parametrize(
    ("signatures", "body", "late", "good"),
    [
        (SIGNATURE, BODY, 0, True),
        (f"v1,AAAA {SIGNATURE}", BODY, 299, True),
        (f"{SIGNATURE} v1a,AAAA", BODY, -299, True),
        (SIGNATURE, BODY.replace(b"voorbeeld", b"ander"), 0, False),
        (SIGNATURE, BODY, 301, False),
        (SIGNATURE, BODY, -301, False),
        ("v1,AAAA", BODY, 0, False),
        (SIGNATURE[:-4], BODY, 0, False),
    ],
)
def test_examples_of_the_documentation_verify(language, signatures, body, late, good, tmp_path):
    """Each example takes what is signed, and nothing that was changed, is too old, or was signed by another."""
    program, suffix, end = RUN[language]
    needed = [program, *(["openssl"] if language == "sh" else [])]
    if missing := [each for each in needed if shutil.which(each) is None]:
        pytest.skip(f"no {missing[0]} here to run the example with")
    script, file = tmp_path / f"verify.{suffix}", tmp_path / "body"
    script.write_text(example(language) + end)
    file.write_bytes(body)
    command = [program, script]
    if language == "go":
        command = [_built(script)]

    arguments = [SECRET, IDENTIFIER, str(TIMESTAMP), signatures, file, str(TIMESTAMP + late)]
    done = subprocess.run([*command, *arguments], capture_output=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (0 if good else 1, b"")


@given(st.binary(max_size=200), st.binary(min_size=24, max_size=64))
def test_the_reference_library_verifies(body, random):
    """What is signed here is verified by the library of Standard Webhooks, for any bytes and any secret."""
    from base64 import b64encode

    secret = PREFIX + b64encode(random).decode()
    now = int(datetime.now(UTC).timestamp())
    body = json.dumps({"x": body.hex()}).encode()
    headers = {
        "webhook-id": IDENTIFIER,
        "webhook-timestamp": str(now),
        "webhook-signature": sign([OTHER, secret], IDENTIFIER, now, body),
    }

    assert Reference(secret).verify(body, headers) == json.loads(body)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_" + "A" * 100, "whsec_é", "Y2xlYW5ib3Rz" * 4]
)
def test_what_is_no_secret_is_said_without_repeating_it(secret):
    """A secret of another form or length is refused; the sentence doesn't hold it."""
    with pytest.raises(ValueError, match="webhook's secret") as refusal:
        key(secret)

    assert len(secret) < 10 or secret.removeprefix(PREFIX) not in str(refusal.value)


@pytest.mark.parametrize(("text", "name"), [(BODY.decode(), "ping-1"), (None, "finding-1")])
def test_samples_of_the_documentation_fit_the_schemas(text, name):
    """The bodies that the documentation shows are what the published schemas say."""
    (shown,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    Draft202012Validator(json.loads(schema(name))).validate(json.loads(text or shown))
