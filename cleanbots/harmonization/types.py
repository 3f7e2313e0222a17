"""The types of fields: for each its converter, its JSON Schema and its sentence in the docs."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from . import network, scalars, taxonomy, times, values
from .scalars import CONTROLS, LIST_LENGTH, TEXT_LENGTH, Converter, Limits

Schema = dict[str, Any]

END = r"(?![\s\S])"
"""End of text in a pattern; ``$`` would let a newline pass in Python, and ``\\Z`` is unknown to ECMA 262."""

_TEXT = rf"^(?!\s)[^{CONTROLS}]*(?<!\s){END}"


class Type(msgspec.Struct, frozen=True):
    """One type of fields.

    Args:
        description: what is canonical and what else is accepted, in a sentence or two.
        make: gives the converter for a field's limits.
        schema: gives the JSON Schema of canonical values for a field's limits.
        limits: names of the limits that a field of this type may have.
        intelmq: the type of IntelMQ's data format that comes closest.
        distinct: whether values seldom repeat, so that remembering conversions would not pay.
    """

    description: str
    make: Callable[[Limits], Converter]
    schema: Callable[[Limits], Schema]
    limits: frozenset[str] = frozenset()
    intelmq: str = "String"
    distinct: bool = False


def whole_match(pattern: str) -> str:
    """Give *pattern* as JSON Schema wants it to match the whole text."""
    return f"^(?:{pattern}){END}"


def _text_schema(limits: Limits, **more: Any) -> Schema:
    if limits.enum:
        return {"type": "string", "enum": list(limits.enum)}
    schema: Schema = {"type": "string", "minLength": 1, "maxLength": limits.length or TEXT_LENGTH, "pattern": _TEXT}
    if limits.pattern:
        schema["allOf"] = [{"pattern": whole_match(limits.pattern)}]
    return schema | more


def _number_schema(kind: str) -> Callable[[Limits], Schema]:
    def schema(limits: Limits) -> Schema:
        found: Schema = {"type": kind}
        if limits.minimum is not None:
            found["minimum"] = limits.minimum
        if limits.maximum is not None:
            found["maximum"] = limits.maximum
        return found

    return schema


def _integer_schema(limits: Limits) -> Schema:
    least = -(2**63) if limits.minimum is None else int(limits.minimum)
    most = 2**63 - 1 if limits.maximum is None else int(limits.maximum)
    return {"type": "integer", "minimum": least, "maximum": most}


def _always(schema: Schema) -> Callable[[Limits], Schema]:
    return lambda _: dict(schema)


def _plain(converter: Converter) -> Callable[[Limits], Converter]:
    return lambda _: converter


def _matching(pattern: str) -> Schema:
    return {"type": "string", "pattern": whole_match(pattern)}


def _case(name: str, convert: Callable[[str], str], intelmq: str) -> Type:
    return Type(
        description=f"Text in {name} case, otherwise as `text`.",
        make=lambda limits: scalars.text(limits, convert),
        schema=lambda limits: _text_schema(limits, **({} if limits.enum else {"format": f"{name}-case"})),
        limits=frozenset({"length", "pattern", "enum"}),
        intelmq=intelmq,
    )


def _digest(name: str, digits: int) -> Type:
    return Type(
        description=f"A {name} digest: {digits} hexadecimal digits in lower case.",
        make=_plain(scalars.hexadecimal(digits)),
        schema=_always(_matching(f"[0-9a-f]{{{digits}}}")),
        distinct=True,
    )


def _degrees(name: str, most: int) -> Type:
    limits = Limits(minimum=-most, maximum=most)
    return Type(
        description=f"A {name} in degrees, from -{most} to {most}.",
        make=_plain(scalars.number(limits)),
        schema=_always(_number_schema("number")(limits)),
        intelmq="Float",
    )


_TLP = ("RED", "AMBER+STRICT", "AMBER", "GREEN", "CLEAR")
_REGISTRIES = ("AFRINIC", "APNIC", "ARIN", "LACNIC", "RIPE")
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def _tlp_word(text: str) -> str:
    return text.upper().removeprefix("TLP").lstrip(": ").replace(" ", "")


def _text_list_schema(limits: Limits) -> Schema:
    return {"type": "array", "minItems": 1, "maxItems": LIST_LENGTH, "uniqueItems": True, "items": _text_schema(limits)}


TYPES: Mapping[str, Type] = {
    "text": Type(
        description=f"Text without white space around it, at most {TEXT_LENGTH} characters unless the field says "
        "otherwise; control characters but tab and newline are replaced by U+FFFD. Numbers are written as text.",
        make=scalars.text,
        schema=_text_schema,
        limits=frozenset({"length", "pattern", "enum"}),
    ),
    "lowercase": _case("lower", str.lower, "LowercaseString"),
    "uppercase": _case("upper", str.upper, "UppercaseString"),
    "texts": Type(
        description="A list of texts, each once; a lone text is a list of one.",
        make=scalars.texts,
        schema=_text_list_schema,
        limits=frozenset({"length", "pattern"}),
    ),
    "raw": Type(
        description="Text kept exactly as it came, white space and control characters included.",
        make=scalars.raw,
        schema=lambda limits: {"type": "string", "minLength": 1, "maxLength": limits.length or 2**20},
        limits=frozenset({"length"}),
        intelmq="Base64",
        distinct=True,
    ),
    "integer": Type(
        description="A whole number within 64 bits, signed; its decimal text is accepted.",
        make=scalars.integer,
        schema=_integer_schema,
        limits=frozenset({"minimum", "maximum"}),
        intelmq="Integer",
    ),
    "number": Type(
        description="A finite number; its decimal text is accepted, NaN and infinities are not.",
        make=scalars.number,
        schema=_number_schema("number"),
        limits=frozenset({"minimum", "maximum"}),
        intelmq="Float",
    ),
    "accuracy": Type(
        description="A percentage, from 0 to 100.",
        make=_plain(scalars.number(Limits(minimum=0, maximum=100))),
        schema=_always({"type": "number", "minimum": 0, "maximum": 100}),
        intelmq="Accuracy",
    ),
    "latitude": _degrees("latitude", 90),
    "longitude": _degrees("longitude", 180),
    "boolean": Type(
        description="true or false; yes, no, 1 and 0 are accepted, in any case.",
        make=_plain(scalars.boolean),
        schema=_always({"type": "boolean"}),
        intelmq="Boolean",
    ),
    "time": Type(
        description="A time in UTC as `2026-11-20T07:30:00+00:00`, with microseconds only if there are some. "
        "ISO 8601 and RFC 5322 text with an offset, Z, UTC or GMT is accepted; one without a zone is refused, and nothing "
        "is guessed.",
        make=_plain(times.iso),
        schema=_always({"type": "string", "format": "utc-time", "minLength": 25, "maxLength": 32}),
        intelmq="DateTime",
        distinct=True,
    ),
    "ip": Type(
        description="An IPv4 or IPv6 address (RFC 5952). IPv4 in IPv6 becomes IPv4, zone ids and /32 or /128 are "
        "removed; 0.0.0.0, :: and leading zeros are refused.",
        make=_plain(network.ip),
        schema=_always({"type": "string", "format": "ip-address", "maxLength": 45}),
        intelmq="IPAddress",
    ),
    "network": Type(
        description="A network in CIDR notation; host bits are cleared, an address is a network of one.",
        make=_plain(network.network),
        schema=_always({"type": "string", "format": "ip-network", "maxLength": 49}),
        intelmq="IPNetwork",
    ),
    "port": Type(
        description="A transport port, from 1 to 65535.",
        make=_plain(network.port),
        schema=_always({"type": "integer", "minimum": 1, "maximum": 65535}),
        intelmq="Integer",
    ),
    "asn": Type(
        description="The number of an autonomous system, from 1 to 4294967295; AS64496 is accepted for 64496.",
        make=_plain(network.asn),
        schema=_always({"type": "integer", "minimum": 1, "maximum": 4294967295}),
        intelmq="ASN",
    ),
    "fqdn": Type(
        description="A host name of at least two labels in lower case; letters beyond ASCII become A-labels (IDNA "
        "2008). Outer dots are removed; underscores may stand in all labels but the last.",
        make=_plain(network.fqdn),
        schema=_always({"type": "string", "format": "host-name", "maxLength": 253}),
        intelmq="FQDN",
    ),
    "suffix": Type(
        description="A public suffix: as `fqdn`, but one label is enough.",
        make=_plain(network.suffix),
        schema=_always({"type": "string", "format": "domain-suffix", "maxLength": 253}),
        intelmq="FQDN",
    ),
    "url": Type(
        description="An absolute URL of a network protocol in use, with a host; scheme and host in lower case, the "
        "rest kept letter by letter. hxxp and [.] are accepted; white space is refused.",
        make=_plain(network.url),
        schema=_always({"type": "string", "format": "absolute-url", "maxLength": network.URL_LENGTH}),
        intelmq="URL",
        distinct=True,
    ),
    "emails": Type(
        description="Mail addresses in lower case, each once, joined by commas; lists, semicolons and blanks are accepted.",
        make=_plain(network.emails),
        schema=_always({"type": "string", "format": "email-list", "maxLength": network.URL_LENGTH}),
        intelmq="LowercaseString",
    ),
    "country": Type(
        description="Two letters in upper case (ISO 3166-1 alpha-2).",
        make=lambda _: scalars.text(Limits(pattern="[A-Z]{2}"), str.upper),
        schema=_always(_matching("[A-Z]{2}")),
        intelmq="UppercaseString",
    ),
    "md5": _digest("MD5", 32),
    "sha1": _digest("SHA-1", 40),
    "sha256": _digest("SHA-256", 64),
    "uuid": Type(
        description="A UUID in lower case (RFC 9562).",
        make=lambda _: scalars.text(Limits(pattern=_UUID), str.lower),
        schema=_always(_matching(_UUID)),
        intelmq="LowercaseString",
        distinct=True,
    ),
    "registry": Type(
        description="A regional internet registry: " + ", ".join(_REGISTRIES) + ".",
        make=_plain(
            scalars.one_of(_REGISTRIES, {"RIPENCC": "RIPE", "RIPE-NCC": "RIPE", "RIPE NCC": "RIPE"}, str.upper)
        ),
        schema=_always({"type": "string", "enum": list(_REGISTRIES)}),
        intelmq="Registry",
    ),
    "tlp": Type(
        description="A label of the Traffic Light Protocol 2.0: " + ", ".join(_TLP) + ". WHITE is accepted for CLEAR, "
        "and TLP: before the word.",
        make=_plain(scalars.one_of(_TLP, {"WHITE": "CLEAR"}, _tlp_word)),
        schema=_always({"type": "string", "enum": list(_TLP)}),
        intelmq="TLP",
    ),
    "taxonomy": Type(
        description="A class of RSIT 1003.",
        make=lambda _: taxonomy.taxonomy(),
        schema=lambda _: {"type": "string", "enum": list(taxonomy.rsit().taxonomy)},
        intelmq="ClassificationTaxonomy",
    ),
    "classification": Type(
        description="A type of RSIT 1003, or one of the five that IntelMQ adds; older names and spellings are accepted.",
        make=lambda _: taxonomy.classification(),
        schema=lambda _: {"type": "string", "enum": taxonomy.rsit().types},
        intelmq="ClassificationType",
    ),
    "vulnerabilities": Type(
        description="A list of CVE ids in upper case, or ids of other catalogues in lower case; a text separated by "
        "semicolons, commas or blanks is accepted.",
        make=_plain(scalars.vulnerabilities),
        schema=_always(
            {
                "type": "array",
                "minItems": 1,
                "maxItems": LIST_LENGTH,
                "uniqueItems": True,
                "items": _matching("CVE-[0-9]{4}-[0-9]{4,12}|(?!cve-)[a-z0-9][a-z0-9._:/-]{0,99}"),
            }
        ),
        intelmq="LowercaseString",
    ),
    "json": Type(
        description="JSON text (RFC 8259); lists, objects and other text are written as JSON.",
        make=values.json_text,
        schema=lambda limits: {
            "type": "string",
            "format": "json-text",
            "maxLength": limits.length or values.MOST_BYTES,
        },
        limits=frozenset({"length"}),
        intelmq="JSON",
        distinct=True,
    ),
    "objects": Type(
        description="A list of JSON objects, together at most 64 KiB and four levels.",
        make=_plain(values.objects),
        schema=_always(
            {
                "type": "array",
                "minItems": 1,
                "maxItems": LIST_LENGTH,
                "items": {"type": "object"},
                "format": "free-json",
            }
        ),
        intelmq="JSON",
        distinct=True,
    ),
    "extra": Type(
        description="Any lower-case dotted name below the field's own, holding a JSON value of at most 64 KiB and four "
        "levels.",
        make=_plain(values.free),
        schema=_always({"type": ["string", "number", "boolean", "array", "object"], "format": "free-json"}),
        intelmq="JSONDict",
    ),
}
"""All types by name."""
