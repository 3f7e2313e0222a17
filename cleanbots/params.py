"""Parameters of bots: frozen, typed structs whose JSON Schema is the check, the documentation and the template."""

import re
from typing import Annotated, Any, dataclass_transform

import msgspec
from msgspec import Meta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}

DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w)$"
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB|kB|MB|GB)$"

Duration = Annotated[
    str, Meta(pattern=DURATION_PATTERN, description="A time span with its unit, e.g. 30s, 15m, 24h, 7d.")
]
Size = Annotated[str, Meta(pattern=SIZE_PATTERN, description="An amount of data with its unit, e.g. 64KiB, 1MiB.")]
Url = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+.-]*://[^\s]+$", description="An absolute URL.")]
Port = Annotated[int, Meta(ge=1, le=65535, description="A TCP or UDP port.")]
Secret = Annotated[
    str,
    Meta(
        description="A secret, by reference only: ${env:NAME} or file:PATH.",
        extra_json_schema={"writeOnly": True},
    ),
]


class _ParamsMeta(msgspec.StructMeta):
    """Makes every subclass frozen, keyword-only and strict, without saying so each time."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> type:
        kwargs.setdefault("frozen", True)
        kwargs.setdefault("kw_only", True)
        kwargs.setdefault("forbid_unknown_fields", True)
        made: type = super().__new__(mcls, name, bases, namespace, **kwargs)
        return made


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class Params(msgspec.Struct, metaclass=_ParamsMeta, frozen=True):
    """Base of every bot's parameters; subclass it and annotate the fields."""


def seconds(duration: str) -> float:
    """Convert a `Duration` such as ``15m`` to seconds.

    Raises:
        ValueError: if the text is not a number followed by ms, s, m, h, d or w.
    """
    return _scaled(duration, _UNITS, "time span")


def size(text: str) -> int:
    """Convert a `Size` such as ``1MiB`` to bytes.

    Raises:
        ValueError: if the text is not a number followed by B, KiB, MiB, GiB, kB, MB or GB.
    """
    return int(_scaled(text, _SIZES, "size"))


def _scaled(text: str, units: dict[str, Any], what: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text)
    if match is None or match[2] not in units:
        raise ValueError(f"{text!r} is no {what}; write a number and one of {', '.join(units)}")
    return float(match[1]) * float(units[match[2]])
