"""The harmonisation: fields, types and taxonomy. One catalogue makes the hot path, the JSON Schema and the docs."""

from .catalogue import Catalogue, Field, catalogue, catalogue_hash, extend
from .convert import harmonise, revalidate
from .plan import Column, Plan, compile_plan

__all__ = [
    "Catalogue",
    "Column",
    "Field",
    "Plan",
    "catalogue",
    "catalogue_hash",
    "compile_plan",
    "extend",
    "harmonise",
    "revalidate",
]
