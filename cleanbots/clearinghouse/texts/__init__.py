"""What members read about a finding, in their language: title, what it means, what helps."""

from .catalogue import LANGUAGES, Advice, Catalogue, TextError

__all__ = ["LANGUAGES", "Advice", "Catalogue", "TextError"]
