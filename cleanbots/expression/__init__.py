r"""Expressions: safe conditions over the fields of an event, such as ``source.asn in [64496, 64500]``.

An expression is read once, checked against the catalogue (unknown fields, numbers compared with text) and turned into
closures; nothing of its text is ever run as code. The language:

- ``and``, ``or``, ``not``, parentheses; ``==  !=  <  <=  >  >=  in  not in``
- text ``"…"`` or ``'…'`` (escapes: ``\"``, ``\'``, ``\\``), numbers, ``true``, ``false``, spans ``72h``, addresses
  ``192.0.2.1``, networks ``192.0.2.0/24``, lists ``[…]``
- ``exists(f)``, ``lower(f)``, ``upper(f)``, ``length(f)``, ``startswith(f, "…")``, ``endswith(f, "…")``,
  ``contains(f, "…")``, ``matches(f, "regex")``, ``now()``
- times: ``time.source < now() - 72h``, ``time.observation - time.source > 1d``, ``time.source >= "2026-11-20"``
- ``severity`` and ``tlp`` have an order: ``severity >= "high"``, ``tlp <= "GREEN"``

**A comparison with a missing field is false, whichever the operator**: ``source.asn != 64496`` and
``source.asn not in [64496]`` hold only where there is a ``source.asn``; ``not (source.asn == 64496)`` also where not.
"""

from .compiler import Condition, Functions, compile_expression, extend
from .networks import NetworkSet
from .rules import Rules
from .syntax import fields_of

__all__ = ["Condition", "Functions", "NetworkSet", "Rules", "compile_expression", "extend", "fields_of"]
