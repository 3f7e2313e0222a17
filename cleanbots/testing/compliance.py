"""The contract of a bot, written as tests that hold for any.

Third parties get all of them by one line in a test file::

    from cleanbots.testing import compliance

    test_contract = compliance.tests_for("acme_bots.")
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ..bot import Bot, Stage, kind_of
from ..errors import PluginError
from ..harmonization import revalidate
from ..plugins import Registry, discover
from ..runtime.faults import world_at_fault
from .runner import Result, run

SECRET = "correct-horse-battery-staple"  # noqa: S105  # bait: it must turn up nowhere
EVENT: dict[str, Any] = {
    "id": "compliance-1",
    "classification.type": "scanner",
    "raw": "192.0.2.1,22",
    "source.ip": "192.0.2.1",
    "source.port": 22,
    "time.observation": "2026-01-31T12:00:00+00:00",
}
JUNK: tuple[bytes, ...] = (b"", b"\n", b"\x00\xff\xfe", b'"', b"{", b"[1, null]", b"a,b\n1,2,3\n")


@dataclass(frozen=True)
class Subject:
    """The bot whose contract is looked at.

    Args:
        use: its name.
        cls: its class.
        params: parameters that it works with.
        folder: an empty folder; relative paths start there.
        tables: path of a prefix table to its records by prefix.
        members: the file of the members, for bots that ask for them.
    """

    use: str
    cls: type[Bot[Any]]
    params: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    members: Path | None = None

    def run(self, *items: Any, **changed: Any) -> Result:
        """Run the bot; skips the test if the world is at fault, because then there is nothing to look at."""
        try:
            lent = {"params": self.params, "base": self.folder, "data": self.folder, "tables": self.tables}
            lent["members"] = self.members
            return run(self.cls, items, **{**lent, **changed})
        except msgspec.ValidationError as error:
            sentence = f"these parameters don't fit: {error}; give some that do as examples={{{self.use!r}: {{…}}}}"
            raise AssertionError(sentence) from error
        except Exception as error:
            if world_at_fault(error):
                pytest.skip(f"{self.use} needs more of the world than a test has: {error}")
            raise


def says_what_it_does(bot: Subject) -> None:
    """A bot and its parameters have docstrings."""
    _require(bool((bot.cls.__dict__.get("__doc__") or "").strip()), f"{bot.cls.__name__} has no docstring")
    params = bot.cls.params_type()
    _require(bool((params.__doc__ or "").strip()), f"{params.__name__} has no docstring")


def describes_each_parameter(bot: Subject) -> None:
    """Each parameter has a description in the JSON Schema."""
    schema = msgspec.json.schema(bot.cls.params_type())
    definitions = schema.get("$defs", {})
    for name, about in _properties(schema, definitions):
        _require(any("description" in part for part in _parts(about, definitions)), f"{name} has no description")


def accepts_its_own_defaults(bot: Subject) -> None:
    """Each default satisfies what is required of its parameter."""
    for about in msgspec.structs.fields(bot.cls.params_type()):
        default = about.default_factory() if about.default_factory is not msgspec.NODEFAULT else about.default
        if default is not msgspec.NODEFAULT:
            msgspec.convert(msgspec.to_builtins(default), about.type)


def refuses_unknown_parameters(bot: Subject) -> None:
    """A misspelt parameter is a mistake, never ignored."""
    try:
        msgspec.convert({**bot.params, "no_such_parameter": 1}, bot.cls.params_type())
    except msgspec.ValidationError as error:
        _require("no_such_parameter" in str(error), f"the example parameters don't fit: {error}")
    else:
        raise AssertionError("an unknown parameter is accepted; extend cleanbots.Params")


def names_its_exits(bot: Subject) -> None:
    """An output has no exits; all others have some, each named once."""
    paths = bot.cls.paths(msgspec.convert(dict(bot.params), bot.cls.params_type()))
    _require(len(set(paths)) == len(paths), f"an exit is named twice: {paths}")
    _require(bool(paths) != (kind_of(bot.cls) == "output"), f"the exits {paths} don't fit its kind")


def opens_and_closes_again(bot: Subject) -> None:
    """A bot can be opened and closed twice: workers restart."""
    if issubclass(bot.cls, Stage):
        bot.run()
        bot.run()


def takes_an_empty_batch(bot: Subject) -> None:
    """Nothing in, nothing out, and no error."""
    if issubclass(bot.cls, Stage):
        result = bot.run()
        _require(not result.paths and not result.failed, "something came of nothing")


def loses_no_event(bot: Subject) -> None:
    """An event is sent, dropped with a reason, failed with an error, or kept in the bot's state; it never vanishes."""
    if kind_of(bot.cls) != "expert":
        return
    result = bot.run(EVENT)
    _require(bool(result.paths or result.failed or result.dropped or result.state), "the event vanished")


