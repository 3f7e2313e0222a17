"""Formats by name, ready to render; whoever wrote one, it never gets to see what must not leave."""

import msgspec

from ...errors import PluginError
from ...plugins import Registry
from ..model import Attachment, Digest
from .base import Format, releasable


def load(registry: Registry, name: str) -> Format:
    """Give a format by name.

    Raises:
        PluginError: if there is none, or if what a plugin offers is no format.
    """
    cls = registry.formats.load(name)
    if not issubclass(cls, Format):
        raise PluginError(f"format {name!r}: {cls.__module__}.{cls.__name__} doesn't extend Format")
    return _Guarded(cls())


class _Guarded(Format):
    """Hands a format those findings only whose label allows the delivery."""

    def __init__(self, format_: Format) -> None:
        self._format = format_

    def render(self, digest: Digest) -> list[Attachment]:
        allowed = msgspec.structs.replace(digest, findings=releasable(digest))
        files = self._format.render(allowed)
        if files and (withheld := len(digest.findings) - len(allowed.findings)):
            files[0] = msgspec.structs.replace(files[0], unexpressed=files[0].unexpressed + withheld)
        return files
