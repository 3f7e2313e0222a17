"""Delivery formats: what a digest looks like to a member's tools."""

from .base import Format, RowFormat
from .finding import finding_object
from .loading import load

__all__ = ["Format", "RowFormat", "finding_object", "load"]
