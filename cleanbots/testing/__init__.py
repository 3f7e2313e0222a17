"""Testing bots and configurations without a server: ``run(Bot, items)`` goes the way that a worker goes."""

from .runner import Result, load, run

__all__ = ["Result", "load", "run"]
