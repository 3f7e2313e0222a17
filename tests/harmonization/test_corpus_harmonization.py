"""The recorded conversions of the peer: ours are equal, or differ by a rule that says why."""

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from cleanbots.harmonization import times
from cleanbots.harmonization.scalars import Limits
from cleanbots.harmonization.types import TYPES

HERE = Path(__file__).resolve()
RULES = yaml.safe_load(HERE.with_name("differences.yaml").read_text(encoding="utf-8"))

OURS = {
    "ASN": "asn", "Accuracy": "accuracy", "Base64": "raw", "Boolean": "boolean", "ClassificationTaxonomy": "taxonomy",
    "ClassificationType": "classification", "DateTime": "time", "FQDN": "fqdn", "Float": "number", "GenericType": "text",
    "IPAddress": "ip", "IPNetwork": "network", "Integer": "integer", "JSON": "json", "JSONDict": "extra",
    "LowercaseString": "lowercase", "Registry": "registry", "String": "text", "TLP": "tlp", "URL": "url",
    "UppercaseString": "uppercase",
}  # fmt: skip
"""IntelMQ's types to the closest of ours."""

REFUSED = object()


def find_corpus() -> dict[str, Any]:
    """Find the corpus beside one of the folders that this checkout is in."""
    for folder in HERE.parents:
        path = folder / "shared" / "corpus" / "harmonization.json"
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    pytest.skip("the corpus of recorded conversions is not beside this checkout")


@pytest.fixture(scope="module")
def corpus() -> dict[str, Any]:
    """Lend the recorded conversions."""
    return find_corpus()


def restored(value: Any) -> Any:
    """Give a recorded value as the Python object it was."""
    if isinstance(value, str):
        return value.replace("$SITE", "/site")
    if not isinstance(value, dict):
        return value
    if "__bytes_base64__" in value:
        return base64.b64decode(value["__bytes_base64__"])
    if "__list__" in value:
        return [restored(item) for item in value["__list__"]]
    if "__dict__" in value:
        return {key: restored(item) for key, item in value["__dict__"].items()}
    text = re.search(r"'([^']*)'", value["repr"])
    assert text is not None
    return ip_network(text[1]) if "Network" in value["__py__"] else ip_address(text[1])


def expected(row: dict[str, Any]) -> Any:
    """Give what the peer made of a row's value, in our terms."""
    if not row["valid_after_sanitize"]:
        return REFUSED
    if row["type"] == "Base64":
        return restored(row["value"])
    if row["type"] in ("JSON", "JSONDict"):
        return json.loads(row["sanitized"])
    return restored(row["sanitized"])


def converted(type_name: str, value: Any) -> Any:
    """Give what we make of a value of a type of the peer."""
    kind = TYPES[OURS[type_name]]
    try:
        found = kind.make(Limits(length=2**20) if "length" in kind.limits else Limits())(value)
    except ValueError:
        return REFUSED
    return json.loads(found) if type_name == "JSON" else found


def differences(rows: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Any, str]]:
    """Give each row that we convert otherwise, its value, and what we do with it."""
    for row in rows:
        theirs = expected(row)
        value = restored(row["value"])
        ours = converted(row["type"], value)
        if ours is REFUSED and theirs is REFUSED:
            continue
        if ours is REFUSED or theirs is REFUSED or ours != theirs:
            yield row, value, "refused" if ours is REFUSED else "accepted" if theirs is REFUSED else "other"


def rule_for(type_name: str, value: Any, ours: str) -> int | None:
    """Give the number of the rule that explains a difference."""
    for number, rule in enumerate(RULES):
        if (
            rule["type"] in (type_name, "*")
            and rule["ours"] == ours
            and rule.get("python", type(value).__name__) == type(value).__name__
            and re.fullmatch(rule.get("value", ".*"), str(value), re.DOTALL)
        ):
            return number
    return None


@pytest.mark.parametrize(("part", "share"), [("lib_rows", 0.1), ("bot_rows", 0.02)])
def test_conversions_equal_the_peer_or_differ_by_rule(corpus: dict[str, Any], part: str, share: float):
    """Each recorded conversion equals the peer's, or a rule says why not; few differ."""
    found = list(differences(corpus[part]))
    unexplained = [
        (row["type"], value, ours) for row, value, ours in found if rule_for(row["type"], value, ours) is None
    ]
    by_type = dict(Counter(row["type"] for row, _, _ in found))
    print(  # noqa: T201  # the figures are what the corpus is for
        f"{part}: {len(corpus[part])} rows, {len(found)} differ by rule ({len(found) / len(corpus[part]):.1%}): {by_type}"
    )

    assert unexplained == []
    assert len(found) <= share * len(corpus[part])


TIMES: dict[str, Callable[..., str]] = {
    "from_timestamp": times.epoch_seconds,
    "from_epoch_millis": times.epoch_millis,
    "from_windows_nt": times.windows_nt,
    "from_isoformat": times.iso,
    "from_format": times.by_format,
    "from_format_midnight": times.day,
}


def helper_call(row: dict[str, Any]) -> tuple[str, list[Any]]:
    """Give the function that a recorded call of the peer comes down to, and its arguments."""
    function, arguments = row["function"], [restored(value) for value in row["args"]]
    options = dict(row["kwargs"])
    if function == "convert":
        declared = options.get("format") or arguments.pop()
        function, _, form = declared.partition("|")
        return function, [arguments[0], form]
    if "value" in options:
        arguments.insert(0, options["value"])
    if "format" in options:
        arguments.append(options["format"])
    return function, arguments[:1] if function == "from_isoformat" else arguments


def instant(result: Any) -> datetime:
    """Give a recorded result, a text or a datetime's representation, as a time."""
    if isinstance(result, str):
        return datetime.fromisoformat(result)
    numbers = [int(number) for number in re.findall(r"\d+", result["repr"].partition("tzinfo")[0])]
    return datetime.fromisoformat(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+00:00".format(*numbers, *[0] * (7 - len(numbers)))
    )


def time_differences(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Give each recorded conversion of a time that we do otherwise, as `rule_for` takes it."""
    for row in rows:
        if row["type"] != "DateTime":
            continue
        function, arguments = helper_call(row)
        ours = TIMES[function](*arguments)
        if datetime.fromisoformat(ours) != instant(row["result"]):
            yield "helper", f"{function}({arguments})", "other"


def test_time_converters_equal_the_peer_or_differ_by_rule(corpus: dict[str, Any]):
    """Each recorded conversion of a time gives the same instant, or a rule says why not."""
    found = list(time_differences(corpus["helpers"]))
    print(f"helpers: {sum(row['type'] == 'DateTime' for row in corpus['helpers'])} times, {len(found)} differ by rule")  # noqa: T201  # likewise

    assert [call for call in found if rule_for(*call) is None] == []


def test_every_rule_explains_something(corpus: dict[str, Any]):
    """A rule that no recorded row meets is stale."""
    rows = corpus["lib_rows"] + corpus["bot_rows"]
    met = {rule_for(row["type"], value, ours) for row, value, ours in differences(rows)}
    met |= {rule_for(*call) for call in time_differences(corpus["helpers"])}

    assert [rule for number, rule in enumerate(RULES) if number not in met] == []
