"""Secrets: written as references, resolved late and only where they are needed; the one reader of the environment."""

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path as FilePath
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from ..errors import SecretMissing
from .finding import Path, dotted

P = TypeVar("P", bound=msgspec.Struct)
Schema = Mapping[str, Any]

HINT = "write a reference: ${env:NAME} or file:PATH"
MASK = "***"
MAX_SECRET_BYTES = 64 * 1024

_ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_FILE = "file:"


@cache
def schema_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Give the JSON Schema of a struct of parameters (kept; don't change it)."""
    return msgspec.json.schema(struct)


def is_reference(text: str) -> bool:
    """Tell whether *text* is a reference: ``file:PATH``, or text with at least one ``${env:NAME}``."""
    return text.startswith(_FILE) or _ENV.search(text) is not None


def lookup(text: str, base: FilePath) -> str:
    """Give what a reference leads to; text without a reference is given back as it is.

    Args:
        text: ``file:PATH`` (the file's text without its line end) or text with ``${env:NAME}`` in it.
        base: the folder that relative paths start at.

    Raises:
        SecretMissing: if a variable is not set or the file can't be read.
    """
    if text.startswith(_FILE):
        return _read(base / FilePath(text.removeprefix(_FILE)).expanduser())
    return _ENV.sub(_variable, text)


def resolve(params: Mapping[str, Any], struct: type[P], base: FilePath) -> P:
    """Make a bot's parameters of what the configuration says, each secret in place of its reference.

    Args:
        params: parameters as written.
        struct: their type; its ``writeOnly`` fields are secrets, no other field is touched.
        base: the folder that relative paths start at.

    Raises:
        SecretMissing: if references lead nowhere; the text names all such parameters.
        msgspec.ValidationError: if the parameters don't fit *struct*.
    """
    resolved, missing = looked_up(params, struct, base)
    if missing:
        raise SecretMissing("\n".join(f"{dotted(path)}: {reason}" for path, reason in missing.items()))
    return msgspec.convert(resolved, struct)


def looked_up(
    params: Mapping[str, Any], schema: Schema | type[msgspec.Struct], base: FilePath
) -> tuple[dict[str, Any], dict[Path, str]]:
    """Give a copy of *params* with secrets in place of references, and why those left as they are lead nowhere."""
    missing: dict[Path, str] = {}

    def replace(path: Path, text: str) -> str:
        try:
            return lookup(text, base)
        except SecretMissing as error:
            missing[path] = str(error)
            return text

    resolved: dict[str, Any] = _mapped(dict(params), secrets(params, schema), replace)
    return resolved, missing


def redact(params: Mapping[str, Any], schema: Schema | type[msgspec.Struct]) -> dict[str, Any]:
    """Give a copy of *params* that may be shown: references stay, any other text of a secret becomes ``***``."""
    masked: dict[str, Any] = _mapped(
        dict(params), secrets(params, schema), lambda _, text: text if is_reference(text) else MASK
    )
    return masked


def resolve_text(url: str, base: FilePath) -> str:
    """Give a URL with its references looked up; one that is a part of it is percent-encoded, so any password fits.

    Raises:
        SecretMissing: if a reference leads nowhere.
    """
    if url.startswith(_FILE) or _ENV.fullmatch(url):
        return lookup(url, base)
    return _ENV.sub(lambda match: quote(_variable(match), safe=""), url)


def redact_url(url: str) -> str:
    """Give a URL that may be shown: references stay, a password in plain text becomes ``***``."""
    for password in _literal_passwords(url):
        url = url.replace(f":{password}@", f":{MASK}@", 1).replace(f"={password}", f"={MASK}")
    return url


def has_literal_password(url: str) -> bool:
    """Tell whether a URL holds a password in plain text."""
    return any(True for _ in _literal_passwords(url))


def secrets(params: Mapping[str, Any], schema: Schema | type[msgspec.Struct]) -> dict[Path, str]:
    """Give every text in *params* that the schema marks as secret, by its path."""
    whole = schema_of(schema) if isinstance(schema, type) else schema
    return dict(_walk(dict(params), whole, whole, ()))


def _walk(value: Any, schema: Any, whole: Schema, path: Path) -> Iterator[tuple[Path, str]]:
    if not isinstance(schema, Mapping):
        return
    if "$ref" in schema:
        yield from _walk(value, whole["$defs"][schema["$ref"].removeprefix("#/$defs/")], whole, path)
    if schema.get("writeOnly") and isinstance(value, str):
        yield path, value
    # A value that any branch takes as a secret is treated as one.
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _walk(value, branch, whole, path)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for key, inner in value.items():
            yield from _walk(inner, properties.get(key, schema.get("additionalProperties")), whole, (*path, key))
    elif isinstance(value, list):
        prefix = schema.get("prefixItems", ())
        for number, inner in enumerate(value):
            part = prefix[number] if number < len(prefix) else schema.get("items")
            yield from _walk(inner, part, whole, (*path, number))


def _mapped(value: Any, found: Mapping[Path, str], function: Any, path: Path = ()) -> Any:
    if path in found:
        return function(path, found[path])
    if isinstance(value, dict):
        return {key: _mapped(inner, found, function, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, found, function, (*path, number)) for number, inner in enumerate(value)]
    return value


def _variable(match: re.Match[str]) -> str:
    value = os.environ.get(match[1])
    if value is None:
        raise SecretMissing(f"the environment variable {match[1]} is not set")
    return value


def _read(file: FilePath) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_SECRET_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise SecretMissing(f"the file {file} can't be read: {error.strerror or type(error).__name__}") from error
    except UnicodeDecodeError as error:
        raise SecretMissing(f"the file {file} is not UTF-8 text") from error
    if len(data) > MAX_SECRET_BYTES:
        raise SecretMissing(f"the file {file} is larger than {MAX_SECRET_BYTES // 1024} KiB; is it the right one?")
    return text.rstrip("\r\n")


def _literal_passwords(url: str) -> Iterator[str]:
    """Give the passwords that stand in a URL as they are: after the user, or as an option (``sentinel_password=``)."""
    server, _, options = url.partition("://")[2].partition("?")
    user, at, _ = server.partition("/")[0].rpartition("@")
    found = [user.partition(":")[2] if at else ""]
    found += [
        value for name, _, value in (option.partition("=") for option in options.split("&")) if "password" in name
    ]
    return (password for password in found if password and not _ENV.search(password))
