"""Reads the corpus of real reports with the events that IntelMQ makes of them, and compares our events with those.

The corpus lies beside the repository and is not part of it; without it the tests that need it are skipped. Every
difference that we mean to have is listed, by rule, in ``corpus_differences.yaml``.
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from cleanbots.harmonization import catalogue

DIFFERENCES = Path(__file__).with_name("corpus_differences.yaml")
ABSENT = "(absent)"


@cache
def corpus_file(*parts: str) -> Path:
    """Give the path of a file of the corpus, such as ``corpus_file("parsers", "cymru.json")``; skips without it."""
    for folder in Path(__file__).resolve().parents:
        path = folder.joinpath("shared", "corpus", *parts)
        if path.exists():
            return path
    pytest.skip(f"no corpus beside this repository: shared/corpus/{'/'.join(parts)}")


@dataclass(frozen=True)
class Message:
    """A report or an event of the peer: its fields (flat), its raw bytes, and which input it was made of."""

    fields: dict[str, Any]
    raw: bytes
    source: int = 0

    @property
    def name(self) -> str:
        """The report's file name, or ""."""
        return str(self.fields.get("extra.file_name", ""))


@dataclass(frozen=True)
class Record:
    """One run of a bot of the peer.

    Args:
        id: the peer's test.
        parameters: the peer's parameters.
        inputs: what the bot was given.
        outputs: what it sent by its default path, in order.
        dumped: the inputs it set aside, with its error.
    """

    id: str
    parameters: dict[str, Any]
    inputs: list[Message]
    outputs: list[Message]
    dumped: list[tuple[Message, str]]

    def events_of(self, source: int) -> list[Message]:
        """Give the events that were made of the input with this number."""
        return [event for event in self.outputs if event.source == source]


def records(kind: str, bot: str) -> list[Record]:
    """Read the runs of one bot, such as ``records("parsers", "cymru")``; only those that really ran."""
    content = json.loads(corpus_file(kind, f"{bot}.json").read_bytes())
    return [_record(one) for one in content["records"] if one["mode"] == "observed"]


def _record(one: Mapping[str, Any]) -> Record:
    return Record(
        id=f"{one['test_id'].split('.tests.')[-1]}#{one['run']}",
        parameters=one.get("parameters", {}),
        inputs=[_message(message) for message in one.get("input_messages", ())],
        outputs=[_message(message) for message in one.get("output_messages", {}).get("_default", ())],
        dumped=[(_message(dump["message"]), str(dump["error"])) for dump in one.get("dumps", ())],
    )


def _message(message: Mapping[str, Any]) -> Message:
    raw = message.get("raw") or {"encoding": "utf-8", "text": ""}
    data = base64.b64decode(raw["data"]) if raw["encoding"] == "base64" else raw["text"].encode()
    return Message(message["fields"], data, message.get("from_input") or 0)


@dataclass(frozen=True)
class Rule:
    """A difference that we mean to have.

    Args:
        reason: why; one sentence.
        field: pattern of the field's name (shell style), or "" for a rule about whole rows.
        theirs: regular expression that the peer's value matches, written as JSON, or ``(absent)``.
        ours: likewise for our value; in a rule about whole rows: for our error's text.
        bot: name of the bot in the corpus (shell style).
    """

    reason: str
    field: str = ""
    theirs: str = ".*"
    ours: str = ".*"
    bot: str = "*"

    def covers(self, bot: str, name: str, theirs: str, ours: str) -> bool:
        """Tell whether the rule is about this difference."""
        return (
            fnmatchcase(bot, self.bot)
            and fnmatchcase(name, self.field)
            and re.fullmatch(self.theirs, theirs, re.DOTALL) is not None
            and re.fullmatch(self.ours, ours, re.DOTALL) is not None
        )


@cache
def rules() -> tuple[list[Rule], dict[str, str]]:
    """Read the listed differences: the rules, and the fields (pattern to reason) that only we have."""
    content = yaml.safe_load(DIFFERENCES.read_text(encoding="utf-8"))
    return [Rule(**one) for one in content["differences"]], content["own"]


@dataclass
class Tally:
    """The result of a comparison: how many fields agree, which differ by which rule, and which by none."""

    bot: str
    equal: int = 0
    listed: Counter[str] = field(default_factory=Counter)
    unlisted: list[str] = field(default_factory=list)

    @property
    def fields(self) -> int:
        """How many fields were compared."""
        return self.equal + self.listed.total() + len(self.unlisted)

    @property
    def share(self) -> float:
        """The share of fields that differ, listed or not."""
        return 1 - self.equal / self.fields if self.fields else 0.0

    def compare(self, where: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
        """Compare two events, field by field; fields that only we have by design are left out."""
        own = rules()[1]
        for name in sorted({*theirs, *ours} - {"raw"}):
            if name not in theirs and any(fnmatchcase(name, pattern) for pattern in own):
                continue
            if name in theirs and name in ours and same(theirs[name], ours[name]):
                self.equal += 1
            else:
                self._differ(f"{where}: {name}", name, _shown(theirs, name), _shown(ours, name))

    def missing(self, where: str, theirs: Mapping[str, Any], error: Exception | None) -> None:
        """Note an event of the peer that we set aside as a bad row: each of its fields differs."""
        for _ in theirs:
            self._differ(f"{where}: the whole row", "", json.dumps(theirs), str(error))

    def surplus(self, where: str, ours: Mapping[str, Any]) -> None:
        """Note an event of ours that the peer doesn't make."""
        self._differ(f"{where}: an event that the peer doesn't make", "", ABSENT, json.dumps(ours))

    def report(self) -> str:
        """Give the figures as text."""
        lines = [f"{self.bot}: {self.fields} fields compared, {self.equal} equal, {self.share:.2%} differ"]
        lines += [f"  {number:5} {reason}" for reason, number in self.listed.most_common()]
        lines += [f"  NOT LISTED {one} ({number} fields)" for one, number in Counter(self.unlisted).most_common(40)]
        return "\n".join(lines)

    def _differ(self, where: str, name: str, theirs: str, ours: str) -> None:
        for rule in rules()[0]:
            if rule.covers(self.bot, name, theirs, ours):
                self.listed[rule.reason] += 1
                return
        self.unlisted.append(f"{where}: theirs {theirs[:200]} ours {ours[:200]}")


def same(theirs: Any, ours: Any) -> bool:
    """Tell whether two values are equal as JSON; true is not 1."""
    return type(theirs) is type(ours) and bool(theirs == ours)


def unknown_fields(events: Iterable[Mapping[str, Any]]) -> set[str]:
    """Give the names of fields that our catalogue doesn't have."""
    return {name for event in events for name in event if name not in catalogue()}


def _shown(event: Mapping[str, Any], name: str) -> str:
    return json.dumps(event[name], ensure_ascii=False) if name in event else ABSENT