def sends_harmonised_fields_only(bot: Subject) -> None:
    """What a bot sends has known fields with values in canonical form, and an id."""
    if kind_of(bot.cls) != "expert":
        return
    for path, events in bot.run(EVENT).paths.items():
        for event in events:
            _require(bool(event.id), f"an event sent to {path!r} has no id")
            checked = revalidate(dict(event.fields))
            wrong = sorted(name for name in event.fields if checked.get(name) != event.fields[name])
            _require(not wrong, f"not in canonical form: {', '.join(wrong)}; set fields by event[…] = …")


def survives_junk(bot: Subject) -> None:
    """Whatever a report's payload is, nothing but an error of this item comes of it."""
    if kind_of(bot.cls) == "parser":
        for payload in JUNK:
            for event in bot.run(payload).sent:
                _require(revalidate(dict(event.fields)) == event.fields, f"{payload!r} gave a field that doesn't fit")


def keeps_secrets(bot: Subject, caplog: pytest.LogCaptureFixture) -> None:
    """No secret is shown in the bot's text, in a log line or in an error."""
    schema = msgspec.json.schema(bot.cls.params_type())
    definitions = schema.get("$defs", {})
    secrets = {
        name.rpartition(".")[2]: SECRET
        for name, about in _properties(schema, definitions)
        if any(part.get("writeOnly") for part in _parts(about, definitions))
    }
    if not secrets or not issubclass(bot.cls, Stage):
        return
    with caplog.at_level(logging.DEBUG):
        result = bot.run(b"x" if kind_of(bot.cls) == "parser" else EVENT, params={**bot.params, **secrets})
    shown = [caplog.text, *(f"{error} {error!r}" for _, error in result.failed)]
    _require(not any(SECRET in text for text in shown), "a secret is shown in a log line or an error")


Rule = Callable[..., None]

RULES: tuple[Rule, ...] = (
    says_what_it_does,
    describes_each_parameter,
    accepts_its_own_defaults,
    refuses_unknown_parameters,
    names_its_exits,
    opens_and_closes_again,
    takes_an_empty_batch,
    loses_no_event,
    sends_harmonised_fields_only,
    survives_junk,
    keeps_secrets,
)
"""The contract: each rule raises AssertionError with a sentence, or returns."""


def tests_for(
    prefix: str,
    examples: Mapping[str, Mapping[str, Any]] | None = None,  # noqa: PT028  # it makes tests, it is none
    tables: Mapping[str, Mapping[str, Any]] | None = None,  # noqa: PT028
    registry: Registry | None = None,  # noqa: PT028
    members: Path | None = None,  # noqa: PT028
) -> Callable[..., None]:
    """Make the tests of the contract for some bots.

    Args:
        prefix: what the modules of the bots begin with, such as ``acme_bots.``.
        examples: name of a bot to parameters that it works with, for those that can't do without.
        tables: path of a prefix table that these parameters name to its records by prefix.
        registry: where the bots come from; by default all that is installed.
        members: the file of the members, for bots that ask for them.

    Returns:
        a test function, parametrised by bot and rule.

    Raises:
        PluginError: if there is no such bot; a test of nothing would pass.
    """
    known = discover() if registry is None else registry
    names = [name for name in known.names() if known.ref(name).target.startswith(prefix)]
    if not names:
        raise PluginError(
            "; ".join([f"no bot in a module {prefix}…, so there is nothing to test", *map(str, known.problems)])
        )
    known.install()

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
    @pytest.mark.parametrize("use", names)
    def test_contract(use: str, rule: Rule, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The bot keeps the rule."""
        bot = Subject(use, known.load(use), (examples or {}).get(use, {}), tmp_path, tables or {}, members)
        if rule is keeps_secrets:
            rule(bot, caplog)
        else:
            rule(bot)

    return test_contract


tests_for.__test__ = False  # type: ignore[attr-defined]  # pytest would take its name for a test's


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


def _properties(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Walk through the properties of a schema and of the structs that they are made of."""
    top = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    for struct in {id(s): s for s in (top, *definitions.values())}.values():
        for name, about in struct.get("properties", {}).items():
            yield f"{struct.get('title', '')}.{name}", about


def _parts(about: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give a property's schema, what it refers to, and its alternatives."""
    yield about
    if "$ref" in about:
        yield from _parts(definitions[about["$ref"].rpartition("/")[2]], definitions)
    for choice in about.get("anyOf", ()):
        yield from _parts(choice, definitions)
