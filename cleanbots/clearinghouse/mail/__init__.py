"""Mails: a frozen digest becomes text, HTML and MIME, one message per recipient."""

from .render import render_mail
from .seal import Seal, SealError, no_seal

__all__ = ["Seal", "SealError", "no_seal", "render_mail"]
