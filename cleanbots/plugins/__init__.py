"""Plugins: how bots, formats, fields and expression functions come in, and how others may watch. pluggy is the one door."""

from .discovery import FormatRef, Ref, bots_in
from .hookspecs import hookimpl
from .registry import Formats, Plugin, Problem, Registry, discover

__all__ = ["FormatRef", "Formats", "Plugin", "Problem", "Ref", "Registry", "bots_in", "discover", "hookimpl"]
