"""The published JSON Schemas of what is sent: one per type and version; within a version keys are only added."""

from pathlib import Path

SCHEMAS = ("finding-1", "digest-1", "ping-1")
"""Their names; the number is the version."""


def schema(name: str) -> bytes:
    """Give the JSON Schema *name* as it is published.

    Raises:
        KeyError: if there is none of that name.
    """
    if name not in SCHEMAS:
        raise KeyError(name)
    return Path(__file__).with_name(f"{name}.json").read_bytes()
