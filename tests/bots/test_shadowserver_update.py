"""``cleanbots update shadowserver-schema``: checked before it is used, replaced at once or not at all."""

import json

import pytest
from click.testing import CliRunner

from cleanbots.cli import cli
from cleanbots.cli.update_command import SCHEMA_LIMIT
from cleanbots.data import data_path
from cleanbots.errors import CleanbotsError

TIME = ["time.source", "timestamp", "add_UTC_to_timestamp"]


def schema(*names, optional=()):
    """Write a schema with types of these names."""
    types = {
        name: {
            "feed_name": name.title(),
            "file_name": name,
            "constant_fields": {"classification.type": "vulnerable-system"},
            "required_fields": [TIME],
            "optional_fields": list(optional),
        }
        for name in names
    }
    return json.dumps({"_meta": {}, **types})


@pytest.fixture
def update(tmp_path):
    """Run the command on a text, for a file that may be there; gives what it prints, or raises."""

    def run(text, *options):
        (tmp_path / "new.json").write_text(text)
        arguments = ["update", "shadowserver-schema", "--from", str(tmp_path / "new.json"), *options]
        if "-c" not in options:
            arguments += ["--to", str(tmp_path / "schema.json")]
        result = CliRunner().invoke(cli, arguments, standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return result.output

    return run


def test_a_good_schema_is_put_in_place(update, tmp_path):
    """The file is what was fetched, and the command says how many types it has."""
    assert "2 report types" in update(schema("one", "two"))
    assert (tmp_path / "schema.json").read_text() == schema("one", "two")


def test_our_own_schema_passes(update):
    """The schema that ships is as good as one that is fetched."""
    assert "6 report types" in update(data_path("config", "shadowserver-schema.json").read_text())


def test_changes_are_named(update):
    """Types that are new and types that are gone are listed by name."""
    update(schema("a", "b", "c", "d", "e"))

    assert "5 report types; 1 new: f; 1 gone: a" in update(schema("b", "c", "d", "e", "f"))
    assert "nothing changed" in update(schema("b", "c", "d", "e", "f"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html>", "no JSON object"),
        (schema("a", "b", "c", optional=[["source.future", "x"]]), "no such field 'source.future'"),
        (schema("a", "b", "c", optional=[["status", "x", "convert_future"]]), "no such conversion 'convert_future'"),
        (schema("a", "b"), "lacks 2 of the 4 report types"),
    ],
)
def test_a_bad_schema_changes_nothing(update, tmp_path, text, said):
    """What can't be used or looks wrong is refused in one sentence, and the old file stays."""
    update(schema("a", "b", "c", "d"))

    with pytest.raises(CleanbotsError, match=said) as error:
        update(text)

    assert "was kept as it is" in str(error.value)
    assert (tmp_path / "schema.json").read_text() == schema("a", "b", "c", "d")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.json", "schema.json"]


@pytest.mark.parametrize("text", [schema("a"), schema("a", "b", "c", "d", optional=[["source.future", "x"]])])
def test_force_takes_what_is_suspicious(update, tmp_path, text):
    """With --force a smaller or newer schema is taken."""
    update(schema("a", "b", "c", "d"))
    update(text, "--force")

    assert (tmp_path / "schema.json").read_text() == text


def test_force_takes_no_rubbish(update):
    """What is no schema at all is refused even then."""
    with pytest.raises(CleanbotsError, match="no JSON object"):
        update("<html>", "--force")


def test_a_huge_file_is_refused(update):
    """A file over the limit is not even looked at."""
    with pytest.raises(CleanbotsError, match="larger than"):
        update(" " * (SCHEMA_LIMIT + 1))


def test_a_missing_source_is_named(tmp_path):
    """A source that isn't there is one sentence."""
    arguments = [
        "update",
        "shadowserver-schema",
        "--from",
        str(tmp_path / "gone"),
        "--to",
        str(tmp_path / "schema.json"),
    ]
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)

    assert isinstance(result.exception, CleanbotsError)
    assert "gone: can't be read: No such file or directory" in str(result.exception)


def test_the_configuration_tells_the_place(update, tmp_path):
    """Without --to it goes below the state folder, where the parser looks, and into the audit log."""
    (tmp_path / "c.yaml").write_text("name: x\nstate: here\n")
    update(schema("one"), "-c", str(tmp_path / "c.yaml"))

    assert (tmp_path / "here" / "data" / "shadowserver-schema.json").read_text() == schema("one")
    assert "update shadowserver-schema" in (tmp_path / "here" / "audit.jsonl").read_text()
