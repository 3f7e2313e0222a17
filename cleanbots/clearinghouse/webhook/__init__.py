"""The webhook: what is sent, signed after Standard Webhooks 1.0, described by published JSON Schemas."""

from .rendering import render_webhook, tells
from .schemas import SCHEMAS, schema
from .signatures import sign

__all__ = ["SCHEMAS", "render_webhook", "schema", "sign", "tells"]
