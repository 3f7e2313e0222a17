"""Every hook that a plugin may answer: one bare function each.

Implement a hook with ``@hookimpl`` in the module that the entry point (group ``cleanbots``) names, or in ``plugin.py``
of a site folder. The first four are asked once, when the plugins are discovered; the others are told once per batch
and once per change. No hook is called per event.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pluggy

from .discovery import FormatRef, Ref

PROJECT = "cleanbots"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def cleanbots_bots() -> Iterable[Ref]:  # type: ignore[empty-body]
    """Name bots, without importing them; ``return bots_in(__package__)`` names those in ``<kind>s/<name>.py``."""


@hookspec
def cleanbots_formats() -> Iterable[FormatRef]:  # type: ignore[empty-body]
    """Name delivery formats, without importing them."""


@hookspec
def cleanbots_fields() -> Mapping[str, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Give further fields of events, each as an entry of the catalogue (``harmonization/events.json``)."""


@hookspec
def cleanbots_functions() -> Mapping[str, Callable[..., Any]]:  # type: ignore[empty-body]
    """Give further functions of expressions by name; each gets the values of its arguments, None means no value."""


@hookspec
def cleanbots_batch_done(bot: str, counts: Mapping[str, int]) -> None:
    """Be told that *bot* finished a batch; *counts* has ``in``, ``failed``, ``out:<path>``, ``dropped:<reason>``."""


@hookspec
def cleanbots_worker_changed(worker: str, state: str) -> None:
    """Be told, in the worker's process, that it is ``started`` or ``stopped``."""
