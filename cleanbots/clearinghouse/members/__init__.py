"""The members: who they are, what they claim, how they are told; and whom an event concerns."""

from .check import CheckedMembers, check
from .matching import Asset, Matched, Question
from .registry import Registry
from .reload import RegistryFile, current
from .ruling import Considered, Verdict

__all__ = [
    "Asset",
    "CheckedMembers",
    "Considered",
    "Matched",
    "Question",
    "Registry",
    "RegistryFile",
    "Verdict",
    "check",
    "current",
]
