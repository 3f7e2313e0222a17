"""Plugins: how bots, fields and expression functions come in, and how others may watch. pluggy is the one door."""

from .discovery import Ref, bots_in
from .hookspecs import hookimpl
from .registry import Plugin, Problem, Registry, discover

__all__ = ["Plugin", "Problem", "Ref", "Registry", "bots_in", "discover", "hookimpl"]
