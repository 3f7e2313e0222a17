"""Tests of how formats come in: ours and a third party's, by the same door."""

import json

import pytest
from format_digests import digest, finding

from cleanbots.clearinghouse import plugin
from cleanbots.clearinghouse.formats import Format, load
from cleanbots.errors import PluginError
from cleanbots.plugins import FormatRef, Registry, discover, hookimpl

PLUGIN = """
from cleanbots.plugins import FormatRef, hookimpl


@hookimpl
def cleanbots_formats():
    return [FormatRef("addresses", f"{__package__}.lists:Addresses"), FormatRef("broken", f"{__package__}.lost:Lost")]
"""

FORMAT = '''
"""One address a line."""

from cleanbots.clearinghouse.formats import Format
from cleanbots.clearinghouse.model import Attachment


class Addresses(Format):
    """The addresses of a digest, one a line."""

    name = "addresses"

    def render(self, digest):
        data = "".join(f"{finding.event['source.ip']}\\n" for finding in digest.findings).encode()
        return [Attachment(name=f"{digest.reference}.txt", content_type="text/plain", data=data, rows=len(digest.findings))]
'''


def naming(*refs):
    """Make a plugin that names formats."""

    class Plugin:
        @hookimpl
        def cleanbots_formats(self):
            return refs

    return Plugin()


@pytest.fixture
def registry():
    """A registry with our own formats."""
    found = Registry()
    found.add(plugin, "cleanbots")
    return found


@pytest.fixture
def site(tmp_path):
    """A site folder that brings a format."""
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "lists.py").write_text(FORMAT)
    return tmp_path


def test_each_of_our_formats_loads_under_its_name(registry):
    """What the plugin names is there, and calls itself so."""
    assert registry.problems == []
    assert set(registry.formats.names) == set(plugin.FORMATS)
    for name in registry.formats.names:
        assert issubclass(registry.formats.load(name), Format)
        assert registry.formats.load(name).name == name


def test_installed_cleanbots_announces_its_formats():
    """The entry point of the package names the formats; without it no delivery could be rendered."""
    found = discover()

    assert found.problems == []
    assert set(plugin.FORMATS) <= set(found.formats.names)


def test_loaded_format_renders(registry):
    """What is loaded by name renders a digest."""
    (file,) = load(registry, "xarf").render(digest(finding()))

    assert (file.name, file.rows) == ("MP-20261120-0042.xarf.jsonl", 1)
    json.loads(file.data)


def test_site_brings_a_format_without_touching_the_core(site):
    """A format in a site's own folder is found, loaded and used like ours."""
    found = discover([site])

    (file,) = load(found, "addresses").render(digest(finding()))

    assert (file.name, file.data) == ("MP-20261120-0042.txt", b"203.0.113.25\n")
    assert "addresses" in found.brought(str(site))["formats"]


def test_format_of_a_stranger_never_sees_what_must_not_leave(site):
    """A format that doesn't look at labels can't let out a finding above the delivery's ceiling."""
    strict = finding({"tlp": "AMBER+STRICT", "source.ip": "192.0.2.66"})

    (file,) = load(discover([site]), "addresses").render(digest(finding(), strict))

    assert (file.data, file.rows, file.unexpressed) == (b"203.0.113.25\n", 1, 1)


def test_format_that_cannot_be_loaded_fails_alone(site):
    """A broken format says which file is at fault when it is asked for; the others work."""
    found = discover([site])

    with pytest.raises(PluginError, match=r"lost.*broken of plugin"):
        load(found, "broken")
    assert isinstance(load(found, "addresses"), Format)


def test_format_of_two_plugins_belongs_to_neither(registry):
    """Two plugins with one name are a problem, and the name can't be used."""
    registry.add(naming(FormatRef("csv", "acme.formats:Csv")), "acme")

    assert "csv" not in registry.formats.names
    with pytest.raises(PluginError, match="'cleanbots' and 'acme'"):
        load(registry, "csv")


@pytest.mark.parametrize("ref", [FormatRef("CSV/2", "acme.formats:Csv"), FormatRef("mine", "acme.formats")])
def test_format_needs_a_plain_name_and_a_class(registry, ref):
    """A name becomes part of file names, so only plain ones are taken in."""
    registry.add(naming(ref), "acme")

    assert ref.name not in registry.formats.names
    assert ref.name in str(registry.problems)


def test_unknown_format_gets_a_hint(registry):
    """A misspelt name gets the closest one."""
    with pytest.raises(PluginError, match="did you mean 'xarf'"):
        load(registry, "xraf")


def test_class_that_is_no_format_is_refused(registry):
    """What doesn't extend Format is none, whatever it is called."""
    registry.add(naming(FormatRef("odd", "pathlib:Path"), FormatRef("lost", "pathlib:Nothing")), "acme")

    with pytest.raises(PluginError, match="doesn't extend Format"):
        load(registry, "odd")
    with pytest.raises(PluginError, match="no format class"):
        load(registry, "lost")
